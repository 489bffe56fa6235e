//! What a fetch into a shallow history needs.
//!
//! A commit at a boundary has no parents for its receiver, so its whole tree goes with it: what
//! it introduced is not enough. All others are inside, and bring what they introduced.

use std::borrow::Cow;

use govc_git::object::tree;
use govc_git::{ObjectId, ObjectKind, oid};
use hashbrown::HashSet;
use smallvec::SmallVec;

use super::closure::Ends;
use super::filter::{Edge, ObjectFilter};
use super::graph::NEW;
use super::object_set::{ObjectSet, SetBuilder};
use super::{CommitNumber, Pool, PoolError};

/// The trees of so many commits that the receiver has are looked through for what need not be
/// sent with a whole tree.
const HAD_TREES_MAX: usize = 16;

/// Where a receiver's history is cut.
#[derive(Debug, Clone, Default)]
pub struct Cuts {
    /// Commits that no walk goes beyond: where the history was cut before, and where it is to be.
    pub at: HashSet<CommitNumber>,
    /// Those among them whose parents the receiver is to get now.
    pub opened: Vec<CommitNumber>,
}

impl Pool {
    /// As [`Pool::closure_filtered`], in a history that is cut: what `haves` reach is had as far as the
    /// cuts, and nothing beyond them is sent but what the commits that are opened lead to.
    ///
    /// # Errors
    /// As [`Pool::closure_filtered`].
    pub fn closure_in_cut(
        &self,
        wants: &[ObjectId],
        haves: &[ObjectId],
        cuts: &Cuts,
        filter: &ObjectFilter,
    ) -> Result<ObjectSet, PoolError> {
        let Ends {
            mut tips,
            others,
            mut hidden,
        } = self.ends(wants, haves)?;
        let mut at = Cow::Borrowed(&cuts.at);
        for (&opened, is_had) in
            cuts.opened
                .iter()
                .zip(self.graph.reach_in_cut(&hidden, &cuts.opened, &cuts.at))
        {
            tips.extend(self.graph.parents(opened));
            if is_had {
                hidden.push(opened);
            } else {
                // Clients are told of cuts in places that they never come to, and repeat it.
                at.to_mut().remove(&opened);
            }
        }
        let marks = self.graph.mark_new_in_cut(&tips, &hidden, &at);
        tips.retain(|tip| marks.get(tip.0) == NEW);
        let is_new = |n: &u32| marks.get(*n) == NEW;
        let mut commits: Vec<u32> = marks.touched().iter().copied().filter(is_new).collect();
        self.graph.give_marks(marks);
        commits.sort_unstable();

        let mut set = if filter.needs_paths() || !filter.needs_lists() {
            let mut set = SetBuilder::new(self);
            let mut before = SmallVec::new();
            self.add_filtered(&mut set, &commits, filter, &mut |n| {
                if at.contains(&n) {
                    // What the one before has is in the set already.
                    let tree = self.graph.tree(n);
                    let before = std::mem::replace(&mut before, SmallVec::from_slice(&[tree]));
                    return Edge { before, had: false };
                }
                let mut before = SmallVec::new();
                self.graph.each_parent(n.0, |parent| {
                    before.push(self.graph.tree(CommitNumber(parent)));
                });
                Edge { before, had: false }
            })?;
            set
        } else {
            // The newest ones are the most alike.
            hidden.sort_unstable_by_key(|&n| std::cmp::Reverse(self.graph.time(n)));
            hidden.dedup();
            let mut set = self.cut_set(&commits, &at, &hidden, cuts.opened.is_empty())?;
            if filter.is_open() {
                SetBuilder::with(self, set)
            } else {
                // Of what it is told to have the receiver may lack what was filtered.
                set.had.clear();
                self.retain(&mut set, filter)?;
                SetBuilder::with(self, set)
            }
        };
        if !filter.passes(ObjectKind::Commit) {
            for &tip in &tips {
                set.add(&self.graph.id(tip), ObjectKind::Commit)?;
            }
        }
        for (id, kind) in others {
            match kind {
                ObjectKind::Tree => self.add_wanted_tree(&mut set, id, filter)?,
                kind => {
                    set.add(&id, kind)?;
                }
            }
        }
        Ok(set.finish())
    }

    /// All of `commits`, sorted, whose history is cut `at` some of them. The receiver has `had`;
    /// `nothing_opened`: nothing that is sent lies behind these.
    fn cut_set(
        &self,
        commits: &[u32],
        at: &HashSet<CommitNumber>,
        had: &[CommitNumber],
        nothing_opened: bool,
    ) -> Result<ObjectSet, PoolError> {
        let (boundary, inside): (Vec<CommitNumber>, Vec<CommitNumber>) = commits
            .iter()
            .copied()
            .map(CommitNumber)
            .partition(|n| at.contains(n));
        let mut had_set = SetBuilder::new(self);
        if !boundary.is_empty() || !nothing_opened {
            for &n in had.iter().take(HAD_TREES_MAX) {
                self.add_whole_tree(&mut had_set, None, &self.graph.tree(n))?;
            }
        }
        let had = had_set.finish();
        // Whole trees come first: what a commit introduced may be in the set though not all that
        // it holds is.
        let mut set = SetBuilder::new(self);
        for &n in &boundary {
            set.add(&self.graph.id(n), ObjectKind::Commit)?;
            self.add_whole_tree(&mut set, Some(&had), &self.graph.tree(n))?;
        }
        for &n in &inside {
            set.add(&self.graph.id(n), ObjectKind::Commit)?;
            self.add_introduced(&mut set, n, false)?;
        }
        let mut set = set.finish();
        set.leave_out(&had);
        set.receiver_has(&had);
        Ok(set)
    }

    /// Adds a tree and all that is in it. Trees that `had` has are passed over, and those of the
    /// set: all of its trees must be in it with all that they hold.
    fn add_whole_tree(
        &self,
        set: &mut SetBuilder<'_>,
        had: Option<&ObjectSet>,
        root: &oid,
    ) -> Result<(), PoolError> {
        let is_had = |id: &oid| had.is_some_and(|had| had.contains(id));
        if is_had(root) || !set.add(root, ObjectKind::Tree)? {
            return Ok(());
        }
        let mut open = vec![root.to_owned()];
        while let Some(id) = open.pop() {
            let data = self.get_kind(&id, ObjectKind::Tree)?;
            for entry in tree::entries(&data, self.format) {
                let entry = entry.map_err(|what| self.damaged_tree(&id, &what))?;
                if entry.is_submodule() || is_had(entry.id) {
                    continue;
                }
                if set.add(entry.id, entry.kind())? && entry.is_tree() {
                    open.push(entry.id.to_owned());
                }
            }
        }
        Ok(())
    }
}
