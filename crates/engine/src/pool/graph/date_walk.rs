//! Commits in the order of `git log`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{CommitNumber, Graph, Marks};

const QUEUED: u8 = 1;

/// Commits reachable from some and not from others, in `git log`'s default order: newest
/// committer date first; of equals the one that was met first.
pub struct DateWalk<'g> {
    graph: &'g Graph,
    /// By time, then by who came first.
    queue: BinaryHeap<(i64, Reverse<u32>, u32)>,
    met: u32,
    marks: Marks,
    /// Where some are hidden: those that are not.
    shown: Option<Marks>,
    first_parent: bool,
}

impl<'g> DateWalk<'g> {
    /// Those reachable from `tips` and not from `hidden`.
    ///
    /// Without `hidden` the walk costs what is taken from it; with it, it costs at least what is
    /// between them, at once.
    pub fn new(graph: &'g Graph, tips: &[CommitNumber], hidden: &[CommitNumber]) -> DateWalk<'g> {
        let shown = (!hidden.is_empty()).then(|| graph.mark_new(tips, hidden));
        let mut walk = DateWalk {
            graph,
            queue: BinaryHeap::new(),
            met: 0,
            marks: graph.marks.take(graph.len()),
            shown,
            first_parent: false,
        };
        for tip in tips {
            walk.meet(tip.0);
        }
        walk
    }

    /// Follows first parents only. What is hidden is hidden through all parents.
    pub fn first_parent(mut self) -> DateWalk<'g> {
        self.first_parent = true;
        self
    }

    fn meet(&mut self, n: u32) {
        if self
            .shown
            .as_ref()
            .is_some_and(|shown| shown.get(n) != super::reach::NEW)
        {
            return;
        }
        if self.marks.add(n, QUEUED) == 0 {
            let time = self.graph.time(CommitNumber(n));
            self.queue.push((time, Reverse(self.met), n));
            self.met += 1;
        }
    }
}

impl Iterator for DateWalk<'_> {
    type Item = CommitNumber;

    fn next(&mut self) -> Option<CommitNumber> {
        let (_, _, n) = self.queue.pop()?;
        if self.first_parent {
            if let Some(parent) = self.graph.first_parent(CommitNumber(n)) {
                self.meet(parent.0);
            }
        } else {
            let graph = self.graph;
            graph.each_parent(n, |parent| self.meet(parent));
        }
        Some(CommitNumber(n))
    }
}

impl Drop for DateWalk<'_> {
    fn drop(&mut self) {
        self.graph.marks.give(std::mem::take(&mut self.marks));
        if let Some(shown) = self.shown.take() {
            self.graph.marks.give(shown);
        }
    }
}
