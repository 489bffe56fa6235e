//! What is to be kept: everything that some objects reach, and trees that are mostly like others.

use govc_git::ObjectId;
use smallvec::SmallVec;

use super::object_set::{ObjectSet, SetBuilder};
use super::{Pool, PoolError};

/// What somebody keeps.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Commits, tags, trees and blobs, each with all that it reaches.
    pub objects: Vec<ObjectId>,
    /// Trees, each with a commit whose tree it is mostly like: that one is among `objects`.
    pub trees: Vec<(ObjectId, Option<ObjectId>)>,
}

impl Kept {
    /// Keeps what `other` keeps, too.
    pub fn extend(&mut self, other: Kept) {
        self.objects.extend(other.objects);
        self.trees.extend(other.trees);
    }

    /// In order, each once.
    pub fn tidy(&mut self) {
        self.objects.sort_unstable();
        self.objects.dedup();
        self.trees.sort_unstable();
        self.trees.dedup();
    }

    /// Without what `other` keeps, which is tidy.
    #[must_use]
    pub fn without(&self, other: &Kept) -> Kept {
        let objects = self.objects.iter().copied();
        let trees = self.trees.iter().copied();
        Kept {
            objects: objects
                .filter(|id| other.objects.binary_search(id).is_err())
                .collect(),
            trees: trees
                .filter(|tree| other.trees.binary_search(tree).is_err())
                .collect(),
        }
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.trees.is_empty()
    }
}

impl Pool {
    /// All that `kept` reaches. Costs what a clone of it costs: introduced lists, where there are
    /// any.
    ///
    /// # Errors
    /// [`PoolError::Missing`] where something of it is not here; others as [`Pool::find`].
    pub fn live(&self, kept: &Kept) -> Result<ObjectSet, PoolError> {
        self.live_since(kept, &[])
    }

    /// All that `kept` reaches and `before` does not, and perhaps some of what it does reach. Costs
    /// what lies between them.
    ///
    /// # Errors
    /// As [`Pool::live`].
    pub fn live_since(&self, kept: &Kept, before: &[ObjectId]) -> Result<ObjectSet, PoolError> {
        let set = self.closure(&kept.objects, before)?;
        let mut set = SetBuilder::with(self, set);
        for (tree, base) in &kept.trees {
            let commit = base.and_then(|base| self.graph.number(&base));
            let like: SmallVec<[ObjectId; 1]> =
                commit.map(|n| self.graph.tree(n)).into_iter().collect();
            self.add_tree(&mut set, *tree, &like)?;
        }
        Ok(set.finish())
    }

    /// Forgets what was remembered of objects that are gone.
    pub fn forget_gone(&self) {
        self.shed_caches();
    }
}
