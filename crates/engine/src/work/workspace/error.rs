//! Why something is not done in a workspace.

use govc_git::object::check::Finding;
use govc_git::object_id::Collision;
use govc_git::{ObjectId, path};

use crate::RefName;
use crate::pool::PoolError;
use crate::work::commit::CommitError;
use crate::work::merge::MergeError;
use crate::work::tree_editor::TreeEditError;

/// Why something is not done in a workspace. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// Git does not allow this path.
    #[error("{:?} is no path for a file: {source}", String::from_utf8_lossy(.path))]
    PathInvalid {
        /// The path.
        path: Vec<u8>,
        /// Which rule it breaks.
        source: path::PathError,
    },
    /// Nothing is at that path.
    #[error("there is nothing at {:?}", String::from_utf8_lossy(.path))]
    PathNotFound {
        /// The path.
        path: Vec<u8>,
    },
    /// Something is in the way.
    #[error("{:?} is in the way of {:?}", String::from_utf8_lossy(.with), String::from_utf8_lossy(.path))]
    PathConflict {
        /// What was to be put there.
        path: Vec<u8>,
        /// What is there.
        with: Vec<u8>,
    },
    /// The path is ignored, and not tracked.
    #[error("{:?} is ignored by a .gitignore; it is added by `force`", String::from_utf8_lossy(.path))]
    Ignored {
        /// The path.
        path: Vec<u8>,
    },
    /// The mode does not go with the content.
    #[error("{:?} cannot have mode {mode:06o}: {why}", String::from_utf8_lossy(.path))]
    ModeInvalid {
        /// The path.
        path: Vec<u8>,
        /// The mode.
        mode: u32,
        /// Why not.
        why: &'static str,
    },
    /// The blob to be put does not exist here, as far as one may see.
    #[error("there is no blob {id}")]
    BlobNotFound {
        /// The id.
        id: ObjectId,
    },
    /// Git would refuse the file: it reads it itself, and it could do harm.
    #[error("{:?} is refused: {finding}", String::from_utf8_lossy(.name))]
    FileRefused {
        /// Its name in its folder.
        name: Vec<u8>,
        /// What `git fsck` says of it.
        finding: Finding,
    },
    /// Uncommitted changes would be lost.
    #[error("uncommitted changes would be lost: {}", list(.paths))]
    Dirty {
        /// Where; sorted.
        paths: Vec<Vec<u8>>,
    },
    /// Conflicts are not solved.
    #[error("conflicts are not solved: {}", list(.paths))]
    Unmerged {
        /// Where.
        paths: Vec<Vec<u8>>,
    },
    /// Another operation has to be finished first.
    #[error("a {operation} is in progress: continue or abort it first")]
    InProgress {
        /// Which.
        operation: &'static str,
    },
    /// There is nothing to go on with, or to abort.
    #[error("no merge, cherry-pick, revert or rebase is in progress")]
    NotInProgress,
    /// A merge is all there is, or the commit was made by hand already.
    #[error("the {operation} has no commit to leave out: {instead} it")]
    NothingToSkip {
        /// What is in progress.
        operation: &'static str,
        /// What to do with it.
        instead: &'static str,
    },
    /// The index is what the head's tree is.
    #[error("nothing is staged")]
    NothingToCommit,
    /// There is nothing to put away.
    #[error("there are no local changes to stash")]
    NothingToStash,
    /// There is no commit yet.
    #[error("{branch} has no commit yet")]
    Unborn {
        /// The branch.
        branch: String,
    },
    /// The branch was moved by others.
    #[error("{name} moved")]
    Moved {
        /// The branch.
        name: RefName,
        /// The base of the workspace.
        expected: Option<ObjectId>,
        /// What the branch is.
        current: Option<ObjectId>,
    },
    /// Changes cannot be put together: see the paths.
    #[error("changes conflict: {}", list(.paths))]
    Conflict {
        /// Where.
        paths: Vec<Vec<u8>>,
    },
    /// Nothing is left of the message.
    #[error("the message is empty")]
    MessageEmpty,
    /// The content was made to collide with another.
    #[error(transparent)]
    Collision(#[from] Collision),
    /// Trees cannot be merged.
    #[error(transparent)]
    Merge(MergeError),
    /// A commit cannot be made.
    #[error(transparent)]
    Commit(Box<CommitError>),
    /// What is stored cannot be edited.
    #[error(transparent)]
    Tree(TreeEditError),
    /// What is stored cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// So many paths are told in a sentence.
const TOLD_MAX: usize = 5;

fn list(paths: &[Vec<u8>]) -> String {
    let told: Vec<_> = paths
        .iter()
        .take(TOLD_MAX)
        .map(|path| String::from_utf8_lossy(path))
        .collect();
    let more = paths.len().saturating_sub(TOLD_MAX);
    match more {
        0 => told.join(", "),
        more => format!("{}, and {more} more", told.join(", ")),
    }
}

impl From<TreeEditError> for WorkspaceError {
    fn from(error: TreeEditError) -> WorkspaceError {
        match error {
            TreeEditError::Conflict { path, with } => WorkspaceError::PathConflict { path, with },
            TreeEditError::NotFound { path } => WorkspaceError::PathNotFound { path },
            TreeEditError::Collision(collision) => WorkspaceError::Collision(collision),
            TreeEditError::Pool(error) => WorkspaceError::Pool(error),
            other => WorkspaceError::Tree(other),
        }
    }
}

impl From<MergeError> for WorkspaceError {
    fn from(error: MergeError) -> WorkspaceError {
        match error {
            MergeError::Pool(error) => WorkspaceError::Pool(error),
            MergeError::Tree(error) => error.into(),
            MergeError::Collision(collision) => WorkspaceError::Collision(collision),
            other => WorkspaceError::Merge(other),
        }
    }
}

impl From<CommitError> for WorkspaceError {
    /// What is said of a file that Git reads itself.
    fn from(error: CommitError) -> WorkspaceError {
        match error {
            CommitError::FileRefused { name, finding } => {
                WorkspaceError::FileRefused { name, finding }
            }
            CommitError::Pool(error) => WorkspaceError::Pool(error),
            other => WorkspaceError::Commit(Box::new(other)),
        }
    }
}
