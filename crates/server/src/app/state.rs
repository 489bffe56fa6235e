//! A state of a repository to read from: now, or at a moment.

use std::sync::Arc;
use std::time::Duration;

use govc_engine::journal::Moment;
use govc_engine::pool::PoolError;
use govc_engine::work::View;
use govc_engine::work::revision::{self, RevisionError};
use govc_engine::{RepoId, Repository};
use govc_git::ObjectId;

use super::error::AppError;
use super::files::tree_of;
use super::history;
use super::scope::Inside;
use super::{Action, App};
use crate::http::ask::Reading;
use crate::http::caller::Caller;
use crate::http::page::{Cursor, PageQuery};

/// How long a read waits for the number that it wants to see.
const PATIENCE: Duration = Duration::from_secs(10);

/// One state of a repository.
pub struct State {
    /// Whose state it is.
    pub repository: Arc<Repository>,
    /// The state.
    pub view: View,
    /// What is read where no `ref` is named, inside of a workspace or a transaction.
    pub inside: Option<Inside>,
}

impl App {
    /// The state of a repository that a request reads from. A list that goes on, goes on in the
    /// state that it began in.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`AppError::SeqNotFound`], [`AppError::SeqNotReached`],
    /// [`AppError::HistoryExpired`].
    pub async fn state(
        &self,
        caller: &Caller,
        id: &RepoId,
        reading: &Reading,
        cursor: Option<&Cursor>,
    ) -> Result<State, AppError> {
        let repository = self
            .repository_in(caller, id, &reading.scope, Action::Read)
            .await?;
        self.reached(&repository, reading).await?;
        if let Some(within) = reading.scope.within.clone() {
            let now = self.engine()?.clock().now();
            let state = move || State::within(repository, &within, now);
            return self.offload(state).await?;
        }
        let newest = repository.snapshot().seq;
        let moment = match (cursor, &reading.at) {
            (Some(cursor), _) if cursor.seq > newest => return Err(PageQuery::not_a_cursor()),
            (Some(cursor), _) if cursor.seq == newest && reading.at.is_none() => None,
            (Some(cursor), _) => Some(Moment::Seq(cursor.seq)),
            (None, Some(at)) => Some(at.moment),
            (None, None) => None,
        };
        let Some(moment) = moment else {
            let view = View::of(&repository);
            return Ok(State::of(repository, view, None));
        };
        let not_found = AppError::SeqNotFound {
            at: reading
                .at
                .as_ref()
                .map_or_else(String::new, |at| at.text.clone()),
        };
        match &reading.at {
            Some(at) => history::kept(&repository, moment, &at.text)?,
            None => history::kept(&repository, moment, "the state of this list")?,
        }
        let past = Arc::clone(&repository);
        let view = self.offload(move || View::at(&past, moment)).await?;
        match view.map_err(AppError::internal)? {
            Some(view) => Ok(State::of(repository, view, None)),
            None => Err(not_found),
        }
    }

    /// Waits for the number that a read wants to see.
    ///
    /// # Errors
    /// [`AppError::SeqNotReached`].
    pub async fn reached(
        &self,
        repository: &Arc<Repository>,
        reading: &Reading,
    ) -> Result<(), AppError> {
        match reading.min_seq {
            Some(wanted) if !repository.wait_for(wanted, PATIENCE).await => {
                Err(AppError::SeqNotReached {
                    wanted,
                    current: repository.snapshot().seq,
                })
            }
            _ => Ok(()),
        }
    }
}

impl State {
    /// The state `view` of `repository`, and what is read in it where no `ref` is named.
    pub fn of(repository: Arc<Repository>, view: View, inside: Option<Inside>) -> State {
        State {
            repository,
            view,
            inside,
        }
    }

    /// The commit and the tree that a read is from: those that `reference` names, or the scope's
    /// own files. `None` where there is no commit yet, and nothing was named.
    ///
    /// # Errors
    /// As [`commit`].
    pub fn root(
        &self,
        reference: Option<&str>,
    ) -> Result<Option<(Option<ObjectId>, ObjectId)>, AppError> {
        if let (Some(inside), None) = (&self.inside, reference) {
            return Ok(Some((inside.base, inside.files)));
        }
        let commit = self.commit(reference)?;
        commit
            .map(|commit| Ok((Some(commit), tree_of(&self.view.pool, commit)?)))
            .transpose()
    }

    /// The commit that a read is from: what `reference` names, or HEAD's. `None` where HEAD's
    /// branch has no commit yet, and nothing was named.
    ///
    /// # Errors
    /// As [`commit`].
    pub fn commit(&self, reference: Option<&str>) -> Result<Option<ObjectId>, AppError> {
        match reference {
            Some(text) => commit(&self.view, text).map(Some),
            None if self.view.refs.resolve(b"HEAD").is_none() => Ok(None),
            None => commit(&self.view, "HEAD").map(Some),
        }
    }
}

/// The commit that `text` names in `view`.
///
/// # Errors
/// [`AppError::RefInvalid`], [`AppError::RefNotFound`], [`AppError::RefAmbiguous`],
/// [`AppError::RefWrongKind`].
pub fn commit(view: &View, text: &str) -> Result<ObjectId, AppError> {
    revision::resolve_commit(view, text).map_err(AppError::from)
}

impl From<RevisionError> for AppError {
    fn from(error: RevisionError) -> AppError {
        match error {
            RevisionError::Syntax { text, why } => AppError::RefInvalid { name: text, why },
            RevisionError::NotFound { text } | RevisionError::SearchTooLong { text } => {
                AppError::RefNotFound { name: text }
            }
            RevisionError::PathNotFound { path, .. } => AppError::PathNotFound { path },
            RevisionError::Ambiguous { text, candidates } => AppError::RefAmbiguous {
                name: text,
                candidates,
            },
            RevisionError::WrongKind {
                text,
                found,
                expected,
            } => AppError::RefWrongKind {
                name: text,
                found: found.name(),
                wanted: expected.name(),
            },
            RevisionError::Pool(error) => error.into(),
        }
    }
}

impl From<PoolError> for AppError {
    fn from(error: PoolError) -> AppError {
        match error {
            // That is how it was pushed.
            PoolError::TooDeep { .. } | PoolError::TooManyFiles { .. } => AppError::Impossible {
                code: "TREE_TOO_LARGE",
                detail: error.to_string(),
            },
            error => AppError::internal(error),
        }
    }
}

impl From<govc_api::Invalid> for AppError {
    fn from(invalid: govc_api::Invalid) -> AppError {
        let detail = invalid.to_string();
        match invalid {
            govc_api::Invalid::Field { field, .. } => AppError::Body { field, detail },
            govc_api::Invalid::Ref { name, why } => AppError::RefInvalid { name, why },
            govc_api::Invalid::RepoIdReserved { id, why } => AppError::RepoIdReserved { id, why },
        }
    }
}
