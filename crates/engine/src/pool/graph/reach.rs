//! Who is whose ancestor. All walks go by generation, highest first: a commit is looked at after
//! all its descendants, so what is known of it then is final.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{CommitNumber, Graph, Marks};

/// In [`Graph::mark_new`]: reachable from the tips and not hidden.
pub(in crate::pool) const NEW: u8 = 1;
const HIDDEN: u8 = 2;

const FROM_A: u8 = 1;
const FROM_B: u8 = 2;
const BOTH: u8 = FROM_A | FROM_B;
/// Below a merge base.
const STALE: u8 = 4;
const QUEUED: u8 = 8;

/// Commits by generation, highest first; of equals the one that was added last.
struct ByGeneration<'g> {
    graph: &'g Graph,
    queue: BinaryHeap<(u32, u32)>,
}

impl<'g> ByGeneration<'g> {
    fn new(graph: &'g Graph) -> ByGeneration<'g> {
        ByGeneration {
            graph,
            queue: BinaryHeap::new(),
        }
    }

    fn push(&mut self, n: u32) {
        self.queue.push((self.graph.generation(CommitNumber(n)), n));
    }

    fn pop(&mut self) -> Option<u32> {
        self.queue.pop().map(|(_, n)| n)
    }
}

impl Graph {
    /// Borrows a visited set; [`Graph::give_marks`] takes it back.
    pub(in crate::pool) fn take_marks(&self) -> Marks {
        self.marks.take(self.len())
    }

    pub(in crate::pool) fn give_marks(&self, marks: Marks) {
        self.marks.give(marks);
    }

    /// The best common ancestors, as `git merge-base --all`: those that no other common ancestor
    /// descends from; newest first.
    pub fn merge_bases(&self, a: CommitNumber, b: CommitNumber) -> Vec<CommitNumber> {
        self.merge_bases_of(&[a], &[b])
    }

    /// As [`Graph::merge_bases`], of two commits that are not here: all that is known of each is
    /// what it comes from.
    pub fn merge_bases_of(&self, a: &[CommitNumber], b: &[CommitNumber]) -> Vec<CommitNumber> {
        if let ([a], [b]) = (a, b)
            && a == b
        {
            return vec![*a];
        }
        // By date, as git does it: lines of history that were begun long ago and merged lately would
        // have a walk by generation look at all that came between. A clock that was wrong costs
        // a second look: what a commit learns after it was looked at is passed on again.
        let mut marks = self.take_marks();
        let mut queue: BinaryHeap<(i64, Reverse<u32>, u32)> = BinaryHeap::new();
        let mut arrived = 0;
        let mut push = |queue: &mut BinaryHeap<_>, n: u32| {
            queue.push((self.time(CommitNumber(n)), Reverse(arrived), n));
            arrived += 1;
        };
        // How many in the queue can still lead to a base.
        let mut fresh = 0usize;
        for (commits, from) in [(a, FROM_A), (b, FROM_B)] {
            for commit in commits {
                if marks.add(commit.0, from | QUEUED) & QUEUED == 0 {
                    push(&mut queue, commit.0);
                    fresh += 1;
                }
            }
        }
        let mut bases: Vec<CommitNumber> = Vec::new();
        while fresh > 0 {
            let Some((_, _, n)) = queue.pop() else { break };
            marks.take_off(n, QUEUED);
            let mut passed = marks.get(n) & (BOTH | STALE);
            if passed & STALE == 0 {
                fresh -= 1;
                if passed == BOTH {
                    if !bases.contains(&CommitNumber(n)) {
                        bases.push(CommitNumber(n));
                    }
                    passed |= STALE;
                }
            }
            self.each_parent(n, |parent| {
                let before = marks.get(parent);
                if before & passed == passed {
                    return;
                }
                marks.add(parent, passed | QUEUED);
                if before & QUEUED == 0 {
                    push(&mut queue, parent);
                    fresh += usize::from((before | passed) & STALE == 0);
                } else if before & STALE == 0 && passed & STALE != 0 {
                    fresh -= 1;
                }
            });
        }
        bases.retain(|base| marks.get(base.0) & STALE == 0);
        self.give_marks(marks);
        if bases.len() > 1 {
            let all = bases.clone();
            bases.retain(|base| {
                let mut others = all.iter().filter(|other| *other != base);
                !others.any(|other| self.is_ancestor(*base, *other))
            });
        }
        bases.sort_by_key(|&n| Reverse(self.time(n)));
        bases
    }

    /// Whether `ancestor` is reachable from `descendant`. A commit is its own ancestor.
    pub fn is_ancestor(&self, ancestor: CommitNumber, descendant: CommitNumber) -> bool {
        if ancestor == descendant {
            return true;
        }
        let level = self.generation(ancestor);
        if level >= self.generation(descendant) {
            return false;
        }
        let mut marks = self.take_marks();
        let mut open = vec![descendant.0];
        marks.add(descendant.0, QUEUED);
        let mut found = false;
        while let Some(n) = open.pop() {
            let from = open.len();
            self.each_parent(n, |parent| {
                if parent == ancestor.0 {
                    found = true;
                } else if marks.get(parent) == 0 && self.generation(CommitNumber(parent)) > level {
                    marks.add(parent, QUEUED);
                    open.push(parent);
                }
            });
            if found {
                break;
            }
            // First parents first: what people ask for is mostly there.
            open[from..].reverse();
        }
        self.give_marks(marks);
        found
    }

    /// How many commits are reachable from `tips`, themselves included.
    pub fn count(&self, tips: &[CommitNumber]) -> usize {
        let mut marks = self.take_marks();
        self.mark_ancestors(tips, &mut marks, NEW);
        let count = marks.touched().len();
        self.give_marks(marks);
        count
    }

    /// How many are reachable from `tips` and not from `hidden`.
    pub fn count_new(&self, tips: &[CommitNumber], hidden: &[CommitNumber]) -> usize {
        let marks = self.mark_new(tips, hidden);
        let count = marks
            .touched()
            .iter()
            .filter(|&&n| marks.get(n) == NEW)
            .count();
        self.give_marks(marks);
        count
    }

    /// Adds `mark` to `tips` and all their ancestors; those that have a mark are not passed.
    pub(in crate::pool) fn mark_ancestors(
        &self,
        tips: &[CommitNumber],
        marks: &mut Marks,
        mark: u8,
    ) {
        let mut open = Vec::new();
        for tip in tips {
            if marks.add(tip.0, mark) == 0 {
                open.push(tip.0);
            }
        }
        while let Some(n) = open.pop() {
            self.each_parent(n, |parent| {
                if marks.add(parent, mark) == 0 {
                    open.push(parent);
                }
            });
        }
    }

    /// Marks with exactly [`NEW`] what `tips` reach and `hidden` do not. Others may have other
    /// marks. Goes no further down than it must.
    pub(in crate::pool) fn mark_new(
        &self,
        tips: &[CommitNumber],
        hidden: &[CommitNumber],
    ) -> Marks {
        let mut marks = self.take_marks();
        if hidden.is_empty() {
            self.mark_ancestors(tips, &mut marks, NEW);
            return marks;
        }
        let mut queue = ByGeneration::new(self);
        let mut fresh = 0usize;
        for n in hidden {
            if marks.add(n.0, HIDDEN) == 0 {
                queue.push(n.0);
            }
        }
        for n in tips {
            if marks.get(n.0) == 0 {
                marks.add(n.0, NEW);
                queue.push(n.0);
                fresh += 1;
            }
        }
        while fresh > 0 {
            let Some(n) = queue.pop() else { break };
            let passed = if marks.get(n) & HIDDEN != 0 {
                HIDDEN
            } else {
                NEW
            };
            fresh -= usize::from(passed == NEW);
            self.each_parent(n, |parent| {
                let before = marks.add(parent, passed);
                if before == 0 {
                    queue.push(parent);
                    fresh += usize::from(passed == NEW);
                } else if before == NEW && passed == HIDDEN {
                    fresh -= 1;
                }
            });
        }
        marks
    }
}
