//! What a fetch needs: everything reachable from some objects and not from others.

use govc_git::{ObjectId, ObjectKind};
use hashbrown::HashSet;
use smallvec::SmallVec;

use super::filter::{Edge, ObjectFilter};
use super::graph::{Marks, NEW};
use super::object_set::{ObjectSet, SetBuilder};
use super::{CommitNumber, Pool, PoolError};

/// Where a walk begins and ends, under the tags.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Commits that are wanted.
    pub(super) tips: Vec<CommitNumber>,
    /// What else is wanted, each once: tags that are not had, what is no commit.
    pub(super) others: Vec<(ObjectId, ObjectKind)>,
    /// Commits that are had.
    pub(super) hidden: Vec<CommitNumber>,
}

impl Pool {
    /// Everything reachable from `wants` and not from `haves`. Both may be commits, tags, trees
    /// and blobs; haves that are not here are passed over. The caller has checked that the wants
    /// may be seen.
    ///
    /// Costs what lies between them: the introduced lists of the commits that are new, of which
    /// those that were made before are remembered. Now and then something is in the set that the
    /// haves reach too: a content that came back.
    ///
    /// # Errors
    /// [`PoolError::Missing`] for a want, or something that a want reaches, that is not here;
    /// others as [`Pool::find`].
    pub fn closure(&self, wants: &[ObjectId], haves: &[ObjectId]) -> Result<ObjectSet, PoolError> {
        self.closure_filtered(wants, haves, &ObjectFilter::default())
    }

    /// As [`Pool::closure`], as far as `filter` lets it through. The wants themselves are in the
    /// set whatever the filter says, and so is what tags among them name.
    ///
    /// # Errors
    /// As [`Pool::closure`]; [`PoolError::FilterTooCostly`].
    pub fn closure_filtered(
        &self,
        wants: &[ObjectId],
        haves: &[ObjectId],
        filter: &ObjectFilter,
    ) -> Result<ObjectSet, PoolError> {
        let Ends {
            mut tips,
            others,
            hidden,
        } = self.ends(wants, haves)?;
        let walks = filter.needs_paths() || !filter.needs_lists();
        let is_clone = hidden.is_empty() && !tips.is_empty() && !filter.is_open();
        let before = is_clone.then(|| self.filtered_set(&tips, filter)).flatten();
        let is_known = before.is_some();
        let mut set = if let Some(before) = before {
            SetBuilder::with(self, before)
        } else if hidden.is_empty() && !walks {
            SetBuilder::with(self, self.full_set(&tips)?)
        } else {
            let mut set = SetBuilder::new(self);
            let marks = self.graph.mark_new(&tips, &hidden);
            tips.retain(|tip| marks.get(tip.0) == NEW);
            let added = match walks {
                true => self.add_new_filtered(&mut set, &marks, filter),
                false => self.add_new(&mut set, &marks, true),
            };
            self.graph.give_marks(marks);
            added?;
            if filter.is_open() && !hidden.is_empty() {
                set.note_receiver(hidden);
                let mut all = set.finish();
                self.leave_out_known(&mut all);
                set = SetBuilder::with(self, all);
            }
            set
        };
        if !is_known && !filter.is_open() {
            let mut all = set.finish();
            if !walks {
                self.retain(&mut all, filter)?;
            }
            if is_clone {
                self.keep_filtered(&tips, filter, &all);
            }
            set = SetBuilder::with(self, all);
        }
        if !filter.passes(ObjectKind::Commit) {
            for &tip in &tips {
                set.add(&self.graph.id(tip), ObjectKind::Commit)?;
            }
        }
        for (id, kind) in others {
            match kind {
                ObjectKind::Tree if filter.is_open() => self.add_tree(&mut set, id, &[])?,
                ObjectKind::Tree => self.add_wanted_tree(&mut set, id, filter)?,
                kind => {
                    set.add(&id, kind)?;
                }
            }
        }
        Ok(set.finish())
    }

    /// Where a walk from `wants` to `haves` begins and ends.
    pub(super) fn ends(&self, wants: &[ObjectId], haves: &[ObjectId]) -> Result<Ends, PoolError> {
        let mut ends = Ends::default();
        let mut unknown = Vec::new();
        let mut seen = HashSet::new();
        for have in haves {
            if let Some(number) = self.graph.number(have) {
                ends.hidden.push(number);
            } else if let Some(peeled) = self.peel(have)? {
                seen.extend(peeled.tags);
                unknown.push(peeled.target);
            }
        }
        self.learn(&unknown)?;
        let numbers = |ids: &[ObjectId]| -> Vec<CommitNumber> {
            ids.iter().filter_map(|id| self.graph.number(id)).collect()
        };
        ends.hidden.extend(numbers(&unknown));
        unknown.clear();
        for want in wants {
            // Clients want thousands of commits at once, most of which are known.
            if let Some(number) = self.graph.number(want) {
                ends.tips.push(number);
                continue;
            }
            let missing = || PoolError::Missing { id: *want };
            let peeled = self.peel(want)?.ok_or_else(missing)?;
            let mut other = |id, kind| {
                if seen.insert(id) {
                    ends.others.push((id, kind));
                }
            };
            for tag in peeled.tags {
                other(tag, ObjectKind::Tag);
            }
            match peeled.kind {
                ObjectKind::Commit => unknown.push(peeled.target),
                kind => other(peeled.target, kind),
            }
        }
        self.learn(&unknown)?;
        ends.tips.extend(numbers(&unknown));
        Ok(ends)
    }

    /// Adds the commits that are marked as new and what they introduce, parents first: a tree that
    /// is kept as a delta is read after its base. `note_had`: whoever receives the set has the
    /// parents of those at the boundary, and all that these reach.
    pub(super) fn add_new(
        &self,
        set: &mut SetBuilder<'_>,
        marks: &Marks,
        note_had: bool,
    ) -> Result<(), PoolError> {
        let is_new = |n: &u32| marks.get(*n) == NEW;
        let mut commits: Vec<u32> = marks.touched().iter().copied().filter(is_new).collect();
        commits.sort_unstable();
        for &n in &commits {
            set.add(&self.graph.id(CommitNumber(n)), ObjectKind::Commit)?;
        }
        for &n in &commits {
            let mut is_boundary = false;
            let mut is_inside = false;
            self.graph.each_parent(n, |parent| match marks.get(parent) {
                NEW => is_inside = true,
                _ => is_boundary = true,
            });
            let parents_had = note_had && is_boundary && !is_inside;
            self.add_introduced(set, CommitNumber(n), parents_had)?;
        }
        Ok(())
    }

    /// As [`Pool::add_new`] with `note_had`, as far as `filter` lets it through.
    fn add_new_filtered(
        &self,
        set: &mut SetBuilder<'_>,
        marks: &Marks,
        filter: &ObjectFilter,
    ) -> Result<(), PoolError> {
        let is_new = |n: &u32| marks.get(*n) == NEW;
        let mut commits: Vec<u32> = marks.touched().iter().copied().filter(is_new).collect();
        commits.sort_unstable();
        self.add_filtered(set, &commits, filter, &mut |n| {
            let mut edge = Edge {
                before: SmallVec::new(),
                had: true,
            };
            self.graph.each_parent(n.0, |parent| {
                edge.before.push(self.graph.tree(CommitNumber(parent)));
                edge.had &= marks.get(parent) != NEW;
            });
            edge
        })
    }

    /// Adds what a commit introduces. `parents_had`: the receiver has all its parents.
    pub(super) fn add_introduced(
        &self,
        set: &mut SetBuilder<'_>,
        commit: CommitNumber,
        parents_had: bool,
    ) -> Result<(), PoolError> {
        // Where all lists are there they say what the parents have, too.
        if !parents_had || self.introduced.noted() >= self.graph.len() {
            let mut kept = self.kept_list(commit);
            let is_asked = !parents_had && !self.hot.contains(&self.graph.tree(commit));
            if kept.is_none() && is_asked {
                // The first to walk here keeps it for all who come later.
                self.note_introduced(commit, &self.read_cache)?;
                kept = self.kept_list(commit);
            }
            if let Some(kept) = kept {
                for &position in &kept.positions {
                    set.add_at(&kept.pack, position);
                }
                return Ok(());
            }
        }
        let mut failed = None;
        self.each_introduced(commit, &mut |new| {
            if let Err(error) = set.add(new.id, new.kind) {
                failed.get_or_insert(error);
            }
            let Some(before) = new.before else { return };
            if parents_had {
                set.note_had(before);
            }
            if new.kind == ObjectKind::Tree {
                set.note_before(new.id, before);
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Adds a tree and all that is in it and not at the same path in one of `before`.
    pub(super) fn add_tree(
        &self,
        set: &mut SetBuilder<'_>,
        tree: ObjectId,
        before: &[ObjectId],
    ) -> Result<(), PoolError> {
        let mut failed = None;
        self.each_new(tree, SmallVec::from_slice(before), &mut |new| {
            if let Err(error) = set.add(new.id, new.kind) {
                failed.get_or_insert(error);
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Adds the annotated tags among `tags` whose target the set has (`include-tag`). The caller
    /// has checked that they may be seen.
    ///
    /// # Errors
    /// As [`Pool::find`].
    pub fn include_tags(&self, set: &mut ObjectSet, tags: &[ObjectId]) -> Result<(), PoolError> {
        let mut builder = SetBuilder::with(self, std::mem::take(set));
        let mut added = Ok(());
        for tag in tags {
            added = self.include_tag(&mut builder, tag);
            if added.is_err() {
                break;
            }
        }
        *set = builder.finish();
        added
    }

    fn include_tag(&self, set: &mut SetBuilder<'_>, tag: &ObjectId) -> Result<(), PoolError> {
        let Some(peeled) = self.peel(tag)? else {
            return Ok(());
        };
        if set.contains(&peeled.target) {
            for tag in &peeled.tags {
                set.add(tag, ObjectKind::Tag)?;
            }
        }
        Ok(())
    }
}
