//! Git LFS: large files that a repository references, and locks.

pub mod error;
pub mod large_files;
pub mod locks;
pub mod objects;
pub mod passes;
pub mod upload;

use std::sync::Arc;

use govc_engine::{RepoId, Repository, Snapshot, Storage};

use super::error::AppError;
use super::{Action, App};
use crate::http::caller::Caller;
pub use error::LfsError;
pub use large_files::LargeFiles;
use passes::Passes;

/// How `Authorization` begins where a pass is shown.
pub const PASS_SCHEME: &str = "RemoteAuth";

impl From<LfsError> for AppError {
    fn from(error: LfsError) -> AppError {
        AppError::Lfs(error)
    }
}

impl App {
    /// The contents of large files.
    ///
    /// # Errors
    /// As [`App::engine`].
    pub fn large_files(&self) -> Result<&Arc<LargeFiles>, AppError> {
        self.served().map(|served| &served.large_files)
    }

    /// Passes for who came by SSH.
    pub fn passes(&self) -> &Passes {
        &self.0.passes
    }

    /// Lets somebody who came by SSH transfer large files of the repository `id` by HTTP: the
    /// header that they show there.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`LfsError::Off`].
    pub async fn lfs_pass(
        &self,
        caller: &Caller,
        id: &RepoId,
        action: Action,
    ) -> Result<String, AppError> {
        self.lfs_repository(caller, id, action).await?;
        let pass = self.passes().give(caller.clone(), id, action)?;
        Ok(format!("{PASS_SCHEME} {pass}"))
    }

    /// The repository `id`, for somebody who may do `action` with it, by Git LFS.
    async fn lfs_repository(
        &self,
        caller: &Caller,
        id: &RepoId,
        action: Action,
    ) -> Result<Arc<Repository>, AppError> {
        if !self.config().lfs.enabled {
            return Err(LfsError::Off.into());
        }
        self.repository(caller, id, action).await
    }

    /// Whether large files of a repository are kept in memory.
    fn lfs_in_memory(&self, snapshot: &Snapshot) -> Result<bool, AppError> {
        Ok(snapshot.record.storage == Storage::Memory || !self.keeps()?)
    }

    /// Removes the contents that nobody references. Nothing goes while a repository cannot be
    /// read: what it references is not known.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] while the server is starting; whatever the disk met.
    pub async fn collect_large_files(&self) -> Result<(), AppError> {
        if self.served()?.has_stopped {
            return Ok(());
        }
        let files = Arc::clone(self.large_files()?);
        let engine = Arc::clone(self.engine()?);
        let gone = tokio::task::spawn_blocking(move || files.collect(&engine));
        let gone = gone.await.map_err(AppError::internal)?;
        let gone = gone.map_err(AppError::internal)?;
        if gone > 0 {
            tracing::info!(gone, "large files that nobody references were removed");
        }
        Ok(())
    }
}
