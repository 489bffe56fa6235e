//! The collector: what is past and no longer kept, and objects that nothing kept reaches.
//!
//! A fork family is looked at as one: its members share packs by hard links, and a pool. In this
//! order, for one family at a time:
//!
//! 1. Each member's *floor* moves up to the state that was current when its retention ends: what is
//!    older answers that it is gone. A checkpoint makes that durable, and cuts the files of history
//!    where enough of them is below.
//! 2. All that is kept is *marked*, by the pool, which knows what each commit brought: refs as they
//!    are and in every kept state, workspaces, transactions, realities.
//! 3. Each pack that has something that was not marked is written again without it, aside, while
//!    pushes and readers go on.
//! 4. All that stays is read, and whether it names something of what goes: marks may rely on what the
//!    pool was told long ago, a removal may not. If so nothing goes, and the log says what.
//! 5. With the members' checkpoints held back, what has come to be kept since is marked too. If that
//!    reaches what was left out, all begins again at 2. Else a checkpoint of each member lists the
//!    new packs in the old ones' place; those go after a grace, as a compaction's do.
//!
//! Why nothing is lost to somebody who is writing meanwhile: only packs are written again that were
//! listed before anything was marked, and what a change brings is in the change, in the log, and
//! then in a pack of its own, whether or not an older pack has it too. What it only refers to was
//! visible in a state that was current then, and every state that was current when the collector
//! began, or later, is kept.

mod keep;
mod rewrite;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use govc_engine::journal::{Floor, Journal, Moment, PackId};
use govc_engine::pool::{Kept, ObjectSet, Pool, Reference};
use govc_engine::{Engine, Entry, EntryEdit, RepoKey, Repository, Seq, Storage, Target, Time};
use govc_git::oid;

use crate::directory;
use crate::disk::FileKind;
use crate::holdings::passed;
use crate::objects::open_pack;
use crate::repo::{Cut, Repo};
use crate::store::Store;
use rewrite::Rewritten;

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collection {
    /// Objects that are gone, counted once for each pack that had them.
    pub objects: u64,
    /// Bytes by which packs, without indexes, are smaller.
    pub bytes: u64,
    /// Packs that were written again.
    pub packs: usize,
}

/// How often is marked again because something came to be kept that was to go.
const TRIES_MAX: u32 = 3;
/// A deleted repository that somebody holds is looked at so often, and as far apart, before it is
/// left for the next time.
const LOOKS_MAX: u32 = 20;
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// History is cut when so many of its entries are kept for each one that is not.
const CUT_PART: u64 = 4;

/// A member of a family while it is looked at.
struct Member {
    repo: Arc<Repo>,
    /// It stays in memory meanwhile.
    here: Arc<Repository>,
    /// The packs that it had when the collection began.
    packs: Vec<PackId>,
    floor: Option<Floor>,
}

impl Store {
    /// The families in which something may have become what nobody keeps, by the repositories
    /// that they began with. Answered mostly from memory.
    pub fn families_to_collect(&self, engine: &Engine) -> Vec<RepoKey> {
        let mut due = BTreeSet::new();
        for repo in self.all() {
            let family = repo.state().record.family;
            if due.contains(&family) {
                continue;
            }
            match self.is_to_be_collected(&repo, engine) {
                Ok(true) => {
                    due.insert(family);
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(repository = %repo.key, %error, "history cannot be looked at");
                }
            }
        }
        due.into_iter().collect()
    }

    fn is_to_be_collected(&self, repo: &Arc<Repo>, engine: &Engine) -> io::Result<bool> {
        let (retained, base, first_gone, discarded) = {
            let state = repo.state();
            if state.damage.is_some() || state.purged {
                return Ok(false);
            }
            let settings = &state.record.settings.retention;
            let discarded = self.options.retention.discarded_of(settings);
            let saved = state.saved.as_ref();
            let base = saved.and_then(|saved| saved.history.base);
            let first_gone = saved.and_then(|saved| saved.first_gone);
            (state.retained, base, first_gone, discarded)
        };
        let now = self.options.clock.now();
        if retained.litter || first_gone.is_some_and(|since| passed(since, now) >= discarded) {
            return Ok(true);
        }
        let floor = self.floor_to_be(repo)?;
        if floor == retained.floor && floor.map(|floor| floor.seq) == retained.collected {
            return Ok(false);
        }
        let Some(floor) = floor else {
            return Ok(false);
        };
        if base.map(|base| base.seq) > retained.collected {
            // History was cut, and nobody knows any more what that lost.
            return Ok(true);
        }
        // Where refs only moved forwards nothing was lost; that the floor moves is enough.
        let here = engine.by_key(repo.key);
        let mut after = retained.collected;
        loop {
            const CHUNK: usize = 1024;
            let entries = self.kept_entries(repo, after, CHUNK)?;
            let Some(last) = entries.last() else { break };
            after = Some(last.seq);
            let below = entries.iter().take_while(|entry| entry.seq <= floor.seq);
            for entry in below {
                if loses(entry, here.as_deref()) {
                    return Ok(true);
                }
            }
            if last.seq >= floor.seq {
                break;
            }
        }
        let cut = self.cut_of(repo, Some(floor))?;
        {
            let mut state = repo.state();
            state.cut = Some(cut);
            state.retained.collected = Some(floor.seq);
        }
        self.checkpoint(repo.key)?;
        Ok(false)
    }

    /// Lets go of what nobody keeps any more of the family that began with `family`, and brings it
    /// to memory for that. `None`: it cannot be looked at now. Blocks, for as long as a clone of
    /// all its history takes, and writing packs again that have something to lose.
    ///
    /// # Errors
    /// Whatever the disk met; what was not let go of is as it was.
    /// [`io::ErrorKind::Interrupted`] when the store is closing.
    pub fn collect(&self, engine: &Arc<Engine>, family: RepoKey) -> io::Result<Option<Collection>> {
        let repos = self.family(family);
        let _not_compacted: Vec<MutexGuard<'_, ()>> = repos
            .iter()
            .map(|repo| {
                let compacting = repo.compacting.lock();
                compacting.unwrap_or_else(PoisonError::into_inner)
            })
            .collect();
        let Some(mut members) = self.members(engine, repos.clone())? else {
            return Ok(None);
        };
        let Some(pool) = members.first().map(|member| Arc::clone(member.here.pool())) else {
            return Ok(None);
        };
        // Before anything is saved: a delta that is in no pack yet may stand on what is kept now and
        // not in a moment.
        let mut kept = Kept::default();
        for member in &members {
            // Where nothing changed too: realities are forgotten by it.
            member.repo.state().packs_due = true;
            self.checkpoint(member.repo.key)?;
        }
        for member in &mut members {
            member.repo.state().new_litter = false;
            member.packs = member.repo.state().packs.clone();
            member.floor = self.floor_to_be(&member.repo)?;
            let cut = self.cut_of(&member.repo, member.floor)?;
            kept.extend(self.kept_by(engine, member)?);
            let mut state = member.repo.state();
            state.cut = Some(cut);
        }
        let done = self.collect_objects(engine, &members, &pool, kept);
        let mut result = Ok(None);
        match done {
            Ok(done) => {
                for member in &members {
                    let mut state = member.repo.state();
                    state.retained.collected = member.floor.map(|floor| floor.seq);
                    state.retained.litter = state.new_litter;
                    state.packs_due = true;
                }
                result = Ok(Some(done));
            }
            // Somebody is faster than we are: the next time.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            Err(error) => result = Err(error),
        }
        for member in &members {
            self.checkpoint(member.repo.key)?;
        }
        result
    }

    /// The repositories of a family, in the order of their keys.
    fn family(&self, family: RepoKey) -> Vec<Arc<Repo>> {
        let mut repos = self.all();
        repos.retain(|repo| repo.state().record.family == family);
        repos
    }

    /// The members of a family that can be looked at. `None`: there is none, or not all are in
    /// memory.
    fn members(
        &self,
        engine: &Arc<Engine>,
        repos: Vec<Arc<Repo>>,
    ) -> io::Result<Option<Vec<Member>>> {
        let Some(first) = repos.first() else {
            return Ok(None);
        };
        let here = engine.bring_back(first.key)?;
        let mut here: HashMap<RepoKey, Arc<Repository>> = here
            .into_iter()
            .map(|repository| (repository.key(), repository))
            .collect();
        let mut members = Vec::new();
        for repo in repos {
            let (damaged, is_saved_in_memory) = {
                let state = repo.state();
                (
                    state.damage.is_some() || state.purged,
                    state.record.storage == Storage::Memory,
                )
            };
            let Some(here) = here.remove(&repo.key) else {
                return Ok(None);
            };
            // Nobody knows what a damaged one keeps; its own links of packs stay, and it holds them.
            if damaged || is_saved_in_memory || here.damage().is_some() {
                continue;
            }
            members.push(Member {
                repo,
                here,
                packs: Vec::new(),
                floor: None,
            });
        }
        Ok(Some(members))
    }

    /// The oldest state that is to be kept of `repo` now.
    fn floor_to_be(&self, repo: &Arc<Repo>) -> io::Result<Option<Floor>> {
        let (record, old, newest) = {
            let state = repo.state();
            (Arc::clone(&state.record), state.retained.floor, state.seq)
        };
        let Some(keep) = self.options.retention.refs_of(&record.settings.retention) else {
            return Ok(old);
        };
        if old.is_some_and(|old| old.seq == newest) {
            return Ok(old);
        }
        let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
        let edge = Time(self.options.clock.now().0.saturating_sub(keep));
        if record.created_at > edge && old.is_none() {
            return Ok(old);
        }
        let Some(past) = self.refs_at(repo.key, Moment::Time(edge))? else {
            return Ok(old);
        };
        let mut floor = Floor {
            seq: past.seq,
            time: past.time,
        };
        if old.is_some_and(|old| floor.seq <= old.seq) {
            return Ok(old);
        }
        // Who is in a transaction reads the state that it began with.
        let open = self.open_transactions_since(repo)?.unwrap_or(newest);
        if open < floor.seq {
            match self.refs_at(repo.key, Moment::Seq(open))? {
                Some(past) if old.is_none_or(|old| past.seq > old.seq) => {
                    floor = Floor {
                        seq: past.seq,
                        time: past.time,
                    };
                }
                _ => return Ok(old),
            }
        }
        let first = self.kept_entries(repo, None, 1)?;
        let is_first = first.first().is_none_or(|first| first.seq >= floor.seq);
        Ok(match old.is_none() && is_first {
            true => None,
            false => Some(floor),
        })
    }

    /// What a checkpoint is to cut of history, where nothing older than `floor` may be asked for.
    fn cut_of(&self, repo: &Arc<Repo>, floor: Option<Floor>) -> io::Result<Cut> {
        let (there, newest) = {
            let state = repo.state();
            let saved = state.saved.as_ref();
            (saved.and_then(|saved| saved.history.base), state.seq)
        };
        let Some(floor) = floor else {
            return Ok(Cut { floor, base: there });
        };
        // Realities that nobody has touched since the start are made from the state that they began with.
        let base = match self.oldest_base(repo)?.filter(|base| *base < floor.seq) {
            None => Some(floor),
            Some(seq) => {
                let past = self.refs_at(repo.key, Moment::Seq(seq))?;
                past.map(|past| Floor {
                    seq: past.seq,
                    time: past.time,
                })
            }
        };
        let Some(base) = base else {
            return Ok(Cut {
                floor: Some(floor),
                base: there,
            });
        };
        let from = there.map_or(0, |there| there.seq);
        let (goes, stays) = (
            base.seq.saturating_sub(from),
            newest.saturating_sub(base.seq),
        );
        let is_worth_it = goes > 0 && goes.saturating_mul(CUT_PART) >= stays;
        Ok(Cut {
            floor: Some(floor),
            base: match is_worth_it {
                true => Some(base),
                false => there,
            },
        })
    }

    /// Steps 2 to 5. [`io::ErrorKind::ResourceBusy`] where something kept coming back.
    fn collect_objects(
        &self,
        engine: &Arc<Engine>,
        members: &[Member],
        pool: &Arc<Pool>,
        mut kept: Kept,
    ) -> io::Result<Collection> {
        for member in members {
            self.checkpoint(member.repo.key)?;
        }
        for _ in 0..TRIES_MAX {
            for member in members {
                kept.extend(self.kept_by(engine, member)?);
            }
            kept.tidy();
            let live = pool.live(&kept).map_err(io::Error::other)?;
            if self.is_closing() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let aside = Path::new(directory::NEW).join(format!("{}.collect", members[0].repo.key));
            self.clear(&aside)?;
            let rewritten = self.rewrite_packs(members, &live, &aside);
            let done = rewritten.and_then(|rewritten| match rewritten.is_empty() {
                true => Ok(Some(Collection::default())),
                false => {
                    self.make_sure(pool, &live, &rewritten)?;
                    self.put_collected(engine, members, pool, &kept, &live, rewritten)
                }
            });
            if let Err(error) = self.clear(&aside) {
                tracing::warn!(%error, folder = %aside.display(), "a folder stays for now");
            }
            match done? {
                Some(done) => return Ok(done),
                None => continue,
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Writes the packs again that have something that is not live.
    fn rewrite_packs(
        &self,
        members: &[Member],
        live: &ObjectSet,
        aside: &Path,
    ) -> io::Result<BTreeMap<PackId, Rewritten>> {
        let mut looked_at = HashSet::new();
        let mut rewritten = BTreeMap::new();
        for member in members {
            for id in &member.packs {
                if !looked_at.insert(*id) {
                    continue;
                }
                let pack = self.in_directory(&member.repo, |dir| open_pack(&*self.disk, dir, *id));
                let pack = match pack {
                    Ok(pack) => pack,
                    // A fork that was never saved has its parent's, and no directory.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        looked_at.remove(id);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let is_kept = |id: &oid| live.contains(id);
                if let Some(done) = self.rewrite_pack(&pack, &is_kept, aside)? {
                    rewritten.insert(*id, done);
                }
            }
        }
        Ok(rewritten)
    }

    /// Reads all that stays, whether it names something that goes.
    fn make_sure(
        &self,
        pool: &Pool,
        live: &ObjectSet,
        rewritten: &BTreeMap<PackId, Rewritten>,
    ) -> io::Result<()> {
        let is_gone = |id: &oid| {
            rewritten.values().any(|pack| pack.had.lookup(id).is_some()) && !live.contains(id)
        };
        let named = pool.reference_to_gone(live, &is_gone, &|| self.is_closing());
        if let Some(Reference { from, to }) = named.map_err(io::Error::other)? {
            let why =
                format!("nothing is removed: {to} was to go, and {from}, which stays, names it");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        match self.is_closing() {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => Ok(()),
        }
    }

    /// Lists the new packs instead of the old ones. `None`: something that was left out is kept by
    /// now.
    fn put_collected(
        &self,
        engine: &Arc<Engine>,
        members: &[Member],
        pool: &Arc<Pool>,
        kept: &Kept,
        live: &ObjectSet,
        rewritten: BTreeMap<PackId, Rewritten>,
    ) -> io::Result<Option<Collection>> {
        // As checkpoints take them: a fork before its parent.
        let mut order: Vec<&Member> = members.iter().collect();
        order.sort_by_key(|member| std::cmp::Reverse(self.depth(&member.repo)));
        let _no_checkpoints: Vec<MutexGuard<'_, ()>> = order
            .iter()
            .map(|member| {
                let checkpointing = member.repo.checkpointing.lock();
                checkpointing.unwrap_or_else(PoisonError::into_inner)
            })
            .collect();
        let marks: Vec<usize> = order
            .iter()
            .map(|member| member.repo.state().recent.len())
            .collect();
        let mut now = Kept::default();
        for member in members {
            now.extend(self.kept_while_saved(engine, member)?);
        }
        now.tidy();
        let new = now.without(kept);
        if !new.is_empty() {
            let since = pool.live_since(&new, &kept.objects);
            let since = since.map_err(io::Error::other)?;
            let is_lost = |id: &oid| {
                !live.contains(id) && rewritten.values().any(|pack| pack.had.lookup(id).is_some())
            };
            if since.ids().any(|id| is_lost(&id)) {
                return Ok(None);
            }
        }
        // What one directory has of a batch, the log must have of it for the others.
        self.sync()?;
        let mut done = Collection::default();
        for (member, mark) in order.iter().zip(marks) {
            self.put_collected_of(member, mark, &rewritten)?;
        }
        for pack in rewritten.values() {
            done.objects += pack.gone;
            done.bytes += pack.bytes_saved;
            done.packs += 1;
        }
        pool.forget_gone();
        // The bytes of what is gone are in the log too, as they came.
        if let Err(error) = self.begin_segment() {
            tracing::warn!(%error, "the log's segment stays for now");
        }
        Ok(Some(done))
    }

    /// The same for one member.
    fn put_collected_of(
        &self,
        member: &Member,
        mark: usize,
        rewritten: &BTreeMap<PackId, Rewritten>,
    ) -> io::Result<()> {
        let repo = &member.repo;
        let place = repo.place.read().unwrap_or_else(PoisonError::into_inner);
        let Some(dir) = place.as_ref() else {
            return Ok(());
        };
        let mine: Vec<(&PackId, &Rewritten)> = rewritten
            .iter()
            .filter(|(id, _)| member.packs.contains(id))
            .collect();
        if mine.is_empty() {
            return Ok(());
        }
        for (_, pack) in &mine {
            pack.link_into(&*self.disk, dir)?;
        }
        self.disk.sync_dir(&dir.join(directory::PACKS))?;
        // It would speak of commits that are gone. It, and lists, only make a start faster.
        for file in [directory::COMMIT_GRAPH, directory::LISTS] {
            if self.disk.kind(&dir.join(file))?.is_some() {
                self.disk.remove(&dir.join(file))?;
            }
        }
        let old: Vec<PackId> = {
            let mut state = repo.state();
            if let Some(why) = &state.damage {
                return Err(io::Error::new(io::ErrorKind::InvalidData, why.clone()));
            }
            // One that somebody pushed once more meanwhile stays as it is.
            let since = state.recent.iter().skip(mark);
            let again: HashSet<PackId> = since
                .flat_map(|recent| recent.entry.objects.packs.iter().copied())
                .collect();
            let mut old = Vec::new();
            for (id, pack) in &mine {
                let Some(at) = state.packs.iter().position(|listed| listed == *id) else {
                    continue;
                };
                if again.contains(*id) {
                    continue;
                }
                old.push(**id);
                match pack.new_id() {
                    Some(new) if !state.packs.contains(&new) => state.packs[at] = new,
                    _ => {
                        state.packs.remove(at);
                    }
                }
            }
            state.replace(&old, self.options.clock.now());
            state.packs_due = true;
            if let Some(saved) = &mut state.saved {
                saved.graph_commits = 0;
            }
            old
        };
        let saved = match self.save(repo, dir) {
            Ok(saved) => saved,
            Err(error) => {
                // Nobody knows which list is durable: the next one has both.
                repo.state().packs.splice(0..0, old);
                return Err(error);
            }
        };
        self.project(repo, dir);
        self.tell_packed(repo.key, saved);
        let replaced = mine.iter().filter(|(id, _)| old.contains(id));
        let new: Vec<_> = replaced.filter_map(|(_, pack)| pack.bytes()).collect();
        for listener in self.listeners() {
            listener.collected(repo.key, &old, &new);
        }
        self.remove_replaced_of(repo, dir);
        Ok(())
    }

    fn clear(&self, folder: &Path) -> io::Result<()> {
        match self.disk.kind(folder)? {
            Some(FileKind::Dir) => self.disk.remove_dir_all(folder),
            _ => Ok(()),
        }
    }

    /// Begins a new segment of the log, so that older ones can go.
    fn begin_segment(&self) -> io::Result<()> {
        self.log().begin_segment_anew()?;
        self.drop_segments()
    }

    /// Removes repositories for good that were deleted longer ago than they are kept. Which
    /// they were.
    pub fn purge_due(&self, engine: &Arc<Engine>) -> Vec<RepoKey> {
        let now = self.options.clock.now();
        let mut gone = Vec::new();
        for repo in self.all() {
            let (record, damaged) = {
                let state = repo.state();
                (Arc::clone(&state.record), state.damage.is_some())
            };
            let Some(deleted) = record.deleted_at else {
                continue;
            };
            let keep = self
                .options
                .retention
                .deleted_of(&record.settings.retention);
            if damaged || keep.is_none_or(|keep| passed(deleted, now) < keep) {
                continue;
            }
            match self.purge_now(engine, &repo) {
                Ok(true) => {
                    gone.push(repo.key);
                    tracing::info!(repository = %record.id, key = %repo.key, "removed for good");
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(repository = %record.id, %error, "it cannot be removed yet");
                }
            }
        }
        gone
    }

    fn purge_now(&self, engine: &Arc<Engine>, repo: &Arc<Repo>) -> io::Result<bool> {
        // What its forks have of it must be theirs first.
        let family = repo.state().record.family;
        for member in self.family(family) {
            if member.state().damage.is_none() {
                self.checkpoint(member.key)?;
            }
        }
        // It may have left the engine before, and the disk have failed then.
        let is_there = engine.find_by_key(repo.key).is_some();
        // Who has just been answered may hold it for a moment longer.
        let went = (0..LOOKS_MAX).any(|_| {
            let went = !is_there || engine.let_go(repo.key);
            if !went {
                std::thread::sleep(LOOK_EVERY);
            }
            went
        });
        if !went {
            return Ok(false);
        }
        self.purge(repo.key)?;
        // What only it kept goes with the next collection of what is left of its family.
        for member in self.family(family) {
            member.state().retained.litter = true;
        }
        self.begin_segment()?;
        Ok(true)
    }
}

/// Whether an entry moved a ref other than forwards, as far as somebody knows.
fn loses(entry: &Entry, here: Option<&Repository>) -> bool {
    entry.edits.iter().any(|edit| match edit {
        EntryEdit::Ref { before, after, .. } => match (before, after) {
            (Target::At(before), Target::At(after)) => {
                let forwards = here.and_then(|here| {
                    let graph = here.pool().graph();
                    let (before, after) = (graph.number(before)?, graph.number(after)?);
                    Some(graph.is_ancestor(before, after))
                });
                forwards != Some(true)
            }
            (Target::At(_), _) => true,
            _ => false,
        },
        _ => false,
    })
}

impl Store {
    /// Entries of history as they are on the disk, below the floor too.
    fn kept_entries(
        &self,
        repo: &Arc<Repo>,
        after: Option<Seq>,
        limit: usize,
    ) -> io::Result<Vec<Arc<Entry>>> {
        let (index, recent) = {
            let state = repo.state();
            let numbered = state.recent.iter().map(|recent| &recent.entry);
            let numbered = numbered.filter(|entry| entry.step == 0 && entry.host.is_none());
            let recent: Vec<Arc<Entry>> = numbered
                .filter(|entry| after.is_none_or(|after| entry.seq > after))
                .take(limit)
                .map(crate::format::without_objects)
                .collect();
            let saved = state.saved.as_ref();
            (saved.map(|saved| Arc::clone(&saved.history)), recent)
        };
        let mut entries = match index {
            Some(index) => self.in_history(repo, index, |dir, index| {
                crate::history::entries(&*self.disk, dir, index, after, limit)
            })?,
            None => Vec::new(),
        };
        let last = entries.last().map(|entry| entry.seq).max(after);
        let room = limit.saturating_sub(entries.len());
        let recent = recent.into_iter();
        let recent = recent.filter(|entry| last.is_none_or(|last| entry.seq > last));
        entries.extend(recent.take(room));
        Ok(entries)
    }
}
