//! Histories that are cut: where, by depth, by time and by other commits, and walks that go no
//! further than that.

use std::collections::BinaryHeap;

use hashbrown::HashSet;

use super::{CommitNumber, Graph, Marks};

/// Reachable, and not hidden.
const NEW: u8 = super::NEW;
const HIDDEN: u8 = 2;
/// Older than is asked for: met, and gone no further than.
const OLD: u8 = 4;

/// The commits of a history that is cut.
#[derive(Debug, Default)]
pub struct CutHistory {
    /// Those whose parents all belong to it.
    pub inside: HashSet<CommitNumber>,
    /// Those that lose their parents.
    pub boundary: Vec<CommitNumber>,
}

impl Graph {
    /// The commits that are less than `depth` steps away from one of `tips`. Those that are the
    /// last step away are the boundary, whether they have parents or not.
    pub fn cut_by_depth(&self, tips: &[CommitNumber], depth: u32) -> CutHistory {
        let mut history = CutHistory::default();
        let mut met: HashSet<CommitNumber> = HashSet::new();
        let mut level: Vec<CommitNumber> = Vec::new();
        for tip in tips {
            if met.insert(*tip) {
                level.push(*tip);
            }
        }
        for _ in 1..depth {
            let mut next = Vec::new();
            for n in &level {
                self.each_parent(n.0, |parent| {
                    if met.insert(CommitNumber(parent)) {
                        next.push(CommitNumber(parent));
                    }
                });
            }
            history.inside.extend(level);
            level = next;
            if level.is_empty() {
                break;
            }
        }
        history.boundary = level;
        history
    }

    /// The commits that `tips` reach, that are not older than `since` (seconds since 1970), and
    /// that `hidden` do not reach. Those with a parent that is none of them are the boundary.
    ///
    /// As `git rev-list --max-age` does: without `hidden`, what is behind an older commit is
    /// still there if a way leads around that; with `hidden`, it is hidden too.
    pub fn cut_by_revisions(
        &self,
        tips: &[CommitNumber],
        since: Option<i64>,
        hidden: &[CommitNumber],
    ) -> CutHistory {
        let is_old = |n: u32| since.is_some_and(|since| self.time(CommitNumber(n)) < since);
        let mut marks = self.take_marks();
        if hidden.is_empty() {
            let mut open = Vec::new();
            let meet = |marks: &mut Marks, open: &mut Vec<u32>, n: u32| {
                if marks.get(n) == 0 {
                    if is_old(n) {
                        marks.add(n, OLD);
                    } else {
                        marks.add(n, NEW);
                        open.push(n);
                    }
                }
            };
            tips.iter()
                .for_each(|tip| meet(&mut marks, &mut open, tip.0));
            while let Some(n) = open.pop() {
                self.each_parent(n, |parent| meet(&mut marks, &mut open, parent));
            }
        } else {
            self.spread(tips, hidden, &mut marks, &|_| true, &is_old);
        }
        let mut history = CutHistory::default();
        let is_new = |n: u32| marks.get(n) == NEW;
        for &n in marks.touched().iter().filter(|&&n| is_new(n)) {
            let mut whole = true;
            self.each_parent(n, |parent| whole &= is_new(parent));
            if whole {
                history.inside.insert(CommitNumber(n));
            } else {
                history.boundary.push(CommitNumber(n));
            }
        }
        self.give_marks(marks);
        history
    }

    /// Marks with exactly [`NEW`] what `tips` reach and `hidden` do not, where no way leads
    /// beyond the commits of `cut`.
    pub(in crate::pool) fn mark_new_in_cut(
        &self,
        tips: &[CommitNumber],
        hidden: &[CommitNumber],
        cut: &HashSet<CommitNumber>,
    ) -> Marks {
        let mut marks = self.take_marks();
        let goes_on = |n: u32| !cut.contains(&CommitNumber(n));
        self.spread(tips, hidden, &mut marks, &goes_on, &|_| false);
        marks
    }

    /// For each of `wanted`, whether `tips` reach it, where no way leads beyond the commits of
    /// `cut`.
    pub(in crate::pool) fn reach_in_cut(
        &self,
        tips: &[CommitNumber],
        wanted: &[CommitNumber],
        cut: &HashSet<CommitNumber>,
    ) -> Vec<bool> {
        let Some(lowest) = wanted.iter().map(|&n| self.generation(n)).min() else {
            return Vec::new();
        };
        let mut marks = self.take_marks();
        let mut open = Vec::new();
        for tip in tips {
            if marks.add(tip.0, NEW) == 0 {
                open.push(tip.0);
            }
        }
        while let Some(n) = open.pop() {
            let n = CommitNumber(n);
            if self.generation(n) > lowest && !cut.contains(&n) {
                self.each_parent(n.0, |parent| {
                    if marks.add(parent, NEW) == 0 {
                        open.push(parent);
                    }
                });
            }
        }
        let reached = wanted.iter().map(|n| marks.get(n.0) != 0).collect();
        self.give_marks(marks);
        reached
    }

    /// Marks what `tips` reach as new and what `hidden` reach as hidden, by generation, until
    /// nothing is left that is only new. `goes_on` says of a commit whether its parents are
    /// reached; what `hides` is hidden once it is reached.
    fn spread(
        &self,
        tips: &[CommitNumber],
        hidden: &[CommitNumber],
        marks: &mut Marks,
        goes_on: &dyn Fn(u32) -> bool,
        hides: &dyn Fn(u32) -> bool,
    ) {
        let mut queue = BinaryHeap::new();
        let mut fresh = 0usize;
        let level = |n: u32| (self.generation(CommitNumber(n)), n);
        for (ids, mark) in [(hidden, HIDDEN), (tips, NEW)] {
            for n in ids {
                if marks.get(n.0) == 0 {
                    marks.add(n.0, mark);
                    queue.push(level(n.0));
                    fresh += usize::from(mark == NEW);
                }
            }
        }
        while fresh > 0 {
            let Some((_, n)) = queue.pop() else { break };
            let was_fresh = marks.get(n) == NEW;
            fresh -= usize::from(was_fresh);
            if was_fresh && hides(n) {
                marks.add(n, HIDDEN);
            }
            let passed = if marks.get(n) == NEW { NEW } else { HIDDEN };
            if !goes_on(n) {
                continue;
            }
            self.each_parent(n, |parent| {
                let before = marks.add(parent, passed);
                if before == 0 {
                    queue.push(level(parent));
                    fresh += usize::from(passed == NEW);
                } else if before == NEW && passed == HIDDEN {
                    fresh -= 1;
                }
            });
        }
    }
}
