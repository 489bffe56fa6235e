//! What differs between a workspace's base, index and files: `git status`.

use super::rules::Rules;
use super::{OpenWorkspace, WorkspaceError};
use crate::Unmerged;
use crate::pool::Pool;
use crate::work::diff::changes::with_renames;
use crate::work::diff::renames::RenameOptions;
use crate::work::diff::{FileDiff, TreeFilter, changed_files};

/// What is changed in a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspaceStatus {
    /// The index beside the base.
    pub staged: Vec<FileDiff>,
    /// The tracked files beside the index.
    pub unstaged: Vec<FileDiff>,
    /// Files that are not tracked, and that no pattern ignores.
    pub untracked: Vec<Vec<u8>>,
    /// Paths with conflicts.
    pub unmerged: Vec<Unmerged>,
}

impl OpenWorkspace {
    /// What is changed. Cost grows with what differs, and with untracked files.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn status(&self, pool: &Pool) -> Result<WorkspaceStatus, WorkspaceError> {
        let unmerged = self.now.unmerged.to_vec();
        let is_unmerged = |path: &[u8]| {
            let at = unmerged.binary_search_by(|unmerged| (*unmerged.path).cmp(path));
            at.is_ok()
        };
        let mut staged = changed_files(
            pool,
            Some(&self.base_tree),
            Some(&self.now.index),
            &TreeFilter::default(),
        )?;
        // Nothing is renamed from or to where a conflict is.
        staged.retain(|change| !is_unmerged(&change.path));
        let (staged, _) = with_renames(pool, staged, Some(&RenameOptions::default()))?;
        let changes = changed_files(
            pool,
            Some(&self.now.index),
            Some(&self.now.files),
            &TreeFilter::default(),
        )?;
        let (tracked, others): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .filter(|change| !is_unmerged(&change.path))
            .partition(|change| change.old.is_some());
        let mut rules = Rules::of(pool, self.now.files);
        let mut untracked = Vec::new();
        for change in others {
            if !rules.is_ignored(&change.path)? {
                untracked.push(change.path);
            }
        }
        let (unstaged, _) = with_renames(pool, tracked, None)?;
        Ok(WorkspaceStatus {
            staged,
            unstaged,
            untracked,
            unmerged,
        })
    }

    /// Refuses what needs an index without conflicts.
    ///
    /// # Errors
    /// [`WorkspaceError::Unmerged`].
    pub fn check_merged(&self) -> Result<(), WorkspaceError> {
        if self.now.unmerged.is_empty() {
            return Ok(());
        }
        let paths = self.now.unmerged.iter().map(|path| path.path.to_vec());
        Err(WorkspaceError::Unmerged {
            paths: paths.collect(),
        })
    }
}
