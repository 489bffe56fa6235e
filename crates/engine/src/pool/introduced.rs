//! Introduced lists: for each commit, the objects that none of its parents has at that path.
//!
//! Whatever a commit reaches is in its own list or in an ancestor's. Read one way the lists say
//! what a fetch needs, without bitmaps; read the other way, by whom an object came, they say who
//! may see it. A list is made by comparing the commit's tree with its parents' trees, of which
//! only what differs is opened: when somebody asks, or before that in the background
//! ([`lists`](super::lists)).

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use govc_git::object::tree::{self, TreeEntry};
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid};
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::cache::ReadCache;
use super::chunks::Chunks;
use super::pack_list::{PackList, PoolPack, locate};
use super::{CommitNumber, Pool, PoolError};

/// Nothing is known of the commit's list.
const UNKNOWN: u32 = 0;
/// Who introduced what is noted at the objects, the list itself is not kept.
const NOTED: u32 = 1;
/// From here on: the list is kept, at this address and so many words.
const KEPT: u32 = 2;

/// What is known of introduced lists.
pub(super) struct Introduced {
    /// For each commit one of the above.
    states: Chunks<Box<[AtomicU32]>>,
    lists: RwLock<Lists>,
    /// Introducers of objects that have more than one, beyond the first.
    more: RwLock<HashMap<ObjectId, SmallVec<[u32; 2]>>>,
    /// The commits of this range are noted, or among the unreadable: the first one in the upper
    /// half, the one behind the last in the lower.
    searched: AtomicU64,
    /// Commits whose lists could not be made in the background. Whoever asks tries again.
    unreadable: RwLock<Vec<u32>>,
    /// Held while a commit becomes noted, and while one stops to be.
    noting: Mutex<()>,
    /// Held while history is searched for an object.
    searching: Mutex<()>,
    /// How many commits are noted.
    noted: AtomicU32,
}

impl Default for Introduced {
    fn default() -> Introduced {
        Introduced {
            states: Chunks::new(),
            lists: RwLock::default(),
            more: RwLock::default(),
            searched: AtomicU64::new(0),
            unreadable: RwLock::default(),
            noting: Mutex::default(),
            searching: Mutex::default(),
            noted: AtomicU32::new(0),
        }
    }
}

/// Lists whose objects are all in one pack: the pack's serial number, the length, positions in
/// its index.
#[derive(Default)]
struct Lists {
    words: Vec<Vec<u32>>,
}

const LISTS_CHUNK_BITS: u32 = 14;
const LIST_HEAD_WORDS: usize = 2;

impl Lists {
    /// Keeps a list; returns where. `None` when there is no room.
    fn keep(&mut self, serial: u32, positions: &[u32]) -> Option<u32> {
        let chunk_words = 1usize << LISTS_CHUNK_BITS;
        let words = LIST_HEAD_WORDS + positions.len();
        let fits = self
            .words
            .last()
            .is_some_and(|chunk| chunk.len() + words <= chunk_words);
        if !fits {
            self.words.push(Vec::new());
        }
        let number = u32::try_from(self.words.len() - 1).ok()?;
        let chunk = self.words.last_mut()?;
        let place = u32::try_from(chunk.len()).ok()?;
        let address = number
            .checked_mul(1 << LISTS_CHUNK_BITS)?
            .checked_add(place)?;
        let state = address.checked_add(KEPT)?;
        chunk.extend_from_slice(&[serial, positions.len() as u32]);
        chunk.extend_from_slice(positions);
        Some(state)
    }

    /// The serial number and positions that are kept at `state`.
    fn get(&self, state: u32) -> Option<(u32, &[u32])> {
        let address = state.checked_sub(KEPT)?;
        let chunk = self.words.get((address >> LISTS_CHUNK_BITS) as usize)?;
        let rest = chunk.get((address & ((1 << LISTS_CHUNK_BITS) - 1)) as usize..)?;
        let (&[serial, len], rest) = rest.split_first_chunk::<LIST_HEAD_WORDS>()?;
        Some((serial, rest.get(..len as usize)?))
    }

    fn bytes(&self) -> u64 {
        self.words
            .iter()
            .map(|chunk| 4 * chunk.capacity() as u64)
            .sum()
    }
}

impl Introduced {
    fn state(&self, commit: CommitNumber) -> u32 {
        let found = self
            .states
            .get(commit.0)
            .and_then(|(chunk, place)| chunk.get(place));
        found.map_or(UNKNOWN, |state| state.load(Ordering::Acquire))
    }

    fn set_state(&self, commit: CommitNumber, state: u32) {
        let zeros = |len: usize| (0..len).map(|_| AtomicU32::new(UNKNOWN)).collect();
        if let Some((chunk, place)) = self.states.get_or_make(commit.0, zeros) {
            let before = chunk[place].swap(state, Ordering::AcqRel);
            match (before, state) {
                (UNKNOWN, NOTED..) => drop(self.noted.fetch_add(1, Ordering::Relaxed)),
                (NOTED.., UNKNOWN) => drop(self.noted.fetch_sub(1, Ordering::Relaxed)),
                _ => {}
            }
        }
    }

    /// How many commits are noted.
    pub(super) fn noted(&self) -> u32 {
        self.noted.load(Ordering::Relaxed)
    }

    /// To be held while history is searched for an object: one search serves all.
    pub(super) fn lock_searching(&self) -> MutexGuard<'_, ()> {
        self.searching
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all that the commit introduced is noted at the objects.
    pub(super) fn is_noted(&self, commit: CommitNumber) -> bool {
        self.state(commit) != UNKNOWN
    }

    fn lock_noting(&self) -> MutexGuard<'_, ()> {
        self.noting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits that need not be searched: all of them are noted, but for
    /// [`Introduced::unreadable`].
    pub(super) fn searched(&self) -> Range<u32> {
        let both = self.searched.load(Ordering::Acquire);
        (both >> 32) as u32..both as u32
    }

    /// The commits among the searched ones that are perhaps not noted.
    pub(super) fn unreadable(&self) -> Vec<u32> {
        let unreadable = self.unreadable.read();
        unreadable.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that `found`, whose list was looked for, is searched, where it lies beside those that
    /// are; where none is, the range begins with it. `false`: it lies elsewhere.
    pub(super) fn add_searched(&self, commit: CommitNumber, is_readable: bool) -> bool {
        let _noting = self.lock_noting();
        let Range { start, end } = self.searched();
        let next = if start == end {
            commit.0..commit.0 + 1
        } else if commit.0 + 1 == start {
            commit.0..end
        } else if commit.0 == end {
            start..end + 1
        } else {
            return false;
        };
        if !is_readable {
            let mut unreadable = self
                .unreadable
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            unreadable.push(commit.0);
        } else if !self.is_noted(commit) {
            // It was taken back a moment ago.
            return false;
        }
        let both = u64::from(next.start) << 32 | u64::from(next.end);
        self.searched.store(both, Ordering::Release);
        true
    }

    /// Objects that `commits` introduced are not here any more: should they come back, it has to be
    /// noted anew.
    pub(super) fn forget(&self, commits: impl IntoIterator<Item = u32>) {
        let _noting = self.lock_noting();
        let Range { start, mut end } = self.searched();
        for commit in commits {
            self.set_state(CommitNumber(commit), UNKNOWN);
            if (start..end).contains(&commit) {
                end = commit;
            }
        }
        let both = u64::from(start) << 32 | u64::from(end);
        self.searched.store(both, Ordering::Release);
        let mut unreadable = self
            .unreadable
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        unreadable.retain(|commit| (start..end).contains(commit));
    }

    /// Drops the lists in terms of packs, because one left.
    pub(super) fn forget_lists(&self, commits: u32) {
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        lists.words.clear();
        for n in (0..commits).map(CommitNumber) {
            if self.state(n) >= KEPT {
                self.set_state(n, NOTED);
            }
        }
    }

    /// Notes that all that the commit introduced is noted; where it is all in the pack with the
    /// serial number `pack`, the list is kept.
    pub(super) fn keep_list(&self, commit: CommitNumber, pack: Option<u32>, positions: &[u32]) {
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        if self.state(commit) < KEPT {
            let kept = pack.and_then(|serial| lists.keep(serial, positions));
            self.set_state(commit, kept.unwrap_or(NOTED));
        }
    }

    /// Notes one more introducer of `id`, where it has one: `before`.
    fn note_another(&self, id: &oid, before: Option<u32>, commit: CommitNumber) {
        /// An object that comes and goes all the time is not searched for doubles far back.
        const LOOKED_AT_MAX: usize = 16;
        if before.is_none_or(|before| before == commit.0) {
            return;
        }
        let mut more = self.more.write().unwrap_or_else(PoisonError::into_inner);
        let known = more.entry(id.to_owned()).or_default();
        if !known
            .iter()
            .rev()
            .take(LOOKED_AT_MAX)
            .any(|n| *n == commit.0)
        {
            known.push(commit.0);
        }
    }

    /// Calls `look` with the introducers of objects beyond the first.
    pub(super) fn each_of_others(&self, look: impl FnOnce(&HashMap<ObjectId, SmallVec<[u32; 2]>>)) {
        look(&self.more.read().unwrap_or_else(PoisonError::into_inner));
    }

    /// Calls `found` with each introducer beyond the first that is noted at an object.
    pub(super) fn each_other(&self, mut found: impl FnMut(&oid, CommitNumber)) {
        let more = self.more.read().unwrap_or_else(PoisonError::into_inner);
        for (id, commits) in more.iter() {
            commits
                .iter()
                .for_each(|&commit| found(id, CommitNumber(commit)));
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        let more = self.more.read().unwrap_or_else(PoisonError::into_inner);
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        lists.bytes() + 80 * more.capacity() as u64
    }
}

/// Something that a commit has and no parent has at that path.
pub(super) struct Introduction<'a> {
    pub(super) id: &'a oid,
    /// A tree or a blob.
    pub(super) kind: ObjectKind,
    /// What the first parent that has anything of this kind at the path has there.
    pub(super) before: Option<&'a oid>,
}

/// Where an object is at which it was noted who introduced it.
enum Noted<'l> {
    Hot,
    At(&'l Arc<PoolPack>, u32),
    Nowhere,
}

/// A kept list.
pub(super) struct KeptList {
    pub(super) pack: Arc<PoolPack>,
    pub(super) positions: SmallVec<[u32; 16]>,
}

impl Pool {
    /// The trees and blobs of the commit's tree, itself included, that no parent has at that
    /// path. Submodules' commits are not among them. Each is there once; of a tree that is at
    /// several paths what one of them shares with a parent may be left out, which that parent has.
    ///
    /// # Errors
    /// [`PoolError::Missing`] when a tree that has to be opened is not there; others as
    /// [`Pool::find`].
    pub fn introduced(&self, commit: CommitNumber) -> Result<Arc<[ObjectId]>, PoolError> {
        if let Some(kept) = self.kept_list(commit) {
            let ids = kept
                .positions
                .iter()
                .map(|&position| kept.pack.object_id(position));
            return Ok(ids.collect());
        }
        Ok(self.note_introduced(commit, &self.read_cache)?.into())
    }

    /// The commit's list, where it is kept.
    pub(super) fn kept_list(&self, commit: CommitNumber) -> Option<KeptList> {
        let (serial, positions) = {
            let lists = self
                .introduced
                .lists
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            let (serial, positions) = lists.get(self.introduced.state(commit))?;
            (serial, SmallVec::from(positions))
        };
        let list = self.packs.load();
        let pack = list.iter().find(|pack| pack.serial == serial)?.clone();
        Some(KeptList { pack, positions })
    }

    /// Makes the commit's list, notes at each object that the commit introduced it, and keeps the
    /// list where that is cheap. Trees are looked for in `cache`, and kept there.
    pub(super) fn note_introduced(
        &self,
        commit: CommitNumber,
        cache: &ReadCache,
    ) -> Result<Vec<ObjectId>, PoolError> {
        let mut ids = Vec::new();
        let before = self.trees_before(commit);
        self.each_new_in(
            cache,
            self.graph.tree(commit),
            before,
            &mut |introduction| ids.push(introduction.id.to_owned()),
        )?;
        // Nobody takes an object away between here and the end without saying so afterwards.
        let _noting = self.introduced.lock_noting();
        let packs = self.packs.load();
        let mut positions: SmallVec<[u32; 32]> = SmallVec::new();
        let mut only = None;
        let mut keep = !ids.is_empty();
        for id in &ids {
            match self.note_introducer_in(&packs, id, commit) {
                Noted::At(pack, position) if *only.get_or_insert(pack.serial) == pack.serial => {
                    positions.push(position);
                }
                Noted::At(..) | Noted::Hot => keep = false,
                Noted::Nowhere if self.is_empty_tree(id) => keep = false,
                Noted::Nowhere => return Err(PoolError::Missing { id: *id }),
            }
        }
        let kept = only.filter(|_| keep);
        self.introduced.keep_list(commit, kept, &positions);
        Ok(ids)
    }

    /// Notes that `commit` introduced `id`; whether that is here.
    pub(super) fn note_introducer(&self, id: &oid, commit: CommitNumber) -> bool {
        self.note_introducer_among(&self.packs.load(), id, commit)
    }

    /// As [`Pool::note_introducer`], where the packs are `packs`.
    pub(super) fn note_introducer_among(
        &self,
        packs: &PackList,
        id: &oid,
        commit: CommitNumber,
    ) -> bool {
        !matches!(self.note_introducer_in(packs, id, commit), Noted::Nowhere)
    }

    /// As [`Pool::note_introducer`]; returns where the object is.
    fn note_introducer_in<'l>(
        &self,
        packs: &'l PackList,
        id: &oid,
        commit: CommitNumber,
    ) -> Noted<'l> {
        if let Some(before) = self.hot.set_introducer(id, commit.0) {
            self.introduced.note_another(id, before, commit);
            return Noted::Hot;
        }
        match locate(packs, id) {
            Some((pack, position)) => {
                self.note_introducer_at(pack, position, commit);
                Noted::At(pack, position)
            }
            None => Noted::Nowhere,
        }
    }

    /// Notes that `commit` introduced the object at a position of a pack.
    pub(super) fn note_introducer_at(&self, pack: &PoolPack, position: u32, commit: CommitNumber) {
        let before = pack.set_introducer(position, commit.0);
        if before.is_some_and(|before| before != commit.0) {
            let id = pack.pack.index().id(position);
            self.introduced.note_another(id, before, commit);
        }
    }

    /// Whether one of the commits that are known to have introduced `id` is one that `is_wanted`.
    pub(super) fn is_introduced_by(
        &self,
        id: &oid,
        is_wanted: impl Fn(CommitNumber) -> bool,
    ) -> bool {
        let hot = self.hot.introducer(id).flatten();
        let packed = |pack: &Arc<PoolPack>| pack.introducer(pack.position(id)?);
        if hot.is_some_and(|commit| is_wanted(CommitNumber(commit)))
            || self
                .packs
                .load()
                .iter()
                .filter_map(packed)
                .any(|commit| is_wanted(CommitNumber(commit)))
        {
            return true;
        }
        let more = self.introduced.more.read();
        let more = more.unwrap_or_else(PoisonError::into_inner);
        let mut others = more.get(id).into_iter().flatten();
        others.any(|&commit| is_wanted(CommitNumber(commit)))
    }

    /// The trees of the commit's parents.
    fn trees_before(&self, commit: CommitNumber) -> SmallVec<[ObjectId; 2]> {
        let mut before = SmallVec::new();
        self.graph.each_parent(commit.0, |parent| {
            before.push(self.graph.tree(CommitNumber(parent)))
        });
        before
    }

    /// Calls `found` with everything that the commit introduced, trees before what is in them.
    pub(super) fn each_introduced(
        &self,
        commit: CommitNumber,
        found: &mut dyn FnMut(Introduction<'_>),
    ) -> Result<(), PoolError> {
        self.each_new(self.graph.tree(commit), self.trees_before(commit), found)
    }

    /// Calls `found` with the tree `root` and everything in it that no tree of `before` has at
    /// the same path. Without recursion; each tree is opened once.
    pub(super) fn each_new(
        &self,
        root: ObjectId,
        before: SmallVec<[ObjectId; 2]>,
        found: &mut dyn FnMut(Introduction<'_>),
    ) -> Result<(), PoolError> {
        self.each_new_in(&self.read_cache, root, before, found)
    }

    /// As [`Pool::each_new`], with a cache of its own.
    fn each_new_in(
        &self,
        cache: &ReadCache,
        root: ObjectId,
        before: SmallVec<[ObjectId; 2]>,
        found: &mut dyn FnMut(Introduction<'_>),
    ) -> Result<(), PoolError> {
        if before.contains(&root) {
            return Ok(());
        }
        found(Introduction {
            id: &root,
            kind: ObjectKind::Tree,
            before: before.first().map(|id| &**id),
        });
        let mut seen: HashSet<ObjectId> = HashSet::new();
        seen.insert(root);
        let mut open = vec![(root, before)];
        while let Some((id, before)) = open.pop() {
            let data = self.get_kind_in(cache, &id, ObjectKind::Tree)?;
            let mut olds: SmallVec<[(ObjectId, bytes::Bytes); 2]> = SmallVec::new();
            for id in before {
                olds.push((id, self.get_kind_in(cache, &id, ObjectKind::Tree)?));
            }
            let mut cursors: SmallVec<[Cursor<'_>; 2]> = olds
                .iter()
                .map(|(_, data)| Cursor::new(data, self.format))
                .collect();
            let mut rest = Cursor::new(&data, self.format);
            loop {
                // What is the same bytes is passed over without being understood.
                if let [only] = &mut cursors[..] {
                    only.skip_same(&mut rest);
                }
                let entry = match rest.next() {
                    None => break,
                    Some(entry) => entry.map_err(|what| self.damaged_tree(&id, &what))?,
                };
                let kind = entry.kind();
                if kind == ObjectKind::Commit {
                    continue;
                }
                let mut olds_here: SmallVec<[ObjectId; 2]> = SmallVec::new();
                let mut known = false;
                for (cursor, (old_id, _)) in cursors.iter_mut().zip(&olds) {
                    let old = cursor
                        .seek(&entry)
                        .map_err(|what| self.damaged_tree(old_id, &what))?;
                    let Some(old) = old.filter(|old| old.kind() == kind) else {
                        continue;
                    };
                    if old.id == entry.id {
                        known = true;
                        break;
                    }
                    if !olds_here.iter().any(|id| **id == *old.id) {
                        olds_here.push(old.id.to_owned());
                    }
                }
                if known || !seen.insert(entry.id.to_owned()) {
                    continue;
                }
                found(Introduction {
                    id: entry.id,
                    kind,
                    before: olds_here.first().map(|id| &**id),
                });
                if kind == ObjectKind::Tree {
                    open.push((entry.id.to_owned(), olds_here));
                }
            }
        }
        Ok(())
    }

    pub(super) fn damaged_tree(&self, id: &oid, what: &dyn std::error::Error) -> PoolError {
        let packs = self.packs.load();
        let pack = if self.hot.contains(id) {
            None
        } else {
            locate(&packs, id)
        };
        PoolError::Damaged {
            id: id.to_owned(),
            pack: pack.map(|(pack, _)| pack.id),
            what: what.to_string(),
        }
    }
}

/// Walks a tree's entries, and can be asked for one by name, in order.
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
    format: ObjectFormat,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(data: &'a [u8], format: ObjectFormat) -> Cursor<'a> {
        Cursor {
            data,
            at: 0,
            format,
        }
    }

    /// Passes over the entries that this and `other` have in common from here on.
    pub(super) fn skip_same(&mut self, other: &mut Cursor<'_>) {
        let ours = self.data.get(self.at..).unwrap_or_default();
        let theirs = other.data.get(other.at..).unwrap_or_default();
        let id_bytes = self.format.len_in_bytes();
        let mut skipped = 0;
        while let Some(rest) = ours.get(skipped..).filter(|rest| !rest.is_empty()) {
            let Some(nul) = rest.iter().position(|&byte| byte == 0) else {
                break;
            };
            let next = skipped + nul + 1 + id_bytes;
            match (ours.get(skipped..next), theirs.get(skipped..next)) {
                (Some(entry), Some(other)) if entry == other => skipped = next,
                _ => break,
            }
        }
        self.at += skipped;
        other.at += skipped;
    }

    pub(super) fn next(&mut self) -> Option<Result<TreeEntry<'a>, govc_git::object::ParseError>> {
        let mut entries = tree::entries(self.data.get(self.at..)?, self.format);
        let entry = entries.next();
        self.at += entries.offset();
        entry
    }

    /// The entry that has `wanted`'s name and sorts like it; the cursor then stands behind it. The
    /// names that are asked for must go up; in a tree that is out of order some are not found.
    pub(super) fn seek(
        &mut self,
        wanted: &TreeEntry<'_>,
    ) -> Result<Option<TreeEntry<'a>>, govc_git::object::ParseError> {
        loop {
            let from = self.at;
            let Some(entry) = self.next().transpose()? else {
                return Ok(None);
            };
            let order =
                tree::compare_names(entry.name, entry.is_tree(), wanted.name, wanted.is_tree());
            match order {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(Some(entry)),
                std::cmp::Ordering::Greater => {
                    self.at = from;
                    return Ok(None);
                }
            }
        }
    }
}
