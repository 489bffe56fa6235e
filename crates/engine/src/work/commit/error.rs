//! Why a commit is not made.

use govc_git::object::check::Finding;
use govc_git::object_id::Collision;
use govc_git::{ObjectId, path};

use crate::RefName;
use crate::pool::PoolError;
use crate::work::tree_editor::TreeEditError;

/// Why a commit was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
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
    /// A file is where a folder is needed, or the other way round, or something is where nothing
    /// may be.
    #[error("{:?} is in the way of {:?}", String::from_utf8_lossy(.with), String::from_utf8_lossy(.path))]
    PathConflict {
        /// What was to be put there.
        path: Vec<u8>,
        /// What is there.
        with: Vec<u8>,
    },
    /// The mode does not go with the content, or with what is at the path.
    #[error("{:?} cannot have mode {mode:06o}: {why}", String::from_utf8_lossy(.path))]
    ModeInvalid {
        /// The path.
        path: Vec<u8>,
        /// The mode.
        mode: u32,
        /// Why not.
        why: &'static str,
    },
    /// The text to be replaced is empty.
    #[error("edit {edit} of {:?} looks for an empty text", String::from_utf8_lossy(.path))]
    EditEmpty {
        /// The file.
        path: Vec<u8>,
        /// Which of its edits, from 0.
        edit: usize,
    },
    /// The text to be replaced does not occur as often as it should.
    #[error("edit {edit} of {:?} found its text {found} times, not {count}", String::from_utf8_lossy(.path))]
    EditNotFound {
        /// The file.
        path: Vec<u8>,
        /// Which of its edits, from 0.
        edit: usize,
        /// How often the text is there.
        found: u64,
        /// How often it was to be there.
        count: u64,
    },
    /// An edit would make a file too large.
    #[error("{:?} would have {bytes} bytes, of at most {max}", String::from_utf8_lossy(.path))]
    FileTooLarge {
        /// The file.
        path: Vec<u8>,
        /// How large it would become.
        bytes: u64,
        /// How large it may become.
        max: u64,
    },
    /// The blob to be put does not exist here, as far as the repository's refs reach.
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
    /// The commit would be the same as its parent.
    #[error("the actions change nothing")]
    NothingToCommit,
    /// The branch does not exist.
    #[error("there is no branch {branch}")]
    BranchNotFound {
        /// The branch.
        branch: RefName,
    },
    /// The branch that was to be made exists.
    #[error("{branch} exists")]
    BranchExists {
        /// The branch.
        branch: RefName,
    },
    /// Nothing is left of the message.
    #[error("the commit message is empty")]
    MessageEmpty,
    /// The content was made to collide with another.
    #[error(transparent)]
    Collision(#[from] Collision),
    /// What is stored cannot be edited.
    #[error(transparent)]
    Tree(TreeEditError),
    /// What is stored cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

impl From<TreeEditError> for CommitError {
    fn from(error: TreeEditError) -> CommitError {
        match error {
            TreeEditError::Conflict { path, with } => CommitError::PathConflict { path, with },
            TreeEditError::NotFound { path } => CommitError::PathNotFound { path },
            TreeEditError::Collision(collision) => CommitError::Collision(collision),
            TreeEditError::Pool(error) => CommitError::Pool(error),
            other => CommitError::Tree(other),
        }
    }
}
