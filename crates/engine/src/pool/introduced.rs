//! Introduced lists: for each commit, the objects that none of its parents has at that path.

use std::sync::Arc;

use govc_git::ObjectId;

use super::{CommitNumber, Pool, PoolError};

impl Pool {
    /// The trees and blobs of the commit's tree, itself included, that no parent has at that
    /// path. Submodules' commits are not among them. Memoized.
    ///
    /// # Errors
    /// [`PoolError::Missing`] when a tree that has to be opened is not there; others as
    /// [`Pool::find`].
    pub fn introduced(&self, commit: CommitNumber) -> Result<Arc<[ObjectId]>, PoolError> {
        let _ = commit;
        unimplemented!()
    }
}
