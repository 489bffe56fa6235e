//! Opening: what the directories have, and what the log has beyond them.

mod external;
mod hand_over;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use govc_engine::journal::PackId;
use govc_engine::{Entry, Refs, RepoId, RepoKey, RepositoryRecord, Seq, Snapshot, Summary};

use crate::disk::{self, Disk, FileKind};
use crate::holdings::Holdings;
use crate::log::{self, Event, Log, ReadError};
use crate::objects::pack_path;
use crate::packs::TEMPORARY;
use crate::projection::Seen;
use crate::repo::{Repo, RepoState, Saved, makes, record_after};
use crate::store::{OpenError, Recovered, StoppedRepository, Store};
use crate::{
    Durability, StoreOptions, checkpoint, contents, directory, format, history, projection,
};

/// How far numbers jump when some that were given out may have been lost. More than anybody gives
/// out within the delay of `async`.
const JUMP: u64 = 1 << 20;
/// Ids have at most three segments.
const DEPTH_MAX: usize = 3;

fn io_error(doing: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
    let doing = doing.into();
    move |source| OpenError::Io { doing, source }
}

/// A repository while it is put together.
struct Loading {
    state: RepoState,
    refs: Refs,
    holdings: Holdings,
    dir: Option<PathBuf>,
    /// What the files of refs may be, though nobody else has touched them.
    projected: Option<Projected>,
    /// Entries of it may be missing here, and why.
    suspicion: Option<(String, u64)>,
}

/// What we made of the refs' files, when there was a checkpoint.
struct Projected {
    /// The refs of the checkpoint: what the files are to show.
    refs: Refs,
    /// So they look then.
    to_come: Seen,
    /// So they looked before.
    before: Seen,
}

/// What the directories have.
#[derive(Default)]
struct Scan {
    loading: BTreeMap<RepoKey, Loading>,
    /// Ours, without a checkpoint: its repository is in the log, or never was.
    fresh: BTreeMap<RepoKey, PathBuf>,
    /// Bare repositories that nobody has told us of.
    foreign: Vec<PathBuf>,
    stopped: Vec<StoppedRepository>,
    notes: Vec<String>,
}

impl Store {
    /// Opens the data directory: recovers what it has, adopts what it did not know, and is ready
    /// to append.
    ///
    /// # Errors
    /// [`OpenError`]. A damaged repository is no error: it is among [`Recovered::repositories`]
    /// with its damage, or where it cannot even be read among [`Recovered::stopped`].
    pub fn open(
        disk: Arc<dyn Disk>,
        options: StoreOptions,
    ) -> Result<(Arc<Store>, Recovered), OpenError> {
        let (store, newest, mut recovered) = Store::recover(disk, options)?;
        store.hand_over(newest, &mut recovered, |_| true);
        Ok((store, recovered))
    }

    /// As [`Store::open`], and opens no packs: repositories are in [`Recovered::resting`], until
    /// [`govc_engine::Engine::bring_back`] asks for them. Damaged ones are handed over at once.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_resting(
        disk: Arc<dyn Disk>,
        options: StoreOptions,
    ) -> Result<(Arc<Store>, Recovered), OpenError> {
        let (store, mut newest, mut recovered) = Store::recover(disk, options)?;
        for repo in store.all() {
            let state = repo.state();
            if state.damage.is_some() {
                continue;
            }
            let (refs, holdings) = newest.take(repo.key);
            let snapshot = snapshot_of(&state, refs, holdings);
            recovered.resting.push((repo.key, Summary::from(&snapshot)));
        }
        let damaged: HashSet<RepoKey> = newest.refs.keys().copied().collect();
        store.hand_over(newest, &mut recovered, |key| damaged.contains(&key));
        Ok((store, recovered))
    }

    fn recover(
        disk: Arc<dyn Disk>,
        options: StoreOptions,
    ) -> Result<(Arc<Store>, Newest, Recovered), OpenError> {
        for dir in [directory::LOG, directory::DELETED, directory::NEW] {
            disk::create_dirs(&*disk, Path::new(dir)).map_err(io_error(format!("making {dir}")))?;
        }
        let lock = disk
            .lock(Path::new(directory::LOCK))
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => OpenError::Locked,
                _ => io_error("locking .govc/lock")(error),
            })?;

        contents::tidy(&*disk).map_err(io_error("tidying .govc/lfs"))?;
        let purged = read_purged(&*disk).map_err(io_error("reading .govc/purged"))?;
        let mut scan = scan(&*disk).map_err(io_error("reading the data directory"))?;
        for key in purged.keys() {
            scan.loading.remove(key);
        }
        let log_dir = Path::new(directory::LOG);
        let mut replay = Replay {
            skipped: scan
                .stopped
                .iter()
                .filter_map(|stopped| stopped.key)
                .collect(),
            scan: &mut scan,
            purged: &purged,
            unknown: BTreeSet::new(),
            pinned: None,
            anybody_was_hit: false,
        };
        let summary =
            log::read(&*disk, log_dir, |event| replay.event(event)).map_err(
                |error| match error {
                    ReadError::Io(error) => io_error("reading the log")(error),
                    ReadError::Version { segment, version } => OpenError::Version {
                        what: format!("segment {segment} of the log"),
                        found: version,
                        known: log::VERSION,
                    },
                },
            )?;
        let pinned = replay
            .finish(&*disk)
            .map_err(io_error("reading the data directory"))?;
        if let Some((at, bytes)) = summary.torn {
            let segment = summary.segments.last().map_or(0, |(number, _)| *number);
            scan.notes.push(format!(
                "the last {bytes} bytes of log segment {segment}, from byte {at} on, were never \
                 written whole, and are cut"
            ));
        }

        if !summary.clean && !summary.segments.is_empty() {
            // Who was killed may have left what we read, and build upon, in the system's cache alone.
            disk.sync_all()
                .map_err(io_error("syncing what was there"))?;
        }
        let early = matches!(options.durability, Durability::Async { .. });
        let lost = summary.acknowledged_early && !summary.clean && !summary.segments.is_empty();
        let epoch = summary.epoch + u64::from(lost);
        let log = Log::open(
            Arc::clone(&disk),
            log_dir,
            options.segment_bytes,
            early,
            &summary,
            epoch,
        )
        .map_err(io_error("beginning a segment of the log"))?;
        let oldest = log.oldest_segment().unwrap_or(0);
        for (key, segment) in &purged {
            if *segment < oldest {
                let note = Path::new(directory::PURGED).join(key.to_string());
                disk.remove(&note)
                    .map_err(io_error("tidying .govc/purged"))?;
            }
        }

        let Scan {
            loading,
            fresh,
            foreign,
            stopped,
            notes,
        } = scan;
        let mut recovered = Recovered {
            repositories: Vec::new(),
            resting: Vec::new(),
            stopped,
            notes,
        };
        for (key, dir) in fresh {
            // It was made for a repository that was never answered for.
            if !loading.contains_key(&key) {
                directory::remove(&*disk, key, &dir)
                    .map_err(io_error(format!("removing {}", dir.display())))?;
            }
        }
        let repos = BTreeMap::new();
        let store = Arc::new(Store::new(disk, options, log, epoch, pinned, repos, lock));
        let (mut refs, mut holdings) = (HashMap::new(), HashMap::new());
        let mut outside = Vec::new();
        for (key, loading) in loading {
            let repo = Repo::new(key, loading.state, loading.dir);
            store.add(Arc::clone(&repo));
            refs.insert(key, loading.refs);
            holdings.insert(key, loading.holdings);
            if let Some(projected) = loading.projected {
                outside.push((repo, projected));
            }
        }
        store.take_in_changes(outside, &mut refs, &mut recovered);
        store.adopt(foreign, &mut refs, &mut recovered);
        for repo in store.all() {
            // A directory follows its repository's id.
            if repo.where_now().is_some()
                && let Err(error) = store.settle(&repo)
            {
                let note = format!("the directory of {} stays where it is: {error}", repo.key);
                recovered.notes.push(note);
            }
        }
        let newest = Newest { refs, holdings };
        Ok((store, newest, recovered))
    }
}

/// What the newest states of repositories have that the store does not keep in memory.
struct Newest {
    refs: HashMap<RepoKey, Refs>,
    holdings: HashMap<RepoKey, Holdings>,
}

impl Newest {
    fn take(&mut self, key: RepoKey) -> (Refs, Holdings) {
        let refs = self.refs.remove(&key).unwrap_or_default();
        (refs, self.holdings.remove(&key).unwrap_or_default())
    }
}

/// The newest state of a repository with these refs and holdings.
fn snapshot_of(state: &RepoState, refs: Refs, holdings: Holdings) -> Snapshot {
    Snapshot {
        record: Arc::clone(&state.record),
        seq: state.seq,
        step: state.step,
        time: state.time,
        refs,
        lfs: holdings.lfs,
        workspaces: holdings.workspaces,
        transactions: holdings.transactions,
        realities: holdings.realities,
        hooks: holdings.hooks,
    }
}

/// The number of the next change.
fn next_number(state: &RepoState, epoch: u64) -> Seq {
    next_after(state.seq, state.epoch, epoch)
}

/// The number that follows `seq`, which was given when numbers had jumped `then` times, now that
/// they have jumped `now` times.
fn next_after(seq: Seq, then: u64, now: u64) -> Seq {
    seq + 1 + JUMP * now.saturating_sub(then)
}

/// Reads the notes about what was removed for good.
fn read_purged(disk: &dyn Disk) -> io::Result<BTreeMap<RepoKey, u64>> {
    let dir = Path::new(directory::PURGED);
    let mut purged = BTreeMap::new();
    if disk.kind(dir)?.is_none() {
        return Ok(purged);
    }
    for entry in disk.list(dir)? {
        let name = entry.name.to_string_lossy().into_owned();
        if let Some(key) = directory::parse_key(name.as_bytes()) {
            let text = disk::read(disk, &dir.join(&entry.name), 1024)?;
            let segment = std::str::from_utf8(&text).ok();
            let segment = segment.and_then(|text| text.trim().parse().ok());
            purged.insert(key, segment.unwrap_or(u64::MAX));
        }
    }
    Ok(purged)
}

/// Finds every repository below the data directory.
fn scan(disk: &dyn Disk) -> io::Result<Scan> {
    let mut scan = Scan::default();
    scan.folder(disk, Path::new(""), 0)?;
    for own in [directory::DELETED, directory::NEW] {
        for entry in disk.list(Path::new(own))? {
            let path = Path::new(own).join(&entry.name);
            if entry.kind != FileKind::Dir {
                continue;
            }
            if own == directory::NEW && !entry.name.to_string_lossy().ends_with(".moved.git") {
                // What the last run began and did not end is nobody's. A git that it started may
                // still be writing there: then it goes another time.
                if let Err(error) = disk.remove_dir_all(&path) {
                    let path = path.display();
                    scan.notes.push(format!("{path} stays for now: {error}"));
                }
                continue;
            }
            scan.repository(disk, &path);
        }
    }
    Ok(scan)
}

impl Scan {
    fn folder(&mut self, disk: &dyn Disk, folder: &Path, depth: usize) -> io::Result<()> {
        for entry in disk.list(folder)? {
            let name = entry.name.to_string_lossy().into_owned();
            if entry.kind != FileKind::Dir || name.starts_with('.') {
                continue;
            }
            let path = folder.join(&entry.name);
            if name.ends_with(".git") {
                self.repository(disk, &path);
            } else if depth + 1 < DEPTH_MAX {
                self.folder(disk, &path, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A directory that cannot be read stops its repository, not the server.
    fn repository(&mut self, disk: &dyn Disk, dir: &Path) {
        if let Err(error) = self.try_repository(disk, dir) {
            self.stopped.push(StoppedRepository {
                key: None,
                id: id_of(dir),
                why: format!("{}: {error}", dir.display()),
            });
        }
    }

    fn try_repository(&mut self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let key = disk::read_if_any(disk, &dir.join(directory::KEY), 1024)?;
        let key = key.as_deref().and_then(directory::parse_key);
        match checkpoint::read(disk, dir) {
            Ok(found) => {
                if let Some(other) = self.loading.get(&found.key) {
                    let other = other.dir.clone().unwrap_or_default();
                    self.stopped.push(StoppedRepository {
                        key: Some(found.key),
                        id: id_of(dir),
                        why: format!(
                            "{} is the same repository as {}: a copy must not keep the folder govc",
                            dir.display(),
                            other.display()
                        ),
                    });
                    return Ok(());
                }
                tidy(disk, dir)?;
                history::tidy(disk, dir, &found.history, &found.reality_history, u64::MAX)?;
                self.loading.insert(found.key, Loading::from(found, dir));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match key {
                Some(key) => {
                    tidy(disk, dir)?;
                    self.fresh.insert(key, dir.to_owned());
                }
                None if has_history(disk, dir)? => self.stopped.push(StoppedRepository {
                    key: None,
                    id: id_of(dir),
                    why: format!("{}: {CHECKPOINT_GONE}", dir.display()),
                }),
                None => self.foreign.push(dir.to_owned()),
            },
            Err(error) => self.stopped.push(StoppedRepository {
                key,
                id: id_of(dir),
                why: error.to_string(),
            }),
        }
        Ok(())
    }
}

const CHECKPOINT_GONE: &str = "it has a history, and its checkpoint is gone";

/// Whether a directory was a repository of ours that was answered for: its first checkpoint had
/// begun.
fn has_history(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    let ours = dir.join(directory::OURS);
    if disk.kind(&ours)?.is_none() {
        return Ok(false);
    }
    let mut names = disk.list(&ours)?.into_iter().map(|entry| entry.name);
    Ok(names.any(|name| name.to_string_lossy().starts_with(history::PREFIX)))
}

/// The id that a directory's name gives.
fn id_of(dir: &Path) -> Option<RepoId> {
    let text = dir.to_str()?.strip_suffix(".git")?;
    RepoId::parse(text).ok()
}

/// Removes what a crash left in a directory of ours.
fn tidy(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    projection::remove_locks(disk, dir)?;
    let packs = dir.join(directory::PACKS);
    for entry in disk.list(&packs)? {
        if entry.name.to_string_lossy().starts_with(TEMPORARY) {
            disk.remove(&packs.join(&entry.name))?;
        }
    }
    let aside = dir.join(format!("{}.new", directory::CHECKPOINT));
    if disk.kind(&aside)?.is_some() {
        disk.remove(&aside)?;
    }
    Ok(())
}

impl Loading {
    fn from(found: format::Checkpoint, dir: &Path) -> Loading {
        let to_come = Seen {
            packed: found.packed_to_come,
            loose: checkpoint::projection(&found.holdings.shown(&found.refs), &[]).loose,
        };
        let mut state = RepoState::new(Arc::new(found.record));
        state.seq = found.seq;
        state.step = found.step;
        state.time = found.time;
        state.epoch = found.epoch;
        state.packs = found.packs;
        state.replaced = found.replaced;
        state.retained = found.retained;
        state.saved = Some(Saved {
            seq: found.seq,
            history: Arc::new(found.history),
            reality_history: Arc::new(found.reality_history),
            // Recovery looks, and says what is there.
            on_disk: Seen::default(),
            graph_commits: found.graph_commits,
            first_gone: found.holdings.first_gone(),
        });
        Loading {
            state,
            refs: found.refs.clone(),
            holdings: found.holdings,
            dir: Some(dir.to_owned()),
            projected: Some(Projected {
                refs: found.refs,
                to_come,
                before: found.before,
            }),
            suspicion: None,
        }
    }

    fn new(record: RepositoryRecord, dir: Option<PathBuf>) -> Loading {
        Loading {
            state: RepoState::new(Arc::new(record)),
            refs: Refs::default(),
            holdings: Holdings::default(),
            dir,
            projected: None,
            suspicion: None,
        }
    }

    fn damage(&mut self, why: String, segment: u64) {
        self.state.damage.get_or_insert(why);
        self.state.pinned.get_or_insert(segment);
    }
}

/// Brings what the directories have up to what the log has.
struct Replay<'a> {
    scan: &'a mut Scan,
    purged: &'a BTreeMap<RepoKey, u64>,
    /// Named by the log, and nowhere made.
    unknown: BTreeSet<RepoKey>,
    /// Their directories cannot be read: what the log has of them is kept for who mends that.
    skipped: HashSet<RepoKey>,
    /// The oldest segment with changes of those.
    pinned: Option<u64>,
    /// Something is damaged, and nobody knows whose changes it held.
    anybody_was_hit: bool,
}

impl Replay<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::Batch {
                segment,
                epoch,
                payload,
            } => match log::split_batch(payload) {
                Ok(entries) => {
                    for bytes in entries {
                        self.entry(bytes, segment, epoch);
                    }
                }
                Err(error) => {
                    self.damaged(segment, &format!("a record makes no sense: {error}"), None)
                }
            },
            Event::Damaged {
                segment,
                at,
                bytes,
                repositories,
            } => {
                let what =
                    format!("{bytes} bytes of log segment {segment} at byte {at} are damaged");
                self.damaged(segment, &what, repositories);
            }
        }
    }

    fn damaged(&mut self, segment: u64, what: &str, repositories: Option<Vec<RepoKey>>) {
        let why = format!("{what}: changes of it may be missing");
        match repositories {
            Some(keys) => {
                self.scan.notes.push(format!(
                    "{what}; repositories that may have changes there: {}",
                    keys.iter()
                        .map(RepoKey::to_string)
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
                for key in keys {
                    match self.scan.loading.get_mut(&key) {
                        Some(loading) => loading.suspicion = Some((why.clone(), segment)),
                        None if self.skipped.contains(&key) => {
                            self.pinned.get_or_insert(segment);
                        }
                        None => {
                            self.unknown.insert(key);
                            self.pinned.get_or_insert(segment);
                        }
                    }
                }
            }
            None => {
                self.anybody_was_hit = true;
                self.scan.notes.push(format!(
                    "{what}, and it cannot be told whose changes they were: every repository that \
                     is not known to be complete is stopped"
                ));
                for loading in self.scan.loading.values_mut() {
                    loading.suspicion = Some((why.clone(), segment));
                }
            }
        }
    }

    fn entry(&mut self, bytes: Bytes, segment: u64, epoch: u64) {
        let Some(key) = format::keeper(&bytes) else {
            return;
        };
        if self.purged.contains_key(&key) {
            return;
        }
        if self.skipped.contains(&key) {
            self.pinned.get_or_insert(segment);
            return;
        }
        let decoded = format::decode_entry(bytes);
        if !self.scan.loading.contains_key(&key) {
            let is_own = |entry: &&Entry| entry.host.is_none() && makes(entry);
            let record = decoded.as_ref().ok().filter(is_own);
            match record.and_then(|entry| record_after(entry)) {
                Some(record) => {
                    let dir = self.scan.fresh.get(&key).cloned();
                    let loading = Loading::new(record.clone(), dir);
                    self.scan.loading.insert(key, loading);
                    self.unknown.remove(&key);
                }
                None => {
                    self.pinned.get_or_insert(segment);
                    if self.unknown.insert(key)
                        && let Err(error) = decoded
                    {
                        self.scan.notes.push(format!("repository {key}: {error}"));
                    }
                    return;
                }
            }
        }
        let Some(loading) = self.scan.loading.get_mut(&key) else {
            return;
        };
        if loading.state.damage.is_some() {
            return;
        }
        match decoded {
            Err(error) => loading.damage(format!("in its log {error}"), segment),
            Ok(entry) => loading.entry(entry, segment, epoch),
        }
    }

    /// Returns the oldest segment that must stay.
    fn finish(mut self, disk: &dyn Disk) -> io::Result<Option<u64>> {
        for (key, loading) in &mut self.scan.loading {
            if let Some((why, segment)) = loading.suspicion.take() {
                loading.damage(why, segment);
            }
            if let Some(why) = &loading.state.damage {
                let id = &loading.state.record.id;
                self.scan
                    .notes
                    .push(format!("repository {id} ({key}) is stopped: {why}"));
            }
        }
        self.keep_remains(disk)?;
        for key in self.unknown {
            let why =
                "the log has changes of it, and neither its making nor its directory is there";
            self.scan.stopped.push(StoppedRepository {
                key: Some(key),
                id: None,
                why: why.to_owned(),
            });
        }
        Ok(self.pinned)
    }

    /// A directory of ours that neither a checkpoint nor the log speaks for goes; but not where
    /// its repository was answered for, or may have been: then it is all that is left of it.
    fn keep_remains(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let mut remains = Vec::new();
        for (key, dir) in &self.scan.fresh {
            if self.scan.loading.contains_key(key) {
                continue;
            }
            if has_history(disk, dir)? {
                remains.push((*key, CHECKPOINT_GONE));
            } else if self.unknown.contains(key)
                || self.anybody_was_hit && !packs_in(disk, dir)?.is_empty()
            {
                remains.push((*key, "the part of the log that tells of its making is gone"));
            }
        }
        for (key, why) in remains {
            let Some(dir) = self.scan.fresh.remove(&key) else {
                continue;
            };
            self.unknown.remove(&key);
            self.scan.stopped.push(StoppedRepository {
                key: Some(key),
                id: id_of(&dir),
                why: format!("{}: {why}", dir.display()),
            });
        }
        Ok(())
    }
}

impl Loading {
    fn entry(&mut self, entry: Entry, segment: u64, epoch: u64) {
        if entry.host.is_some() {
            self.entry_of_reality(entry, segment, epoch);
            return;
        }
        let is_new = self.state.saved.is_none() && self.state.recent.is_empty();
        let (seq, step) = (self.state.seq, self.state.step);
        let number = (entry.seq, entry.step);
        if !is_new && number <= (seq, step) {
            // The checkpoint has it, and all before it.
            self.suspicion = None;
            return;
        }
        let jump = JUMP * epoch.saturating_sub(self.state.epoch);
        let follows = match is_new {
            true => number == (0, 0),
            false => {
                number == (seq, step + 1) || number == (seq + 1, 0) || number == (seq + 1 + jump, 0)
            }
        };
        if !follows {
            let why = match self.suspicion.take() {
                Some((why, _)) => why,
                None => "the log has a gap".to_owned(),
            };
            let why = format!("{why}: change {} follows change {seq}", entry.seq);
            self.damage(why, segment);
            return;
        }
        self.suspicion = None;
        history::apply(&mut self.refs, &entry);
        self.holdings.apply(&entry, epoch);
        self.state.push(Arc::new(entry), segment, epoch);
    }

    /// An entry of one of its realities.
    fn entry_of_reality(&mut self, entry: Entry, segment: u64, epoch: u64) {
        let number = (entry.seq, entry.step);
        let follows = match self.holdings.written.get(&entry.repo) {
            Some(known) if number <= (known.seq, known.step) => {
                // The checkpoint has it.
                self.suspicion = None;
                return;
            }
            Some(known) => {
                let jump = JUMP * epoch.saturating_sub(known.epoch);
                number == (known.seq, known.step + 1)
                    || number == (known.seq + 1, 0)
                    || number == (known.seq + 1 + jump, 0)
            }
            None => number == (1, 0) || number == (0, 1),
        };
        if self.holdings.is_of_the_past(entry.repo) {
            // Its checkpoint knows that it was discarded, and has forgotten what it was.
            return;
        }
        if !follows {
            let why = match self.suspicion.take() {
                Some((why, _)) => why,
                None => "the log has a gap".to_owned(),
            };
            let (seq, reality) = (entry.seq, entry.repo);
            self.damage(
                format!("{why}: change {seq} of the reality {reality} follows nothing"),
                segment,
            );
            return;
        }
        self.holdings.apply(&entry, epoch);
        self.state.push(Arc::new(entry), segment, epoch);
    }
}

/// The packs in the directory that git would see, sorted by name.
fn packs_in(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<PackId>> {
    let folder = dir.join(directory::PACKS);
    let mut packs = Vec::new();
    for entry in disk.list(&folder)? {
        let id = entry
            .name
            .to_str()
            .and_then(|name| name.strip_prefix("pack-")?.strip_suffix(".idx"))
            .and_then(|hex| govc_git::ObjectId::from_hex(hex.as_bytes()).ok());
        if let Some(id) = id.map(PackId)
            && disk.kind(&pack_path(dir, id, "pack"))? == Some(FileKind::File)
        {
            packs.push(id);
        }
    }
    Ok(packs)
}

#[cfg(test)]
mod tests {
    use govc_engine::{
        Cause, CauseKind, EntryEdit, NewObjects, RefName, Settings, Storage, Target, Time, Via,
    };
    use govc_git::ObjectFormat;

    use super::*;
    use crate::disk::SimDisk;

    fn made(n: u8) -> Entry {
        let key = RepoKey([n; 16]);
        let record = RepositoryRecord {
            id: RepoId::parse(&format!("r{n}")).unwrap(),
            description: String::new(),
            storage: Storage::Hybrid,
            object_format: ObjectFormat::Sha1,
            family: key,
            forked_from: None,
            created_at: Time(1),
            deleted_at: None,
            expires_at: None,
            settings: Settings::default(),
        };
        Entry {
            repo: key,
            host: None,
            seq: 0,
            step: 0,
            time: Time(1),
            cause: Cause {
                kind: CauseKind::RepoCreated,
                actor: "".into(),
                via: Via::Rest,
                request_id: "".into(),
                reason: None,
                idempotency: None,
            },
            edits: vec![EntryEdit::Repository {
                before: None,
                after: Box::new(record),
            }],
            objects: NewObjects::default(),
        }
    }

    #[test]
    fn a_kind_of_edit_from_the_future_stops_its_repository_and_no_other() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let options = StoreOptions {
            segment_bytes: 64 << 10,
            ..StoreOptions::default()
        };
        let (store, _) = Store::open(Arc::clone(&disk), options.clone()).unwrap();
        let entries = [Arc::new(made(1)), Arc::new(made(2))];
        store.append_now(&entries).unwrap();
        let next = Entry {
            seq: 1,
            edits: vec![EntryEdit::Ref {
                name: RefName::new("refs/heads/unmistakable"),
                before: Target::Gone,
                after: Target::Symbolic(RefName::head()),
            }],
            ..made(1)
        };
        let other = Entry {
            repo: RepoKey([2; 16]),
            ..next.clone()
        };
        let mut payload = log::encode_batch(&[Arc::new(next), Arc::new(other)]).unwrap();
        let name = payload
            .windows(11)
            .position(|window| window == b"refs/heads/");
        // Before the name: the edit's number, its version, its length, the name's length.
        payload[name.unwrap() - 4] = 77;
        let keys = vec![RepoKey([1; 16]), RepoKey([2; 16])];
        store.log().append(keys, &payload).unwrap();
        drop(store);
        for _ in 0..2 {
            let (store, recovered) = Store::open(Arc::clone(&disk), options.clone()).unwrap();
            let [one, two] = &recovered.repositories[..] else {
                panic!("{recovered:?}");
            };
            let damage = one.damage.as_deref();
            let why = "in its log kind of edit 77 (version 1) is unknown to this program";
            assert_eq!(damage, Some(why));
            assert_eq!((one.snapshot.seq, two.snapshot.seq), (0, 1));
            assert_eq!(two.damage, None);
            store.checkpoint_all().unwrap();
        }
    }
}
