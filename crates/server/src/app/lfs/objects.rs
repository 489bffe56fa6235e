//! Which objects a repository has, and what a client is to do about those it asks for.

use std::io;
use std::sync::Arc;

use govc_api::lfs::{ObjectError, ObjectRef};
use govc_engine::journal::contents::{Content, Contents};
use govc_engine::{LfsOid, RepoId, Snapshot};

use super::LfsError;
use crate::app::error::AppError;
use crate::app::publish::Quotas;
use crate::app::{Action, App};
use crate::http::caller::Caller;

/// What a client wants to do with objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Bring them.
    Upload,
    /// Get them.
    Download,
}

/// What a client is to do about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Get it.
    Download,
    /// Bring it.
    Upload,
    /// Nothing: the repository has it.
    There,
    /// Nothing: it cannot be.
    Refused(ObjectError),
}

impl Operation {
    /// What its caller must be allowed to do.
    pub fn action(self) -> Action {
        match self {
            Operation::Upload => Action::Write,
            Operation::Download => Action::Read,
        }
    }
}

/// The object that a client names, if there can be one.
///
/// # Errors
/// [`LfsError::Invalid`].
pub fn parse_oid(text: &str) -> Result<LfsOid, LfsError> {
    LfsOid::parse(text).ok_or_else(|| {
        let said: String = text.chars().take(80).collect();
        LfsError::Invalid(format!(
            "an object's name is 64 lower-case hexadecimal digits, not {said:?}"
        ))
    })
}

impl App {
    /// What is to be done about each of some objects.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`LfsError::TooLarge`] for too many at once.
    pub async fn lfs_batch(
        &self,
        caller: &Caller,
        id: &RepoId,
        operation: Operation,
        objects: Vec<ObjectRef>,
    ) -> Result<Vec<(ObjectRef, Verdict)>, AppError> {
        let repository = self.lfs_repository(caller, id, operation.action()).await?;
        let limits = &self.config().lfs;
        if objects.len() > limits.batch {
            let limit = limits.batch as u64;
            return Err(LfsError::TooLarge {
                what: format!("a batch of {} objects", objects.len()),
                limit,
                setting: "lfs.batch",
            }
            .into());
        }
        let snapshot = repository.snapshot();
        let batch = Batch {
            contents: self.large_files()?.of(snapshot.record.storage),
            operation,
            size_max: limits.object.0,
            memory: self.lfs_in_memory(&snapshot)?.then(|| self.memory().left()),
            room: Quotas::of(self, &repository).room(&snapshot),
            snapshot,
        };
        // Whether contents are there is asked of the disk.
        self.offload(move || batch.judge(objects)).await
    }

    /// Opens an object that a repository references.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`LfsError::NotFound`], [`LfsError::Gone`].
    pub async fn lfs_open(
        &self,
        caller: &Caller,
        id: &RepoId,
        oid: LfsOid,
    ) -> Result<Arc<dyn Content>, AppError> {
        let repository = self.lfs_repository(caller, id, Action::Read).await?;
        let snapshot = repository.snapshot();
        let size = snapshot.lfs.object(&oid).ok_or(LfsError::NotFound(oid))?;
        let contents = self.large_files()?.of(snapshot.record.storage);
        let opened = self.offload(move || open(&*contents, oid, size.size));
        opened.await?
    }

    /// Whether a repository has an object of that size.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`LfsError::NotFound`], [`LfsError::Invalid`].
    pub async fn lfs_verify(
        &self,
        caller: &Caller,
        id: &RepoId,
        object: &ObjectRef,
    ) -> Result<(), AppError> {
        let repository = self.lfs_repository(caller, id, Action::Write).await?;
        let oid = parse_oid(&object.oid)?;
        let there = repository.snapshot().lfs.object(&oid);
        let there = there.ok_or(LfsError::NotFound(oid))?;
        if u64::try_from(object.size) != Ok(there.size) {
            return Err(other_size(there.size, object.size).into());
        }
        Ok(())
    }
}

fn other_size(size: u64, said: i64) -> LfsError {
    LfsError::Invalid(format!("the object has {size} bytes, not {said}"))
}

/// Opens a content that must be there, and of that size.
fn open(contents: &dyn Contents, oid: LfsOid, size: u64) -> Result<Arc<dyn Content>, AppError> {
    match contents.open(&oid) {
        Ok(content) if content.size() == size => Ok(content),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(AppError::internal(error)),
        _ => {
            tracing::error!(%oid, size, "a large file that is referenced is not there");
            Err(LfsError::Gone(oid).into())
        }
    }
}

/// What a batch is judged by.
struct Batch {
    snapshot: Arc<Snapshot>,
    contents: Arc<dyn Contents>,
    operation: Operation,
    size_max: u64,
    /// Bytes that there is room for in memory, and how many there may be, for what is kept there.
    memory: Option<(u64, u64)>,
    /// Bytes that the repository may still take; `None`: any.
    room: Option<u64>,
}

impl Batch {
    fn judge(self, objects: Vec<ObjectRef>) -> Vec<(ObjectRef, Verdict)> {
        let verdict = |object: &ObjectRef| {
            self.verdict(object).unwrap_or_else(|error| {
                Verdict::Refused(ObjectError {
                    // Too large is an object that cannot be, to a client.
                    code: match error.status() {
                        413 => 422,
                        status => status,
                    },
                    message: error.to_string(),
                })
            })
        };
        objects
            .into_iter()
            .map(|object| {
                let verdict = verdict(&object);
                (object, verdict)
            })
            .collect()
    }

    fn verdict(&self, object: &ObjectRef) -> Result<Verdict, LfsError> {
        let oid = parse_oid(&object.oid)?;
        let size = u64::try_from(object.size)
            .map_err(|_| LfsError::Invalid(format!("no object has {} bytes", object.size)))?;
        let referenced = self.snapshot.lfs.object(&oid);
        if let Some(there) = referenced
            && there.size != size
        {
            return Err(other_size(there.size, object.size));
        }
        let is_there = || {
            let content = self.contents.open(&oid);
            content.is_ok_and(|content| content.size() == size)
        };
        match (self.operation, referenced) {
            (Operation::Download, None) => Err(LfsError::NotFound(oid)),
            (Operation::Download, Some(_)) if is_there() => Ok(Verdict::Download),
            (Operation::Download, Some(_)) => Err(LfsError::Gone(oid)),
            // What this repository has need not be brought again. What another has must: only who
            // has the bytes gets them here.
            (Operation::Upload, Some(_)) if is_there() => Ok(Verdict::There),
            (Operation::Upload, _) => {
                if size > self.size_max {
                    return Err(too_large(size, self.size_max));
                }
                if let Some((left, limit)) = self.memory
                    && size > left
                {
                    return Err(LfsError::NoRoom { size, limit });
                }
                if let Some(room) = self.room.filter(|room| size > *room) {
                    return Err(LfsError::Invalid(format!(
                        "the repository has room for {room} more bytes (settings.quotas.bytes)"
                    )));
                }
                Ok(Verdict::Upload)
            }
        }
    }
}

/// An object is larger than any may be.
pub fn too_large(size: u64, limit: u64) -> LfsError {
    LfsError::TooLarge {
        what: format!("an object of {size} bytes"),
        limit,
        setting: "lfs.object",
    }
}
