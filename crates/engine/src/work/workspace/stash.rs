//! Stashes: what is changed in a workspace, put away as commits and brought back, as `git stash`
//! does both.

use bytes::Bytes;
use govc_git::encoding::commit_in_utf8;
use govc_git::object::commit::NewCommit;
use govc_git::object::{CommitRef, Signature};
use govc_git::object_id::hash_object;
use govc_git::{ObjectId, ObjectKind};
use hashbrown::HashSet;

use super::checkout::{file_at, in_the_way};
use super::draft::{Changed, TreeEdit, edit_tree, once};
use super::operation::hold;
use super::rules::Rules;
use super::state::tree_or_empty;
use super::{OpenWorkspace, WorkspaceError, WorkspaceStatus};
use crate::pool::{Pool, PoolError};
use crate::work::diff::{TreeFilter, changed_files};
use crate::work::merge::{Labels, MergeOptions, Scratch, TreeMerge, merge_trees};
use crate::work::short_id::short_id_among;
use crate::work::tree::{self, Found};
use crate::{NewObject, ObjectBody, Unmerged, Workspace};

/// What a stash is to be.
#[derive(Debug, Clone)]
pub struct NewStash {
    /// What it is for; `None`: `WIP on …`.
    pub message: Option<Vec<u8>>,
    /// Untracked files go with it.
    pub include_untracked: bool,
    /// Who puts it away, and when.
    pub person: Signature,
    /// How many objects the repository has in packs: that says how long abbreviations are.
    pub packed_objects: u64,
}

/// A stash that was made.
#[derive(Debug, Clone)]
pub struct StashMade {
    /// The workspace after it, and the objects that it brings.
    pub changed: Changed,
    /// Its id: that of the commit of the working copy.
    pub id: ObjectId,
}

/// A stash as it is read.
#[derive(Debug, Clone)]
pub struct StashFound {
    /// Its id.
    pub id: ObjectId,
    /// The commit that it was made on.
    pub base: ObjectId,
    /// The commit of the index.
    pub index: ObjectId,
    /// The commit of the untracked files, if there were any.
    pub untracked: Option<ObjectId>,
    /// The commit's bytes.
    pub data: Bytes,
}

/// How a stash is brought back.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApplyOptions {
    /// What was staged is staged again.
    pub index: bool,
    /// Conflicts are left in the workspace.
    pub keep_conflicts: bool,
}

/// The stash with the id `id`.
///
/// # Errors
/// When it cannot be read; [`PoolError::Missing`] when it is no stash.
pub fn read(pool: &Pool, id: ObjectId) -> Result<StashFound, PoolError> {
    let data = pool.get_kind(&id, ObjectKind::Commit)?;
    let parents = {
        let commit = CommitRef::parse(&data, pool.format());
        commit.map_err(|error| tree::damaged(id, &error))?.parents
    };
    match parents[..] {
        [base, index, ref untracked @ ..] => Ok(StashFound {
            id,
            base,
            index,
            untracked: untracked.first().copied(),
            data,
        }),
        _ => Err(PoolError::Missing { id }),
    }
}

impl OpenWorkspace {
    /// Puts away what is changed: afterwards index and files are those of the base, with untracked
    /// files where they were not put away too.
    ///
    /// # Errors
    /// [`WorkspaceError::NothingToStash`], [`WorkspaceError::Unborn`],
    /// [`WorkspaceError::Unmerged`].
    pub fn stash(&self, pool: &Pool, new: &NewStash) -> Result<StashMade, WorkspaceError> {
        self.check_merged()?;
        let base = self.now.base.ok_or_else(|| self.unborn())?;
        let mut objects = Vec::new();
        let (files, mut rules) = (self.now.files, Rules::of(pool, self.now.files));
        let mut untracked = Vec::new();
        if new.include_untracked {
            for (path, found) in self.untracked(pool)? {
                if !rules.is_ignored(&path)? {
                    untracked.push((path, found));
                }
            }
        }
        // The working copy without what is not tracked, by the index or by the base.
        let mut edits = Vec::new();
        for change in changed_files(pool, Some(&self.now.index), Some(&files), &all())? {
            let in_base = tree::lookup(pool, &self.base_tree, &change.path)?;
            let is_tracked = in_base.is_some_and(|found| !found.is_folder());
            if change.old.is_some() || is_tracked {
                edits.push(TreeEdit::to(&change.path, change.new));
            }
        }
        let tracked = edit_tree(pool, &self.now.index, &edits, &mut objects)?;
        if self.now.index == self.base_tree && tracked == self.base_tree && untracked.is_empty() {
            return Err(WorkspaceError::NothingToStash);
        }
        let place = self.stash_place(pool, base, new.packed_objects)?;
        let mut commit = |tree, parents: &[ObjectId], message: &[u8]| {
            let data = NewCommit {
                tree,
                parents,
                author: &new.person,
                committer: &new.person,
                encoding: None,
                message,
            }
            .encode();
            let id = hash_object(pool.format(), ObjectKind::Commit, &data)?;
            objects.push(NewObject {
                id,
                kind: ObjectKind::Commit,
                body: ObjectBody::Whole(data.into()),
            });
            Ok::<ObjectId, WorkspaceError>(id)
        };
        let message = [b"index on ", &place[..], b"\n"].concat();
        let index = commit(self.now.index, &[base], &message)?;
        let mut parents = vec![base, index];
        let mut others = Vec::new();
        // Git makes it where it was asked to, even if there is none.
        if new.include_untracked {
            let edits: Vec<TreeEdit> = untracked
                .iter()
                .map(|(path, found)| TreeEdit::to(path, Some(*found)))
                .collect();
            let empty = ObjectId::empty_tree(pool.format());
            let tree = edit_tree(pool, &empty, &edits, &mut others)?;
            if tree == empty {
                others.push(NewObject {
                    id: empty,
                    kind: ObjectKind::Tree,
                    body: ObjectBody::Whole(Bytes::new()),
                });
            }
            let message = [b"untracked files on ", &place[..], b"\n"].concat();
            parents.push(commit(tree, &[], &message)?);
        }
        let message = match &new.message {
            Some(message) => {
                let colon = place.windows(2).position(|two| two == b": ");
                let branch = &place[..colon.unwrap_or(place.len())];
                [b"On ", branch, b": ", message].concat()
            }
            None => [b"WIP on ", &place[..]].concat(),
        };
        let id = commit(tracked, &parents, &message)?;
        objects.extend(others);
        let gone: HashSet<Vec<u8>> = untracked.into_iter().map(|(path, _)| path).collect();
        let stays = |path: &[u8]| Ok(!gone.contains(path));
        let files = self.with_untracked(pool, &self.base_tree, stays, &mut objects)?;
        let stashes = self.now.stashes.iter().copied().chain([id]);
        let after = Workspace {
            index: self.base_tree,
            files,
            stashes: stashes.collect(),
            ..self.now.clone()
        };
        Ok(StashMade {
            changed: Changed {
                objects: once(objects),
                ..Changed::to(after)
            },
            id,
        })
    }

    /// `main: 1234567 subject`, as messages of stashes have it.
    fn stash_place(
        &self,
        pool: &Pool,
        base: ObjectId,
        packed_objects: u64,
    ) -> Result<Vec<u8>, WorkspaceError> {
        let branch = match &self.now.branch {
            Some(branch) => branch.branch_name().unwrap_or(branch.as_bytes()).to_vec(),
            None => b"(no branch)".to_vec(),
        };
        let data = pool.get_kind(&base, ObjectKind::Commit)?;
        let data = commit_in_utf8(&data);
        let commit = CommitRef::parse(&data, pool.format());
        let commit = commit.map_err(|error| tree::damaged(base, &error))?;
        let short = short_id_among(pool, &base, packed_objects);
        Ok([
            &branch[..],
            b": ",
            short.as_bytes(),
            b" ",
            &commit.summary(),
        ]
        .concat())
    }

    /// Brings a stash back; with the status, where conflicts are left.
    ///
    /// # Errors
    /// [`WorkspaceError::Dirty`] where uncommitted changes are in the way,
    /// [`WorkspaceError::Conflict`] where it conflicts with what is there.
    pub fn apply_stash(
        &self,
        pool: &Pool,
        stash: &StashFound,
        options: ApplyOptions,
    ) -> Result<(Changed, Option<WorkspaceStatus>), WorkspaceError> {
        self.check_merged()?;
        let tree = |commit: ObjectId| tree_or_empty(pool, Some(commit));
        let (base, working, staged) = (tree(stash.base)?, tree(stash.id)?, tree(stash.index)?);
        let labels = Labels {
            ancestor: b"Stash base",
            ours: b"Updated upstream",
            theirs: b"Stashed changes",
        };
        let how = MergeOptions::default();
        let ours = self.now.index;
        let mut objects = Vec::new();
        let mut new_index = None;
        if options.index && base != staged && ours != staged {
            let merged = merge_trees(pool, &base, &ours, &staged, &labels, &how)?;
            if !merged.is_clean {
                return Err(conflict(&merged));
            }
            objects.extend(merged.objects);
            new_index = Some(merged.tree);
        }
        let merged = merge_trees(pool, &base, &ours, &working, &labels, &how)?;
        if !merged.is_clean && !options.keep_conflicts {
            return Err(conflict(&merged));
        }
        let mut changed = self.with_merged(pool, merged)?;
        let mut scratch = Scratch::new(pool);
        if let Some(untracked) = stash.untracked {
            hold(&mut scratch, &changed.objects)?;
            let files = changed.after.files;
            let (mut edits, mut there) = (Vec::new(), Vec::new());
            for change in changed_files(pool, None, Some(&tree(untracked)?), &all())? {
                there.extend(in_the_way(pool, &files, &change.path, &[])?);
                match file_at(pool, &files, &change.path)? {
                    None => edits.push(TreeEdit::to(&change.path, change.new)),
                    Some(_) => there.push(change.path),
                }
            }
            if !there.is_empty() {
                there.sort();
                there.dedup();
                return Err(WorkspaceError::Dirty { paths: there });
            }
            changed.after.files = edit_tree(pool, &files, &edits, &mut changed.objects)?;
        }
        if changed.after.unmerged.is_empty() {
            changed.after.index = match new_index {
                Some(index) => index,
                // What is new stays staged, all else is changed in the files only.
                None => {
                    let new: Vec<TreeEdit> = changed
                        .merged_files
                        .iter()
                        .filter(|(_, old, new)| old.is_none() && new.is_some())
                        .map(|(path, _, new)| TreeEdit::to(path, *new))
                        .collect();
                    edit_tree(pool, &ours, &new, &mut objects)?
                }
            };
        }
        changed.objects.extend(objects);
        let changed = Changed {
            objects: once(changed.objects),
            ..Changed::to(changed.after)
        };
        let conflicts = match changed.after.unmerged.is_empty() {
            true => None,
            false => Some(self.status_after(pool, &changed)?),
        };
        Ok((changed, conflicts))
    }

    /// Index and files after a merge onto the index: what is merged is staged, conflicts are
    /// unmerged and marked in the files.
    ///
    /// # Errors
    /// [`WorkspaceError::Dirty`] where something that is not staged is in the way.
    pub(super) fn with_merged(
        &self,
        pool: &Pool,
        merged: TreeMerge,
    ) -> Result<WithMerged, WorkspaceError> {
        let made = MadeTrees::of(pool, &merged.objects);
        let read = |id: &govc_git::oid| made.read(id);
        let format = pool.format();
        let ours = self.now.index;
        let changes = crate::work::diff::changes::changed_files_with(
            format,
            &read,
            Some(&ours),
            Some(&merged.tree),
            &all(),
        )?;
        let mut rules = Rules::of(pool, self.now.files);
        let (mut in_files, mut lost) = (Vec::new(), Vec::new());
        let mut merged_files = Vec::new();
        for change in changes {
            let there = self.in_files(pool, &change.path)?;
            let there = there.filter(|found| !found.is_folder());
            let is_fresh = there == change.old || (change.old.is_some() && there.is_none());
            let may_go = change.old.is_none() && rules.is_ignored(&change.path)?;
            if !is_fresh && !may_go {
                lost.push(change.path.clone());
            }
            in_files.push(TreeEdit::to(&change.path, change.new));
            merged_files.push((change.path, change.old, change.new));
        }
        // What stands where something is to be, and does not go with it.
        let (goes, comes): (Vec<_>, Vec<_>) =
            merged_files.iter().partition(|(_, _, new)| new.is_none());
        let goes: Vec<&[u8]> = goes.iter().map(|(path, ..)| &path[..]).collect();
        for (path, ..) in comes {
            for there in in_the_way(pool, &self.now.files, path, &goes)? {
                let is_tracked = file_at(pool, &ours, &there)?.is_some();
                if is_tracked || !rules.is_ignored(&there)? {
                    lost.push(there);
                }
            }
        }
        if !lost.is_empty() {
            lost.sort();
            lost.dedup();
            return Err(WorkspaceError::Dirty { paths: lost });
        }
        let mut objects = merged.objects.clone();
        let mut after = self.now.clone();
        after.files = edit_tree(pool, &self.now.files, &in_files, &mut objects)?;
        let conflicts: Vec<Unmerged> = merged
            .conflicts
            .iter()
            .map(|conflict| Unmerged {
                path: conflict.path.clone().into(),
                stages: conflict
                    .stages
                    .map(|stage| stage.map(|stage| (stage.mode, stage.id))),
            })
            .collect();
        let mut in_index: Vec<TreeEdit> = merged_files
            .iter()
            .map(|(path, _, new)| TreeEdit::to(path, *new))
            .collect();
        in_index.extend(conflicts.iter().map(|path| TreeEdit::to(&path.path, None)));
        after.index = edit_tree(pool, &ours, &in_index, &mut objects)?;
        let mut conflicts = conflicts;
        conflicts.sort_by(|a, b| a.path.cmp(&b.path));
        after.unmerged = conflicts.into();
        Ok(WithMerged {
            after,
            objects,
            merged_files,
        })
    }
}

/// What a merge onto the index made of a workspace.
pub(super) struct WithMerged {
    pub(super) after: Workspace,
    pub(super) objects: Vec<NewObject>,
    /// Which files it changed in the index: from what to what.
    pub(super) merged_files: Vec<(Vec<u8>, Option<Found>, Option<Found>)>,
}

/// Trees that were made and are not in the pool yet.
pub(super) struct MadeTrees<'a> {
    pool: &'a Pool,
    made: hashbrown::HashMap<ObjectId, &'a ObjectBody>,
}

impl<'a> MadeTrees<'a> {
    pub(super) fn of(pool: &'a Pool, objects: &'a [NewObject]) -> MadeTrees<'a> {
        let trees = objects
            .iter()
            .filter(|object| object.kind == ObjectKind::Tree);
        MadeTrees {
            pool,
            made: trees.map(|tree| (tree.id, &tree.body)).collect(),
        }
    }

    pub(super) fn read(&self, id: &govc_git::oid) -> Result<Bytes, PoolError> {
        let mut deltas = Vec::new();
        let mut at = id.to_owned();
        let mut data = loop {
            match self.made.get(&at) {
                Some(ObjectBody::Whole(data)) => break data.clone(),
                Some(ObjectBody::Delta { base, delta }) if deltas.len() <= self.made.len() => {
                    deltas.push(delta);
                    at = *base;
                }
                _ => break tree::read(self.pool, &at)?,
            }
        };
        for delta in deltas.into_iter().rev() {
            let applied = govc_git::pack::delta::apply(&data, delta, u64::MAX);
            data = applied
                .map_err(|error| PoolError::Damaged {
                    id: at,
                    pack: None,
                    what: error.to_string(),
                })?
                .into();
        }
        Ok(data)
    }
}

fn all() -> TreeFilter {
    TreeFilter::default()
}

pub(super) fn conflict(merged: &TreeMerge) -> WorkspaceError {
    let paths = merged
        .conflicts
        .iter()
        .map(|conflict| conflict.path.clone());
    WorkspaceError::Conflict {
        paths: paths.collect(),
    }
}
