//! An object that arrives.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use govc_engine::journal::contents::{ContentSpool, Contents};
use govc_engine::{
    CauseKind, Change, Edit, LfsObject, LfsOid, NewObjects, RepoId, Repository, Seq, Via,
};
use sha2::{Digest, Sha256};

use super::LfsError;
use super::objects::too_large;
use crate::app::error::AppError;
use crate::app::publish::cause;
use crate::app::{Action, App};
use crate::http::caller::Caller;

/// It is written and hashed in blocks of so many bytes.
const BLOCK_BYTES: usize = 1 << 20;
/// After so many bytes in memory it is looked how much there is.
const LOOK_BYTES: u64 = 16 << 20;

/// An object that arrives. Dropped, it leaves nothing.
pub struct Upload {
    app: App,
    caller: Caller,
    repository: Arc<Repository>,
    contents: Arc<dyn Contents>,
    oid: LfsOid,
    /// Bytes that it may have.
    size_max: u64,
    /// Bytes that it must have, where that was said.
    size: Option<u64>,
    /// Arrived, and not written yet.
    block: BytesMut,
    arrived: u64,
    /// When memory is looked at next, for what is kept there.
    look_at: Option<u64>,
    written: Option<Written>,
}

/// Where it is written to, and the hash of what was written.
struct Written {
    spool: Box<dyn ContentSpool>,
    hash: Sha256,
}

impl App {
    /// Begins to receive an object, of `size` bytes if that was said.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`LfsError::TooLarge`], [`AppError::OverBudget`].
    pub async fn lfs_receive(
        &self,
        caller: &Caller,
        id: &RepoId,
        oid: LfsOid,
        size: Option<u64>,
    ) -> Result<Upload, AppError> {
        let repository = self.lfs_repository(caller, id, Action::Write).await?;
        let size_max = self.config().lfs.object.0;
        if let Some(size) = size.filter(|size| *size > size_max) {
            return Err(too_large(size, size_max).into());
        }
        let snapshot = repository.snapshot();
        let storage = snapshot.record.storage;
        let in_memory = self.lfs_in_memory(&snapshot)?;
        if in_memory {
            let (left, limit) = self.memory().left();
            let size = size.unwrap_or_default();
            if left == 0 || size > left {
                return Err(LfsError::NoRoom { size, limit }.into());
            }
        }
        let contents = self.large_files()?.of(storage);
        let from = Arc::clone(&contents);
        let spool = self.offload(move || from.receive()).await?;
        Ok(Upload {
            app: self.clone(),
            caller: caller.clone(),
            repository,
            contents,
            oid,
            size_max,
            size,
            block: BytesMut::new(),
            arrived: 0,
            look_at: in_memory.then_some(LOOK_BYTES),
            written: Some(Written {
                spool: spool.map_err(not_written)?,
                hash: Sha256::new(),
            }),
        })
    }
}

impl Upload {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`LfsError::TooLarge`], [`LfsError::Invalid`] when there are more than was said,
    /// [`AppError::OutOfSpace`], [`AppError::OverBudget`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), AppError> {
        self.arrived += bytes.len() as u64;
        if self.size.is_some_and(|size| self.arrived > size) {
            return Err(self.other_size().into());
        }
        if self.arrived > self.size_max {
            return Err(too_large(self.arrived, self.size_max).into());
        }
        if self.look_at.is_some_and(|at| self.arrived >= at) {
            self.look_at = Some(self.arrived + LOOK_BYTES);
            self.app.memory().look();
            self.app.memory().has_room()?;
        }
        self.block.extend_from_slice(&bytes);
        if self.block.len() >= BLOCK_BYTES {
            self.write_block().await?;
        }
        Ok(())
    }

    /// It has arrived: it is kept and referenced if it is what it is called. Returns the
    /// repository's number.
    ///
    /// # Errors
    /// [`LfsError::Invalid`], [`AppError::Quota`], and as [`Upload::write`]; nothing is kept then.
    pub async fn finish(mut self) -> Result<Seq, AppError> {
        if self.size.is_some_and(|size| self.arrived != size) {
            return Err(self.other_size().into());
        }
        self.write_block().await?;
        let Some(Written { spool, hash }) = self.written.take() else {
            return Err(AppError::Internal("an upload ended twice".into()));
        };
        let found = LfsOid(hash.finalize().into());
        if found != self.oid {
            return Err(
                LfsError::Invalid(format!("what arrived is {found}, not {}", self.oid)).into(),
            );
        }
        // From here on it is finished whether or not the client waits for it.
        let finishing = tokio::spawn(self.keep(spool));
        finishing.await.map_err(AppError::internal)?
    }

    async fn keep(self, spool: Box<dyn ContentSpool>) -> Result<Seq, AppError> {
        let Upload {
            app,
            caller,
            repository,
            contents,
            oid,
            arrived: size,
            ..
        } = self;
        let files = Arc::clone(app.large_files()?);
        let held = files.hold(oid);
        let kept = app.offload(move || spool.keep(&oid)).await?;
        let referenced = match kept {
            Ok(()) => {
                let change = Change {
                    objects: NewObjects::default(),
                    edits: vec![Edit::LfsObjects(vec![LfsObject { oid, size }])],
                    cause: cause(&caller, CauseKind::LfsUploaded, Via::Git),
                };
                app.publish(&repository, change).await
            }
            Err(error) => Err(not_written(error)),
        };
        match referenced {
            Ok(published) => Ok(published.seq),
            Err(AppError::Unknown) => {
                held.for_ever();
                Err(AppError::Unknown)
            }
            Err(error) => {
                drop(held);
                let engine = Arc::clone(app.engine()?);
                let gone = app.offload(move || files.remove_if_unused(&*contents, &engine, &oid));
                if let Err(error) = gone.await? {
                    tracing::warn!(%oid, %error, "a refused large file stays for now");
                }
                Err(error)
            }
        }
    }

    fn other_size(&self) -> LfsError {
        let said = self.size.unwrap_or_default();
        let arrived = self.arrived;
        LfsError::Invalid(if arrived > said {
            format!("more than the {said} bytes that were announced arrived")
        } else {
            format!("{arrived} bytes arrived, not {said}")
        })
    }

    /// Writes and hashes what has arrived.
    async fn write_block(&mut self) -> Result<(), AppError> {
        let block = std::mem::take(&mut self.block).freeze();
        let Some(mut written) = self.written.take() else {
            return Err(AppError::Internal("an upload goes on after its end".into()));
        };
        let done = tokio::task::spawn_blocking(move || {
            written.hash.update(&block);
            written.spool.write(block)?;
            Ok(written)
        });
        let done: io::Result<Written> = done.await.map_err(AppError::internal)?;
        self.written = Some(done.map_err(not_written)?);
        Ok(())
    }
}

fn not_written(error: io::Error) -> AppError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppError::OutOfSpace,
        _ => {
            tracing::error!(%error, "a large file could not be written");
            AppError::Unavailable {
                why: "the server could not write the file".to_owned(),
            }
        }
    }
}
