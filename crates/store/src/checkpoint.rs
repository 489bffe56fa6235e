//! Checkpoints: a repository's directory is brought up to its newest change.
//!
//! In this order, each step synced with its folder: 1 a pack of the objects that are in no pack,
//! and its index · 2 history · 3 `govc/checkpoint` by rename, which is the commit point · 4
//! `packed-refs` and `HEAD`, a projection of it · 5 only then segments of the log may go. A crash
//! between any two leaves a directory that the log completes.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use govc_engine::journal::{PackBytes, PackId};
use govc_engine::{
    NewObject, ObjectBody, Place, Refs, RepoKey, RepositoryRecord, Seq, Target, Time,
};
use govc_git::pack::commit_graph::{CommitList, write_commit_graph};
use govc_git::pack::{EntryKind, Pack, PackWriter};
use govc_git::{ObjectFormat, ObjectId, oid};

use crate::directory;
use crate::disk::{self, Disk, DiskFile, FileKind, Open};
use crate::format::{self, Checkpoint};
use crate::history;
use crate::holdings::Holdings;
use crate::objects::{Objects, pack_path};
use crate::packs::TEMPORARY;
use crate::projection::{self, Projection};
use crate::repo::{Cut, Recent, Repo, Retained, Saved};
use crate::stash_log;
use crate::store::Store;

const CHECKPOINT_BYTES_MAX: u64 = 8 << 30;
/// A history that is cut is written into fewer files than this.
const CUT_FILES_MAX: u64 = 1 << 20;
/// So many deltas of a checkpoint's pack follow each other, as in packs of git's.
const DEPTH_MAX: u32 = 50;
/// libdeflate's fastest: nearly as small, and a compaction packs it again.
pub(crate) const DEFLATE_LEVEL: u8 = 1;

/// The pack that a checkpoint made, if there was anything to pack.
pub(crate) type MadePack = Option<(PackId, PackBytes)>;

/// What a checkpoint has saved.
pub(crate) struct Packed {
    /// How far.
    place: Place,
    pack: MadePack,
    /// How far of each reality that had something new.
    realities: Vec<(RepoKey, Place)>,
}

/// Reads the checkpoint in the repository's directory `dir`.
///
/// # Errors
/// [`io::ErrorKind::NotFound`]; [`io::ErrorKind::InvalidData`] where it is damaged or of a later
/// version.
pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Checkpoint> {
    let path = dir.join(directory::CHECKPOINT);
    let bytes = disk::read(disk, &path, CHECKPOINT_BYTES_MAX)?;
    format::decode_checkpoint(Bytes::from(bytes)).map_err(|error| {
        let why = format!("{}: {error}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

impl Store {
    /// Brings the directory of `key` up to its newest change. `false`: it was already.
    ///
    /// # Errors
    /// Whatever the disk met. Nothing is lost: the log still has it.
    pub fn checkpoint(&self, key: RepoKey) -> io::Result<bool> {
        let changed = self.bring_up(key)?;
        if changed {
            self.drop_segments()?;
        }
        Ok(changed)
    }

    /// As [`Store::checkpoint`], and the log stays as it is.
    pub(crate) fn bring_up(&self, key: RepoKey) -> io::Result<bool> {
        let repo = self.repo(key)?;
        let _one_at_a_time = repo
            .checkpointing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (is_due, is_first, from) = {
            let state = repo.state();
            if let Some(why) = &state.damage {
                return Err(io::Error::new(io::ErrorKind::InvalidData, why.clone()));
            }
            if state.purged {
                return Ok(false);
            }
            let first = state.saved.is_none();
            (state.is_due(), first, state.record.forked_from.clone())
        };
        // What a fork shares with its parent must be in the parent's packs to be linked.
        let mut links = None;
        if let Some(from) = from.filter(|_| is_first && is_due)
            && let Ok(parent) = self.repo(from.key)
        {
            let behind = |saved: &Option<Saved>| saved.as_ref().is_none_or(|s| s.seq < from.seq);
            // A fork of a reality begins with what no change of the parent has.
            let must = {
                let state = parent.state();
                let of_reality = |recent: &Recent| recent.entry.host.is_some();
                behind(&state.saved) || state.recent.iter().any(of_reality)
            };
            if must {
                self.bring_up(from.key)?;
            }
            links = Some(parent);
        }
        let moved = self.settle(&repo)?;
        if !is_due {
            return Ok(moved);
        }
        // What one repository's directory has of a batch, the log must have of it for the others.
        self.sync()?;
        let place = repo.place.read().unwrap_or_else(PoisonError::into_inner);
        let dir = place.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let is_linked = links.is_some();
        if let Some(parent) = links {
            self.link_packs(&repo, dir, &parent)?;
        }
        let packed = self.save(&repo, dir)?;
        if is_linked {
            let packs = repo.state().packs.clone();
            self.listeners()
                .iter()
                .for_each(|listener| listener.linked(key, &packs));
        }
        self.project(&repo, dir);
        drop(place);

        self.tell_packed(key, packed);
        if let Err(error) = self.save_commit_graph(&repo) {
            // It only makes a start faster.
            tracing::warn!(repository = %key, %error, "the commit-graph was not written");
        }
        Ok(true)
    }

    /// Counts a checkpoint, and tells who listens what [`Store::save`] has saved.
    pub(crate) fn tell_packed(&self, key: RepoKey, saved: Option<Packed>) {
        self.counts.lock().checkpoints += 1;
        if let Some(Packed {
            place,
            pack,
            realities,
        }) = saved
        {
            for listener in self.listeners() {
                listener.packed(key, place, pack.clone());
                if !realities.is_empty() {
                    listener.packed_of_realities(key, &realities);
                }
            }
        }
    }

    /// Gives `repo` every pack of `parent`, by links.
    fn link_packs(&self, repo: &Repo, dir: &Path, parent: &Repo) -> io::Result<()> {
        let packs = parent.state().packs.clone();
        let there = parent.place.read().unwrap_or_else(PoisonError::into_inner);
        let Some(from) = there.as_ref() else {
            return Ok(());
        };
        // Without its index git does not see a pack: it comes last.
        for pack in &packs {
            for extension in ["pack", "idx"] {
                let (from, to) = (
                    pack_path(from, *pack, extension),
                    pack_path(dir, *pack, extension),
                );
                match self.disk.hard_link(&from, &to) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    linked => linked?,
                }
            }
        }
        self.disk.sync_dir(&dir.join(directory::PACKS))?;
        let mut state = repo.state();
        let own = std::mem::take(&mut state.packs);
        state.packs = packs;
        for pack in own {
            if !state.packs.contains(&pack) {
                state.packs.push(pack);
            }
        }
        Ok(())
    }

    /// Steps 1 to 3. Returns what was reached and the pack that was made.
    pub(crate) fn save(&self, repo: &Repo, dir: &Path) -> io::Result<Option<Packed>> {
        // A checkpoint tells what the refs' files were before it: that must be known for certain, or
        // after a power loss they would seem to be somebody else's.
        if repo.state().projection_doubtful {
            self.project(repo, dir);
            if repo.state().projection_doubtful {
                return Err(io::Error::other("its refs could not be written"));
            }
        }
        let (recent, record, mut packs, replaced, saved, anew, epoch, last, retained, cut) = {
            let mut state = repo.state();
            if state.recent.is_empty() && !state.packs_due && state.cut.is_none() {
                return Ok(None);
            }
            state.packs_due = false;
            let recent: Vec<Recent> = state.recent.iter().cloned().collect();
            (
                recent,
                Arc::clone(&state.record),
                state.packs.clone(),
                state.replaced.clone(),
                state.saved.clone(),
                state.history_anew,
                state.epoch,
                (state.seq, state.step, state.time),
                state.retained,
                state.cut,
            )
        };
        let result = self.save_steps(
            repo, dir, &recent, &record, &mut packs, replaced, &saved, anew, epoch, last, retained,
            cut,
        );
        let mut state = repo.state();
        match result {
            Ok((made, new_saved)) => {
                if let Some((pack, _)) = &made
                    && !state.packs.contains(pack)
                {
                    state.packs.push(*pack);
                }
                for _ in 0..recent.len() {
                    if let Some(done) = state.recent.pop_front() {
                        state.recent_bytes -= done.entry.objects.inline_bytes();
                    }
                }
                let now = std::time::Instant::now();
                state.recent_since = (!state.recent.is_empty()).then_some(now);
                let rewritten = saved.is_some_and(|before| {
                    before.history.base != new_saved.history.base
                        || before.reality_history.has_litter
                            && !new_saved.reality_history.has_litter
                });
                if state.cut == cut {
                    state.cut = None;
                }
                if let Some(Cut {
                    floor: Some(floor), ..
                }) = cut
                {
                    state.retained.floor = Some(floor);
                }
                state.saved = Some(new_saved.clone());
                state.history_anew = None;
                state.projection_due = true;
                drop(state);
                if rewritten {
                    // What stays goes when the store opens next.
                    let (history, realities) = (&new_saved.history, &new_saved.reality_history);
                    let tidied = history::tidy(&*self.disk, dir, history, realities, u64::MAX);
                    if let Err(error) = tidied {
                        tracing::warn!(%error, "files of a history that was cut stay for now");
                    }
                }
                let newest = recent.iter().map(|recent| &recent.entry);
                let newest = newest.filter(|entry| entry.host.is_some());
                let newest = newest.map(|entry| (entry.repo, (entry.seq, entry.step)));
                let newest: HashMap<RepoKey, Place> = newest.collect();
                Ok(Some(Packed {
                    place: (last.0, last.1),
                    pack: made,
                    realities: newest.into_iter().collect(),
                }))
            }
            Err(error) => {
                // The checkpoint may be there or not. What it may count on is not written again.
                let files = saved.iter().flat_map(|saved| {
                    let of_realities = &saved.reality_history.files;
                    [saved.history.files.last(), of_realities.last()]
                });
                let used = files.flatten().map(|(file, _)| *file).max();
                let used = used.unwrap_or(1).max(anew.unwrap_or(0));
                let used = used.max(repo.history_top.load(Ordering::Acquire));
                // It may have begun a file by itself: that one is skipped too.
                state.history_anew = Some(used + 2);
                state.packs_due = true;
                Err(error)
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the state as it was when the checkpoint began"
    )]
    fn save_steps(
        &self,
        repo: &Repo,
        dir: &Path,
        recent: &[Recent],
        record: &RepositoryRecord,
        packs: &mut Vec<PackId>,
        mut replaced: Vec<(PackId, Time)>,
        saved: &Option<Saved>,
        anew: Option<u64>,
        epoch: u64,
        (seq, step, time): (Seq, u32, Time),
        mut retained: Retained,
        cut: Option<Cut>,
    ) -> io::Result<(MadePack, Saved)> {
        let disk = &*self.disk;
        let note_top = |files: &[(u64, u64)]| {
            let top = files.iter().map(|(file, _)| *file).max().unwrap_or(0);
            repo.history_top.fetch_max(top, Ordering::AcqRel);
        };
        let before = match saved {
            Some(_) => Some(read(disk, dir)?),
            None => None,
        };
        // 1
        let mut objects = Objects::new(disk, dir, packs.clone());
        for recent in recent {
            for object in &recent.entry.objects.inline {
                objects.add(object);
            }
        }
        self.bring_from_family(repo, record.family, recent, &mut objects)?;
        let made = write_pack(disk, dir, &objects, record.object_format)?;
        if let Some((pack, _)) = &made
            && !packs.contains(pack)
        {
            packs.push(*pack);
        }
        // 2
        let (old_refs, old_peeled) = match &before {
            Some(before) => (before.refs.clone(), before.peeled.clone()),
            None => (Refs::default(), Vec::new()),
        };
        let history = saved.as_ref().map(|saved| (*saved.history).clone());
        let entries: Vec<_> = recent.iter().map(|r| Arc::clone(&r.entry)).collect();
        let mut refs = old_refs.clone();
        let history = history::append(
            disk,
            dir,
            &history.unwrap_or_default(),
            anew,
            &mut refs,
            record.object_format,
            &entries,
        )?;
        let of_realities = saved
            .as_ref()
            .map(|saved| Arc::clone(&saved.reality_history));
        let mut reality_history = history::realities::append(
            disk,
            dir,
            &of_realities.unwrap_or_default(),
            anew,
            &entries,
        )?;
        let mut history = history;
        note_top(&history.files);
        note_top(&reality_history.files);
        let mut holdings = before.map_or_else(Holdings::default, |before| before.holdings);
        let old_refs = holdings.shown(&old_refs);
        let old_stashes = holdings.stashes();
        for recent in recent {
            holdings.apply(&recent.entry, recent.epoch);
        }
        let keep = self
            .options
            .retention
            .discarded_of(&record.settings.retention);
        holdings.forget_gone(self.options.clock.now(), keep);
        let count = reality_history.last.len();
        reality_history
            .last
            .retain(|key, _| holdings.written.contains_key(key));
        if reality_history.last.len() < count {
            reality_history.has_litter = true;
            retained.litter = true;
        }
        if let Some(cut) = cut {
            // The files that are begun here have numbers that no other has.
            let first = anew.unwrap_or(0);
            if let Some(base) = cut.base.filter(|base| history.base != Some(*base)) {
                let format = record.object_format;
                // Some files may have been written when this fails.
                repo.history_top.fetch_add(CUT_FILES_MAX, Ordering::AcqRel);
                history = history::cut(disk, dir, &history, first, base, format)?;
            }
            if reality_history.has_litter {
                repo.history_top.fetch_add(CUT_FILES_MAX, Ordering::AcqRel);
                reality_history = history::realities::sweep(disk, dir, &reality_history, first)?;
            }
            retained.floor = cut.floor.or(retained.floor);
        }
        let stashes = holdings.stashes();
        if stashes != old_stashes || (!stashes.is_empty() && !stash_log::is_there(disk, dir)) {
            let format = record.object_format;
            if let Err(error) = stash_log::write(disk, dir, &objects, &stashes, format) {
                // Only `git stash list` reads it.
                tracing::warn!(directory = %dir.display(), %error, "no reflog of stashes");
            }
        }
        // 3
        let shown = holdings.shown(&refs);
        let peeled = peel(&objects, &shown, &old_refs, old_peeled)?;
        let to_come = projection(&shown, &peeled).seen();
        let on_disk = match saved {
            Some(saved) => saved.on_disk.clone(),
            None => projection::OnDisk::read(disk, dir)?.seen(),
        };
        let graph_commits = saved.as_ref().map_or(0, |saved| saved.graph_commits);
        replaced.retain(|(pack, _)| !packs.contains(pack));
        let checkpoint = Checkpoint {
            key: repo.key,
            epoch,
            seq,
            step,
            time,
            record: record.clone(),
            refs,
            peeled,
            packs: packs.clone(),
            history,
            packed_to_come: to_come.packed,
            before: on_disk.clone(),
            graph_commits,
            holdings,
            replaced,
            reality_history,
            retained,
        };
        let bytes = format::encode_checkpoint(&checkpoint)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        disk::replace(disk, &dir.join(directory::CHECKPOINT), &bytes)?;
        let first_gone = checkpoint.holdings.first_gone();
        let saved = Saved {
            seq,
            history: Arc::new(checkpoint.history),
            reality_history: Arc::new(checkpoint.reality_history),
            on_disk,
            graph_commits,
            first_gone,
        };
        Ok((made, saved))
    }

    /// What an entry names as kept elsewhere is mostly in a pack of its own. Where another member
    /// of the fork family has it, it is taken from there: each directory is complete by itself.
    fn bring_from_family(
        &self,
        repo: &Repo,
        family: RepoKey,
        recent: &[Recent],
        objects: &mut Objects<'_>,
    ) -> io::Result<()> {
        let inline = recent
            .iter()
            .flat_map(|recent| &recent.entry.objects.inline);
        let mut missing = Vec::new();
        for object in inline.filter(|object| object.body == ObjectBody::Elsewhere) {
            if objects.kind(&object.id)?.is_none() {
                missing.push(object.id);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        for other in self.all() {
            let (packs, pending) = {
                let state = other.state();
                if other.key == repo.key || state.record.family != family {
                    continue;
                }
                let pending: Vec<Recent> = state.recent.iter().cloned().collect();
                (state.packs.clone(), pending)
            };
            let place = other.place.read().unwrap_or_else(PoisonError::into_inner);
            // Without a directory it has no packs of its own.
            let (dir, packs) = match place.as_ref() {
                Some(dir) => (dir.clone(), packs),
                None => (std::path::PathBuf::new(), Vec::new()),
            };
            let mut theirs = Objects::new(&*self.disk, &dir, packs);
            for recent in &pending {
                for object in &recent.entry.objects.inline {
                    theirs.add(object);
                }
            }
            let mut still = Vec::new();
            for id in missing {
                match theirs.find(&id) {
                    Ok(Some(object)) => objects.add(&NewObject {
                        id,
                        kind: object.kind,
                        body: ObjectBody::Whole(object.data),
                    }),
                    _ => still.push(id),
                }
            }
            missing = still;
            if missing.is_empty() {
                return Ok(());
            }
        }
        let why = format!("object {} of the change is nowhere", missing[0]);
        Err(io::Error::new(io::ErrorKind::InvalidData, why))
    }

    /// Step 4. Where it fails git sees an older state until it succeeds; nothing else is lost.
    pub(crate) fn project(&self, repo: &Repo, dir: &Path) {
        let (is_due, is_doubtful) = {
            let state = repo.state();
            (state.projection_due, state.projection_doubtful)
        };
        if !is_due && !is_doubtful {
            return;
        }
        let projected = read(&*self.disk, dir).and_then(|checkpoint| {
            let shown = checkpoint.holdings.shown(&checkpoint.refs);
            let projection = projection(&shown, &checkpoint.peeled);
            projection::write(&*self.disk, dir, &projection, is_doubtful)?;
            Ok(projection.seen())
        });
        let mut state = repo.state();
        match projected {
            Ok(seen) => {
                state.projection_due = false;
                state.projection_doubtful = false;
                if let Some(saved) = &mut state.saved {
                    saved.on_disk = seen;
                }
            }
            Err(error) => {
                tracing::warn!(directory = %dir.display(), %error, "refs could not be written");
                state.projection_doubtful = true;
                // A part may be new: what is there is what counts.
                if let Ok(there) = projection::OnDisk::read(&*self.disk, dir)
                    && let Some(saved) = &mut state.saved
                {
                    saved.on_disk = there.seen();
                }
            }
        }
    }

    /// Writes git's commit-graph once enough commits are new: whoever opens the repository next
    /// need not read them. Who calls this has the repository's checkpoints to itself.
    pub(crate) fn save_commit_graph(&self, repo: &Repo) -> io::Result<()> {
        const NEW_MIN: u64 = 256;
        let (known, packs, format) = {
            let state = repo.state();
            let known = state.saved.as_ref().map_or(0, |saved| saved.graph_commits);
            (known, state.packs.clone(), state.record.object_format)
        };
        let Some(listener) = self
            .listeners()
            .into_iter()
            .find(|listener| listener.commit_count(repo.key) >= known + NEW_MIN.max(known / 4))
        else {
            return Ok(());
        };
        self.in_directory(repo, |dir| {
            let open = |pack: &PackId| crate::objects::open_pack(&*self.disk, dir, *pack);
            let opened: Vec<Pack> = packs.iter().map(open).collect::<io::Result<_>>()?;
            let has = |id: &oid| opened.iter().any(|pack| pack.index().lookup(id).is_some());
            let (commits, is_all) = listener.commits(repo.key, &has);
            let list = CommitList::new(commits).map_err(io::Error::other)?;
            let whole: Vec<ObjectId> = match is_all {
                true => packs.iter().map(|pack| pack.0).collect(),
                false => Vec::new(),
            };
            let file = write_commit_graph(&list, &whole, format).map_err(io::Error::other)?;
            disk::replace(&*self.disk, &dir.join(directory::COMMIT_GRAPH), &file)?;
            Ok(())
        })?;
        // What the pool has beyond this repository's packs counts as tried.
        let mut state = repo.state();
        if let Some(saved) = &mut state.saved {
            saved.graph_commits = listener.commit_count(repo.key);
        }
        Ok(())
    }

    /// Step 5.
    pub(crate) fn drop_segments(&self) -> io::Result<()> {
        let mut log = self.log();
        let oldest = |repo: &Arc<Repo>| repo.state().oldest_segment();
        let all = self.all();
        let needed = all.iter().filter_map(oldest).chain(self.pinned).min();
        let needed = needed.unwrap_or_else(|| log.newest_segment());
        log.remove_before(needed)
    }

    /// Puts the directory of `repo` where it belongs, and makes it if there is none. Whether that
    /// changed something.
    ///
    /// # Errors
    /// Whatever the disk met; [`io::ErrorKind::AlreadyExists`] when something that is not ours has
    /// its place.
    pub(crate) fn settle(&self, repo: &Arc<Repo>) -> io::Result<bool> {
        // What takes long, before anybody else has to wait for it.
        let _one_makes_it = repo.making.lock().unwrap_or_else(PoisonError::into_inner);
        let mut made = match repo.where_now() {
            None if !repo.state().purged => {
                let format = repo.state().record.object_format;
                Some(directory::make(&*self.disk, repo.key, format)?)
            }
            _ => None,
        };
        let _one_at_a_time = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        let mut next = Some(Arc::clone(repo));
        while let Some(repo) = next.take() {
            let (record, purged) = {
                let state = repo.state();
                (Arc::clone(&state.record), state.purged)
            };
            if purged {
                return Err(io::ErrorKind::NotFound.into());
            }
            let wanted = directory::place(repo.key, &record);
            if repo.where_now().as_ref() == Some(&wanted) {
                self.make_place_durable(&repo, &wanted)?;
                continue;
            }
            // Who has the place must go first; where to, is seen to afterwards.
            let occupant = |other: &Arc<Repo>| other.where_now().as_ref() == Some(&wanted);
            if let Some(other) = self.all().into_iter().find(occupant) {
                self.move_to(&other, directory::aside(other.key), None)?;
                next = Some(other);
            }
            if self.disk.kind(&wanted)?.is_some() {
                self.clear_leftover(&wanted)?;
            }
            self.move_to(&repo, wanted, made.take())?;
            changed = true;
        }
        Ok(changed)
    }

    /// Moves the directory of `repo`, or what was `made` for it, which has none.
    fn move_to(&self, repo: &Repo, wanted: PathBuf, made: Option<PathBuf>) -> io::Result<()> {
        let mut place = repo.place.write().unwrap_or_else(PoisonError::into_inner);
        let above = wanted.parent().unwrap_or(Path::new(""));
        disk::create_dirs(&*self.disk, above)?;
        let from = place.clone().or(made).ok_or(io::ErrorKind::NotFound)?;
        // From here on it is there, whether or not that is durable.
        repo.unsettled.store(true, Ordering::Release);
        self.disk.rename(&from, &wanted)?;
        *place = Some(wanted.clone());
        drop(place);
        self.make_place_durable(repo, &wanted)?;
        self.disk.sync_dir(from.parent().unwrap_or(Path::new("")))
    }

    fn make_place_durable(&self, repo: &Repo, place: &Path) -> io::Result<()> {
        if repo.unsettled.load(Ordering::Acquire) {
            directory::sync_place(&*self.disk, place)?;
            repo.unsettled.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Something that belongs to no repository has a repository's place. A directory that we made
    /// for one that never was is put aside; anything else stays.
    fn clear_leftover(&self, path: &Path) -> io::Result<()> {
        let key = disk::read_if_any(&*self.disk, &path.join(directory::KEY), 1024)?;
        let key = key.as_deref().and_then(directory::parse_key);
        let has_checkpoint = self.disk.kind(&path.join(directory::CHECKPOINT))?.is_some();
        match key {
            Some(key) if !has_checkpoint && self.repo(key).is_err() => {
                directory::remove(&*self.disk, key, path)
            }
            _ => {
                let why = format!("{} is in the way", path.display());
                Err(io::Error::new(io::ErrorKind::AlreadyExists, why))
            }
        }
    }

    /// Removes a deleted repository for good, its directory too.
    ///
    /// # Errors
    /// Whatever the disk met; [`io::ErrorKind::InvalidInput`] if it is not deleted.
    pub fn purge(&self, key: RepoKey) -> io::Result<()> {
        let repo = self.repo(key)?;
        if repo.state().record.deleted_at.is_none() {
            let why = format!("repository {key} is not deleted");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        // Its checkpoint tells recovery that it is deleted; its forks get their links.
        self.checkpoint(key)?;
        for fork in self.all() {
            let is_fork = {
                let state = fork.state();
                let from = state.record.forked_from.as_ref();
                state.saved.is_none() && from.is_some_and(|from| from.key == key)
            };
            if is_fork {
                self.checkpoint(fork.key)?;
            }
        }
        let _one_at_a_time = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut place = repo.place.write().unwrap_or_else(PoisonError::into_inner);
        repo.state().purged = true;
        if let Some(dir) = place.take()
            && self.disk.kind(&dir)? == Some(FileKind::Dir)
        {
            // The log may still have entries of it; they are all before its checkpoint, and
            // without a directory they would bring it back. So they go first.
            self.log_must_forget(&repo)?;
            directory::remove(&*self.disk, key, &dir)?;
        }
        drop(place);
        self.forget(key);
        Ok(())
    }
}

pub(crate) fn projection(refs: &Refs, peeled: &[(ObjectId, ObjectId)]) -> Projection {
    let known: HashMap<&ObjectId, &ObjectId> =
        peeled.iter().map(|(tag, target)| (tag, target)).collect();
    Projection::of(refs, &|id| known.get(id).map(|target| **target))
}

/// What the annotated tags among the targets of `refs` lead to. Only new targets are looked at.
fn peel(
    objects: &Objects<'_>,
    refs: &Refs,
    old_refs: &Refs,
    old_peeled: Vec<(ObjectId, ObjectId)>,
) -> io::Result<Vec<(ObjectId, ObjectId)>> {
    let old: HashSet<ObjectId> = old_refs.objects().into_iter().collect();
    let old_peeled: HashMap<ObjectId, ObjectId> = old_peeled.into_iter().collect();
    let mut seen = HashSet::new();
    let mut peeled = Vec::new();
    for (_, target) in refs.iter() {
        let Target::At(id) = target else { continue };
        if !seen.insert(*id) {
            continue;
        }
        let leads_to = if old.contains(id) {
            old_peeled.get(id).copied()
        } else {
            objects.peel(id)?
        };
        peeled.extend(leads_to.map(|target| (*id, target)));
    }
    Ok(peeled)
}

/// Packs what is in no pack. A delta stays one when its base is in the same pack, and no more than
/// [`DEPTH_MAX`] follow each other; else its object is written whole: packs on the disk are
/// complete by themselves, and what is in them is read without going through all that was ever
/// made of a folder.
pub(crate) fn write_pack(
    disk: &dyn Disk,
    dir: &Path,
    objects: &Objects<'_>,
    format: ObjectFormat,
) -> io::Result<MadePack> {
    let pending = objects.pending();
    if pending.len() == 0 {
        return Ok(None);
    }
    let count = u32::try_from(pending.len()).map_err(io::Error::other)?;
    let folder = dir.join(directory::PACKS);
    let aside = folder.join(format!("{TEMPORARY}checkpoint"));
    let index_aside = folder.join(format!("{TEMPORARY}checkpoint.idx"));
    let file = disk.open(&aside, Open::Replace)?;
    let mut writer =
        PackWriter::new(Appender::new(&*file), format, count).map_err(io::Error::other)?;
    // Where each is, and of how many deltas.
    let mut written: HashMap<ObjectId, (u64, u32)> = HashMap::with_capacity(pending.len());
    for object in pending {
        let mut depth = 0;
        let offset = match &object.body {
            ObjectBody::Whole(data) => writer.whole(&object.id, object.kind, data, DEFLATE_LEVEL),
            ObjectBody::Elsewhere => continue,
            ObjectBody::Delta { base, delta } => match written.get(base) {
                Some((base, deltas)) if *deltas < DEPTH_MAX => {
                    depth = deltas + 1;
                    let base_distance = writer.offset() - base;
                    let kind = EntryKind::OfsDelta { base_distance };
                    writer.delta(&object.id, &kind, delta, DEFLATE_LEVEL)
                }
                _ => {
                    let whole = objects.find(&object.id)?;
                    let whole =
                        whole.ok_or_else(|| io::Error::other("a pending object is gone"))?;
                    writer.whole(&object.id, object.kind, &whole.data, DEFLATE_LEVEL)
                }
            },
        };
        let offset = offset.map_err(io::Error::other)?;
        written.insert(object.id, (offset, depth));
    }
    let mut finished = writer.finish().map_err(io::Error::other)?;
    finished.out.flush()?;
    drop(finished.out);
    file.sync()?;
    let pack = PackId(finished.checksum);
    let index = finished.entries.write_index(&finished.checksum);
    let index_file = disk.open(&index_aside, Open::Replace)?;
    index_file.write_at(0, &index)?;
    index_file.sync()?;
    disk.rename(&aside, &pack_path(dir, pack, "pack"))?;
    disk.rename(&index_aside, &pack_path(dir, pack, "idx"))?;
    disk.sync_dir(&folder)?;
    let bytes = PackBytes {
        pack: file.map()?,
        index: index_file.map()?,
    };
    Ok(Some((pack, bytes)))
}

/// Writes to the end of a file, in large pieces.
pub(crate) struct Appender<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    buffer: Vec<u8>,
}

impl<'a> Appender<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile) -> Appender<'a> {
        Appender {
            file,
            at: 0,
            buffer: Vec::new(),
        }
    }
}

impl Write for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const BUFFER_BYTES: usize = 1 << 20;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_at(self.at, &self.buffer)?;
            self.at += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}
