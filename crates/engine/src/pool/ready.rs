//! What most clones ask for, and is remembered: full sets, and packs that were made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::filter::ObjectFilter;
use super::object_set::{ObjectSet, SetBuilder};
use super::planner::Planner;
use super::ready_pack::{Maker, ReadyPack};
use super::{CommitNumber, PackOptions, Pool, PoolError};

/// So many are remembered: HEAD's branch alone, all branches, and those of a few forks.
const READY_MAX: usize = 4;
/// Hot objects cost a set ten times what packed ones do. One with more is not remembered.
const HOT_MAX: usize = 1 << 14;

/// Sets of everything that some commits reach, the one that was asked for last first.
#[derive(Default)]
pub(super) struct ReadySets(Mutex<Vec<ReadySet>>, Mutex<Vec<FilteredSet>>);

/// What a filter left of everything that some commits reach.
struct FilteredSet {
    filter: ObjectFilter,
    ready: ReadySet,
}

#[derive(Clone)]
struct ReadySet {
    /// Sorted.
    tips: Vec<CommitNumber>,
    set: Arc<ObjectSet>,
    /// The graph's [`mended`](super::Graph::mended) when it was made.
    mended: u32,
}

impl ReadySets {
    /// Forgets all: packs that they name have left.
    pub(super) fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.filtered().clear();
    }

    fn filtered(&self) -> MutexGuard<'_, Vec<FilteredSet>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, ready: ReadySet, instead_of: Option<&[CommitNumber]>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.tips != ready.tips && Some(&other.tips[..]) != instead_of);
        all.insert(0, ready);
        all.truncate(READY_MAX);
    }

    fn all(&self) -> Vec<ReadySet> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// So many packs are kept: of all refs and of one branch, each whole and shallow, in a few forks.
const PACKS_MAX: usize = 8;
/// And so many bytes of them, beyond ranges of packs.
const PACK_BYTES_MAX: usize = 64 << 20;

/// Packs between what many have and what many want: as many, of fewer bytes.
const FETCH_BYTES_MAX: usize = 16 << 20;

/// Packs that were made, the one that was asked for last first.
#[derive(Default)]
pub(super) struct ReadyPacks {
    clones: Mutex<Vec<Arc<ReadyPack>>>,
    fetches: Mutex<Vec<Arc<ReadyPack>>>,
}

impl ReadyPacks {
    /// Forgets all. Who is receiving one receives it whole.
    pub(super) fn clear(&self) {
        self.lock(false).clear();
        self.lock(true).clear();
    }

    /// What they take of memory.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |all: MutexGuard<'_, Vec<Arc<ReadyPack>>>| -> u64 {
            all.iter().map(|pack| pack.own_bytes() as u64).sum()
        };
        bytes(self.lock(false)) + bytes(self.lock(true))
    }

    /// Those for who has something, or for who has nothing.
    fn lock(&self, has_something: bool) -> MutexGuard<'_, Vec<Arc<ReadyPack>>> {
        let packs = match has_something {
            true => &self.fetches,
            false => &self.clones,
        };
        packs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pack of exactly this set, or what `make` begins with the others.
    fn get_or_begin(
        &self,
        set: &ObjectSet,
        options: PackOptions,
        make: impl FnOnce(&[Arc<ReadyPack>]) -> ReadyPack,
    ) -> Arc<ReadyPack> {
        let has_something = set.receiver.is_some();
        let bytes_max = match has_something {
            true => FETCH_BYTES_MAX,
            false => PACK_BYTES_MAX,
        };
        let mut all = self.lock(has_something);
        all.retain(|pack| !pack.has_failed());
        let same = |pack: &Arc<ReadyPack>| {
            pack.ofs_delta == options.ofs_delta
                && (!has_something || pack.thin == options.thin)
                && pack.set.has_same_receiver(set)
                && pack.set.is_same(set)
        };
        let pack = match all.iter().position(same) {
            Some(at) => all.remove(at),
            None => Arc::new(make(&all)),
        };
        all.insert(0, Arc::clone(&pack));
        all.truncate(PACKS_MAX);
        let mut bytes = 0;
        all.retain(|pack| {
            bytes += pack.own_bytes();
            bytes <= bytes_max
        });
        pack
    }
}

impl Pool {
    /// The pack of `set`, for somebody who has nothing, or of whom others know what he has.
    pub(super) fn ready_pack(&self, set: ObjectSet, options: PackOptions) -> Arc<ReadyPack> {
        self.ready_packs.get_or_begin(&set, options, |others| {
            let (count, format) = (set.len() as u32, self.format);
            let set = Arc::new(set.clone());
            let is_part = |pack: &&Arc<ReadyPack>| {
                set.receiver.is_none() && pack.ofs_delta == options.ofs_delta
            };
            let larger =
                (others.iter().filter(is_part)).find_map(|pack| pack.extended(&set, count, format));
            let anew = || Maker::new(Planner::new(Arc::clone(&set), options), count, format);
            let maker = larger.unwrap_or_else(anew);
            ReadyPack::new(set, options, maker)
        })
    }

    /// Forgets what was made to be sent again: packs and sets for clones. They are made anew when
    /// somebody asks.
    pub fn forget_ready(&self) {
        self.ready_packs.clear();
        self.ready.clear();
    }

    /// What `filter` leaves of everything that `tips` reach, if it was made before.
    pub(super) fn filtered_set(
        &self,
        tips: &[CommitNumber],
        filter: &ObjectFilter,
    ) -> Option<ObjectSet> {
        let (tips, mended) = (sorted(tips), self.graph.mended());
        let mut all = self.ready.filtered();
        let at = all.iter().position(|kept| {
            kept.ready.mended == mended && kept.ready.tips == tips && kept.filter.is_same(filter)
        })?;
        let kept = all.remove(at);
        let set = ObjectSet::clone(&kept.ready.set);
        all.insert(0, kept);
        Some(set)
    }

    /// Remembers it.
    pub(super) fn keep_filtered(
        &self,
        tips: &[CommitNumber],
        filter: &ObjectFilter,
        set: &ObjectSet,
    ) {
        if set.hot.objects.len() > HOT_MAX {
            return;
        }
        let ready = ReadySet {
            tips: sorted(tips),
            set: Arc::new(set.clone()),
            mended: self.graph.mended(),
        };
        let filter = filter.clone();
        let mut all = self.ready.filtered();
        all.insert(0, FilteredSet { filter, ready });
        all.truncate(READY_MAX);
    }

    /// Everything that `tips` reach: a set that was made before, one to which what is new is
    /// added, or one that is made from nothing.
    pub(super) fn full_set(&self, tips: &[CommitNumber]) -> Result<ObjectSet, PoolError> {
        let tips = sorted(tips);
        let mended = self.graph.mended();
        let mut all = self.ready.all();
        all.retain(|ready| ready.mended == mended);
        if let Some(ready) = all.iter().find(|ready| ready.tips == tips) {
            self.ready.keep(ready.clone(), None);
            return Ok(ObjectSet::clone(&ready.set));
        }
        // One whose tips are all reached is a part of what is wanted.
        let part = all
            .iter()
            .find(|ready| self.graph.count_new(&ready.tips, &tips) == 0);
        let (before, set) = match part {
            Some(ready) => (&ready.tips[..], ObjectSet::clone(&ready.set)),
            None => (&[][..], ObjectSet::default()),
        };
        let marks = self.graph.mark_new(&tips, before);
        let mut builder = SetBuilder::with(self, set);
        let added = self.add_new(&mut builder, &marks, false);
        self.graph.give_marks(marks);
        added?;
        let set = builder.finish();
        if set.hot.objects.len() <= HOT_MAX {
            let ready = ReadySet {
                tips,
                set: Arc::new(set.clone()),
                mended,
            };
            self.ready.keep(ready, part.map(|ready| &ready.tips[..]));
        }
        Ok(set)
    }
}

fn sorted(tips: &[CommitNumber]) -> Vec<CommitNumber> {
    let mut tips = tips.to_vec();
    tips.sort_unstable();
    tips.dedup();
    tips
}
