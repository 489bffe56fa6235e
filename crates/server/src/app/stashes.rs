//! Stashes: changes that were put away, and brought back.
//!
//! A stash is a commit that a hidden ref holds. The workspace that it was made in lists its own,
//! oldest first; the newest of the default one is `refs/stash` too.

use std::sync::Arc;

use govc_api::stashes::{ApplyStash, NewStash, Stash};
use govc_api::status::Status;
use govc_api::workspaces as api;
use govc_engine::work::workspace::stash::{self, ApplyOptions, NewStash as StashToMake};
use govc_engine::work::workspace::{Changed, OpenWorkspace};
use govc_engine::{
    CauseKind, DEFAULT_WORKSPACE, Expected, RefEdit, RefName, RepoId, Repository, Seq, Snapshot,
    Target, Workspace,
};
use govc_git::{ObjectFormat, ObjectId};

use super::answers::Logged;
use super::error::AppError;
use super::in_workspace::{At, Done};
use super::operations::Came;
use super::repos::location;
use super::scope::{Place, open_workspace};
use super::workspaces::shown;
use super::{Action, App};
use crate::http::ask::{Reading, Terms};
use crate::http::caller::Caller;
use crate::http::page::{Cursor, Page, PageQuery};

/// The hidden ref that holds a stash.
pub fn stash_ref(id: &ObjectId) -> RefName {
    RefName::new(format!("refs/govc/stash/{id}"))
}

/// Where git looks for the newest one.
fn newest_ref() -> RefName {
    RefName::new("refs/stash")
}

/// Where a stash is in the API.
pub fn place(repo: &RepoId, id: &str) -> String {
    format!("{}/stash/{id}", location(repo))
}

impl App {
    /// The stashes of a workspace, newest first.
    ///
    /// # Errors
    /// [`AppError::ScopeNotFound`].
    pub async fn stashes(
        &self,
        caller: &Caller,
        at: &Place,
        reading: &Reading,
        page: PageQuery,
    ) -> Result<(Page<Stash>, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &reading.scope, Action::Read)
            .await?;
        self.reached(&repository, reading).await?;
        let (name, now) = (Arc::clone(&at.name), self.engine()?.clock().now());
        self.offload(move || {
            let snapshot = repository.snapshot();
            let open = open_workspace(&repository, &snapshot, &name, now)?;
            let all = open.now.stashes.iter().rev();
            let after = page.cursor.map(|cursor| cursor.after);
            // Behind one that has gone meanwhile comes nothing: the list begins again without it.
            let behind = match &after {
                None => 0,
                Some(last) => all
                    .clone()
                    .position(|id| id.as_bytes() == last.as_slice())
                    .map_or(usize::MAX, |at| at + 1),
            };
            let mut items = Vec::new();
            let mut next = None;
            let mut last: Option<ObjectId> = None;
            for id in all.skip(behind) {
                if items.len() == page.limit {
                    next = last.map(|last| Cursor {
                        seq: snapshot.seq,
                        after: last.as_bytes().to_vec(),
                    });
                    break;
                }
                items.push(show(&repository, *id, Some(&name))?);
                last = Some(*id);
            }
            Ok((Page { items, next }, snapshot.seq))
        })
        .await?
    }

    /// One stash.
    ///
    /// # Errors
    /// [`AppError::ScopeNotFound`].
    pub async fn show_stash(
        &self,
        caller: &Caller,
        repo: &RepoId,
        id: &str,
        reading: &Reading,
    ) -> Result<(Stash, Seq), AppError> {
        let repository = self
            .repository_in(caller, repo, &reading.scope, Action::Read)
            .await?;
        self.reached(&repository, reading).await?;
        let snapshot = repository.snapshot();
        let id = find(&snapshot, id)?;
        let owner = owner(&snapshot, &id);
        let stash = show(&repository, id, owner.as_deref())?;
        Ok((stash, snapshot.seq))
    }

    /// Puts away what is changed in a workspace.
    ///
    /// # Errors
    /// [`AppError::Impossible`] where nothing is, or the branch has no commit.
    pub async fn create_stash(
        &self,
        caller: &Caller,
        at: &Place,
        new: NewStash,
        terms: &Terms,
    ) -> Result<(Stash, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let stash = StashToMake {
            message: new
                .message
                .filter(|text| !text.is_empty())
                .map(String::into_bytes),
            include_untracked: new.include_untracked,
            person: self.signature(caller, "author", new.author.as_ref())?,
            packed_objects: repository.usage(&[]).objects,
        };
        let put_away = move |at: &At<'_>| {
            let made = at.open.stash(at.pool, &stash)?;
            let commits = &made.changed.objects;
            let data = commits.iter().find(|object| object.id == made.id);
            let data = match data.map(|object| &object.body) {
                Some(govc_engine::ObjectBody::Whole(data)) => data.clone(),
                _ => return Err(AppError::Internal("the stash was not made".into())),
            };
            let parents = govc_git::object::commit::facts(&data, at.pool.format())
                .map_err(AppError::internal)?
                .parents;
            let [base, index, ref untracked @ ..] = parents[..] else {
                return Err(AppError::Internal("the stash has no parents".into()));
            };
            let found = stash::StashFound {
                id: made.id,
                base,
                index,
                untracked: untracked.first().copied(),
                data,
            };
            let answer = Stash::of(&found, Some(&at.open.name), at.pool.format());
            let answer = answer.map_err(AppError::internal)?;
            let mut refs = vec![RefEdit {
                name: stash_ref(&made.id),
                expected: Expected::Anything,
                target: Target::At(made.id),
            }];
            refs.extend(newest(at.open, &made.changed.after));
            let done = Done::moved(made.changed, refs, CauseKind::Stash, answer);
            Ok(done)
        };
        let repo = at.repo.clone();
        let logged = move |made: &Stash| Logged::body(201, Some(made)).at(place(&repo, &made.id));
        self.in_workspace_answering(caller, &repository, &at.name, terms, logged, put_away)
            .await
    }

    /// Brings a stash back into a workspace.
    ///
    /// # Errors
    /// [`AppError::WorkspaceDirty`], [`AppError::Unmerged`], [`AppError::ScopeNotFound`].
    pub async fn apply_stash(
        &self,
        caller: &Caller,
        at: &Place,
        id: &str,
        order: ApplyStash,
        terms: &Terms,
    ) -> Result<(Came<api::Workspace>, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let id = id.to_owned();
        let snapshot = repository.snapshot();
        let own = owner(&snapshot, &find(&snapshot, &id)?);
        if order.drop && own.as_deref() != Some(&*at.name) {
            return Err(AppError::Impossible {
                code: "STASH_ELSEWHERE",
                detail: "the stash belongs to another workspace, which it is dropped in".to_owned(),
            });
        }
        let apply = move |at: &At<'_>| {
            let id = find(at.snapshot, &id)?;
            let found = stash::read(at.pool, id)?;
            let options = ApplyOptions {
                index: order.index,
                keep_conflicts: order.keep_conflicts,
            };
            let (mut changed, conflicts) = at.open.apply_stash(at.pool, &found, options)?;
            let mut refs = Vec::new();
            // One that conflicts stays, as with `git stash pop`.
            if order.drop && changed.after.unmerged.is_empty() {
                refs = without(at.open, &mut changed.after, &id);
            }
            let answer = match conflicts {
                None => Came::ToEnd(shown(at.open, &changed.after, at.open.base_tree), false),
                Some(status) => {
                    let mut left = at.open.clone();
                    left.now = changed.after.clone();
                    Came::Stopped(Box::new(Status::of(&left, &status)))
                }
            };
            let done = Done::staged(changed, answer);
            Ok(match refs.is_empty() {
                true => done,
                false => Done {
                    refs,
                    kind: CauseKind::Stash,
                    is_staging: false,
                    ..done
                },
            })
        };
        let answer = Came::logged;
        self.in_workspace_answering(caller, &repository, &at.name, terms, answer, apply)
            .await
    }

    /// Drops a stash.
    ///
    /// # Errors
    /// [`AppError::ScopeNotFound`].
    pub async fn drop_stash(
        &self,
        caller: &Caller,
        repo: &RepoId,
        id: &str,
        terms: &Terms,
    ) -> Result<Seq, AppError> {
        let repository = self
            .repository_in(caller, repo, &terms.scope, Action::Write)
            .await?;
        let snapshot = repository.snapshot();
        let owner = owner(&snapshot, &find(&snapshot, id)?).ok_or_else(|| not_found(id))?;
        let id = id.to_owned();
        let drop = move |at: &At<'_>| {
            let id = find(at.snapshot, &id)?;
            let mut after = at.open.now.clone();
            let refs = without(at.open, &mut after, &id);
            Ok(Done::moved(Changed::to(after), refs, CauseKind::Stash, ()))
        };
        let done = self.in_workspace(caller, &repository, &owner, terms, 204, drop);
        Ok(done.await?.1)
    }
}

/// The stash that is called `id`, a full id.
fn find(snapshot: &Snapshot, id: &str) -> Result<ObjectId, AppError> {
    let parsed = ObjectId::from_hex(id.as_bytes()).map_err(|_| not_found(id))?;
    match snapshot.refs.get(stash_ref(&parsed).as_bytes()) {
        Some(Target::At(there)) if *there == parsed => Ok(parsed),
        _ => Err(not_found(id)),
    }
}

fn not_found(id: &str) -> AppError {
    AppError::ScopeNotFound {
        what: "stash",
        name: id.to_owned(),
    }
}

/// The workspace that lists a stash.
fn owner(snapshot: &Snapshot, id: &ObjectId) -> Option<Arc<str>> {
    let mut all = snapshot.workspaces.iter();
    let found = all.find(|(_, workspace)| workspace.stashes.contains(id));
    found.map(|(name, _)| Arc::clone(name))
}

fn show(repository: &Repository, id: ObjectId, workspace: Option<&str>) -> Result<Stash, AppError> {
    let found = stash::read(repository.pool(), id)?;
    let format: ObjectFormat = repository.pool().format();
    Stash::of(&found, workspace, format).map_err(AppError::internal)
}

/// Takes a stash from the list of a workspace; the refs that this moves.
fn without(open: &OpenWorkspace, after: &mut Workspace, id: &ObjectId) -> Vec<RefEdit> {
    let left = after.stashes.iter().filter(|other| *other != id).copied();
    after.stashes = left.collect();
    let gone = RefEdit {
        name: stash_ref(id),
        expected: Expected::Anything,
        target: Target::Gone,
    };
    std::iter::once(gone).chain(newest(open, after)).collect()
}

/// What becomes of `refs/stash`, where that is the workspace whose stashes git sees.
fn newest(open: &OpenWorkspace, after: &Workspace) -> Option<RefEdit> {
    let is_seen = *open.name == *DEFAULT_WORKSPACE;
    let before = open.now.stashes.last();
    (is_seen && before != after.stashes.last()).then(|| RefEdit {
        name: newest_ref(),
        expected: Expected::Anything,
        target: after
            .stashes
            .last()
            .map_or(Target::Gone, |id| Target::At(*id)),
    })
}
