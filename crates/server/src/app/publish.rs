//! The doorman: every write passes here on its way to the engine's one door.

use std::sync::Arc;

use govc_engine::work::hidden::is_internal;
use govc_engine::{
    AnswerTogether, Cause, CauseKind, Change, Edit, Entry, Expected, Idempotency, NewObjects,
    Pending, Proposal, PublishError, Published, RefName, Refusal, Repository, Snapshot, Target,
    TogetherError, Usage, Via,
};
use govc_git::ObjectId;

use super::App;
use super::answers::Logged;
use super::asked::Asked;
use super::error::{AppError, SaidIn};
use super::programs::Passage;
use crate::http::ask::Terms;
use crate::http::caller::Caller;
use crate::http::etag::IfMatch;
use crate::http::idempotency::Key;

/// What a write is about, and how it is answered when it comes again.
pub struct Answering<F> {
    /// The refs that `If-Match` speaks of.
    about: Vec<RefName>,
    /// What gives the same answer again, from the change that was decided.
    answer: F,
}

impl<F: FnMut(&Change, &Pending<'_>) -> Logged> Answering<F> {
    /// A write that moves these refs.
    pub fn about(about: Vec<RefName>, answer: F) -> Answering<F> {
        Answering { about, answer }
    }
}

impl App {
    /// Publishes what `proposal` says when its turn comes, if the repository's settings and its
    /// quotas let it pass.
    ///
    /// # Errors
    /// [`AppError`]; nothing was changed then, [`AppError::Unknown`] excepted.
    pub async fn publish(
        &self,
        repository: &Arc<Repository>,
        proposal: impl Proposal + 'static,
    ) -> Result<Published, AppError> {
        let unasked = Answering::about(Vec::new(), |_: &Change, _: &Pending<'_>| Logged::default());
        self.publish_answering(repository, &Terms::default(), unasked, proposal)
            .await
    }

    /// As [`App::publish`], under the request's terms: what it believes, whether it is a dry run,
    /// and how it is answered when it comes again. After a dry run the number is the one there is.
    ///
    /// # Errors
    /// As [`App::publish`].
    pub async fn publish_answering<F>(
        &self,
        repository: &Arc<Repository>,
        terms: &Terms,
        answering: Answering<F>,
        proposal: impl Proposal + 'static,
    ) -> Result<Published, AppError>
    where
        F: FnMut(&Change, &Pending<'_>) -> Logged + Send + 'static,
    {
        self.pass(repository, terms, answering, proposal, None)
            .await
    }

    /// As [`App::publish`], of a push.
    ///
    /// # Errors
    /// As [`App::publish`].
    pub async fn publish_push(
        &self,
        repository: &Arc<Repository>,
        proposal: impl Proposal + 'static,
        passage: Passage,
    ) -> Result<Published, AppError> {
        let unasked = Answering::about(Vec::new(), |_: &Change, _: &Pending<'_>| Logged::default());
        let terms = Terms::default();
        self.pass(repository, &terms, unasked, proposal, Some(passage))
            .await
    }

    async fn pass<F>(
        &self,
        repository: &Arc<Repository>,
        terms: &Terms,
        answering: Answering<F>,
        proposal: impl Proposal + 'static,
        passage: Option<Passage>,
    ) -> Result<Published, AppError>
    where
        F: FnMut(&Change, &Pending<'_>) -> Logged + Send + 'static,
    {
        let Answering { about, answer } = answering;
        let guarded = Guarded {
            inner: proposal,
            if_match: terms.if_match.clone().map(|belief| (belief, about)),
            app: self.clone(),
            limits: Quotas::of(self, repository),
            key: terms.idempotency.clone(),
            answer,
        };
        if self.asks_somebody(repository) {
            let asked = Asked {
                repository: Arc::clone(repository),
                proposal: Box::new(guarded),
                passage: passage.unwrap_or_default(),
            };
            let published = self.publish_asked(vec![asked], terms.dry_run, None).await?;
            let published = published.into_iter().next().ok_or(AppError::Unknown)?;
            return Ok(match terms.dry_run {
                true => Published {
                    seq: repository.snapshot().seq,
                    ..published
                },
                false => published,
            });
        }
        let published = if terms.dry_run {
            repository
                .rehearse(guarded)
                .await
                .map(|rehearsed| Published {
                    seq: repository.snapshot().seq,
                    ..rehearsed
                })
        } else {
            repository.publish(guarded).await
        };
        published.map_err(|error| refused(repository, error))
    }
}

/// What is to happen in one of several repositories.
pub struct Member {
    /// The repository.
    pub repository: Arc<Repository>,
    /// What to change in it.
    pub proposal: Box<dyn Proposal>,
    /// The refs that `If-Match` speaks of.
    pub about: Vec<RefName>,
}

impl App {
    /// Publishes what several proposals say, each for another repository, all or none. `answer`
    /// gives the same answer again, from what was decided of each.
    ///
    /// # Errors
    /// As [`App::publish`], for the one that refused.
    pub async fn publish_together(
        &self,
        members: Vec<Member>,
        terms: &Terms,
        answer: impl Fn(&[Option<Arc<Entry>>]) -> Logged + Send + Sync + 'static,
    ) -> Result<Vec<Published>, AppError> {
        let answer = terms.idempotency.clone().map(|key| -> AnswerTogether {
            Arc::new(move |entries| kept_answer(&key, &answer(entries)))
        });
        let is_asked = |member: &Member| self.asks_somebody(&member.repository);
        let asks = members.iter().any(is_asked);
        let guarded = members.into_iter().map(|member| Asked {
            proposal: Box::new(Guarded {
                inner: Boxed(member.proposal),
                if_match: terms.if_match.clone().map(|belief| (belief, member.about)),
                app: self.clone(),
                limits: Quotas::of(self, &member.repository),
                key: None,
                answer: |_: &Change, _: &Pending<'_>| Logged::default(),
            }),
            repository: member.repository,
            passage: Passage::default(),
        });
        if asks {
            let guarded = guarded.collect();
            return self.publish_asked(guarded, terms.dry_run, answer).await;
        }
        let guarded: Vec<_> = guarded.map(|it| (it.repository, it.proposal)).collect();
        let repositories: Vec<_> = guarded.iter().map(|(it, _)| Arc::clone(it)).collect();
        let published = through_the_door(guarded, terms.dry_run, answer).await;
        published.map_err(|TogetherError { at, error }| match repositories.get(at) {
            Some(repository) => refused(repository, error),
            None => refused_by(error, ""),
        })
    }
}

/// Publishes what the proposals say, or rehearses it: of one repository as it is, of several all
/// or none.
///
/// # Errors
/// [`TogetherError`].
pub(super) async fn through_the_door(
    mut members: Vec<(Arc<Repository>, Box<dyn Proposal>)>,
    rehearsal: bool,
    answer: Option<AnswerTogether>,
) -> Result<Vec<Published>, TogetherError> {
    if answer.is_some() || members.len() != 1 {
        return govc_engine::publish_together(members, rehearsal, answer).await;
    }
    let Some((repository, proposal)) = members.pop() else {
        return Ok(Vec::new());
    };
    let published = match rehearsal {
        true => repository.rehearse(Boxed(proposal)).await,
        false => repository.publish(Boxed(proposal)).await,
    };
    let published = published.map_err(|error| TogetherError { at: 0, error });
    Ok(vec![published?])
}

/// A proposal of a type that is not known here.
struct Boxed(Box<dyn Proposal>);

impl Proposal for Boxed {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        self.0.decide(now)
    }
}

/// Who asked for a change, and how.
pub fn cause(caller: &Caller, kind: CauseKind, via: Via) -> Cause {
    Cause {
        kind,
        actor: Arc::clone(&caller.name),
        via,
        request_id: Arc::clone(&caller.request_id),
        reason: None,
        idempotency: None,
    }
}

/// The cause of a change whose request may come again, with what gives the same answer.
pub fn keyed(mut cause: Cause, terms: &Terms, answer: &Logged) -> Cause {
    if let Some(key) = &terms.idempotency {
        cause.idempotency = Some(Box::new(kept_answer(key, answer)));
    }
    cause
}

fn kept_answer(key: &Key, answer: &Logged) -> Idempotency {
    Idempotency {
        key: key.key,
        request: key.request,
        answer: answer.to_bytes(),
    }
}

/// A proposal that is asked, in its turn, whether it may pass.
struct Guarded<P, F> {
    inner: P,
    if_match: Option<(IfMatch, Vec<RefName>)>,
    app: App,
    limits: Quotas,
    key: Option<Key>,
    answer: F,
}

impl<P: Proposal, F: FnMut(&Change, &Pending<'_>) -> Logged + Send> Proposal for Guarded<P, F> {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        if let Some((belief, refs)) = &self.if_match {
            check_if_match(belief, refs, now.snapshot)?;
        }
        let Some(mut change) = self.inner.decide(now)? else {
            return Ok(None);
        };
        if change.objects != NewObjects::default() {
            self.app.memory().has_room()?;
        }
        check_settings(&change, now)?;
        self.limits.check(&change, now)?;
        if let Some(key) = &self.key {
            let answer = (self.answer)(&change, now);
            change.cause.idempotency = Some(Box::new(kept_answer(key, &answer)));
        }
        Ok(Some(change))
    }
}

/// Every ref that the write is about is what `If-Match` says.
///
/// # Errors
/// [`AppError::RefMoved`] when one is not.
pub fn check_if_match(
    belief: &IfMatch,
    refs: &[RefName],
    snapshot: &Snapshot,
) -> Result<(), AppError> {
    for name in refs {
        let current = snapshot.refs.resolve(name.as_bytes());
        if !belief.holds(current) {
            return Err(belief_fails(belief, name.to_text(), current));
        }
    }
    Ok(())
}

/// What `If-Match` says of `name` is not so.
pub(super) fn belief_fails(belief: &IfMatch, name: String, current: Option<ObjectId>) -> AppError {
    AppError::RefMoved {
        name,
        expected: match belief {
            IfMatch::Any | IfMatch::Absent => None,
            IfMatch::OneOf(ids) => ids.first().copied(),
        },
        current,
        said_in: SaidIn::IfMatch,
    }
}

/// What a request believes of `branch` is so. This is asked before anything is made of it: whoever
/// is told of a conflict shall know the branch that it is a conflict with. In its turn it is asked
/// again.
///
/// # Errors
/// [`AppError::RefMoved`].
pub(super) fn check_beliefs(
    branch: &RefName,
    expected: Expected,
    if_match: Option<&IfMatch>,
    snapshot: &Snapshot,
) -> Result<(), AppError> {
    if let Some(belief) = if_match {
        check_if_match(belief, std::slice::from_ref(branch), snapshot)?;
    }
    let current = snapshot.refs.resolve(branch.as_bytes());
    let (holds, expected) = match expected {
        Expected::Anything => (true, None),
        Expected::Absent => (current.is_none(), None),
        Expected::At(id) => (current == Some(id), Some(id)),
    };
    match holds {
        true => Ok(()),
        false => Err(AppError::RefMoved {
            name: branch.to_text(),
            expected,
            current,
            said_in: SaidIn::Request,
        }),
    }
}

/// What the repository's owner does not want to happen to refs.
fn check_settings(change: &Change, now: &Pending<'_>) -> Result<(), AppError> {
    let settings = &now.snapshot.record.settings;
    if !settings.deny_deletes && !settings.deny_non_fast_forwards {
        return Ok(());
    }
    for edit in &change.edits {
        let Edit::Ref(edit) = edit else { continue };
        // A stash that is dropped is no ref that anybody made.
        if is_internal(edit.name.as_bytes()) || edit.name.as_bytes() == b"refs/stash" {
            continue;
        }
        let Some(before) = now.snapshot.refs.resolve(edit.name.as_bytes()) else {
            continue;
        };
        let after = match &edit.target {
            Target::At(after) => *after,
            Target::Symbolic(_) => continue,
            Target::Gone if settings.deny_deletes => {
                return Err(AppError::Denied {
                    name: edit.name.to_text(),
                    why: "refs are not deleted here (settings.deny_deletes)".to_owned(),
                    code: "DELETE_DENIED",
                });
            }
            Target::Gone => continue,
        };
        if settings.deny_non_fast_forwards && edit.name.branch_name().is_some() {
            // What the change itself brings is not in the graph yet, and is made on what is there.
            let graph = now.pool.graph();
            let backwards = match (graph.number(&before), graph.number(&after)) {
                (Some(before), Some(after)) => !graph.is_ancestor(before, after),
                _ => false,
            };
            if backwards {
                return Err(AppError::Denied {
                    name: edit.name.to_text(),
                    why: "branches only move forwards here (settings.deny_non_fast_forwards)"
                        .to_owned(),
                    code: "NOT_FAST_FORWARD",
                });
            }
        }
    }
    Ok(())
}

/// The figures that a repository may not go over; `None`: any.
pub(super) struct Quotas {
    repository: Arc<Repository>,
    bytes: Option<u64>,
    objects: Option<u64>,
    refs: Option<u64>,
}

impl Quotas {
    pub(super) fn of(app: &App, repository: &Arc<Repository>) -> Quotas {
        let limits = &app.config().limits;
        let own = &repository.snapshot().record.settings.quotas;
        let default = |figure: u64| (figure > 0).then_some(figure);
        Quotas {
            repository: Arc::clone(repository),
            bytes: own.bytes.or(default(limits.repository_bytes.0)),
            objects: own.objects.or(default(limits.repository_objects)),
            refs: own.refs.or(default(limits.repository_refs)),
        }
    }

    /// Bytes that the repository, which is as `snapshot` has it, may still take; `None`: any.
    pub(super) fn room(&self, snapshot: &Snapshot) -> Option<u64> {
        let used = || self.repository.usage(&[]).bytes + snapshot.lfs.bytes();
        self.bytes.map(|limit| limit.saturating_sub(used()))
    }

    fn check(&self, change: &Change, now: &Pending<'_>) -> Result<(), AppError> {
        let over = |what, limit, setting| {
            Err(AppError::Quota {
                what,
                limit,
                setting,
            })
        };
        if let Some(limit) = self.refs {
            let made = change.edits.iter().filter(|edit| match edit {
                Edit::Ref(edit) => {
                    edit.target != Target::Gone
                        && now.snapshot.refs.get(edit.name.as_bytes()).is_none()
                }
                _ => false,
            });
            // HEAD is not counted: nobody makes it.
            let there = now.snapshot.refs.len().saturating_sub(1);
            let made = made.count();
            if made > 0 && (there + made) as u64 > limit {
                return over("refs", limit, "settings.quotas.refs");
            }
        }
        let lfs = &now.snapshot.lfs;
        let large = change.edits.iter().flat_map(|edit| match edit {
            Edit::LfsObjects(objects) => &objects[..],
            _ => &[],
        });
        let large = large.filter(|object| lfs.object(&object.oid).is_none());
        let large: u64 = large.map(|object| object.size).sum();
        if (self.objects.is_none() && self.bytes.is_none())
            || (change.objects == NewObjects::default() && large == 0)
        {
            return Ok(());
        }
        // What the repository has, not what its fork family shares.
        let usage = self.repository.usage(&change.objects.packs);
        let brought = Usage::of(&change.objects.inline);
        let objects = usage.objects + brought.objects;
        if let Some(limit) = self.objects.filter(|limit| objects > *limit) {
            return over("objects", limit, "settings.quotas.objects");
        }
        let bytes = usage.bytes + brought.bytes + lfs.bytes() + large;
        if let Some(limit) = self.bytes.filter(|limit| bytes > *limit) {
            return over("bytes", limit, "settings.quotas.bytes");
        }
        Ok(())
    }
}

/// What the door said, as the use cases say it.
pub fn refused(repository: &Repository, error: PublishError) -> AppError {
    refused_by(error, repository.snapshot().record.id.as_str())
}

/// What the door of the repository called `repo` said.
pub fn refused_by(error: PublishError, repo: &str) -> AppError {
    match error {
        PublishError::RefMoved {
            name,
            expected,
            current,
        } => AppError::RefMoved {
            name: name.to_text(),
            expected: match expected {
                govc_engine::Expected::At(id) => Some(id),
                _ => None,
            },
            current,
            said_in: SaidIn::Request,
        },
        PublishError::RefInvalid { name, why } => AppError::RefInvalid {
            name: name.to_text(),
            why,
        },
        PublishError::RefConflict { name, with } => AppError::RefConflict {
            name: name.to_text(),
            other: with.to_text(),
        },
        PublishError::CurrentBranch { name } => AppError::DefaultBranch {
            name: name.to_text(),
        },
        PublishError::Refused(refusal) => match refusal.downcast::<AppError>() {
            Ok(own) => *own,
            Err(other) => AppError::Internal(other),
        },
        PublishError::Deleted => AppError::RepoNotFound {
            repo: repo.to_owned(),
        },
        PublishError::Closed => AppError::RealityClosed,
        PublishError::Discarded => AppError::RealityDiscarded,
        PublishError::Full => AppError::OutOfSpace,
        PublishError::Damaged(_) | PublishError::Unavailable(_) => AppError::Unavailable {
            why: error.to_string(),
        },
        PublishError::Unknown => AppError::Unknown,
    }
}
