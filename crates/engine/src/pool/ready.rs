//! Full sets that are remembered: most clones ask for the same.

use std::sync::{Arc, Mutex, PoisonError};

use super::object_set::{ObjectSet, SetBuilder};
use super::{CommitNumber, Pool, PoolError};

/// So many are remembered: HEAD's branch alone, all branches, and those of a few forks.
const READY_MAX: usize = 4;
/// Hot objects cost a set ten times what packed ones do. One with more is not remembered.
const HOT_MAX: usize = 1 << 14;

/// Sets of everything that some commits reach, the one that was asked for last first.
#[derive(Default)]
pub(super) struct ReadySets(Mutex<Vec<ReadySet>>);

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

impl Pool {
    /// Everything that `tips` reach: a set that was made before, one to which what is new is
    /// added, or one that is made from nothing.
    pub(super) fn full_set(&self, tips: &[CommitNumber]) -> Result<ObjectSet, PoolError> {
        let mut tips = tips.to_vec();
        tips.sort_unstable();
        tips.dedup();
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
