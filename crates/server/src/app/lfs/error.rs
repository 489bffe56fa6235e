//! What can be wrong with a request of Git LFS.

use std::sync::Arc;

use govc_engine::{LfsLock, LfsOid};

/// Why Git LFS did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LfsError {
    /// It is off.
    #[error("Git LFS is off on this server (lfs.enabled)")]
    Off,
    /// The repository references no such object. Whether the server has it is nobody's business.
    #[error("the repository has no large file {0}")]
    NotFound(LfsOid),
    /// The repository references it, and its content is not there any more.
    #[error("the content of {0} is gone: upload it again")]
    Gone(LfsOid),
    /// The object cannot be, or not like this.
    #[error("{0}")]
    Invalid(String),
    /// More than a limit of `lfs` allows.
    #[error("{what}: more than {limit} are not taken ({setting})")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The figure.
        limit: u64,
        /// The setting that has it.
        setting: &'static str,
    },
    /// The names of objects are SHA-256.
    #[error("objects are named by sha256 here, not {0:?}")]
    HashAlgorithm(String),
    /// The path is locked.
    #[error("{} is locked by {}", .0.path, .0.owner)]
    Locked(Arc<LfsLock>),
    /// There is no such lock.
    #[error("there is no lock {0:?}")]
    LockNotFound(String),
    /// Somebody else's lock goes by force only.
    #[error("{} is locked by {}: only they take the lock away, or whoever may use force", .0.path, .0.owner)]
    NotYours(Arc<LfsLock>),
    /// The pass that is shown is good for downloads only.
    #[error("this pass is good for downloads only")]
    ReadOnlyPass,
    /// It is kept in memory, and there is not enough.
    #[error(
        "there is no room for {size} more bytes: the server may use {limit} bytes of memory \
         (storage.memory_budget)"
    )]
    NoRoom {
        /// Bytes of the object.
        size: u64,
        /// The figure.
        limit: u64,
    },
    /// As many locks as there may be.
    #[error("the repository has {0} locks, and may not have more (lfs.locks)")]
    LocksFull(usize),
}

impl LfsError {
    /// The status that it is told with.
    pub fn status(&self) -> u16 {
        match self {
            LfsError::Off => 501,
            LfsError::NotFound(_) | LfsError::LockNotFound(_) => 404,
            LfsError::Gone(_) => 410,
            LfsError::Invalid(_) | LfsError::LocksFull(_) => 422,
            LfsError::TooLarge { .. } => 413,
            LfsError::HashAlgorithm(_) | LfsError::Locked(_) => 409,
            LfsError::NoRoom { .. } => 507,
            LfsError::NotYours(_) | LfsError::ReadOnlyPass => 403,
        }
    }

    /// Its stable code.
    pub fn code(&self) -> &'static str {
        match self {
            LfsError::Off => "LFS_OFF",
            LfsError::NotFound(_) => "LFS_OBJECT_NOT_FOUND",
            LfsError::Gone(_) => "LFS_OBJECT_GONE",
            LfsError::Invalid(_) => "LFS_OBJECT_INVALID",
            LfsError::TooLarge { .. } => "TOO_LARGE",
            LfsError::NoRoom { .. } => "OUT_OF_SPACE",
            LfsError::HashAlgorithm(_) => "LFS_HASH_UNSUPPORTED",
            LfsError::Locked(_) => "LFS_LOCK_EXISTS",
            LfsError::LockNotFound(_) => "LFS_LOCK_NOT_FOUND",
            LfsError::NotYours(_) | LfsError::ReadOnlyPass => "FORBIDDEN",
            LfsError::LocksFull(_) => "LFS_LOCKS_FULL",
        }
    }
}
