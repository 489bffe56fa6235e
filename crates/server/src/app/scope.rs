//! Scopes: `?reality=`, `?workspace=` and `?transaction=` say inside of what a request reads or
//! writes. Nobody else takes these parameters apart.
//!
//! A reality is a repository of the engine: the request goes to that one. A workspace and a
//! transaction give the files that are read where no `ref` is named, and what HEAD is.

use std::sync::Arc;

use govc_engine::journal::Moment;
use govc_engine::work::View;
use govc_engine::work::workspace::{self, OpenWorkspace};
use govc_engine::{
    DEFAULT_WORKSPACE, RepoId, Repository, Snapshot, Target, Time, Transaction, TransactionState,
};
use govc_git::ObjectId;

use super::error::AppError;
use super::realities::Doing;
use super::state::State;
use super::{Action, App};
use crate::http::caller::Caller;
use crate::http::query::Query;

/// Inside of what a request reads or writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The reality; `None`: the repository that the path names.
    pub reality: Option<String>,
    /// A part of it that has files of its own.
    pub within: Option<Within>,
}

/// What has files of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    /// A workspace, by name.
    Workspace(Arc<str>),
    /// A transaction, by id.
    Transaction(Arc<str>),
}

/// What a scope has for those who read without naming a `ref`.
#[derive(Debug, Clone)]
pub struct Inside {
    /// The commit that it was made from; `None` where the branch was unborn.
    pub base: Option<ObjectId>,
    /// Its files.
    pub files: ObjectId,
    /// The workspace that it is, where it is one.
    pub workspace: Option<Box<OpenWorkspace>>,
    /// The transaction that it is, where it is one.
    pub transaction: Option<Arc<Transaction>>,
}

/// A workspace or a transaction of a repository, which a request works in.
#[derive(Debug, Clone)]
pub struct Place {
    /// The repository.
    pub repo: RepoId,
    /// The workspace's name, or the transaction's id.
    pub name: Arc<str>,
}

impl Scope {
    /// Takes `reality`, for what works on whole repositories.
    ///
    /// # Errors
    /// [`AppError::Query`] when it is not UTF-8.
    pub fn take_repository(query: &mut Query) -> Result<Scope, AppError> {
        Ok(Scope {
            reality: query.text("reality")?,
            within: None,
        })
    }

    /// Takes `reality`, and `workspace` or `transaction`, for what reads.
    ///
    /// # Errors
    /// [`AppError::Query`] when both of the latter are given.
    pub fn take(query: &mut Query) -> Result<Scope, AppError> {
        let mut scope = Scope::take_repository(query)?;
        scope.within = match (query.text("workspace")?, query.text("transaction")?) {
            (None, None) => None,
            (Some(name), None) => Some(Within::Workspace(name.into())),
            (None, Some(id)) => Some(Within::Transaction(id.into())),
            (Some(_), Some(_)) => {
                return Err(AppError::query(
                    "transaction",
                    "either `workspace` or `transaction`: none is inside of the other",
                ));
            }
        };
        Ok(scope)
    }

    /// Takes `reality` and `workspace`, for what works in a workspace: the default one where none
    /// is named.
    ///
    /// # Errors
    /// [`AppError::Query`] when one is not UTF-8.
    pub fn take_workspace(query: &mut Query) -> Result<(Scope, Arc<str>), AppError> {
        let (scope, name) = Scope::take_named_workspace(query)?;
        Ok((scope, name.unwrap_or_else(|| DEFAULT_WORKSPACE.into())))
    }

    /// Takes `reality` and `workspace`, for what works in a workspace only where one is named.
    ///
    /// # Errors
    /// [`AppError::Query`] when one is not UTF-8.
    pub fn take_named_workspace(query: &mut Query) -> Result<(Scope, Option<Arc<str>>), AppError> {
        let scope = Scope::take_repository(query)?;
        let name = query.text("workspace")?;
        Ok((scope, name.map(Arc::from)))
    }
}

impl App {
    /// The repository that `scope` of the repository `id` is, for somebody who may do `action`.
    ///
    /// # Errors
    /// As [`App::repository`], and [`AppError::ScopeNotFound`].
    pub async fn repository_in(
        &self,
        caller: &Caller,
        id: &RepoId,
        scope: &Scope,
        action: Action,
    ) -> Result<Arc<Repository>, AppError> {
        let repository = self.repository(caller, id, action).await?;
        match &scope.reality {
            None => Ok(repository),
            Some(name) => {
                let reality = self.reality(&repository, name)?;
                let doing = match action {
                    Action::Read => Doing::Reading,
                    Action::Write | Action::Administer => Doing::Writing,
                };
                self.open_reality(&reality, doing).await
            }
        }
    }
}

impl State {
    /// The state of `repository` as it is seen within `within`.
    ///
    /// # Errors
    /// [`AppError::ScopeNotFound`]; [`AppError::TransactionExpired`].
    pub fn within(
        repository: Arc<Repository>,
        within: &Within,
        now: Time,
    ) -> Result<State, AppError> {
        let snapshot = repository.snapshot();
        match within {
            Within::Workspace(name) => {
                let open = open_workspace(&repository, &snapshot, name, now)?;
                let view = View::of_snapshot(&repository, &snapshot)
                    .within(open.head_target(), open.now.roots());
                let inside = Inside {
                    base: open.now.base,
                    files: open.now.files,
                    workspace: Some(Box::new(open)),
                    transaction: None,
                };
                Ok(State::of(repository, view, Some(inside)))
            }
            Within::Transaction(id) => {
                let transaction = open_transaction(&snapshot, id, now)?;
                // All that it does not write is what it was when the transaction began.
                let view = View::at(&repository, Moment::Seq(transaction.seq))
                    .map_err(AppError::internal)?
                    .ok_or_else(|| AppError::ScopeNotFound {
                        what: "transaction",
                        name: id.to_string(),
                    })?;
                let head = match transaction.base {
                    Some(base) => Target::At(base),
                    None => Target::Symbolic(transaction.branch.clone()),
                };
                let view = view.within(head, transaction.roots());
                let inside = Inside {
                    base: transaction.base,
                    files: transaction.tree,
                    workspace: None,
                    transaction: Some(transaction),
                };
                Ok(State::of(repository, view, Some(inside)))
            }
        }
    }
}

/// The workspace `name` of `repository` as `snapshot` has it.
///
/// # Errors
/// [`AppError::ScopeNotFound`].
pub fn open_workspace(
    repository: &Repository,
    snapshot: &Snapshot,
    name: &str,
    now: Time,
) -> Result<OpenWorkspace, AppError> {
    workspace::open(snapshot, repository.pool(), name, now)?.ok_or_else(|| {
        AppError::ScopeNotFound {
            what: "workspace",
            name: name.to_owned(),
        }
    })
}

/// The transaction `id`, in which somebody may work.
///
/// # Errors
/// [`AppError::ScopeNotFound`], [`AppError::TransactionExpired`], and
/// [`AppError::Impossible`] when it is over.
pub fn open_transaction(
    snapshot: &Snapshot,
    id: &str,
    now: Time,
) -> Result<Arc<Transaction>, AppError> {
    let transaction = any_transaction(snapshot, id, now)?;
    match transaction.state {
        TransactionState::Open => Ok(transaction),
        over => Err(AppError::TransactionOver {
            id: id.to_owned(),
            state: over.name(),
        }),
    }
}

/// The transaction `id`, which may be over, and is not expired.
///
/// # Errors
/// [`AppError::ScopeNotFound`], [`AppError::TransactionExpired`].
pub fn any_transaction(
    snapshot: &Snapshot,
    id: &str,
    now: Time,
) -> Result<Arc<Transaction>, AppError> {
    let found = snapshot.transactions.get(id);
    let transaction = found.ok_or_else(|| AppError::ScopeNotFound {
        what: "transaction",
        name: id.to_owned(),
    })?;
    if transaction.is_expired(now) {
        return Err(AppError::TransactionExpired { id: id.to_owned() });
    }
    Ok(Arc::clone(transaction))
}
