//! Introduced lists before anybody asks for them: made in the background, and kept from one run
//! to the next.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use govc_git::ObjectId;
use hashbrown::{HashMap, HashSet};

use super::cache::ReadCache;
use super::pack_list::{PackList, PoolPack, locate};
use super::{CommitNumber, Pool};
use crate::journal::PackId;

/// What is kept of trees while lists are made: a commit's trees are the next one's parent's.
const CACHE_BYTES: usize = 8 << 20;

/// Makes the lists of one pool, a few at a time.
pub struct ListBuilder {
    pool: Arc<Pool>,
    /// The pool's own is for those who wait.
    cache: ReadCache,
}

impl ListBuilder {
    /// For the commits of `pool`.
    pub fn new(pool: Arc<Pool>) -> ListBuilder {
        ListBuilder {
            pool,
            cache: ReadCache::new(CACHE_BYTES),
        }
    }

    /// Makes lists, newest first, until `enough` says so; it is asked after each. Returns whether
    /// commits are left. Those that cannot be read are passed over.
    pub fn build(&self, mut enough: impl FnMut() -> bool) -> bool {
        let pool = &*self.pool;
        pool.load_saved_lists();
        while let Some(commit) = pool.next_unsearched() {
            let introduced = &pool.introduced;
            let is_readable = introduced.is_noted(commit)
                || match pool.note_introduced(commit, &self.cache) {
                    Ok(_) => true,
                    Err(error) => {
                        tracing::debug!(commit = %pool.graph.id(commit), %error, "no list");
                        false
                    }
                };
            introduced.add_searched(commit, is_readable);
            if enough() {
                return pool.next_unsearched().is_some();
            }
        }
        false
    }
}

/// Introduced lists in terms of packs: so they outlive the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedLists {
    /// The packs that lists speak of, and how many objects each has.
    pub packs: Vec<(PackId, u32)>,
    /// The commits that have a list.
    pub commits: Vec<ObjectId>,
    /// For each of them where in `objects` its list ends; it begins where the one before ends.
    pub ends: Vec<u32>,
    /// Positions in the packs' indexes, counted through all packs.
    pub objects: Vec<u32>,
}

/// Lists that an earlier run saved, to be read when somebody needs them. Damaged ones, and those
/// that are not there, are `None`.
#[derive(Clone)]
pub struct ListsToRead(Arc<dyn Fn() -> Option<SavedLists> + Send + Sync>);

impl ListsToRead {
    /// Lists that `read` reads.
    pub fn new(read: impl Fn() -> Option<SavedLists> + Send + Sync + 'static) -> ListsToRead {
        ListsToRead(Arc::new(read))
    }
}

impl fmt::Debug for ListsToRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListsToRead")
    }
}

/// Saved lists of a pool.
#[derive(Default)]
pub(super) struct Saved {
    to_read: Mutex<Vec<ListsToRead>>,
    /// Whether there are some.
    any: AtomicBool,
    /// How many lists files have.
    count: AtomicU32,
}

impl Pool {
    /// From now on lists that an earlier run saved can be used. They are believed as far as they
    /// speak of packs that are here and of commits all of whose parents are here: of such a commit
    /// there is one list only.
    pub fn use_saved_lists(&self, lists: ListsToRead) {
        let to_read = self.saved_lists.to_read.lock();
        to_read.unwrap_or_else(PoisonError::into_inner).push(lists);
        self.saved_lists.any.store(true, Ordering::Release);
    }

    /// How many commits have a list that no file has.
    pub fn unsaved_lists(&self) -> u32 {
        let saved = self.saved_lists.count.load(Ordering::Relaxed);
        self.introduced.noted().saturating_sub(saved)
    }

    /// Whether commits are left whose lists were not made.
    pub fn lacks_lists(&self) -> bool {
        self.saved_lists.any.load(Ordering::Acquire) || self.next_unsearched().is_some()
    }

    /// The commit whose list is to be made next: what came last first, and of what was there
    /// before the newest.
    fn next_unsearched(&self) -> Option<CommitNumber> {
        let Range { start, end } = self.introduced.searched();
        let len = self.graph.len();
        let next = match start == end {
            true => len.checked_sub(1)?,
            false if end < len => end,
            false => start.checked_sub(1)?,
        };
        Some(CommitNumber(next))
    }

    /// Reads the lists of earlier runs, if there are some that nobody has read. Whether there were.
    pub(super) fn load_saved_lists(&self) -> bool {
        if !self.saved_lists.any.load(Ordering::Acquire) {
            return false;
        }
        // Held meanwhile: whoever comes now needs them too.
        let mut to_read = self
            .saved_lists
            .to_read
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for lists in std::mem::take(&mut *to_read) {
            if let Some(lists) = (lists.0)() {
                let taken = self.take_lists(&lists);
                self.saved_lists.count.fetch_add(taken, Ordering::Relaxed);
                tracing::debug!(
                    saved = lists.commits.len(),
                    taken,
                    "introduced lists are read"
                );
            }
        }
        self.saved_lists.any.store(false, Ordering::Release);
        true
    }

    /// Notes what `lists` say; returns of how many commits.
    fn take_lists(&self, lists: &SavedLists) -> u32 {
        let here = self.packs.load();
        let mut packs: Vec<(u32, Option<&Arc<PoolPack>>)> = Vec::with_capacity(lists.packs.len());
        let mut first = 0u32;
        for (id, count) in &lists.packs {
            let pack = here.iter().find(|pack| pack.id == *id);
            if pack.is_some_and(|pack| pack.len() != *count) {
                return 0;
            }
            packs.push((first, pack));
            let Some(next) = first.checked_add(*count) else {
                return 0;
            };
            first = next;
        }
        let place = |object: u32| -> Option<(&Arc<PoolPack>, u32)> {
            let at = packs.partition_point(|(first, _)| *first <= object);
            let (first, pack) = packs.get(at.checked_sub(1)?)?;
            let pack = (*pack)?;
            let position = object - first;
            (position < pack.len()).then_some((pack, position))
        };
        let mut begin = 0;
        let mut taken = 0;
        let mut places = Vec::new();
        let mut positions = Vec::new();
        for (id, end) in lists.commits.iter().zip(&lists.ends) {
            let list = lists.objects.get(begin..*end as usize);
            begin = *end as usize;
            let (Some(list), Some(commit)) = (list, self.graph.number(id)) else {
                continue;
            };
            if !self.graph.has_all_parents(commit) {
                continue;
            }
            places.clear();
            places.extend(list.iter().map_while(|object| place(*object)));
            if places.len() != list.len() {
                continue;
            }
            taken += 1;
            if self.introduced.is_noted(commit) {
                continue;
            }
            positions.clear();
            for (pack, position) in &places {
                self.note_introducer_at(pack, *position, commit);
                positions.push(*position);
            }
            let only = places.first().map(|(pack, _)| pack.serial);
            let only = only.filter(|serial| places.iter().all(|(pack, _)| pack.serial == *serial));
            self.introduced.keep_list(commit, only, &positions);
        }
        taken
    }

    /// The lists of commits that are in `packs` and not in `besides`, as far as they are known and
    /// speak of objects in either. They count as saved from now on; `None` where there are none.
    pub fn save_lists(&self, packs: &[PackId], besides: &[PackId]) -> Option<SavedLists> {
        let list = self.packs.load_full();
        let find = |id: &PackId| list.iter().find(|pack| pack.id == *id).cloned();
        let own: PackList = packs.iter().filter_map(find).collect();
        let besides: PackList = besides.iter().filter_map(find).collect();
        let named: PackList = own.iter().chain(&besides).cloned().collect();
        let noted = self.introduced.noted();
        let count = self.graph.len();
        let is_saved = |n: u32| {
            let commit = CommitNumber(n);
            let id = self.graph.id(commit);
            self.introduced.is_noted(commit)
                && self.graph.has_all_parents(commit)
                && locate(&own, &id).is_some()
                && locate(&besides, &id).is_none()
        };
        let mut saved: Vec<bool> = (0..count).map(is_saved).collect();
        // Whatever was introduced, wherever it is, as a commit and a place in one of the packs.
        let mut firsts = HashMap::new();
        let mut first = 0u32;
        for pack in &named {
            firsts.insert(pack.serial, first);
            first = first.checked_add(pack.len())?;
        }
        let mut lost = HashSet::new();
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        let mut pair = |commit: u32, place: Option<(&Arc<PoolPack>, u32)>| {
            let is_wanted = saved.get(commit as usize) == Some(&true);
            let place = place.and_then(|(pack, at)| Some(firsts.get(&pack.serial)? + at));
            match place {
                Some(place) if is_wanted => pairs.push((commit, place)),
                None if is_wanted => drop(lost.insert(commit)),
                _ => {}
            }
        };
        for pack in list.iter() {
            let is_named = firsts.contains_key(&pack.serial);
            for (position, commit) in pack.introducers() {
                let place = match is_named {
                    true => Some((pack, position)),
                    false => locate(&named, pack.pack.index().id(position)),
                };
                pair(commit, place);
            }
        }
        self.hot
            .each_introducer(|id, commit| pair(commit, locate(&named, id)));
        self.introduced
            .each_other(|id, commit| pair(commit.0, locate(&named, id)));
        for commit in lost {
            saved[commit as usize] = false;
        }
        pairs.retain(|(commit, _)| saved[*commit as usize]);
        pairs.sort_unstable();
        pairs.dedup();
        let mut lists = SavedLists {
            packs: named.iter().map(|pack| (pack.id, pack.len())).collect(),
            ..SavedLists::default()
        };
        let mut rest = &pairs[..];
        for (n, _) in saved.iter().enumerate().filter(|(_, saved)| **saved) {
            let end = rest.partition_point(|(commit, _)| *commit as usize == n);
            let (own, behind) = rest.split_at(end);
            rest = behind;
            lists.commits.push(self.graph.id(CommitNumber(n as u32)));
            lists.objects.extend(own.iter().map(|(_, place)| *place));
            lists.ends.push(u32::try_from(lists.objects.len()).ok()?);
        }
        self.saved_lists.count.store(noted, Ordering::Relaxed);
        (!lists.commits.is_empty()).then_some(lists)
    }

    /// What files have is of no use any more.
    pub(super) fn lists_are_stale(&self) {
        self.saved_lists.count.store(0, Ordering::Relaxed);
    }
}
