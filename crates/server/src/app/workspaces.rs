//! Workspaces: made, listed, deleted; what is changed in one, and what moves it.

use std::sync::{Arc, Mutex, PoisonError};

use govc_api::status::Status;
use govc_api::workspaces::{self as api, CheckoutOrder, NewWorkspace, check_name};
use govc_engine::work::View;
use govc_engine::work::workspace::state::tree_or_empty;
use govc_engine::work::workspace::{OpenWorkspace, ResetMode, WorkspaceError};
use govc_engine::{
    CauseKind, Change, DEFAULT_WORKSPACE, Edit, Expected, NewObjects, Pending, RefEdit, RefName,
    Refusal, RepoId, Seq, Target, Via, Workspace,
};
use govc_git::ObjectId;

use super::answers::Logged;
use super::error::AppError;
use super::in_workspace::{At, Done};
use super::publish::{Answering, cause};
use super::repos::location;
use super::scope::{Place, open_workspace};
use super::state::commit as commit_named;
use super::{Action, App};
use crate::http::ask::{Reading, Terms};
use crate::http::caller::Caller;
use crate::http::page::{Cursor, Page, PageQuery};
use crate::http::path::encode;

impl App {
    /// The workspaces of a repository, by name.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`].
    pub async fn workspaces(
        &self,
        caller: &Caller,
        id: &RepoId,
        reading: &Reading,
        page: PageQuery,
    ) -> Result<(Page<api::Workspace>, Seq), AppError> {
        let repository = self
            .repository_in(caller, id, &reading.scope, Action::Read)
            .await?;
        self.reached(&repository, reading).await?;
        let now = self.engine()?.clock().now();
        self.offload(move || {
            let snapshot = repository.snapshot();
            let after = page.cursor.map(|cursor| cursor.after);
            let mut names: Vec<Arc<str>> =
                snapshot.workspaces.iter().map(|(n, _)| n.clone()).collect();
            if snapshot.workspaces.get(DEFAULT_WORKSPACE).is_none() {
                names.push(DEFAULT_WORKSPACE.into());
                names.sort();
            }
            let is_behind = |name: &Arc<str>| {
                after
                    .as_ref()
                    .is_none_or(|after| name.as_bytes() > after.as_slice())
            };
            let mut names = names.into_iter().filter(is_behind);
            let mut items = Vec::new();
            let mut last: Option<Arc<str>> = None;
            let mut next = None;
            for name in names.by_ref() {
                if items.len() == page.limit {
                    next = last.map(|last| Cursor {
                        seq: snapshot.seq,
                        after: last.as_bytes().to_vec(),
                    });
                    break;
                }
                let open = open_workspace(&repository, &snapshot, &name, now)?;
                items.push(api::Workspace::from(&open));
                last = Some(name);
            }
            Ok((Page { items, next }, snapshot.seq))
        })
        .await?
    }

    /// Makes a workspace.
    ///
    /// # Errors
    /// [`AppError::WorkspaceExists`], [`AppError::RefNotFound`].
    pub async fn create_workspace(
        &self,
        caller: &Caller,
        id: &RepoId,
        new: NewWorkspace,
        terms: &Terms,
    ) -> Result<(api::Workspace, Seq), AppError> {
        check_name("name", &new.name)?;
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        let name: Arc<str> = new.name.into();
        let cause = cause(caller, CauseKind::Workspace, Via::Rest);
        let answer = Arc::new(Mutex::new(None));
        let (kept, repo, limit) = (
            Arc::clone(&answer),
            Arc::clone(&repository),
            self.config().limits.workspaces,
        );
        let place = format!(
            "{}/workspaces/{}",
            location(id),
            encode(name.as_bytes(), false)
        );
        let proposal = move |now: &Pending<'_>| -> Result<Option<Change>, Refusal> {
            let there = now.snapshot.workspaces.len();
            if *name == *DEFAULT_WORKSPACE || now.snapshot.workspaces.get(&name).is_some() {
                let name = name.to_string();
                return Err(AppError::WorkspaceExists { name }.into());
            }
            if limit > 0 && there as u64 >= limit {
                return Err(AppError::Quota {
                    what: "workspaces",
                    limit,
                    setting: "limits.workspaces",
                }
                .into());
            }
            let view = View::of_snapshot(&repo, now.snapshot);
            let (branch, base) = match &new.reference {
                None => match now.snapshot.refs.head_branch() {
                    Some(branch) => (Some(branch.clone()), now.snapshot.head()),
                    None => (None, now.snapshot.head()),
                },
                Some(text) => named(&view, text)?,
            };
            let tree = tree_or_empty(now.pool, base)?;
            let after = Arc::new(Workspace::clean(branch, base, tree, now.time));
            let open = OpenWorkspace {
                name: Arc::clone(&name),
                stored: Some(Arc::clone(&after)),
                now: Workspace::clone(&after),
                base_tree: tree,
                head: base,
            };
            *kept.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(api::Workspace::from(&open));
            Ok(Some(Change {
                objects: NewObjects::default(),
                edits: vec![Edit::Workspace {
                    name: Arc::clone(&name),
                    after: Some(after),
                    is_staging: false,
                }],
                cause: cause.clone(),
            }))
        };
        let logged = Arc::clone(&answer);
        let answering = Answering::about(Vec::new(), move |_: &Change, _: &Pending<'_>| {
            let made = logged.lock().unwrap_or_else(PoisonError::into_inner);
            Logged::body(201, made.as_ref()).at(place.clone())
        });
        let published = self
            .publish_answering(&repository, terms, answering, proposal)
            .await?;
        let made = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let made = made.ok_or_else(|| AppError::Internal("nothing was made".into()))?;
        Ok((made, published.seq))
    }

    /// Deletes a workspace with all that is in it, its stashes included.
    ///
    /// # Errors
    /// [`AppError::ScopeNotFound`]; the default one stays.
    pub async fn delete_workspace(
        &self,
        caller: &Caller,
        id: &RepoId,
        name: &Arc<str>,
        terms: &Terms,
    ) -> Result<Seq, AppError> {
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        if **name == *DEFAULT_WORKSPACE {
            return Err(AppError::Impossible {
                code: "DEFAULT_WORKSPACE",
                detail: "every repository has its default workspace; a reset empties it".to_owned(),
            });
        }
        let delete = |at: &At<'_>| {
            let stashes = at.open.now.stashes.iter();
            let drop = |id: &ObjectId| RefEdit {
                name: super::stashes::stash_ref(id),
                expected: Expected::Anything,
                target: Target::Gone,
            };
            Ok(Done {
                after: None,
                objects: Vec::new(),
                refs: stashes.map(drop).collect(),
                kind: CauseKind::Workspace,
                is_staging: false,
                answer: (),
            })
        };
        let done = self.in_workspace(caller, &repository, name, terms, 204, delete);
        Ok(done.await?.1)
    }

    /// What is changed in a workspace.
    ///
    /// # Errors
    /// [`AppError::ScopeNotFound`].
    pub async fn workspace_status(
        &self,
        caller: &Caller,
        at: &Place,
        reading: &Reading,
    ) -> Result<(Status, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &reading.scope, Action::Read)
            .await?;
        self.reached(&repository, reading).await?;
        let (name, now) = (Arc::clone(&at.name), self.engine()?.clock().now());
        self.offload(move || {
            let snapshot = repository.snapshot();
            let open = open_workspace(&repository, &snapshot, &name, now)?;
            let status = open.status(repository.pool())?;
            Ok((Status::of(&open, &status), snapshot.seq))
        })
        .await?
    }

    /// Moves a workspace to a branch or a commit.
    ///
    /// # Errors
    /// [`AppError::WorkspaceDirty`], [`AppError::RefNotFound`], [`AppError::RefExists`].
    pub async fn checkout(
        &self,
        caller: &Caller,
        at: &Place,
        order: CheckoutOrder,
        terms: &Terms,
    ) -> Result<(api::Workspace, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let repo = Arc::clone(&repository);
        let checkout = move |at: &At<'_>| {
            let open = at.open;
            let view =
                View::of_snapshot(&repo, at.snapshot).within(open.head_target(), open.now.roots());
            let (branch, target) = match &order.revision {
                None => (open.now.branch.clone(), open.now.base),
                Some(text) => named(&view, text)?,
            };
            let mut refs = Vec::new();
            let branch = match &order.create {
                None => branch,
                Some(name) => {
                    if at.snapshot.refs.get(name.as_bytes()).is_some() {
                        return Err(AppError::RefExists {
                            current: at.snapshot.refs.resolve(name.as_bytes()),
                            name: name.to_text(),
                        });
                    }
                    if let Some(target) = target {
                        refs.push(RefEdit::create(name.clone(), target));
                    }
                    Some(name.clone())
                }
            };
            if let (Some(operation), false) = (&open.now.operation, order.force) {
                let operation = operation.kind.name();
                return Err(WorkspaceError::InProgress { operation }.into());
            }
            let tree = tree_or_empty(at.pool, target)?;
            let mut changed = match order.force {
                true => open.forced_to(at.pool, &tree)?,
                false => open.moved_to(at.pool, &tree)?,
            };
            changed.after.branch = branch;
            changed.after.base = target;
            changed.after.operation = None;
            let kind = match order.create.is_some() {
                true => CauseKind::BranchCreated,
                false => CauseKind::Workspace,
            };
            let answer = shown(open, &changed.after, tree);
            Ok(Done::moved(changed, refs, kind, answer))
        };
        self.in_workspace(caller, &repository, &at.name, terms, 200, checkout)
            .await
    }

    /// Moves HEAD of a workspace, the branch that it is on, and as much else as `mode` says.
    ///
    /// # Errors
    /// [`AppError::RefNotFound`].
    pub async fn reset(
        &self,
        caller: &Caller,
        at: &Place,
        (target, mode): (Option<String>, ResetMode),
        terms: &Terms,
    ) -> Result<(api::Workspace, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let repo = Arc::clone(&repository);
        let reset = move |at: &At<'_>| {
            let open = at.open;
            let view =
                View::of_snapshot(&repo, at.snapshot).within(open.head_target(), open.now.roots());
            let commit = match (&target, open.now.base) {
                (Some(text), _) => commit_named(&view, text)?,
                (None, Some(base)) => base,
                (None, None) => {
                    let empty = ObjectId::empty_tree(at.pool.format());
                    let mut changed = open.forced_to(at.pool, &empty)?;
                    if mode != ResetMode::Hard {
                        changed.after.files = open.now.files;
                    }
                    let answer = shown(open, &changed.after, empty);
                    return Ok(Done::moved(
                        changed,
                        Vec::new(),
                        CauseKind::Workspace,
                        answer,
                    ));
                }
            };
            let tree = tree_or_empty(at.pool, Some(commit))?;
            let changed = open.reset(at.pool, commit, &tree, mode)?;
            let mut refs = Vec::new();
            if let Some(branch) = &open.now.branch
                && open.head != Some(commit)
            {
                refs.push(RefEdit {
                    name: branch.clone(),
                    expected: open.head.map_or(Expected::Absent, Expected::At),
                    target: Target::At(commit),
                });
            }
            let kind = match refs.is_empty() {
                true => CauseKind::Workspace,
                false => CauseKind::Ref,
            };
            let answer = shown(open, &changed.after, tree);
            Ok(Done::moved(changed, refs, kind, answer))
        };
        self.in_workspace(caller, &repository, &at.name, terms, 200, reset)
            .await
    }
}

/// The branch that `text` is the short name of, or none, and the commit.
fn named(view: &View, text: &str) -> Result<(Option<RefName>, Option<ObjectId>), AppError> {
    let branch = RefName::branch(text);
    if let Some(head) = view.refs.resolve(branch.as_bytes()) {
        return Ok((Some(branch), Some(head)));
    }
    if view.refs.get(b"HEAD") == Some(&Target::Symbolic(branch.clone())) {
        // It is checked out, and has no commit yet.
        return Ok((Some(branch), None));
    }
    Ok((None, Some(commit_named(view, text)?)))
}

/// What the workspace will be shown as.
pub(super) fn shown(
    open: &OpenWorkspace,
    after: &Workspace,
    base_tree: ObjectId,
) -> api::Workspace {
    let after = OpenWorkspace {
        name: Arc::clone(&open.name),
        stored: open.stored.clone(),
        head: after.base,
        base_tree,
        now: after.clone(),
    };
    api::Workspace {
        created_at: None,
        updated_at: None,
        ..api::Workspace::from(&after)
    }
}
