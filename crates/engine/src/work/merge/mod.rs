//! Merging as git does: three trees, or two commits and whatever they come from.
//!
//! Trees, verdicts, conflicted paths and conflicted text are those of git's `ort` strategy (2.39):
//! [`walk`] finds what differs and passes over what one side left alone, [`renames`] pairs files
//! that moved and lets files follow folders that moved, [`entries`] decides path by path, with
//! [`content`] for what both sides changed, and [`outcome`] makes the tree. [`bases`] merges merge
//! bases where there are several.
//!
//! Attributes are not looked at, as in a bare repository. Submodules are never merged: their
//! commits are elsewhere.

mod bases;
mod conflict;
mod content;
mod entries;
mod integrate;
mod introduced;
mod listing;
pub mod messages;
mod outcome;
mod patch_id;
mod progress;
mod renames;
mod state;
mod table_order;
mod todo;
mod walk;

use govc_git::object_id::Collision;
use govc_git::xdiff::XdiffError;
use govc_git::{ObjectId, oid};

use super::tree_editor::TreeEditError;
use crate::NewObject;
use crate::pool::{Pool, PoolError};

pub(in crate::work) use bases::Scratch;
pub use bases::{merge_bases, merge_commits};
pub use conflict::{Conflict, ConflictKind, Message, MessageKind, PathVersion, Stage};
pub use govc_git::xdiff::Favor;
pub use integrate::{
    COMMITS_MAX, IntegrateError, Integrated, Made, People, Plan, Strategy, integrate,
};

pub use progress::{Progress, Steps, Stopped, progress, progress_further, progress_uncommitted};

use state::Merge;

/// What stands behind conflict markers, and in paths that were made unique.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// What both come from.
    pub ancestor: &'a [u8],
    /// `HEAD`, mostly.
    pub ours: &'a [u8],
    /// What is merged into it.
    pub theirs: &'a [u8],
}

/// How is merged.
#[derive(Debug, Clone, Copy, Default)]
pub struct MergeOptions {
    /// Whose side conflicts are decided for (`-X ours`, `-X theirs`); [`Favor::Union`] is none
    /// that a merge of trees has.
    pub favor: Favor,
    /// Do not look for renames (`-X no-renames`).
    pub no_renames: bool,
}

/// What a merge of trees made.
#[derive(Debug, Clone)]
pub struct TreeMerge {
    /// The tree, with conflicts marked in it where there are any.
    pub tree: ObjectId,
    /// What it has that was not there before the merge: blobs and trees, these mostly as deltas.
    pub objects: Vec<NewObject>,
    /// Whether git would commit it.
    pub is_clean: bool,
    /// What is to be solved, by path. It may be empty although the merge is not clean: a folder may
    /// have moved to two places.
    pub conflicts: Vec<Conflict>,
    /// What git says of it, by path.
    pub messages: Vec<Message>,
}

/// Why nothing was merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Something that a tree names cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The tree could not be made.
    #[error(transparent)]
    Tree(#[from] TreeEditError),
    /// A merged file collides with another under SHA-1.
    #[error(transparent)]
    Collision(#[from] Collision),
    /// Both sides changed a text that cannot be merged.
    #[error("{:?} cannot be merged: {source}", String::from_utf8_lossy(.path))]
    Text {
        /// Where it is.
        path: Vec<u8>,
        /// Why not.
        source: XdiffError,
    },
    /// Folders are nested too deeply, or merge bases of merge bases.
    #[error("too deep to be merged: {what}")]
    TooDeep {
        /// What is.
        what: &'static str,
    },
    /// A rename led to a path that nobody met.
    #[error("{:?} is named by a rename and nowhere else", String::from_utf8_lossy(.path))]
    Lost {
        /// The path.
        path: Vec<u8>,
    },
}

/// Merges what `ours` and `theirs` made of `base`, as `git merge-tree` and `git merge` do. All
/// three are trees that `pool` has, or the empty tree.
///
/// # Errors
/// [`MergeError`].
pub fn merge_trees(
    pool: &Pool,
    base: &oid,
    ours: &oid,
    theirs: &oid,
    labels: &Labels<'_>,
    options: &MergeOptions,
) -> Result<TreeMerge, MergeError> {
    merge_at_depth(pool, [base, ours, theirs], labels, options, 0)
}

/// As [`merge_trees`]; `depth` is how many merges this one is made for, 0 for the one that was
/// asked for. In others conflicts become part of the text, and folders do not move.
fn merge_at_depth(
    pool: &Pool,
    [base, ours, theirs]: [&oid; 3],
    labels: &Labels<'_>,
    options: &MergeOptions,
    depth: u32,
) -> Result<TreeMerge, MergeError> {
    let mut merge = Merge::new(pool, labels, options, depth);
    merge.walk([base, ours, theirs])?;
    merge.follow_renames()?;
    merge.decide()?;
    merge.into_tree(ours)
}
