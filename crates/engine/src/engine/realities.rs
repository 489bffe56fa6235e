//! Realities as repositories: made when somebody needs one, over the pool of the repository that
//! they were made in.
//!
//! That repository, the *host*, records what there is (`repository/realities.rs`). A reality of
//! it that nobody works with, and that was never written to, is nothing here. One that was written
//! to is kept: as what it changed, until somebody asks, and as a [`Repository`] from then on.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use futures_util::future::BoxFuture;
use govc_git::ObjectId;

use super::Engine;
use crate::journal::{
    AppendError, Batch, Journal, Moment, PackBytes, PackId, PackSpool, Packs, PastRefs, Position,
};
use crate::pool::Kept;
use crate::repository::realities::KeyPrefix;
use crate::repository::{RealityOf, Start, ToKeep};
use crate::{
    Entry, EntryEdit, Fate, Hooks, Lfs, MadeBatch, NewObjects, Realities, RealityEdit, RealityId,
    RealityRange, RefName, Refs, RepoKey, Repository, RepositoryRecord, Seq, Snapshot, Storage,
    Target, Time, Transactions, Workspaces,
};

/// A reality, whether or not anybody ever worked in it.
#[derive(Clone)]
pub struct Reality {
    /// The repository that it was made in.
    pub host: Arc<Repository>,
    /// Which one it is.
    pub id: RealityId,
    /// What it is called.
    pub name: Arc<str>,
    /// What it was made with.
    pub made: Arc<MadeBatch>,
    /// What became of it.
    pub fate: Fate,
}

/// A reality that was written to, as it was found on disk.
#[derive(Debug, Clone)]
pub struct RecoveredReality {
    /// What names it.
    pub key: RepoKey,
    /// The number of its newest change.
    pub seq: Seq,
    /// How many steps of staging came after that.
    pub step: u32,
    /// When that change was.
    pub time: Time,
    /// The number of its next change.
    pub next: Seq,
    /// The refs that it changed: what they are now.
    pub overlay: Vec<(RefName, Target)>,
    /// The large files that it references beside those of its host, and its locks.
    pub lfs: Lfs,
    /// Its workspaces.
    pub workspaces: Workspaces,
    /// Its transactions.
    pub transactions: Transactions,
    /// What became of realities that were made from it, and what was measured in it.
    pub realities: Realities,
}

/// Realities that somebody needed, by the repositories that they were made in.
#[derive(Default)]
pub(super) struct Guests(RwLock<HashMap<RepoKey, HashMap<RepoKey, Guest>>>);

enum Guest {
    /// It was written to, or somebody is about to.
    Here(Arc<Repository>),
    /// Somebody reads it, who keeps it.
    Read(Weak<Repository>),
    /// It was written to, and nobody has asked for it since the start.
    Found(Arc<RecoveredReality>),
}

impl Guests {
    fn read(&self) -> RwLockReadGuard<'_, HashMap<RepoKey, HashMap<RepoKey, Guest>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<RepoKey, HashMap<RepoKey, Guest>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of `host` were found on disk.
    pub(super) fn found(&self, host: RepoKey, realities: Vec<RecoveredReality>) {
        if realities.is_empty() {
            return;
        }
        let mut guests = self.write();
        let guests = guests.entry(host).or_default();
        for reality in realities {
            guests.insert(reality.key, Guest::Found(Arc::new(reality)));
        }
    }

    /// The reality with this key, if it is here as a repository.
    pub(super) fn by_key(&self, key: RepoKey) -> Option<Arc<Repository>> {
        let guests = self.read();
        let guest = guests.values().find_map(|guests| guests.get(&key))?;
        guest.here()
    }

    fn here(&self, host: RepoKey, key: RepoKey) -> Option<Arc<Repository>> {
        self.read().get(&host)?.get(&key)?.here()
    }

    fn as_found(&self, host: RepoKey, key: RepoKey) -> Option<Arc<RecoveredReality>> {
        match self.read().get(&host)?.get(&key)? {
            Guest::Found(found) => Some(Arc::clone(found)),
            _ => None,
        }
    }

    /// Whether all of a host could leave memory: nobody works in one, and the store has all.
    pub(super) fn may_leave(&self, host: RepoKey) -> bool {
        let guests = self.read();
        let mut guests = guests.get(&host).into_iter().flat_map(HashMap::values);
        guests.all(|guest| match guest {
            Guest::Here(repository) => {
                let is_memory = repository.snapshot().record.storage == Storage::Memory;
                Arc::strong_count(repository) == 1 && !is_memory && repository.damage().is_none()
            }
            Guest::Read(weak) => weak.strong_count() == 0,
            Guest::Found(_) => true,
        })
    }

    /// Forgets all of a host, which leaves memory.
    pub(super) fn leave(&self, host: RepoKey) {
        self.write().remove(&host);
    }
}

impl Guest {
    fn here(&self) -> Option<Arc<Repository>> {
        match self {
            Guest::Here(repository) => Some(Arc::clone(repository)),
            Guest::Read(weak) => weak.upgrade(),
            Guest::Found(_) => None,
        }
    }
}

impl Reality {
    /// What names it for ever.
    pub fn key(&self) -> RepoKey {
        self.made.batch.key(self.id.index)
    }

    /// Whether making a repository of it reads nothing from the disk.
    pub fn is_ready(&self) -> bool {
        self.made.base().is_some()
    }

    /// When it goes by itself, if it does.
    pub fn expires_at(&self) -> Option<Time> {
        self.made.batch.expires_at
    }
}

impl Engine {
    /// The reality of `host` that is, or was last, called `name`. One that was discarded, or whose
    /// time is over, is [`Fate::Discarded`].
    pub fn reality(&self, host: &Arc<Repository>, name: &str) -> Option<Reality> {
        let snapshot = host.snapshot();
        let called = snapshot.realities.called(name);
        let all = called.into_iter().rev();
        let mut all = all.filter_map(|id| self.reality_by_id(host, &snapshot.realities, id));
        let newest = all.next()?;
        if newest.fate != Fate::Discarded {
            return Some(newest);
        }
        Some(
            all.find(|older| older.fate != Fate::Discarded)
                .unwrap_or(newest),
        )
    }

    /// The reality `id` among those that `realities`, of a snapshot of `host`, has.
    pub fn reality_by_id(
        &self,
        host: &Arc<Repository>,
        realities: &Realities,
        id: RealityId,
    ) -> Option<Reality> {
        let made = realities.batch(id.made)?;
        let name = made.batch.names.get(id.index)?;
        Some(Reality {
            host: Arc::clone(host),
            id,
            name: name.into(),
            made: Arc::clone(made),
            fate: self.fate(host.key(), realities, made, id),
        })
    }

    /// Up to `limit` realities of `host`, in the order of their making, those behind `after`, that
    /// `wanted` lets in.
    pub fn realities(
        &self,
        host: &Arc<Repository>,
        after: Option<RealityId>,
        limit: usize,
        mut wanted: impl FnMut(&Reality) -> bool,
    ) -> Vec<Reality> {
        let snapshot = host.snapshot();
        let mut found = Vec::new();
        for made in snapshot.realities.batches(after.map_or(0, |id| id.made)) {
            let first = match after {
                Some(id) if id.made == made.seq => id.index.saturating_add(1),
                _ => 0,
            };
            for index in first..made.batch.names.len() {
                if found.len() >= limit {
                    return found;
                }
                let id = RealityId {
                    made: made.seq,
                    index,
                };
                let reality = self.reality_by_id(host, &snapshot.realities, id);
                found.extend(reality.filter(|reality| wanted(reality)));
            }
        }
        found
    }

    /// What became of a reality: of itself, and of those that it was made from.
    fn fate(
        &self,
        host: RepoKey,
        realities: &Realities,
        made: &Arc<MadeBatch>,
        id: RealityId,
    ) -> Fate {
        let now = self.parts.clock.now();
        let (mut made, mut id) = (Arc::clone(made), id);
        let mut fate = None;
        // A parent was made before its children: this ends.
        loop {
            if made.batch.expires_at.is_some_and(|at| at <= now) {
                return Fate::Discarded;
            }
            let parent = made.batch.parent.and_then(|parent| {
                let batch = realities.batch(parent.made)?;
                Some((Arc::clone(batch), parent))
            });
            let recorded = match realities.fate(id) {
                Fate::Open => match &parent {
                    Some((batch, parent)) => self
                        .recorded_in(host, batch.batch.key(parent.index))
                        .map_or(Fate::Open, |recorded| recorded.fate(id)),
                    None => Fate::Open,
                },
                fate => fate,
            };
            if recorded == Fate::Discarded {
                return Fate::Discarded;
            }
            let fate_of_first = fate.get_or_insert(recorded);
            match parent {
                Some((batch, parent)) if parent.made < id.made => (made, id) = (batch, parent),
                _ => return fate_of_first.clone(),
            }
        }
    }

    /// What a reality itself records.
    fn recorded_in(&self, host: RepoKey, key: RepoKey) -> Option<Realities> {
        if let Some(here) = self.guests.here(host, key) {
            return Some(here.snapshot().realities.clone());
        }
        let found = self.guests.as_found(host, key)?;
        Some(found.realities.clone())
    }

    /// The commit that the HEAD of a reality leads to, and its number; without making a repository
    /// of it.
    pub fn reality_head(&self, reality: &Reality) -> (Option<ObjectId>, Seq) {
        let (host, key) = (reality.host.key(), reality.key());
        if let Some(here) = self.guests.here(host, key) {
            let snapshot = here.snapshot();
            return (snapshot.head(), snapshot.seq);
        }
        let batch = &reality.made.batch;
        let Some(found) = self.guests.as_found(host, key) else {
            return (batch.oid, 0);
        };
        let get = |name: &RefName| {
            let changed = found.overlay.iter().find(|(other, _)| other == name);
            changed.map(|(_, target)| target.clone())
        };
        let head = match get(&RefName::head()) {
            None => get(&batch.head),
            Some(Target::Symbolic(name)) => get(&name),
            Some(target) => Some(target),
        };
        let head = match head {
            None => batch.oid,
            Some(Target::At(id)) => Some(id),
            Some(_) => None,
        };
        (head, found.seq)
    }

    /// The reality as a repository, if it is one at the moment.
    pub fn reality_here(&self, reality: &Reality) -> Option<Arc<Repository>> {
        self.guests.here(reality.host.key(), reality.key())
    }

    /// The reality as a repository. `writing`: it is kept, because somebody is about to write to
    /// it; else it goes when nobody reads it any more. Blocks where the refs that it began with
    /// have to be read from the disk.
    ///
    /// # Errors
    /// Whatever reading them met; [`io::ErrorKind::NotFound`] where that moment is not there.
    pub fn reality_repository(
        &self,
        reality: &Reality,
        writing: bool,
    ) -> io::Result<Arc<Repository>> {
        let (host, key) = (&reality.host, reality.key());
        if let Some(here) = self.guests.here(host.key(), key) {
            if writing {
                self.keep_guest(host.key(), &here);
            }
            here.close(&reality.fate);
            return Ok(here);
        }
        let base = self.base_of(host, &reality.made, 0)?;
        let mut guests = self.guests.write();
        let guests = guests.entry(host.key()).or_default();
        if let Some(here) = guests.get(&key).and_then(Guest::here) {
            // Somebody else was faster.
            if writing {
                guests.insert(key, Guest::Here(Arc::clone(&here)));
            }
            return Ok(here);
        }
        let found = match guests.get(&key) {
            Some(Guest::Found(found)) => Some(Arc::clone(found)),
            _ => None,
        };
        let repository = self.start_reality(reality, &base, found.as_deref());
        repository.close(&reality.fate);
        let guest = match writing || found.is_some() {
            true => Guest::Here(Arc::clone(&repository)),
            false => Guest::Read(Arc::downgrade(&repository)),
        };
        if guests.len() > 64 && guests.len().is_power_of_two() {
            guests
                .retain(|_, guest| !matches!(guest, Guest::Read(weak) if weak.strong_count() == 0));
        }
        guests.insert(key, guest);
        Ok(repository)
    }

    fn keep_guest(&self, host: RepoKey, repository: &Arc<Repository>) {
        let is_kept = |guest: Option<&Guest>| matches!(guest, Some(Guest::Here(_)));
        let key = repository.key();
        if is_kept(self.guests.read().get(&host).and_then(|all| all.get(&key))) {
            return;
        }
        let mut guests = self.guests.write();
        let guests = guests.entry(host).or_default();
        guests.insert(key, Guest::Here(Arc::clone(repository)));
    }

    fn start_reality(
        &self,
        reality: &Reality,
        base: &Refs,
        found: Option<&RecoveredReality>,
    ) -> Arc<Repository> {
        let (host, made) = (&reality.host, &reality.made);
        let there = host.snapshot();
        let record = made.record(|| RepositoryRecord {
            storage: match made.batch.in_memory {
                true => Storage::Memory,
                false => there.record.storage,
            },
            created_at: made.time,
            expires_at: made.batch.expires_at,
            forked_from: None,
            ..RepositoryRecord::clone(&there.record)
        });
        let first = made.refs(base);
        let mut snapshot = Snapshot {
            record: Arc::clone(record),
            seq: 0,
            step: 0,
            time: made.time,
            refs: first.clone(),
            lfs: there.lfs.clone(),
            workspaces: Workspaces::default(),
            transactions: Transactions::default(),
            realities: Realities::default(),
            hooks: Hooks::default(),
        };
        let mut next = 1;
        if let Some(found) = found {
            (snapshot.seq, snapshot.step, snapshot.time) = (found.seq, found.step, found.time);
            next = found.next;
            for (name, target) in &found.overlay {
                snapshot.refs.set(name.clone(), target.clone());
            }
            snapshot.realities = found.realities.clone();
            snapshot.workspaces = found.workspaces.clone();
            snapshot.transactions = found.transactions.clone();
            if !found.lfs.is_empty() {
                let objects = there.lfs.objects().chain(found.lfs.objects());
                let locks = found.lfs.locks_after(None).map(|lock| (**lock).clone());
                snapshot.lfs = Lfs::from_parts(objects, locks);
            }
        }
        let (journal, packs) = self.seams(record.storage);
        let journal = RealityJournal {
            inner: journal,
            host: Arc::clone(&host.journal),
            host_key: host.key(),
            made: Arc::clone(made),
            first,
        };
        let packs = HostPacks {
            inner: packs,
            host: host.key(),
        };
        let of = RealityOf {
            host: host.key(),
            id: reality.id,
            name: Arc::clone(&reality.name),
            made_in: Arc::downgrade(host),
        };
        let quarantine = match made.batch.in_memory {
            true => Arc::default(),
            false => host.quarantine(),
        };
        let start = Start {
            key: reality.key(),
            pool: Arc::clone(host.pool()),
            snapshot,
            next,
            to_keep: ToKeep::default(),
            reality: Some((of, quarantine)),
        };
        let turns = Arc::clone(&self.turns);
        Repository::new(start, Arc::new(journal), Arc::new(packs), turns)
    }

    /// How the keys of a new batch begin. Never the same twice.
    pub fn reality_keys(&self) -> KeyPrefix {
        let key = (self.parts.new_key)().0;
        let mut keys = [0; 12];
        keys.copy_from_slice(&key[..12]);
        // All of the key counts: it may be one that counts.
        for (at, byte) in key[12..].iter().enumerate() {
            keys[at] ^= byte;
        }
        keys
    }

    /// Remembers the refs that a batch begins with, which whoever made it has.
    pub fn begins_with(&self, made: &MadeBatch, refs: Refs) {
        made.set_base(refs);
    }

    /// The refs of the parent that a batch begins with.
    fn base_of(&self, host: &Arc<Repository>, made: &MadeBatch, depth: u32) -> io::Result<Refs> {
        const DEPTH_MAX: u32 = 256;
        if let Some(refs) = made.base() {
            return Ok(refs.clone());
        }
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let past = match made.batch.parent {
            // It is kept for as long as something is made from it.
            None => host
                .journal
                .refs_at(host.key(), Moment::Seq(made.batch.base))?,
            Some(_) if depth >= DEPTH_MAX => return Err(gone()),
            Some(id) => {
                let realities = host.snapshot().realities.clone();
                let parent = realities.batch(id.made).ok_or_else(gone)?;
                let key = parent.batch.key(id.index);
                let refs = parent.refs(&self.base_of(host, parent, depth + 1)?);
                let entries = match self.guests.here(host.key(), key) {
                    Some(here) => here.entries(Some(0), usize::MAX)?,
                    None => {
                        let storage = match parent.batch.in_memory {
                            true => Storage::Memory,
                            false => host.snapshot().record.storage,
                        };
                        let (journal, _) = self.seams(storage);
                        journal.reality_entries(host.key(), key, None, usize::MAX)?
                    }
                };
                past_refs(refs, parent.time, &entries, Moment::Seq(made.batch.base))
            }
        };
        let past = past.ok_or_else(gone)?;
        Ok(made.set_base(past.refs).clone())
    }

    /// What has to follow once `entry`, of `host` or of a reality of it, promoted or discarded
    /// realities: those that are here learn of it, and what is in memory only and was discarded
    /// goes.
    pub fn realities_changed(&self, host: &Arc<Repository>, entry: &Entry) {
        let realities = host.snapshot().realities.clone();
        let here = self.guests_of(host.key(), &realities, &ranges_of(entry));
        let mut gone = Vec::new();
        for (key, repository) in here {
            let Some(of) = repository.reality() else {
                continue;
            };
            let fate = match realities.batch(of.id.made) {
                Some(made) => self.fate(host.key(), &realities, made, of.id),
                None => Fate::Discarded,
            };
            repository.close(&fate);
            if fate == Fate::Discarded {
                if realities
                    .batch(of.id.made)
                    .is_some_and(|made| made.batch.in_memory)
                {
                    // Nothing else has what it had: what was promoted was brought to its parent.
                    self.memory_journal.forget(key);
                    repository.let_go();
                }
                gone.push(key);
            }
        }
        if gone.is_empty() {
            return;
        }
        let mut guests = self.guests.write();
        if let Some(guests) = guests.get_mut(&host.key()) {
            gone.iter().for_each(|key| {
                guests.remove(key);
            });
        }
    }

    /// Up to `limit` open realities of `host` whose HEAD leads to another commit than the one that
    /// they were made with, and that commit, in the order of their making. Costs what those cost that
    /// were ever written to, not all that there are.
    pub fn worked_in(&self, host: &Arc<Repository>, limit: usize) -> Vec<(Reality, ObjectId)> {
        let keys: Vec<RepoKey> = {
            let guests = self.guests.read();
            let all = guests.get(&host.key()).into_iter().flatten();
            let written = all.filter(|(_, guest)| !matches!(guest, Guest::Read(_)));
            written.map(|(key, _)| *key).collect()
        };
        let there = host.snapshot().realities.clone();
        let mut found: Vec<(Reality, ObjectId)> = Vec::new();
        for key in keys {
            let Some((_, id)) = there.by_key(key) else {
                continue;
            };
            let reality = self.reality_by_id(host, &there, id);
            let Some(reality) = reality.filter(|reality| reality.fate == Fate::Open) else {
                continue;
            };
            let (head, _) = self.reality_head(&reality);
            if let Some(head) = head.filter(|head| Some(*head) != reality.made.batch.oid) {
                found.push((reality, head));
            }
        }
        found.sort_unstable_by_key(|(reality, _)| reality.id);
        found.truncate(limit);
        found
    }

    /// What the realities of `host` that are in memory keep: some of them are nowhere else.
    ///
    /// # Errors
    /// Whatever reading their past met.
    pub fn kept_by_realities(&self, host: RepoKey) -> io::Result<Kept> {
        let mut kept = Kept::default();
        for reality in self.realities_here(host) {
            let snapshot = reality.snapshot();
            kept.objects.extend(snapshot.refs.objects());
            for entry in reality.entries(None, usize::MAX)? {
                kept.objects.extend(entry.targets());
            }
            kept.extend(snapshot.workspaces_keep());
        }
        Ok(kept)
    }

    /// Those of `host` that are here, of these ranges; or more.
    fn guests_of(
        &self,
        host: RepoKey,
        realities: &Realities,
        ranges: &[RealityRange],
    ) -> Vec<(RepoKey, Arc<Repository>)> {
        let guests = self.guests.read();
        let Some(guests) = guests.get(&host) else {
            return Vec::new();
        };
        let count: usize = ranges.iter().map(|range| range.count as usize).sum();
        let batches = ranges.iter().map(|range| realities.batch(range.made));
        let batches: Option<Vec<&Arc<MadeBatch>>> = batches.collect();
        let (Some(batches), true) = (batches, count < guests.len()) else {
            let all = guests.iter();
            let here = all.filter_map(|(key, guest)| Some((*key, guest.here()?)));
            return here.collect();
        };
        // Few of many: what was not changed is not looked at.
        let keys = batches.into_iter().zip(ranges).flat_map(|(made, range)| {
            let indices = range.first..range.first.saturating_add(range.count);
            indices.map(|index| made.batch.key(index))
        });
        keys.filter_map(|key| Some((key, guests.get(&key)?.here()?)))
            .collect()
    }

    /// The realities of `host` that are in memory as repositories.
    pub fn realities_here(&self, host: RepoKey) -> Vec<Arc<Repository>> {
        let guests = self.guests.read();
        let all = guests.get(&host).into_iter().flat_map(HashMap::values);
        all.filter_map(Guest::here).collect()
    }
}

/// The realities that an entry promoted or discarded.
fn ranges_of(entry: &Entry) -> Vec<RealityRange> {
    let mut ranges = Vec::new();
    for edit in &entry.edits {
        match edit {
            EntryEdit::Reality(RealityEdit::Promoted { reality, .. }) => {
                ranges.push(RealityRange {
                    made: reality.made,
                    first: reality.index,
                    count: 1,
                });
            }
            EntryEdit::Reality(RealityEdit::Discarded(gone)) => ranges.extend_from_slice(gone),
            _ => {}
        }
    }
    ranges
}

/// The past of a reality: what it began with, and what its own entries made of that.
struct RealityJournal {
    inner: Arc<dyn Journal>,
    /// Where the entry is that made it.
    host: Arc<dyn Journal>,
    host_key: RepoKey,
    made: Arc<MadeBatch>,
    /// Its refs before its first change.
    first: Refs,
}

impl RealityJournal {
    /// Its change 0, which is recorded in the host for the whole batch.
    fn making(&self, key: RepoKey) -> io::Result<Option<Arc<Entry>>> {
        let before = self.made.seq.checked_sub(1);
        let recorded = self.host.entries(self.host_key, before, 1)?;
        let entry = recorded.first().filter(|entry| entry.seq == self.made.seq);
        Ok(entry.map(|entry| {
            let mut cause = entry.cause.clone();
            cause.idempotency = None;
            Arc::new(Entry {
                repo: key,
                host: Some(self.host_key),
                seq: 0,
                step: 0,
                time: self.made.time,
                cause,
                edits: Vec::new(),
                objects: NewObjects::default(),
            })
        }))
    }
}

impl Journal for RealityJournal {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Position, AppendError>> {
        self.inner.append(batch)
    }

    fn entries(
        &self,
        repo: RepoKey,
        after: Option<Seq>,
        limit: usize,
    ) -> io::Result<Vec<Arc<Entry>>> {
        let mut entries = Vec::new();
        if after.is_none() && limit > 0 {
            entries.extend(self.making(repo)?);
        }
        let room = limit.saturating_sub(entries.len());
        let own = self
            .inner
            .reality_entries(self.host_key, repo, after, room)?;
        entries.extend(own);
        Ok(entries)
    }

    fn refs_at(&self, repo: RepoKey, moment: Moment) -> io::Result<Option<PastRefs>> {
        let own = self
            .inner
            .reality_entries(self.host_key, repo, None, usize::MAX)?;
        Ok(past_refs(self.first.clone(), self.made.time, &own, moment))
    }
}

/// The refs at `moment` of a reality that began with `refs`, and made `entries`.
fn past_refs(
    mut refs: Refs,
    made: Time,
    entries: &[Arc<Entry>],
    moment: Moment,
) -> Option<PastRefs> {
    let includes = |seq: Seq, time: Time| match moment {
        Moment::Seq(until) => seq <= until,
        Moment::Time(until) => time <= until,
    };
    if !includes(0, made) {
        return None;
    }
    let (mut seq, mut time) = (0, made);
    for entry in entries {
        if entry.step > 0 || entry.seq == 0 {
            continue;
        }
        if !includes(entry.seq, entry.time) {
            break;
        }
        (seq, time) = (entry.seq, entry.time);
        for edit in &entry.edits {
            if let EntryEdit::Ref { name, after, .. } = edit {
                refs.set(name.clone(), after.clone());
            }
        }
    }
    Some(PastRefs { seq, time, refs })
}

/// Packs of a reality are its host's.
struct HostPacks {
    inner: Arc<dyn Packs>,
    host: RepoKey,
}

impl Packs for HostPacks {
    fn receive(&self, _: RepoKey) -> io::Result<Box<dyn PackSpool>> {
        self.inner.receive(self.host)
    }

    fn open(&self, _: RepoKey, pack: PackId) -> io::Result<PackBytes> {
        self.inner.open(self.host, pack)
    }

    fn remove(&self, _: RepoKey, pack: PackId) -> io::Result<()> {
        self.inner.remove(self.host, pack)
    }
}
