//! Merges, picks, reverts and rebases in a workspace: a conflict may stay there, to be solved and
//! gone on with, or to be taken back.

use std::sync::Arc;

use govc_api::commits::Commit;
use govc_api::merges::{GoOnOrder, MergeOrder, MergeStrategy, PickOrder, RebaseOrder, Replayed};
use govc_api::status::Status;
use govc_api::workspaces as api;
use govc_engine::pool::Pool;
use govc_engine::work::View;
use govc_engine::work::merge::{
    self, Made, People, Plan, Progress, Steps, integrate, messages, progress_uncommitted,
};
use govc_engine::work::workspace::state::tree_or_empty;
use govc_engine::work::workspace::{Brought, GoOn, GoOnError, OpenWorkspace};
use govc_engine::{CauseKind, Expected, OperationKind, RefEdit, RefName, Seq, Target};
use govc_git::message;

use super::answers::Logged;
use super::commits::{self, place};
use super::error::AppError;
use super::in_workspace::{At, Done, check_belief, moved};
use super::merges::expand;
use super::scope::Place;
use super::state::commit;
use super::workspaces::shown;
use super::{Action, App};
use crate::http::ask::Terms;
use crate::http::caller::Caller;

/// What came of something in a workspace.
#[derive(Debug, Clone)]
pub enum Came<T> {
    /// Its end, and whether something was made.
    ToEnd(T, bool),
    /// A conflict that is left in the workspace.
    Stopped(Box<Status>),
}

impl<T: serde::Serialize> Came<T> {
    /// The answer as it is logged.
    pub(super) fn logged(&self) -> Logged {
        match self {
            Came::ToEnd(body, true) => Logged::body(201, Some(body)),
            Came::ToEnd(body, false) => Logged::body(200, Some(body)),
            Came::Stopped(status) => Logged::body(202, Some(status)),
        }
    }
}

/// What is done where it is to be done in a workspace.
struct Here {
    plan: Plan,
    people: People,
    expected: Expected,
    keep_conflicts: bool,
    no_commit: bool,
    kind: CauseKind,
}

impl App {
    /// Merges a revision into the branch of a workspace.
    ///
    /// # Errors
    /// As [`App::merge`]; [`AppError::WorkspaceDirty`], [`AppError::InProgress`].
    pub async fn merge_here(
        &self,
        caller: &Caller,
        at: &Place,
        order: MergeOrder,
        terms: &Terms,
    ) -> Result<(Came<Commit>, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let people = self.people(caller, order.author.as_ref(), order.committer.as_ref())?;
        let (repo, id) = (Arc::clone(&repository), at.repo.clone());
        let merge = move |at: &At<'_>| {
            let open = at.open;
            let branch = order.to.as_deref().map(RefName::branch);
            check_branch(open, branch.as_ref())?;
            let view =
                View::of_snapshot(&repo, at.snapshot).within(open.head_target(), open.now.roots());
            let from = commit(&view, &order.from)?;
            let into = match &open.now.branch {
                Some(branch) => branch.branch_name().unwrap_or(branch.as_bytes()),
                None => b"HEAD",
            };
            let message = match (&order.message, order.strategy) {
                (Some(text), _) => Some(message::clean(text.as_bytes())),
                (None, MergeStrategy::Squash) => None,
                (None, _) => Some(messages::merge(
                    &view.pool,
                    &view.refs,
                    order.from.as_bytes(),
                    into,
                )),
            };
            let here = Here {
                plan: Plan::Merge {
                    from,
                    label: order.from.clone().into_bytes(),
                    strategy: order.strategy.into(),
                    message,
                },
                people: people.clone(),
                expected: order.expected,
                keep_conflicts: order.keep_conflicts,
                no_commit: false,
                kind: CauseKind::Merge,
            };
            bring(at, &here, merged)
        };
        let answer = move |came: &Came<Commit>| match came {
            Came::ToEnd(commit, true) => came.logged().at(place(&id, commit)),
            _ => came.logged(),
        };
        self.in_workspace_answering(caller, &repository, &at.name, terms, answer, merge)
            .await
    }

    /// Picks commits into a workspace, or takes back there what they changed.
    ///
    /// # Errors
    /// As [`App::merge_here`].
    pub async fn pick_here(
        &self,
        caller: &Caller,
        at: &Place,
        order: PickOrder,
        is_revert: bool,
        terms: &Terms,
    ) -> Result<(Came<Replayed>, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let people = self.people(caller, order.author.as_ref(), order.committer.as_ref())?;
        let repo = Arc::clone(&repository);
        let pick = move |at: &At<'_>| {
            let open = at.open;
            check_branch(open, order.branch.as_ref())?;
            let view =
                View::of_snapshot(&repo, at.snapshot).within(open.head_target(), open.now.roots());
            let commits = expand(&view, &order.commits, is_revert)?;
            let mainline = order.mainline;
            let here = Here {
                plan: match is_revert {
                    true => Plan::Revert { commits, mainline },
                    false => Plan::Pick { commits, mainline },
                },
                people: people.clone(),
                expected: order.expected,
                keep_conflicts: order.keep_conflicts,
                no_commit: order.no_commit,
                kind: CauseKind::Commit,
            };
            bring(at, &here, replayed)
        };
        let answer = Came::logged;
        self.in_workspace_answering(caller, &repository, &at.name, terms, answer, pick)
            .await
    }

    /// Makes the commits of a workspace's branch again elsewhere.
    ///
    /// # Errors
    /// As [`App::merge_here`].
    pub async fn rebase_here(
        &self,
        caller: &Caller,
        at: &Place,
        order: RebaseOrder,
        terms: &Terms,
    ) -> Result<(Came<Replayed>, Seq), AppError> {
        if order.autosquash && order.keep_conflicts {
            return Err(AppError::Impossible {
                code: "AUTOSQUASH_NOT_KEPT",
                detail: "conflicts of a rebase that rearranges commits are not kept: either \
                         `autosquash` or `keep_conflicts`"
                    .to_owned(),
            });
        }
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let people = self.people(caller, order.author.as_ref(), order.committer.as_ref())?;
        let repo = Arc::clone(&repository);
        let rebase = move |at: &At<'_>| {
            let open = at.open;
            check_branch(open, order.branch.as_ref())?;
            let view =
                View::of_snapshot(&repo, at.snapshot).within(open.head_target(), open.now.roots());
            let onto = commit(&view, &order.onto)?;
            let upstream = match &order.upstream {
                Some(upstream) => commit(&view, upstream)?,
                None => onto,
            };
            let here = Here {
                plan: Plan::Rebase {
                    onto,
                    upstream,
                    autosquash: order.autosquash,
                },
                people: people.clone(),
                expected: order.expected,
                keep_conflicts: order.keep_conflicts,
                no_commit: false,
                kind: CauseKind::Commit,
            };
            bring(at, &here, replayed)
        };
        let answer = Came::logged;
        self.in_workspace_answering(caller, &repository, &at.name, terms, answer, rebase)
            .await
    }

    /// Goes on with what a conflict stopped in a workspace.
    ///
    /// # Errors
    /// [`AppError::NotInProgress`], [`AppError::Unmerged`], [`AppError::NothingToCommit`],
    /// [`AppError::RefMoved`].
    pub async fn go_on(
        &self,
        caller: &Caller,
        at: &Place,
        order: GoOnOrder,
        terms: &Terms,
    ) -> Result<(Came<Replayed>, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let people = self.people(caller, order.author.as_ref(), order.committer.as_ref())?;
        let expected = order.expected;
        let how = GoOn {
            message: order.message.map(String::into_bytes),
            skip: order.skip,
            author: order.author.is_some().then(|| people.author.clone()),
            people,
        };
        let go_on = move |at: &At<'_>| {
            check_belief(at.open, expected)?;
            let operation = at.open.now.operation.as_ref();
            let kind = match operation.map(|operation| operation.kind) {
                Some(OperationKind::Merge) => CauseKind::Merge,
                _ => CauseKind::Commit,
            };
            let brought = match at.open.go_on(at.pool, &how) {
                Ok(brought) => brought,
                Err(GoOnError::Workspace(error)) => return Err(error.into()),
                Err(GoOnError::Integrate(error)) => {
                    return Err(AppError::from_integrating(error, at.pool));
                }
            };
            done(at, brought, kind, replayed)
        };
        let answer = Came::logged;
        self.in_workspace_answering(caller, &repository, &at.name, terms, answer, go_on)
            .await
    }

    /// Takes back what a conflict stopped in a workspace.
    ///
    /// # Errors
    /// [`AppError::NotInProgress`], [`AppError::WorkspaceDirty`], [`AppError::RefMoved`].
    pub async fn abort(
        &self,
        caller: &Caller,
        at: &Place,
        expected: Expected,
        terms: &Terms,
    ) -> Result<(api::Workspace, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let abort = move |at: &At<'_>| {
            check_belief(at.open, expected)?;
            let brought = at.open.abort(at.pool)?;
            let refs = edits(&brought);
            let kind = match refs.is_empty() {
                true => CauseKind::Workspace,
                false => CauseKind::Ref,
            };
            let tree = tree_or_empty(at.pool, brought.head)?;
            let answer = shown(at.open, &brought.changed.after, tree);
            Ok(Done::moved(brought.changed, refs, kind, answer))
        };
        self.in_workspace(caller, &repository, &at.name, terms, 200, abort)
            .await
    }
}

/// Refuses a branch that is not the workspace's.
fn check_branch(open: &OpenWorkspace, asked: Option<&RefName>) -> Result<(), AppError> {
    match (asked, &open.now.branch) {
        (None, _) => Ok(()),
        (Some(asked), Some(there)) if asked == there => Ok(()),
        // What is in progress has it aside: that is told first.
        (Some(_), _) if open.now.operation.is_some() => Ok(open.check_idle()?),
        (Some(asked), there) => Err(AppError::Impossible {
            code: "WORKSPACE_ELSEWHERE",
            detail: format!(
                "the workspace is at {}, not at {}: check that out first",
                there.as_ref().unwrap_or(&RefName::head()).to_text(),
                asked.to_text()
            ),
        }),
    }
}

/// Brings what is planned into a workspace; `answer` is what is said at its end.
fn bring<T>(
    at: &At<'_>,
    here: &Here,
    answer: impl Fn(&Brought, &Pool) -> Result<(T, bool), AppError>,
) -> Result<Done<Came<T>>, AppError> {
    let open = at.open;
    check_belief(open, here.expected)?;
    open.check_idle()?;
    if open.is_behind() {
        return Err(moved(open, here.expected));
    }
    let head = open.now.base;
    let progress = match &here.plan {
        Plan::Rebase {
            autosquash: true, ..
        } => integrate(at.pool, head, &here.plan, &here.people)
            .and_then(|integrated| Ok(Progress::whole(at.pool, integrated)?)),
        Plan::Pick { commits, mainline } | Plan::Revert { commits, mainline } if here.no_commit => {
            let kind = match &here.plan {
                Plan::Revert { .. } => OperationKind::Revert,
                _ => OperationKind::CherryPick,
            };
            let steps = Steps {
                kind,
                commits: commits.clone(),
                mainline: *mainline,
            };
            progress_uncommitted(at.pool, open.now.index, &steps, &here.people)
        }
        plan => merge::progress(at.pool, head, plan, &here.people),
    };
    let refuse = |error| AppError::from_integrating(error, at.pool);
    let mut progress = progress.map_err(refuse)?;
    if !here.keep_conflicts
        && let Some(stopped) = progress.stopped.take()
    {
        return Err(refuse(stopped.into_error()));
    }
    if here.no_commit {
        let brought = open.bring_uncommitted(at.pool, progress)?;
        let staged = done(at, brought, here.kind, answer)?;
        return Ok(Done {
            is_staging: true,
            ..staged
        });
    }
    let is_rebase = match &here.plan {
        Plan::Rebase { .. } => true,
        Plan::Merge { strategy, .. } => *strategy == merge::Strategy::Rebase,
        Plan::Pick { .. } | Plan::Revert { .. } => false,
    };
    let brought = open.bring(at.pool, progress, is_rebase)?;
    done(at, brought, here.kind, answer)
}

/// The refs that move with a workspace.
fn edits(brought: &Brought) -> Vec<RefEdit> {
    let branch = brought.branch.iter().map(|branch| RefEdit {
        name: branch.name.clone(),
        expected: branch.before.map_or(Expected::Absent, Expected::At),
        target: Target::At(branch.after),
    });
    branch.collect()
}

fn done<T>(
    at: &At<'_>,
    brought: Brought,
    kind: CauseKind,
    answer: impl Fn(&Brought, &Pool) -> Result<(T, bool), AppError>,
) -> Result<Done<Came<T>>, AppError> {
    let refs = edits(&brought);
    let came = match &brought.stopped {
        Some(status) => {
            let after = OpenWorkspace {
                now: brought.changed.after.clone(),
                head: brought.head,
                ..at.open.clone()
            };
            Came::Stopped(Box::new(Status::of(&after, status)))
        }
        None => {
            let (body, is_new) = answer(&brought, at.pool)?;
            Came::ToEnd(body, is_new)
        }
    };
    let is_staging = refs.is_empty() && matches!(came, Came::Stopped(_));
    Ok(Done {
        is_staging,
        ..Done::moved(brought.changed, refs, kind, came)
    })
}

fn shown_commit(made: &Made, pool: &Pool) -> Result<Commit, AppError> {
    Commit::read(made.id, &made.data, pool.format()).map_err(AppError::internal)
}

/// The commit that a merge ended with.
fn merged(brought: &Brought, pool: &Pool) -> Result<(Commit, bool), AppError> {
    match (brought.made.last(), brought.head) {
        (Some(made), _) => Ok((shown_commit(made, pool)?, true)),
        (None, Some(head)) => Ok((commits::read(pool, head)?, false)),
        (None, None) => Err(unborn()),
    }
}

/// The commits that were made.
fn replayed(brought: &Brought, pool: &Pool) -> Result<(Replayed, bool), AppError> {
    let commits = brought.made.iter().map(|made| shown_commit(made, pool));
    let replayed = Replayed {
        head: brought.head.ok_or_else(unborn)?.to_string(),
        commits: commits.collect::<Result<_, _>>()?,
    };
    let is_new = !replayed.commits.is_empty();
    Ok((replayed, is_new))
}

fn unborn() -> AppError {
    AppError::Impossible {
        code: "BRANCH_UNBORN",
        detail: "the branch has no commits".to_owned(),
    }
}
