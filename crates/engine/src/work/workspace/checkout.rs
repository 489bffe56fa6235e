//! Moving a workspace to another commit: what survives and what refuses, as in Git's merge of two
//! trees (git-read-tree(1), "Two Tree Merge"), and resets.

use std::sync::Arc;

use govc_git::ObjectId;
use hashbrown::HashMap;

use super::draft::{Changed, TreeEdit, edit_tree, once};
use super::rules::Rules;
use super::{OpenWorkspace, WorkspaceError};
use crate::pool::Pool;
use crate::work::diff::{TreeFilter, changed_files};
use crate::work::tree::{self, Found};
use crate::{NewObject, Operation, Workspace};

/// How far a reset goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetMode {
    /// HEAD only.
    Soft,
    /// The index too.
    Mixed,
    /// The files too.
    Hard,
}

/// What a path is in the index and in the files, where one of them was changed.
#[derive(Debug, Clone, Copy, Default)]
struct Local {
    head: Option<Found>,
    index: Option<Found>,
    file: Option<Found>,
}

impl OpenWorkspace {
    /// Index and files for the tree `target`; changes that are not in its way survive.
    ///
    /// # Errors
    /// [`WorkspaceError::Dirty`] with all paths that would be lost; [`WorkspaceError::Unmerged`].
    pub fn moved_to(&self, pool: &Pool, target: &ObjectId) -> Result<Changed, WorkspaceError> {
        self.check_merged()?;
        let mut after = self.now.clone();
        if self.base_tree == *target {
            return Ok(Changed::to(after));
        }
        let mut rules = Rules::of(pool, self.now.files);
        let mut lost = Vec::new();
        let (mut in_index, mut in_files) = (Vec::new(), Vec::new());
        // Of all other paths index and file are what the base has: they become the target's.
        for (path, local) in self.locals(pool)? {
            let Local { head, index, file } = local;
            let wanted = file_at(pool, target, &path)?;
            let is_fresh = file.is_none() || file == index;
            let (to_index, to_file) = match (index, head, wanted) {
                // Nobody moves it.
                _ if head == wanted => (index, file),
                // It was moved here already.
                (Some(index), _, Some(wanted)) if index == wanted => (Some(index), file),
                (Some(index), Some(head), wanted) if index == head && is_fresh => (wanted, wanted),
                (Some(_), ..) => {
                    lost.push(path);
                    continue;
                }
                (None, None, Some(wanted)) if file.is_none() || rules.is_ignored(&path)? => {
                    (Some(wanted), Some(wanted))
                }
                (None, Some(_), None) if file.is_none() || rules.is_ignored(&path)? => (None, file),
                (None, ..) => {
                    lost.push(path);
                    continue;
                }
            };
            if to_index != wanted {
                in_index.push((path.clone(), to_index));
            }
            if to_file != wanted {
                in_files.push((path, to_file));
            }
        }
        let mut objects = Vec::new();
        let index = self.onto(pool, target, in_index, None, &mut lost, &mut objects);
        let files = self.onto(
            pool,
            target,
            in_files,
            Some(&mut rules),
            &mut lost,
            &mut objects,
        );
        if !lost.is_empty() {
            lost.sort();
            lost.dedup();
            return Err(WorkspaceError::Dirty { paths: lost });
        }
        (after.index, after.files) = (index?, files?);
        Ok(Changed {
            objects: once(objects),
            ..Changed::to(after)
        })
    }

    /// Puts local changes onto `target`. One that is in the way of what the target has there is
    /// lost, unless it is ignored: then it goes.
    fn onto(
        &self,
        pool: &Pool,
        target: &ObjectId,
        locals: Vec<(Vec<u8>, Option<Found>)>,
        mut rules: Option<&mut Rules<'_>>,
        lost: &mut Vec<Vec<u8>>,
        objects: &mut Vec<NewObject>,
    ) -> Result<ObjectId, WorkspaceError> {
        let gone: Vec<&[u8]> = locals
            .iter()
            .filter(|(_, found)| found.is_none())
            .map(|(path, _)| &path[..])
            .collect();
        let mut edits: Vec<TreeEdit> = gone.iter().map(|path| TreeEdit::to(path, None)).collect();
        for (path, found) in &locals {
            let Some(found) = found else { continue };
            if is_in_the_way(pool, target, path, &gone)? {
                let goes = match &mut rules {
                    Some(rules) => rules.is_ignored(path)?,
                    None => false,
                };
                if !goes {
                    lost.push(path.clone());
                }
                continue;
            }
            edits.push(TreeEdit::to(path, Some(*found)));
        }
        edit_tree(pool, target, &edits, objects)
    }

    /// What was changed, by path.
    fn locals(&self, pool: &Pool) -> Result<Vec<(Vec<u8>, Local)>, WorkspaceError> {
        let all = TreeFilter::default();
        let (base, index, files) = (&self.base_tree, &self.now.index, &self.now.files);
        let mut locals: HashMap<Vec<u8>, Local> = HashMap::new();
        for change in changed_files(pool, Some(base), Some(index), &all)? {
            let local = Local {
                head: change.old,
                index: change.new,
                // Unless the next loop says otherwise.
                file: change.new,
            };
            locals.insert(change.path, local);
        }
        for change in changed_files(pool, Some(index), Some(files), &all)? {
            match locals.get_mut(&change.path) {
                Some(local) => local.file = change.new,
                None => {
                    let local = Local {
                        head: change.old,
                        index: change.old,
                        file: change.new,
                    };
                    locals.insert(change.path, local);
                }
            }
        }
        let mut locals: Vec<_> = locals.into_iter().collect();
        locals.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(locals)
    }

    /// Index and files for the tree `target`, whatever was changed; untracked files stay where
    /// nothing comes in their place: `git reset --hard`, `git checkout --force`.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn forced_to(&self, pool: &Pool, target: &ObjectId) -> Result<Changed, WorkspaceError> {
        let mut objects = Vec::new();
        let files = self.with_untracked(pool, target, |_| Ok(true), &mut objects)?;
        let after = Workspace {
            index: *target,
            files,
            unmerged: [].into(),
            operation: self.operation_after_reset(),
            ..self.now.clone()
        };
        Ok(Changed {
            objects,
            ..Changed::to(after)
        })
    }

    /// The tree `target` with those untracked files that `stays` lets stay, and that nothing of
    /// the tree is in the place of.
    ///
    /// # Errors
    /// When something cannot be read.
    pub(super) fn with_untracked(
        &self,
        pool: &Pool,
        target: &ObjectId,
        mut stays: impl FnMut(&[u8]) -> Result<bool, WorkspaceError>,
        objects: &mut Vec<NewObject>,
    ) -> Result<ObjectId, WorkspaceError> {
        let mut edits = Vec::new();
        for (path, found) in self.untracked(pool)? {
            if file_at(pool, target, &path)?.is_none()
                && !is_in_the_way(pool, target, &path, &[])?
                && stays(&path)?
            {
                edits.push(TreeEdit::to(&path, Some(found)));
            }
        }
        edit_tree(pool, target, &edits, objects)
    }

    /// Files that the index does not have, ignored ones included.
    pub(super) fn untracked(&self, pool: &Pool) -> Result<Vec<(Vec<u8>, Found)>, WorkspaceError> {
        let (index, files) = (&self.now.index, &self.now.files);
        let changes = changed_files(pool, Some(index), Some(files), &TreeFilter::default())?;
        let is_unmerged = |path: &[u8]| self.now.unmerged.iter().any(|u| *u.path == *path);
        Ok(changes
            .into_iter()
            .filter(|change| change.old.is_none() && !is_unmerged(&change.path))
            .filter_map(|change| Some((change.path, change.new?)))
            .collect())
    }

    /// A reset takes the place of the commit that was stopped; those that follow are still to come.
    fn operation_after_reset(&self) -> Option<Arc<Operation>> {
        self.now.operation.clone().filter(|op| op.goes_on())
    }

    /// The workspace after HEAD was put at `commit`, whose tree is `tree`.
    ///
    /// # Errors
    /// [`WorkspaceError::Unmerged`] for a soft reset in the middle of a merge.
    pub fn reset(
        &self,
        pool: &Pool,
        commit: ObjectId,
        tree: &ObjectId,
        mode: ResetMode,
    ) -> Result<Changed, WorkspaceError> {
        let mut changed = match mode {
            ResetMode::Soft => {
                self.check_merged()?;
                Changed::to(self.now.clone())
            }
            ResetMode::Mixed => Changed::to(Workspace {
                index: *tree,
                unmerged: [].into(),
                operation: self.operation_after_reset(),
                ..self.now.clone()
            }),
            ResetMode::Hard => self.forced_to(pool, tree)?,
        };
        changed.after.base = Some(commit);
        Ok(changed)
    }
}

/// The file at `path` of the tree `root`.
pub(super) fn file_at(
    pool: &Pool,
    root: &ObjectId,
    path: &[u8],
) -> Result<Option<Found>, WorkspaceError> {
    let found = tree::lookup(pool, root, path)?;
    Ok(found.filter(|found| !found.is_folder()))
}

/// Whether the tree `root` has a folder at `path`, or a file where `path` needs a folder; files
/// at `gone` do not count.
fn is_in_the_way(
    pool: &Pool,
    root: &ObjectId,
    path: &[u8],
    gone: &[&[u8]],
) -> Result<bool, WorkspaceError> {
    Ok(!in_the_way(pool, root, path, gone)?.is_empty())
}

/// The files of the tree `root` that are below `path`, or where it needs a folder; without those at
/// `gone`.
///
/// # Errors
/// When a tree cannot be read.
pub(super) fn in_the_way(
    pool: &Pool,
    root: &ObjectId,
    path: &[u8],
    gone: &[&[u8]],
) -> Result<Vec<Vec<u8>>, WorkspaceError> {
    let stays = |path: &Vec<u8>| !gone.contains(&&path[..]);
    for end in memchr::memchr_iter(b'/', path) {
        let folder = &path[..end];
        match tree::lookup(pool, root, folder)? {
            None => return Ok(Vec::new()),
            Some(found) if !found.is_folder() => {
                return Ok(Some(folder.to_vec()).into_iter().filter(stays).collect());
            }
            Some(_) => {}
        }
    }
    let Some(there) = tree::lookup(pool, root, path)?.filter(Found::is_folder) else {
        return Ok(Vec::new());
    };
    let below = changed_files(pool, None, Some(&there.id), &TreeFilter::default())?;
    let whole = below
        .iter()
        .map(|change| [path, b"/", &change.path].concat());
    Ok(whole.filter(stays).collect())
}
