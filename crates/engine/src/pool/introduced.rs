//! Introduced lists: for each commit, the objects that none of its parents has at that path.
//!
//! Whatever a commit reaches is in its own list or in an ancestor's. Read one way the lists say
//! what a fetch needs, without bitmaps; read the other way, by whom an object came, they say who
//! may see it. A list is made when somebody asks, by comparing the commit's tree with its
//! parents' trees, of which only what differs is opened.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use govc_git::object::tree::{self, TreeEntry};
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid};
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

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
}

impl Default for Introduced {
    fn default() -> Introduced {
        Introduced {
            states: Chunks::new(),
            lists: RwLock::default(),
            more: RwLock::default(),
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
            chunk[place].store(state, Ordering::Release);
        }
    }

    /// Whether all that the commit introduced is noted at the objects.
    pub(super) fn is_noted(&self, commit: CommitNumber) -> bool {
        self.state(commit) != UNKNOWN
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
        Ok(self.note_introduced(commit)?.into())
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
    /// list where that is cheap.
    pub(super) fn note_introduced(&self, commit: CommitNumber) -> Result<Vec<ObjectId>, PoolError> {
        let mut ids = Vec::new();
        self.each_introduced(commit, &mut |introduction| {
            ids.push(introduction.id.to_owned())
        })?;
        let packs = self.packs.load();
        let mut positions: SmallVec<[u32; 32]> = SmallVec::new();
        let mut only = None;
        let mut keep = !ids.is_empty();
        for id in &ids {
            let place = self.note_introducer_in(&packs, id, commit);
            match place {
                Some((pack, position)) if *only.get_or_insert(pack.serial) == pack.serial => {
                    positions.push(position);
                }
                _ => keep = false,
            }
        }
        let mut lists = self
            .introduced
            .lists
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if self.introduced.state(commit) < KEPT {
            let kept = only
                .filter(|_| keep)
                .and_then(|serial| lists.keep(serial, &positions));
            self.introduced.set_state(commit, kept.unwrap_or(NOTED));
        }
        Ok(ids)
    }

    /// Notes that `commit` introduced `id`.
    pub(super) fn note_introducer(&self, id: &oid, commit: CommitNumber) {
        self.note_introducer_in(&self.packs.load(), id, commit);
    }

    /// As [`Pool::note_introducer`]; returns where the object is, if it is not hot.
    fn note_introducer_in<'l>(
        &self,
        packs: &'l PackList,
        id: &oid,
        commit: CommitNumber,
    ) -> Option<(&'l Arc<PoolPack>, u32)> {
        let hot = self.hot.set_introducer(id, commit.0);
        let place = if hot.is_some() {
            None
        } else {
            locate(packs, id)
        };
        let before = match (hot, place) {
            (Some(before), _) => before,
            (None, Some((pack, position))) => pack.set_introducer(position, commit.0),
            (None, None) => return None,
        };
        if before.is_some_and(|before| before != commit.0) {
            let mut more = self
                .introduced
                .more
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let known = more.entry(id.to_owned()).or_default();
            if !known.contains(&commit.0) {
                known.push(commit.0);
            }
        }
        place
    }

    /// The commits that are known to have introduced `id`.
    pub(super) fn introducers(&self, id: &oid) -> SmallVec<[CommitNumber; 4]> {
        let mut found: SmallVec<[CommitNumber; 4]> = SmallVec::new();
        found.extend(self.hot.introducer(id).flatten().map(CommitNumber));
        for pack in self.packs.load().iter() {
            let commit = pack
                .position(id)
                .and_then(|position| pack.introducer(position));
            found.extend(commit.map(CommitNumber));
        }
        let more = self
            .introduced
            .more
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(commits) = more.get(id) {
            found.extend(commits.iter().map(|&n| CommitNumber(n)));
        }
        found
    }

    /// Calls `found` with everything that the commit introduced, trees before what is in them.
    pub(super) fn each_introduced(
        &self,
        commit: CommitNumber,
        found: &mut dyn FnMut(Introduction<'_>),
    ) -> Result<(), PoolError> {
        let mut before: SmallVec<[ObjectId; 2]> = SmallVec::new();
        self.graph.each_parent(commit.0, |parent| {
            before.push(self.graph.tree(CommitNumber(parent)))
        });
        self.each_new(self.graph.tree(commit), before, found)
    }

    /// Calls `found` with the tree `root` and everything in it that no tree of `before` has at
    /// the same path. Without recursion; each tree is opened once.
    pub(super) fn each_new(
        &self,
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
            let data = self.get_kind(&id, ObjectKind::Tree)?;
            let mut olds: SmallVec<[(ObjectId, bytes::Bytes); 2]> = SmallVec::new();
            for id in before {
                olds.push((id, self.get_kind(&id, ObjectKind::Tree)?));
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
