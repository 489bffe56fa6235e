//! The way into a workspace: what is done there is one change, or one step of staging.

use std::sync::{Arc, PoisonError};

use govc_engine::pool::Pool;
use govc_engine::work::workspace::state::tree_or_empty;
use govc_engine::work::workspace::{self, Changed, OpenWorkspace, WorkspaceError};
use govc_engine::{
    Cause, CauseKind, Change, Edit, Expected, NewObject, ObjectBody, Pending, Proposal, RefEdit,
    RefName, Refusal, Repository, Seq, Snapshot, Time, Via, Workspace,
};
use govc_git::ObjectId;
use serde::Serialize;

use super::App;
use super::ahead::{Ahead, Said};
use super::answers::Logged;
use super::aside::Aside;
use super::error::{AppError, SaidIn};
use super::publish::{belief_fails, cause};
use crate::http::ask::Terms;
use crate::http::caller::Caller;
use crate::http::etag::IfMatch;

/// What was done in a workspace.
pub(super) struct Done<T> {
    /// What the workspace is to be; `None` takes it away.
    pub(super) after: Option<Workspace>,
    /// What it brings.
    pub(super) objects: Vec<NewObject>,
    /// The refs that it moves.
    pub(super) refs: Vec<RefEdit>,
    /// What kind of change it is.
    pub(super) kind: CauseKind,
    /// Whether it is no change with a number.
    pub(super) is_staging: bool,
    /// What is answered.
    pub(super) answer: T,
}

impl<T> Done<T> {
    /// Something was staged.
    pub(super) fn staged(changed: Changed, answer: T) -> Done<T> {
        Done {
            after: Some(changed.after),
            objects: changed.objects,
            refs: Vec::new(),
            kind: CauseKind::Workspace,
            is_staging: true,
            answer,
        }
    }

    /// The workspace was moved.
    pub(super) fn moved(changed: Changed, refs: Vec<RefEdit>, kind: CauseKind, answer: T) -> Self {
        Done {
            after: Some(changed.after),
            objects: changed.objects,
            refs,
            kind,
            is_staging: false,
            answer,
        }
    }
}

/// What work in a workspace is a function of.
pub(super) struct At<'a> {
    pub(super) open: &'a OpenWorkspace,
    pub(super) snapshot: &'a Snapshot,
    pub(super) pool: &'a Pool,
}

/// Something that is done in a workspace when its turn comes. What it comes to is found out
/// before that; it is found out again only where the workspace or its branch moved meanwhile.
struct InWorkspace<F, T> {
    name: Arc<str>,
    if_match: Option<IfMatch>,
    work: F,
    ahead: Option<(OpenWorkspace, Done<T>)>,
    /// Large objects.
    aside: Aside,
    cause: Cause,
    answer: Said<T>,
}

impl<F, T> InWorkspace<F, T>
where
    F: FnMut(&At<'_>) -> Result<Done<T>, AppError> + Send,
    T: Send,
{
    /// What `If-Match` says is so of the workspace's branch, or of its HEAD where it has none.
    fn check_if_match(&self, open: &OpenWorkspace, snapshot: &Snapshot) -> Result<(), AppError> {
        let Some(belief) = &self.if_match else {
            return Ok(());
        };
        // A rebase has its branch aside until it is done.
        let operation = open.now.operation.as_ref();
        let aside = operation.and_then(|operation| operation.branch.as_ref());
        let (name, current) = match open.now.branch.as_ref().or(aside) {
            Some(branch) => (branch.to_text(), snapshot.refs.resolve(branch.as_bytes())),
            None => ("HEAD".to_owned(), open.head),
        };
        match belief.holds(current) {
            true => Ok(()),
            false => Err(belief_fails(belief, name, current)),
        }
    }

    /// Does it where that was not done for this state. The workspace as it is now.
    fn run(&mut self, snapshot: &Snapshot, pool: &Pool) -> Result<OpenWorkspace, AppError> {
        let open = workspace::open(snapshot, pool, &self.name, snapshot.time)?;
        let open = open.ok_or_else(|| AppError::ScopeNotFound {
            what: "workspace",
            name: self.name.to_string(),
        })?;
        self.check_if_match(&open, snapshot)?;
        let known = self.ahead.as_ref().is_some_and(|(then, _)| {
            then.stored == open.stored
                && then.head == open.head
                && then.now.branch == open.now.branch
        });
        if !known {
            let done = (self.work)(&At {
                open: &open,
                snapshot,
                pool,
            })?;
            self.ahead = Some((open.clone(), done));
        }
        Ok(open)
    }
}

impl<F, T> Ahead for InWorkspace<F, T>
where
    F: FnMut(&At<'_>) -> Result<Done<T>, AppError> + Send + 'static,
    T: Send + Clone + 'static,
{
    type Answer = T;

    fn work_out(&mut self, snapshot: &Snapshot, pool: &Pool, _: Time) -> Result<(), AppError> {
        self.run(snapshot, pool).map(drop)
    }

    fn put_aside(&mut self, repository: &Arc<Repository>) -> Result<(), AppError> {
        match &mut self.ahead {
            Some((_, done)) => self.aside.put(repository, &mut done.objects),
            None => Ok(()),
        }
    }

    fn about(&self) -> Vec<RefName> {
        Vec::new()
    }

    fn said(&self) -> &Said<T> {
        &self.answer
    }
}

impl<F, T> Proposal for InWorkspace<F, T>
where
    F: FnMut(&At<'_>) -> Result<Done<T>, AppError> + Send,
    T: Send + Clone,
{
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let open = self.run(now.snapshot, now.pool)?;
        let Some((_, done)) = &self.ahead else {
            return Ok(None);
        };
        let answer = Some(done.answer.clone());
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        let after = match &done.after {
            None => None,
            Some(after) => {
                let is_same = *after == open.now;
                let base_tree = tree_or_empty(now.pool, after.base)
                    .or_else(|_| tree_in(&done.objects, after.base, now.pool))?;
                let mut after = after.clone();
                match &open.stored {
                    Some(stored) => after.created_at = stored.created_at,
                    None => after.created_at = now.time,
                }
                after.used_at = now.time;
                match is_same {
                    // Nothing was done; where it has followed its branch that stays unsaid.
                    true => open.stored.clone(),
                    false => open.to_store(now.snapshot, after, &base_tree),
                }
            }
        };
        let mut edits: Vec<Edit> = done.refs.iter().cloned().map(Edit::Ref).collect();
        if after != open.stored {
            edits.push(Edit::Workspace {
                name: Arc::clone(&self.name),
                after,
                is_staging: done.is_staging,
            });
        }
        if edits.is_empty() {
            return Ok(None);
        }
        let mut cause = self.cause.clone();
        cause.kind = done.kind;
        Ok(Some(Change {
            objects: self.aside.with(&done.objects),
            edits,
            cause,
        }))
    }
}

/// The tree of a commit that is about to be made.
fn tree_in(
    objects: &[NewObject],
    commit: Option<ObjectId>,
    pool: &Pool,
) -> Result<ObjectId, AppError> {
    let made = objects.iter().find(|object| Some(object.id) == commit);
    let Some(ObjectBody::Whole(data)) = made.map(|object| &object.body) else {
        return Err(AppError::Internal("a commit is missing".into()));
    };
    govc_git::object::commit::facts(data, pool.format())
        .map(|facts| facts.tree)
        .map_err(AppError::internal)
}

impl App {
    /// As [`App::in_workspace_answering`], where all answers have one status.
    pub(super) async fn in_workspace<T, F>(
        &self,
        caller: &Caller,
        repository: &Arc<Repository>,
        name: &Arc<str>,
        terms: &Terms,
        status: u16,
        work: F,
    ) -> Result<(T, Seq), AppError>
    where
        F: FnMut(&At<'_>) -> Result<Done<T>, AppError> + Send + 'static,
        T: Clone + Serialize + Send + 'static,
    {
        let logged = move |answer: &T| match status {
            204 => Logged::empty(status),
            _ => Logged::body(status, Some(answer)),
        };
        self.in_workspace_answering(caller, repository, name, terms, logged, work)
            .await
    }

    /// Does `work` in the workspace `name` of `repository`, as one change or one step; `logged` is
    /// what gives its answer again.
    pub(super) async fn in_workspace_answering<T, F>(
        &self,
        caller: &Caller,
        repository: &Arc<Repository>,
        name: &Arc<str>,
        terms: &Terms,
        logged: impl Fn(&T) -> Logged + Send + 'static,
        work: F,
    ) -> Result<(T, Seq), AppError>
    where
        F: FnMut(&At<'_>) -> Result<Done<T>, AppError> + Send + 'static,
        T: Clone + Send + 'static,
    {
        let proposal = InWorkspace {
            name: Arc::clone(name),
            if_match: terms.if_match.clone(),
            work,
            ahead: None,
            aside: Aside::default(),
            cause: cause(caller, CauseKind::Workspace, Via::Rest),
            answer: Said::default(),
        };
        self.publish_ahead(repository, terms, proposal, logged)
            .await
    }
}

pub(super) fn check_belief(open: &OpenWorkspace, expected: Expected) -> Result<(), AppError> {
    let holds = match expected {
        Expected::Anything => true,
        Expected::Absent => open.head.is_none(),
        Expected::At(id) => open.head == Some(id),
    };
    match holds {
        true => Ok(()),
        false => Err(moved(open, expected)),
    }
}

pub(super) fn moved(open: &OpenWorkspace, expected: Expected) -> AppError {
    let name = match &open.now.branch {
        Some(branch) => branch.to_text(),
        None => "HEAD".to_owned(),
    };
    AppError::RefMoved {
        name,
        expected: match expected {
            Expected::At(id) => Some(id),
            _ => open.now.base,
        },
        current: open.head,
        said_in: SaidIn::Request,
    }
}

impl From<WorkspaceError> for AppError {
    fn from(error: WorkspaceError) -> AppError {
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let texts = |paths: &[Vec<u8>]| paths.iter().map(|path| text(path)).collect();
        let detail = error.to_string();
        let impossible = |code| AppError::Impossible {
            code,
            detail: detail.clone(),
        };
        match error {
            WorkspaceError::PathInvalid { path, source } => AppError::PathInvalid {
                path: text(&path),
                why: source.to_string(),
            },
            WorkspaceError::PathNotFound { path } => AppError::PathNotFound { path: text(&path) },
            WorkspaceError::PathConflict { path, with } => AppError::PathConflict {
                path: text(&path),
                with: text(&with),
            },
            WorkspaceError::Dirty { paths } => AppError::WorkspaceDirty {
                paths: texts(&paths),
            },
            WorkspaceError::Unmerged { paths } | WorkspaceError::Conflict { paths } => {
                AppError::Unmerged {
                    paths: texts(&paths),
                }
            }
            WorkspaceError::InProgress { operation } => AppError::InProgress { operation },
            WorkspaceError::NotInProgress => AppError::NotInProgress,
            WorkspaceError::NothingToSkip { .. } => impossible("NOTHING_TO_SKIP"),
            WorkspaceError::Moved {
                name,
                expected,
                current,
            } => AppError::RefMoved {
                name: name.to_text(),
                expected,
                current,
                said_in: SaidIn::Request,
            },
            WorkspaceError::NothingToCommit => AppError::NothingToCommit,
            WorkspaceError::MessageEmpty => AppError::Body {
                field: "message".to_owned(),
                detail,
            },
            WorkspaceError::NothingToStash => impossible("NOTHING_TO_STASH"),
            WorkspaceError::Unborn { .. } => impossible("NO_COMMIT_YET"),
            WorkspaceError::Ignored { .. } => impossible("PATH_IGNORED"),
            WorkspaceError::ModeInvalid { .. } => impossible("MODE_INVALID"),
            WorkspaceError::BlobNotFound { .. } => impossible("OBJECT_NOT_FOUND"),
            WorkspaceError::FileRefused { .. } => impossible("FILE_REFUSED"),
            WorkspaceError::Collision(_) => impossible("COLLISION"),
            WorkspaceError::Commit(error) => (*error).into(),
            WorkspaceError::Merge(error) => AppError::internal(error),
            WorkspaceError::Tree(error) => AppError::internal(error),
            WorkspaceError::Pool(error) => error.into(),
        }
    }
}
