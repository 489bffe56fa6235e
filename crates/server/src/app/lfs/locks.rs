//! Locks: paths that somebody asks others not to change.
//!
//! A lock is on a path, in all branches. Whoever may write takes one; its owner takes it away, or
//! by force whoever administers the repository.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use govc_engine::{CauseKind, Change, Edit, LfsLock, NewObjects, Pending, RepoId, Seq, Via};
use govc_git::path;

use super::LfsError;
use crate::app::error::AppError;
use crate::app::publish::cause;
use crate::app::{Action, App};
use crate::http::caller::Caller;

const PATH_BYTES_MAX: usize = 4096;
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// Which locks are asked for.
#[derive(Debug, Clone, Default)]
pub struct LockQuery {
    /// The one on this path.
    pub path: Option<String>,
    /// The one with this id.
    pub id: Option<String>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: Option<i64>,
}

/// Some locks, and where those after them begin.
#[derive(Debug, Clone)]
pub struct LockPage {
    /// In the order of their paths.
    pub locks: Vec<Arc<LfsLock>>,
    /// Where to go on.
    pub next_cursor: Option<String>,
}

impl App {
    /// Some of a repository's locks, for somebody who may do `action`.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`]; [`LfsError::Invalid`] for a cursor that is none.
    pub async fn lfs_locks(
        &self,
        caller: &Caller,
        id: &RepoId,
        action: Action,
        query: &LockQuery,
    ) -> Result<LockPage, AppError> {
        let repository = self.lfs_repository(caller, id, action).await?;
        let limit = match query.limit {
            // What is not said is sent as 0 by some.
            None | Some(0) => LIMIT_DEFAULT,
            Some(limit) => usize::try_from(limit)
                .map_err(|_| LfsError::Invalid("`limit` is at least 1".to_owned()))?
                .min(LIMIT_MAX),
        };
        let given = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
        let after = given.map(decode_cursor).transpose()?;
        let snapshot = repository.snapshot();
        let asked = |lock: &&Arc<LfsLock>| {
            let is = |wanted: &Option<String>, has: &str| {
                wanted.as_deref().is_none_or(|wanted| wanted == has)
            };
            is(&query.path, &lock.path) && is(&query.id, &lock.id)
        };
        let mut locks: Vec<_> = snapshot
            .lfs
            .locks_after(after.as_deref())
            .filter(asked)
            .take(limit + 1)
            .cloned()
            .collect();
        let more = locks.len() > limit;
        locks.truncate(limit);
        let last = locks.last().filter(|_| more);
        let next_cursor = last.map(|last| URL_SAFE_NO_PAD.encode(last.path.as_bytes()));
        Ok(LockPage { locks, next_cursor })
    }

    /// Locks `path` for `owner`. Returns the lock and the number of the change.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`LfsError::Locked`], [`LfsError::LocksFull`],
    /// [`LfsError::Invalid`].
    pub async fn lfs_lock(
        &self,
        caller: &Caller,
        id: &RepoId,
        owner: Arc<str>,
        path: &str,
    ) -> Result<(Arc<LfsLock>, Seq), AppError> {
        let repository = self.lfs_repository(caller, id, Action::Write).await?;
        if path.len() > PATH_BYTES_MAX {
            return Err(LfsError::Invalid("the path is too long".to_owned()).into());
        }
        path::check(path)
            .map_err(|error| LfsError::Invalid(format!("{path:?} cannot be locked: {error}")))?;
        let mut random = [0u8; 16];
        getrandom::fill(&mut random).map_err(|error| AppError::Internal(error.into()))?;
        let lock = Arc::new(LfsLock {
            id: format!("{:032x}", u128::from_be_bytes(random)).into(),
            path: path.into(),
            owner,
            locked_at: self.engine()?.clock().now(),
        });
        let limit = self.config().lfs.locks;
        let cause = cause(caller, CauseKind::LfsLocked, Via::Git);
        let wanted = Arc::clone(&lock);
        let proposal = move |now: &Pending<'_>| {
            let lfs = &now.snapshot.lfs;
            if let Some(there) = lfs.lock(&wanted.path) {
                return Err(AppError::from(LfsError::Locked(Arc::clone(there))).into());
            }
            if lfs.lock_count() >= limit {
                return Err(AppError::from(LfsError::LocksFull(limit)).into());
            }
            Ok(Some(Change {
                objects: NewObjects::default(),
                edits: vec![Edit::LfsLock {
                    path: Arc::clone(&wanted.path),
                    after: Some(Arc::clone(&wanted)),
                }],
                cause: cause.clone(),
            }))
        };
        let published = self.publish(&repository, proposal).await?;
        Ok((lock, published.seq))
    }

    /// Takes a lock away, `owner`'s own, or by force anybody's. Returns what it was and the number
    /// of the change.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`LfsError::LockNotFound`], [`LfsError::NotYours`].
    pub async fn lfs_unlock(
        &self,
        caller: &Caller,
        id: &RepoId,
        owner: Arc<str>,
        lock: &str,
        force: bool,
    ) -> Result<(Arc<LfsLock>, Seq), AppError> {
        let repository = self.lfs_repository(caller, id, Action::Write).await?;
        let not_found = || AppError::from(LfsError::LockNotFound(lock.to_owned()));
        let snapshot = repository.snapshot();
        let there = snapshot.lfs.lock_by_id(lock).ok_or_else(not_found)?;
        let there = Arc::clone(there);
        let by_force = force && caller.may(Action::Administer);
        if there.owner != owner && !by_force {
            return Err(LfsError::NotYours(there).into());
        }
        let cause = cause(caller, CauseKind::LfsUnlocked, Via::Git);
        let was = Arc::clone(&there);
        let proposal = move |now: &Pending<'_>| {
            // It may be gone by now, and the path be locked by another.
            if now.snapshot.lfs.lock(&was.path) != Some(&was) {
                let gone = LfsError::LockNotFound(was.id.to_string());
                return Err(AppError::from(gone).into());
            }
            Ok(Some(Change {
                objects: NewObjects::default(),
                edits: vec![Edit::LfsLock {
                    path: Arc::clone(&was.path),
                    after: None,
                }],
                cause: cause.clone(),
            }))
        };
        let published = self.publish(&repository, proposal).await?;
        Ok((there, published.seq))
    }
}

fn decode_cursor(cursor: &str) -> Result<String, LfsError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let path = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    path.ok_or_else(|| LfsError::Invalid(format!("{cursor:?} is no cursor of this list")))
}
