//! The commit graph: commits as dense numbers, with what walks need of them.

use govc_git::{ObjectId, oid};
use smallvec::SmallVec;

/// What the graph needs to know of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents, in order.
    pub parents: SmallVec<[ObjectId; 2]>,
    /// The committer's seconds since 1970.
    pub committer_time: i64,
}

/// A commit of one pool's graph. Numbers are given out in the order in which commits arrive and
/// mean nothing outside the pool and after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitNumber(pub u32);

/// All commits of a pool.
pub struct Graph {}

impl Graph {
    /// The number of commit `id`.
    pub fn number(&self, id: &oid) -> Option<CommitNumber> {
        let _ = id;
        unimplemented!()
    }

    /// The id of a commit.
    pub fn id(&self, n: CommitNumber) -> ObjectId {
        let _ = n;
        unimplemented!()
    }

    /// Its tree.
    pub fn tree(&self, n: CommitNumber) -> ObjectId {
        let _ = n;
        unimplemented!()
    }

    /// Its parents in order, without those that the pool lacks.
    pub fn parents(&self, n: CommitNumber) -> SmallVec<[CommitNumber; 2]> {
        let _ = n;
        unimplemented!()
    }

    /// Its first parent; `None` when it has none, or the pool lacks it.
    pub fn first_parent(&self, n: CommitNumber) -> Option<CommitNumber> {
        let _ = n;
        unimplemented!()
    }

    /// Its parents that the pool lacks: at a shallow boundary.
    pub fn missing_parents(&self, n: CommitNumber) -> Vec<ObjectId> {
        let _ = n;
        unimplemented!()
    }

    /// The committer's seconds since 1970.
    pub fn time(&self, n: CommitNumber) -> i64 {
        let _ = n;
        unimplemented!()
    }

    /// Its topological level: 1 without parents, else one more than its highest parent's.
    pub fn generation(&self, n: CommitNumber) -> u32 {
        let _ = n;
        unimplemented!()
    }

    /// How many commits there are: their numbers are 0 to this.
    pub fn len(&self) -> u32 {
        unimplemented!()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The best common ancestors, as `git merge-base --all`; newest first.
    pub fn merge_bases(&self, a: CommitNumber, b: CommitNumber) -> Vec<CommitNumber> {
        let _ = (a, b);
        unimplemented!()
    }

    /// Whether `ancestor` is reachable from `descendant`. A commit is its own ancestor.
    pub fn is_ancestor(&self, ancestor: CommitNumber, descendant: CommitNumber) -> bool {
        let _ = (ancestor, descendant);
        unimplemented!()
    }

    /// How many commits are reachable from `tips`, themselves included.
    pub fn count(&self, tips: &[CommitNumber]) -> usize {
        let _ = tips;
        unimplemented!()
    }
}

/// Commits reachable from some and not from others, in `git log`'s default order: newest
/// committer date first; of equals the one that was met first.
pub struct DateWalk<'g> {
    graph: &'g Graph,
}

impl<'g> DateWalk<'g> {
    /// Those reachable from `tips` and not from `hidden`.
    pub fn new(graph: &'g Graph, tips: &[CommitNumber], hidden: &[CommitNumber]) -> DateWalk<'g> {
        let _ = (tips, hidden);
        DateWalk { graph }
    }
}

impl Iterator for DateWalk<'_> {
    type Item = CommitNumber;

    fn next(&mut self) -> Option<CommitNumber> {
        let _ = self.graph;
        unimplemented!()
    }
}
