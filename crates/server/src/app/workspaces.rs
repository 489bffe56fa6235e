//! Workspaces: what is done in them, each as one change or one step of staging.

use std::sync::{Arc, Mutex, PoisonError};

use govc_api::commits::Commit;
use govc_api::workspaces::{
    self as api, CheckoutOrder, CommitStagedOrder, FileNow, FilesChanged, NewWorkspace, check_name,
    content_bytes,
};
use govc_engine::pool::Pool;
use govc_engine::work::merge::People;
use govc_engine::work::workspace::state::tree_or_empty;
use govc_engine::work::workspace::{
    self, Changed, FileToWrite, OpenWorkspace, ResetMode, StagedCommit, WorkspaceError,
};
use govc_engine::work::{View, tree};
use govc_engine::{
    Cause, CauseKind, Change, DEFAULT_WORKSPACE, Edit, Expected, NewObject, NewObjects, ObjectBody,
    Pending, Proposal, Quarantined, RefEdit, RefName, Refusal, RepoId, Repository, Seq, Snapshot,
    Target, Via, Workspace,
};
use govc_git::ObjectId;
use hashbrown::HashSet;
use serde::Serialize;

use super::answers::Logged;
use super::error::{AppError, SaidIn};
use super::publish::{Answering, cause};
use super::repos::location;
use super::scope::open_workspace;
use super::state::commit as commit_named;
use super::{Action, App};
use crate::http::ask::{Reading, Terms};
use crate::http::caller::Caller;
use crate::http::page::{Cursor, Page, PageQuery};
use crate::http::path::encode;

/// Where a workspace is worked in.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The repository.
    pub repo: &'a RepoId,
    /// The workspace.
    pub name: &'a Arc<str>,
}

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
    work: F,
    ahead: Option<(OpenWorkspace, Done<T>)>,
    /// Large objects that were put aside, and their ids.
    aside: Option<Quarantined>,
    put_aside: HashSet<ObjectId>,
    cause: Cause,
    answer: Arc<Mutex<Option<T>>>,
}

impl<F, T> InWorkspace<F, T>
where
    F: FnMut(&At<'_>) -> Result<Done<T>, AppError> + Send,
    T: Send,
{
    fn run(&mut self, snapshot: &Snapshot, pool: &Pool) -> Result<OpenWorkspace, AppError> {
        let open = workspace::open(snapshot, pool, &self.name, snapshot.time)?;
        let open = open.ok_or_else(|| AppError::ScopeNotFound {
            what: "workspace",
            name: self.name.to_string(),
        })?;
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

    /// Puts what is too large for an entry into a pack.
    fn put_aside(&mut self, repository: &Arc<Repository>) -> Result<(), AppError> {
        let Some((_, done)) = &mut self.ahead else {
            return Ok(());
        };
        let mut objects = NewObjects {
            inline: std::mem::take(&mut done.objects),
            packs: Vec::new(),
        };
        let whole: Vec<ObjectId> = objects
            .inline
            .iter()
            .filter(|o| is_whole(o))
            .map(|o| o.id)
            .collect();
        let aside = repository.put_aside(&mut objects);
        done.objects = objects.inline;
        self.aside = aside.map_err(AppError::internal)?;
        if self.aside.is_some() {
            self.put_aside = whole.into_iter().collect();
        }
        Ok(())
    }
}

fn is_whole(object: &NewObject) -> bool {
    matches!(object.body, ObjectBody::Whole(_))
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
        let mut inline = done.objects.clone();
        for object in &mut inline {
            if is_whole(object) && self.put_aside.contains(&object.id) {
                object.body = ObjectBody::Elsewhere;
            }
        }
        let mut cause = self.cause.clone();
        cause.kind = done.kind;
        Ok(Some(Change {
            objects: NewObjects {
                inline,
                packs: self.aside.iter().map(Quarantined::pack).collect(),
            },
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
        let answer = Arc::new(Mutex::new(None));
        let mut proposal = InWorkspace {
            name: Arc::clone(name),
            work,
            ahead: None,
            aside: None,
            put_aside: HashSet::new(),
            cause: cause(caller, CauseKind::Workspace, Via::Rest),
            answer: Arc::clone(&answer),
        };
        let (repo, dry_run) = (Arc::clone(repository), terms.dry_run);
        let proposal = self
            .offload(move || -> Result<_, AppError> {
                proposal.run(&repo.snapshot(), repo.pool())?;
                if !dry_run {
                    proposal.put_aside(&repo)?;
                }
                Ok(proposal)
            })
            .await??;
        let about = match &proposal.ahead {
            Some((open, done)) if !done.refs.is_empty() || terms.if_match.is_some() => {
                // A rebase has its branch aside until it is done.
                let operation = open.now.operation.as_ref();
                let aside = operation.and_then(|operation| operation.branch.as_ref());
                open.now
                    .branch
                    .as_ref()
                    .or(aside)
                    .into_iter()
                    .cloned()
                    .collect()
            }
            _ => Vec::new(),
        };
        let said = Arc::clone(&answer);
        let answering = Answering::about(about, move |_: &Change, _: &Pending<'_>| {
            let answer = said.lock().unwrap_or_else(PoisonError::into_inner);
            answer.as_ref().map_or_else(Logged::default, &logged)
        });
        let published = self
            .publish_answering(repository, terms, answering, proposal)
            .await?;
        let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let answer = answer.ok_or_else(|| AppError::Internal("nothing was answered".into()))?;
        Ok((answer, published.seq))
    }

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
        at: Place<'_>,
        reading: &Reading,
    ) -> Result<(api::Status, Seq), AppError> {
        let repository = self
            .repository_in(caller, at.repo, &reading.scope, Action::Read)
            .await?;
        self.reached(&repository, reading).await?;
        let (name, now) = (Arc::clone(at.name), self.engine()?.clock().now());
        self.offload(move || {
            let snapshot = repository.snapshot();
            let open = open_workspace(&repository, &snapshot, &name, now)?;
            let status = open.status(repository.pool())?;
            Ok((api::Status::of(&open, &status), snapshot.seq))
        })
        .await?
    }

    /// Writes files, and stages them where `stage` says so.
    ///
    /// # Errors
    /// [`AppError`]; nothing was changed then.
    pub async fn write_files(
        &self,
        caller: &Caller,
        at: Place<'_>,
        files: Vec<FileToWrite>,
        stage: bool,
        terms: &Terms,
    ) -> Result<(FilesChanged, Seq), AppError> {
        let repository = self
            .repository_in(caller, at.repo, &terms.scope, Action::Write)
            .await?;
        let limit = self.config().limits.file;
        for file in &files {
            if content_bytes(file) > limit.0 {
                return Err(AppError::TooLarge {
                    what: format!("the content of {:?}", String::from_utf8_lossy(&file.path)),
                    limit: limit.0,
                    setting: "limits.file",
                });
            }
        }
        let repo = Arc::clone(&repository);
        let write = move |at: &At<'_>| {
            let view = View::of_snapshot(&repo, at.snapshot)
                .within(at.open.head_target(), at.open.now.roots());
            let changed = at.open.write(at.pool, &view, &files, stage)?;
            let answer = FilesChanged {
                files: files_now(at.pool, &changed, files.iter().map(|file| &file.path[..]))?,
            };
            Ok(Done::staged(changed, answer))
        };
        self.in_workspace(caller, &repository, at.name, terms, 200, write)
            .await
    }

    /// Removes a file or a folder, staged.
    ///
    /// # Errors
    /// [`AppError::PathNotFound`], [`AppError::WorkspaceDirty`].
    pub async fn remove_file(
        &self,
        caller: &Caller,
        at: Place<'_>,
        path: Vec<u8>,
        force: bool,
        terms: &Terms,
    ) -> Result<Seq, AppError> {
        let repository = self
            .repository_in(caller, at.repo, &terms.scope, Action::Write)
            .await?;
        let remove = move |at: &At<'_>| {
            let changed = at.open.remove(at.pool, &path, force)?;
            Ok(Done::staged(changed, ()))
        };
        let done = self.in_workspace(caller, &repository, at.name, terms, 204, remove);
        Ok(done.await?.1)
    }

    /// Moves a file or a folder, staged.
    ///
    /// # Errors
    /// [`AppError::PathNotFound`], [`AppError::PathConflict`].
    pub async fn move_file(
        &self,
        caller: &Caller,
        at: Place<'_>,
        order: api::MoveFile,
        terms: &Terms,
    ) -> Result<(FilesChanged, Seq), AppError> {
        let repository = self
            .repository_in(caller, at.repo, &terms.scope, Action::Write)
            .await?;
        let rename = move |at: &At<'_>| {
            let (from, to) = (order.from.as_bytes(), order.to.as_bytes());
            let changed = at.open.rename(at.pool, from, to, order.force)?;
            let answer = FilesChanged {
                files: moved_now(&changed, [from, to]),
            };
            Ok(Done::staged(changed, answer))
        };
        self.in_workspace(caller, &repository, at.name, terms, 200, rename)
            .await
    }

    /// Moves a workspace to a branch or a commit.
    ///
    /// # Errors
    /// [`AppError::WorkspaceDirty`], [`AppError::RefNotFound`], [`AppError::RefExists`].
    pub async fn checkout(
        &self,
        caller: &Caller,
        at: Place<'_>,
        order: CheckoutOrder,
        terms: &Terms,
    ) -> Result<(api::Workspace, Seq), AppError> {
        let repository = self
            .repository_in(caller, at.repo, &terms.scope, Action::Write)
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
        self.in_workspace(caller, &repository, at.name, terms, 200, checkout)
            .await
    }

    /// Moves HEAD of a workspace, the branch that it is on, and as much else as `mode` says.
    ///
    /// # Errors
    /// [`AppError::RefNotFound`].
    pub async fn reset(
        &self,
        caller: &Caller,
        at: Place<'_>,
        (target, mode): (Option<String>, ResetMode),
        terms: &Terms,
    ) -> Result<(api::Workspace, Seq), AppError> {
        let repository = self
            .repository_in(caller, at.repo, &terms.scope, Action::Write)
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
        self.in_workspace(caller, &repository, at.name, terms, 200, reset)
            .await
    }

    /// Commits what is staged.
    ///
    /// # Errors
    /// [`AppError::RefMoved`] where the workspace is behind, [`AppError::NothingToCommit`],
    /// [`AppError::Unmerged`].
    pub async fn commit_staged(
        &self,
        caller: &Caller,
        at: Place<'_>,
        order: CommitStagedOrder,
        terms: &Terms,
    ) -> Result<(Commit, Seq), AppError> {
        let repository = self
            .repository_in(caller, at.repo, &terms.scope, Action::Write)
            .await?;
        let People {
            author: asking,
            committer,
        } = self.people(caller, order.author.as_ref(), order.committer.as_ref())?;
        let staged = StagedCommit {
            message: order.message.map(String::into_bytes),
            amend: order.amend,
            allow_empty: order.allow_empty,
            // The author of what is amended or picked stays.
            author: order.author.is_some().then(|| asking.clone()),
            asking,
            committer,
        };
        let (expected, merge) = (order.expected, order.merge);
        let commit = move |at: &At<'_>| {
            let open = at.open;
            check_belief(open, expected)?;
            let made = match open.is_behind() {
                false => open.commit(at.pool, &staged)?,
                true if merge => open.commit_onto_head(at.pool, &staged)?,
                true => return Err(moved(open, expected)),
            };
            let body = Commit::read(made.id, &made.data, at.pool.format());
            let answer = Commit {
                files_changed: Some(made.files_changed),
                ..body.map_err(AppError::internal)?
            };
            let refs = open.now.branch.iter().map(|branch| RefEdit {
                name: branch.clone(),
                expected: open.head.map_or(Expected::Absent, Expected::At),
                target: Target::At(made.id),
            });
            let refs = refs.collect();
            Ok(Done::moved(made.changed, refs, CauseKind::Commit, answer))
        };
        self.in_workspace(caller, &repository, at.name, terms, 201, commit)
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

fn files_now<'a>(
    pool: &Pool,
    changed: &Changed,
    paths: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<FileNow>, AppError> {
    let mut files = Vec::new();
    for path in paths {
        // New trees are not in the pool yet: what was written is among the objects.
        let found = changed.written(path);
        let found = match found {
            Some(found) => Some(found),
            None => tree::lookup(pool, &changed.after.files, path).unwrap_or(None),
        };
        files.push(FileNow {
            path: String::from_utf8_lossy(path).into_owned(),
            oid: found.map(|found| found.id.to_string()),
            mode: found.map(|found| govc_api::files::mode_text(found.mode)),
        });
    }
    Ok(files)
}

fn moved_now(changed: &Changed, [from, to]: [&[u8]; 2]) -> Vec<FileNow> {
    let is_below = |path: &[u8]| {
        path.strip_prefix(to)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    let gone = FileNow {
        path: String::from_utf8_lossy(from).into_owned(),
        oid: None,
        mode: None,
    };
    let there = changed.edits.iter().filter(|(path, _)| is_below(path));
    let there = there.filter_map(|(path, found)| {
        let found = (*found)?;
        Some(FileNow {
            path: String::from_utf8_lossy(path).into_owned(),
            oid: Some(found.id.to_string()),
            mode: Some(govc_api::files::mode_text(found.mode)),
        })
    });
    std::iter::once(gone).chain(there).collect()
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
            WorkspaceError::NothingToSkip => impossible("NOTHING_TO_SKIP"),
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
