//! Who may see what: the objects that one state of one repository reaches.

use std::sync::Arc;

use govc_git::{ObjectId, oid};

use super::{CommitNumber, Pool, PoolError};

/// What one state of a repository reaches. Made lazily, as far as the questions need.
pub struct Visibility {
    pool: Arc<Pool>,
}

impl Visibility {
    /// Everything reachable from `roots`, the targets of all refs of a state. Ids that the pool
    /// lacks reach nothing.
    pub fn new(pool: Arc<Pool>, roots: Vec<ObjectId>) -> Visibility {
        let _ = roots;
        Visibility { pool }
    }

    /// Whether the state reaches the object `id`: commits, tags, trees and blobs alike.
    ///
    /// # Errors
    /// When a tree that had to be looked into cannot be read.
    pub fn sees(&self, id: &oid) -> Result<bool, PoolError> {
        let _ = (&self.pool, id);
        unimplemented!()
    }

    /// Whether the state reaches this commit.
    pub fn sees_commit(&self, commit: CommitNumber) -> bool {
        let _ = commit;
        unimplemented!()
    }

    /// The visibility of a later state. `roots` are all targets of its refs; `removed` says that
    /// a ref was deleted or moved other than forwards since this state. Where none was, only what
    /// is new is walked.
    pub fn advance(&self, roots: Vec<ObjectId>, removed: bool) -> Visibility {
        let _ = (roots, removed);
        unimplemented!()
    }
}
