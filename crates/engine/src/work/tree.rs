//! Reading trees: one path, a folder, everything below it, and who touched it last.

use govc_git::{ObjectId, oid};

use crate::pool::{CommitNumber, Pool, PoolError};

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// One of the five modes that Git knows.
    pub mode: u32,
    /// What is there.
    pub id: ObjectId,
}

/// How deep to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// The folder's own entries: `git ls-tree`.
    #[default]
    One,
    /// All files below it: `git ls-tree -r`.
    Files,
    /// All files and folders below it: `git ls-tree -r -t`.
    FilesAndFolders,
}

/// Which part of a folder to list.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// The folder; empty for the root.
    pub path: Vec<u8>,
    /// How deep.
    pub depth: Depth,
    /// Begin behind the entry with this path, from the root.
    pub after: Option<Vec<u8>>,
    /// At most so many entries.
    pub limit: usize,
}

/// One file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path from the root.
    pub path: Vec<u8>,
    /// One of the five modes that Git knows.
    pub mode: u32,
    /// What is there.
    pub id: ObjectId,
    /// Bytes of a file's content or a link's target.
    pub size: Option<u64>,
}

/// Why a folder cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Nothing is at that path.
    #[error("there is nothing at {:?}", String::from_utf8_lossy(.path))]
    NotFound {
        /// The path.
        path: Vec<u8>,
    },
    /// A file is.
    #[error("{:?} is no folder", String::from_utf8_lossy(.path))]
    NotAFolder {
        /// The path.
        path: Vec<u8>,
    },
    /// What is stored cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// What is at `path` in the tree `root`. The empty path is the root itself.
///
/// # Errors
/// When a tree on the way cannot be read.
pub fn lookup(pool: &Pool, root: &oid, path: &[u8]) -> Result<Option<Found>, PoolError> {
    let _ = (pool, root, path);
    unimplemented!()
}

/// The entries of a folder of the tree `root`, in Git's order, and whether there are more.
///
/// # Errors
/// [`ListError`].
pub fn list(pool: &Pool, root: &oid, query: &ListQuery) -> Result<(Vec<Listed>, bool), ListError> {
    let _ = (pool, root, query);
    unimplemented!()
}

/// For each of `names` in `folder` of the commit `tip`, the newest commit that touched it, as
/// `git log -1 TIP -- folder/name` says; `None` for a name that is not there.
///
/// # Errors
/// When a tree cannot be read.
pub fn last_commits(
    pool: &Pool,
    tip: CommitNumber,
    folder: &[u8],
    names: &[&[u8]],
) -> Result<Vec<Option<ObjectId>>, PoolError> {
    let _ = (pool, tip, folder, names);
    unimplemented!()
}
