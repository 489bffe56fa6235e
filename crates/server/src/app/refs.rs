//! Branches, tags, refs.

use std::sync::Arc;

use govc_api::refs::{Ref, RefOrder, RefUpdate, RefUpdates};
use govc_engine::repository::refs::RefName as Name;
use govc_engine::work::hidden::is_internal;
use govc_engine::work::refs::{Annotation, DeleteRef, NewRef, RefError};
use govc_engine::work::{View, revision};
use govc_engine::{
    Cause, CauseKind, Change, Edit, EntryEdit, Expected, NewObjects, Pending, Proposal, RefEdit,
    Refusal, RepoId, Repository, Seq, Target, Via,
};
use govc_git::object::TagRef;
use govc_git::{ObjectId, ObjectKind};

use super::answers::Logged;
use super::error::{AppError, SaidIn};
use super::publish::{Answering, cause};
use super::repos::location;
use super::state::{State, commit};
use super::{Action, App};
use crate::http::ask::Terms;
use crate::http::caller::Caller;
use crate::http::page::{Cursor, Page, PageQuery};
use crate::http::path::encode;

/// Which refs a list is of, and by which part of their names they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// `refs/heads/`, short names.
    Branches,
    /// `refs/tags/`, short names.
    Tags,
    /// `refs/`, full names.
    Refs,
}

impl Namespace {
    /// What all names in it begin with.
    pub fn prefix(self) -> &'static [u8] {
        match self {
            Namespace::Branches => b"refs/heads/",
            Namespace::Tags => b"refs/tags/",
            Namespace::Refs => b"refs/",
        }
    }

    /// The full name of what is called `name` in a path.
    pub fn full(self, name: &[u8]) -> Name {
        Name::new([self.prefix(), name].concat())
    }

    /// Where what is called `name` is in the API.
    pub fn place(self, repo: &RepoId, name: &[u8]) -> String {
        let noun = match self {
            Namespace::Branches => "branches",
            Namespace::Tags => "tags",
            Namespace::Refs => "refs",
        };
        format!("{}/{noun}/{}", location(repo), encode(name, true))
    }

    /// What `full` is called in answers.
    fn shown(self, full: &[u8]) -> &[u8] {
        match self {
            Namespace::Refs => full,
            _ => full.strip_prefix(self.prefix()).unwrap_or(full),
        }
    }
}

impl State {
    /// Refs in the order of their names.
    ///
    /// # Errors
    /// When a tag cannot be read.
    pub fn refs(
        &self,
        namespace: Namespace,
        prefix: &[u8],
        internal: bool,
        page: &PageQuery,
    ) -> Result<Page<Ref>, AppError> {
        let start = match &page.cursor {
            // The least name that is greater.
            Some(cursor) => [cursor.after.as_slice(), b"\0"].concat(),
            None => prefix.to_vec(),
        };
        let shown = self
            .view
            .refs
            .iter_from(&start)
            .take_while(|(name, _)| name.as_bytes().starts_with(prefix))
            .filter(|(name, _)| internal || !is_internal(name.as_bytes()));
        let mut items = Vec::new();
        let mut last = None;
        for (name, target) in shown {
            if items.len() == page.limit {
                let next = last.map(|last: &Name| Cursor {
                    seq: self.view.seq,
                    after: last.as_bytes().to_vec(),
                });
                return Ok(Page { items, next });
            }
            items.push(describe(&self.view, namespace, name, target)?);
            last = Some(name);
        }
        Ok(Page { items, next: None })
    }

    /// One ref, and what it points at.
    ///
    /// # Errors
    /// [`AppError::RefNotFound`].
    pub fn one_ref(
        &self,
        namespace: Namespace,
        name: &[u8],
    ) -> Result<(Ref, Option<ObjectId>), AppError> {
        let full = namespace.full(name);
        let target = self
            .view
            .refs
            .get(full.as_bytes())
            .ok_or_else(|| AppError::RefNotFound {
                name: full.to_text(),
            })?;
        let body = describe(&self.view, namespace, &full, target)?;
        Ok((body, self.view.refs.resolve(full.as_bytes())))
    }
}

fn describe(
    view: &View,
    namespace: Namespace,
    name: &Name,
    target: &Target,
) -> Result<Ref, AppError> {
    let oid = view.refs.resolve(name.as_bytes());
    let mut body = Ref::new(namespace.shown(name.as_bytes()), oid);
    if let Target::Symbolic(to) = target {
        body.target = Some(to.to_text());
    }
    if let Some(id) = oid.filter(|_| name.as_bytes().starts_with(b"refs/tags/"))
        && let Some((ObjectKind::Tag, _)) = view.pool.header(&id)?
    {
        let object = view.pool.get(&id)?;
        annotate(&mut body, &object.data, view.pool.format())?;
    }
    Ok(body)
}

fn annotate(body: &mut Ref, data: &[u8], format: govc_git::ObjectFormat) -> Result<(), AppError> {
    let tag = TagRef::parse(data, format).map_err(AppError::internal)?;
    body.target = Some(tag.target.to_string());
    body.message = Some(String::from_utf8_lossy(tag.message).into_owned());
    body.tagger = tag.tagger.map(Into::into);
    Ok(())
}

impl App {
    /// Makes a branch.
    ///
    /// # Errors
    /// [`AppError::RefExists`], [`AppError::RefNotFound`] for what it is to point at.
    pub async fn create_branch(
        &self,
        caller: &Caller,
        id: &RepoId,
        order: RefOrder,
        terms: &Terms,
    ) -> Result<(Ref, Seq), AppError> {
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        let target = commit(&View::of(&repository), &order.revision)?;
        let cause = cause(caller, CauseKind::BranchCreated, Via::Rest);
        let new = NewRef::new(order.name.clone(), target, cause);
        let body = Ref::new(order.short.as_bytes(), Some(target));
        let place = Namespace::Branches.place(id, order.short.as_bytes());
        let made = (body, place);
        self.make_ref(&repository, order, new, made, terms).await
    }

    /// Makes a tag; with a message it is annotated.
    ///
    /// # Errors
    /// As [`App::create_branch`].
    pub async fn create_tag(
        &self,
        caller: &Caller,
        id: &RepoId,
        order: RefOrder,
        terms: &Terms,
    ) -> Result<(Ref, Seq), AppError> {
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        let view = View::of(&repository);
        let target = revision::resolve(&view, &order.revision)?;
        let cause = cause(caller, CauseKind::TagCreated, Via::Rest);
        let (new, body) = match &order.annotation {
            None => {
                let mut body = Ref::new(order.short.as_bytes(), Some(target));
                let kind = view.pool.header(&target)?.map(|(kind, _)| kind);
                if kind == Some(ObjectKind::Tag) {
                    let object = view.pool.get(&target)?;
                    annotate(&mut body, &object.data, view.pool.format())?;
                }
                (NewRef::new(order.name.clone(), target, cause), body)
            }
            Some((message, tagger)) => {
                let annotation = Annotation {
                    message: message.clone().into_bytes(),
                    tagger: self.signature(caller, "tagger", tagger.as_ref())?,
                };
                let missing = || govc_engine::pool::PoolError::Missing { id: target };
                let (kind, _) = view.pool.header(&target)?.ok_or_else(missing)?;
                let short = order.short.as_bytes();
                let new = NewRef::annotated(short, (target, kind), &annotation, cause)?;
                let mut body = Ref::new(short, Some(new.target));
                body.target = Some(target.to_string());
                let message = govc_git::message::clean(message.as_bytes());
                body.message = Some(String::from_utf8_lossy(&message).into_owned());
                let mut line = Vec::new();
                annotation.tagger.write_to(&mut line);
                body.tagger = Some(govc_git::object::SignatureRef::parse(&line).into());
                (new, body)
            }
        };
        let place = Namespace::Tags.place(id, order.short.as_bytes());
        let made = (body, place);
        self.make_ref(&repository, order, new, made, terms).await
    }

    async fn make_ref(
        &self,
        repository: &Arc<Repository>,
        order: RefOrder,
        new: NewRef,
        (body, place): (Ref, String),
        terms: &Terms,
    ) -> Result<(Ref, Seq), AppError> {
        let logged = Logged::body(201, Some(&body)).at(place);
        let answering = Answering::about(vec![order.name.clone()], move |_, _| logged.clone());
        let proposal = Believing {
            inner: new,
            name: order.name,
            expected: order.expected,
        };
        let published = self
            .publish_answering(repository, terms, answering, proposal)
            .await?;
        Ok((body, published.seq))
    }

    /// Deletes a branch, a tag or a ref.
    ///
    /// # Errors
    /// [`AppError::RefNotFound`], [`AppError::DefaultBranch`], [`AppError::RefMoved`].
    pub async fn delete_ref(
        &self,
        caller: &Caller,
        id: &RepoId,
        name: Name,
        expected: Expected,
        terms: &Terms,
    ) -> Result<Seq, AppError> {
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        refuse_internal(&name)?;
        let kind = match name.as_bytes() {
            bytes if bytes.starts_with(b"refs/heads/") => CauseKind::BranchDeleted,
            bytes if bytes.starts_with(b"refs/tags/") => CauseKind::TagDeleted,
            _ => CauseKind::Ref,
        };
        let cause = cause(caller, kind, Via::Rest);
        let answering = Answering::about(vec![name.clone()], |_, _| Logged::empty(204));
        let proposal = Named(DeleteRef {
            name,
            expected,
            cause,
        });
        let published = self
            .publish_answering(&repository, terms, answering, proposal)
            .await?;
        Ok(published.seq)
    }

    /// Points a ref at an object, and says whether it was made.
    ///
    /// # Errors
    /// [`AppError::RefMoved`], [`AppError::RefNotFound`] when the object is not one that the
    /// repository has or had.
    pub async fn put_ref(
        &self,
        caller: &Caller,
        id: &RepoId,
        edit: RefEdit,
        terms: &Terms,
    ) -> Result<(Ref, bool, Seq), AppError> {
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        let edits = vec![edit.clone()];
        self.check_edits(&repository, &edits).await?;
        let body = describe(
            &View::of(&repository),
            Namespace::Refs,
            &edit.name,
            &edit.target,
        )?;
        let body = match &edit.target {
            Target::At(oid) => Ref {
                oid: Some(oid.to_string()),
                ..body
            },
            _ => body,
        };
        let name = edit.name.clone();
        let (logged_body, logged_name) = (body.clone(), name.clone());
        let short = name
            .as_bytes()
            .strip_prefix(b"refs/")
            .unwrap_or(name.as_bytes());
        let place = Namespace::Refs.place(id, short);
        let answering = Answering::about(vec![name.clone()], move |_, now: &Pending<'_>| {
            let there = now.snapshot.refs.get(logged_name.as_bytes()).is_some();
            if there {
                Logged::body(200, Some(&logged_body))
            } else {
                Logged::body(201, Some(&logged_body)).at(place.clone())
            }
        });
        let cause = cause(caller, CauseKind::Ref, Via::Rest);
        let proposal = batch(edits, cause);
        let published = self
            .publish_answering(&repository, terms, answering, proposal)
            .await?;
        let made = published.entry.is_some_and(|entry| {
            entry.edits.iter().any(|edit| {
                matches!(edit, EntryEdit::Ref { before: Target::Gone, name: moved, .. } if *moved == name)
            })
        });
        Ok((body, made, published.seq))
    }

    /// Moves refs, all or none, as one change.
    ///
    /// # Errors
    /// As [`App::put_ref`].
    pub async fn update_refs(
        &self,
        caller: &Caller,
        id: &RepoId,
        edits: Vec<RefEdit>,
        terms: &Terms,
    ) -> Result<(Vec<RefUpdate>, Seq), AppError> {
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        let limit = self.config().limits.push_refs;
        if edits.len() > limit {
            return Err(AppError::TooLarge {
                what: "the number of refs".to_owned(),
                limit: limit as u64,
                setting: "limits.push_refs",
            });
        }
        self.check_edits(&repository, &edits).await?;
        let names = edits.iter().map(|edit| edit.name.clone()).collect();
        let answering = Answering::about(names, |change: &Change, now: &Pending<'_>| {
            let moved = change.edits.iter().filter_map(|edit| match edit {
                Edit::Ref(edit) => Some((&edit.name, &edit.target)),
                _ => None,
            });
            let updates: Vec<RefUpdate> = moved
                .filter_map(|(name, target)| update(now, name, target))
                .collect();
            let body = RefUpdates {
                ref_updates: updates,
            };
            Logged::body(200, Some(body))
        });
        let cause = cause(caller, CauseKind::Ref, Via::Rest);
        let published = self
            .publish_answering(&repository, terms, answering, batch(edits, cause))
            .await?;
        let updates = published
            .entry
            .as_ref()
            .map(|entry| govc_api::history::ref_updates(entry))
            .unwrap_or_default();
        Ok((updates, published.seq))
    }

    /// A batch of refs that is to be moved together with other things.
    ///
    /// # Errors
    /// As [`App::update_refs`].
    pub(super) async fn refs_proposal(
        &self,
        caller: &Caller,
        repository: &Arc<Repository>,
        edits: Vec<RefEdit>,
    ) -> Result<Box<dyn Proposal>, AppError> {
        self.check_edits(repository, &edits).await?;
        let cause = cause(caller, CauseKind::Ref, Via::Rest);
        Ok(Box::new(batch(edits, cause)))
    }

    /// What refs are to point at must be something that the repository has, or that an entry of
    /// its own history named; and a branch points at a commit.
    async fn check_edits(
        &self,
        repository: &Arc<Repository>,
        edits: &[RefEdit],
    ) -> Result<(), AppError> {
        let mut wanted = Vec::new();
        for edit in edits {
            refuse_internal(&edit.name)?;
            if let Target::At(id) = edit.target {
                wanted.push((edit.name.clone(), id));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let repository = Arc::clone(repository);
        self.offload(move || check_targets(&repository, wanted))
            .await?
    }
}

/// How a ref is about to move; `None`: not at all.
pub(super) fn update(now: &Pending<'_>, name: &Name, target: &Target) -> Option<RefUpdate> {
    let before = now
        .snapshot
        .refs
        .get(name.as_bytes())
        .unwrap_or(&Target::Gone);
    (before != target).then(|| RefUpdate::new(name, before, target))
}

fn refuse_internal(name: &Name) -> Result<(), AppError> {
    if is_internal(name.as_bytes()) {
        return Err(AppError::RefInvalid {
            name: name.to_text(),
            why: "refs/govc/ is the server's own".to_owned(),
        });
    }
    Ok(())
}

fn check_targets(
    repository: &Arc<Repository>,
    wanted: Vec<(Name, ObjectId)>,
) -> Result<(), AppError> {
    let view = View::of(repository);
    let mut unseen = Vec::new();
    for (name, id) in &wanted {
        if id.kind() != view.pool.format() || !view.pool.contains(id) {
            return Err(AppError::RefNotFound {
                name: id.to_string(),
            });
        }
        if !view.visibility().sees(id)? {
            unseen.push(*id);
        }
        let found = view.pool.header(id)?.map(|(kind, _)| kind);
        if let Some(found) = found
            && found != ObjectKind::Commit
            && name.as_bytes().starts_with(b"refs/heads/")
        {
            return Err(AppError::RefWrongKind {
                name: id.to_string(),
                found: found.name(),
                wanted: ObjectKind::Commit.name(),
            });
        }
    }
    let mut after = None;
    while !unseen.is_empty() {
        let entries = repository
            .entries(after, 1024)
            .map_err(AppError::internal)?;
        let Some(last) = entries.last() else { break };
        after = Some(last.seq);
        for edit in entries.iter().flat_map(|entry| &entry.edits) {
            if let EntryEdit::Ref { before, after, .. } = edit {
                unseen.retain(|id| *before != Target::At(*id) && *after != Target::At(*id));
            }
        }
    }
    match unseen.first() {
        None => Ok(()),
        Some(id) => Err(AppError::RefNotFound {
            name: id.to_string(),
        }),
    }
}

/// Edits as one change.
fn batch(edits: Vec<RefEdit>, cause: Cause) -> Change {
    Change {
        objects: NewObjects::default(),
        edits: edits.into_iter().map(Edit::Ref).collect(),
        cause,
    }
}

/// A proposal whose refusals are told as the use cases tell them.
struct Named<P>(P);

impl<P: Proposal> Proposal for Named<P> {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        self.0.decide(now).map_err(|refusal| named(refusal, now))
    }
}

fn named(refusal: Refusal, now: &Pending<'_>) -> Refusal {
    match refusal.downcast::<RefError>() {
        Ok(error) => AppError::from_ref(*error, Some(now)).into(),
        Err(other) => other,
    }
}

/// A new ref, made by somebody who may have said what they believe.
struct Believing {
    inner: NewRef,
    name: Name,
    expected: Expected,
}

impl Proposal for Believing {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        if let Expected::At(expected) = self.expected {
            let current = now.snapshot.refs.resolve(self.name.as_bytes());
            if current != Some(expected) {
                let moved = AppError::RefMoved {
                    name: self.name.to_text(),
                    expected: Some(expected),
                    current,
                    said_in: SaidIn::Request,
                };
                return Err(moved.into());
            }
        }
        self.inner
            .decide(now)
            .map_err(|refusal| named(refusal, now))
    }
}

impl AppError {
    fn from_ref(error: RefError, now: Option<&Pending<'_>>) -> AppError {
        let detail = error.to_string();
        match error {
            RefError::Exists { name } => AppError::RefExists {
                current: now.and_then(|now| now.snapshot.refs.resolve(name.as_bytes())),
                name: name.to_text(),
            },
            RefError::NotFound { name } => AppError::RefNotFound {
                name: name.to_text(),
            },
            RefError::DefaultBranch { name } => AppError::DefaultBranch {
                name: name.to_text(),
            },
            RefError::NotACommit { id, found, .. } => AppError::RefWrongKind {
                name: id.to_string(),
                found: found.name(),
                wanted: ObjectKind::Commit.name(),
            },
            RefError::ObjectNotFound { id } => AppError::RefNotFound {
                name: id.to_string(),
            },
            RefError::MessageEmpty => AppError::Body {
                field: "message".to_owned(),
                detail,
            },
            RefError::Collision(_) => AppError::Impossible {
                code: "COLLISION",
                detail,
            },
            RefError::Pool(error) => error.into(),
        }
    }
}

impl From<RefError> for AppError {
    fn from(error: RefError) -> AppError {
        AppError::from_ref(error, None)
    }
}
