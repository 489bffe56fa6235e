//! The doorman: every write passes here on its way to the engine's one door.

use std::sync::Arc;

use govc_engine::{
    Cause, CauseKind, Change, Edit, Pending, Proposal, PublishError, Published, Refusal,
    Repository, Target, Via,
};

use super::App;
use super::error::{AppError, SaidIn};
use crate::http::ask::Terms;
use crate::http::caller::Caller;
use crate::http::etag::IfMatch;

impl App {
    /// Publishes what `proposal` says when its turn comes, if the repository's settings, its
    /// quotas and the request's terms let it pass; or, for a dry run, says what would be.
    ///
    /// # Errors
    /// [`AppError`]; nothing was changed then, [`AppError::Unknown`] excepted.
    pub async fn publish(
        &self,
        repository: &Arc<Repository>,
        terms: &Terms,
        proposal: impl Proposal + 'static,
    ) -> Result<Published, AppError> {
        let guarded = Guarded {
            inner: proposal,
            if_match: terms.if_match.clone(),
            limits: Quotas::of(self, repository),
        };
        let published = if terms.dry_run {
            repository.rehearse(guarded).await
        } else {
            repository.publish(guarded).await
        };
        published.map_err(|error| refused(repository, error))
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

/// A proposal that is asked, in its turn, whether it may pass.
struct Guarded<P> {
    inner: P,
    if_match: Option<IfMatch>,
    limits: Quotas,
}

impl<P: Proposal> Proposal for Guarded<P> {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let Some(change) = self.inner.decide(now)? else {
            return Ok(None);
        };
        if let Some(belief) = &self.if_match {
            check_if_match(belief, &change, now)?;
        }
        check_settings(&change, now)?;
        self.limits.check(&change, now)?;
        Ok(Some(change))
    }
}

/// Every ref that the change moves is what `If-Match` says.
fn check_if_match(belief: &IfMatch, change: &Change, now: &Pending<'_>) -> Result<(), AppError> {
    for edit in &change.edits {
        let Edit::Ref(edit) = edit else { continue };
        let current = now.snapshot.refs.resolve(edit.name.as_bytes());
        let holds = match belief {
            IfMatch::Any => current.is_some(),
            IfMatch::OneOf(ids) => current.is_some_and(|current| ids.contains(&current)),
        };
        if !holds {
            return Err(AppError::RefMoved {
                name: edit.name.to_text(),
                expected: match belief {
                    IfMatch::Any => None,
                    IfMatch::OneOf(ids) => ids.first().copied(),
                },
                current,
                said_in: SaidIn::IfMatch,
            });
        }
    }
    Ok(())
}

/// What the repository's owner does not want to happen to refs.
fn check_settings(change: &Change, now: &Pending<'_>) -> Result<(), AppError> {
    let settings = &now.snapshot.record.settings;
    if !settings.deny_deletes && !settings.deny_non_fast_forwards {
        return Ok(());
    }
    for edit in &change.edits {
        let Edit::Ref(edit) = edit else { continue };
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
struct Quotas {
    bytes: Option<u64>,
    objects: Option<u64>,
    refs: Option<u64>,
}

impl Quotas {
    fn of(app: &App, repository: &Repository) -> Quotas {
        let limits = &app.config().limits;
        let own = &repository.snapshot().record.settings.quotas;
        let default = |figure: u64| (figure > 0).then_some(figure);
        Quotas {
            bytes: own.bytes.or(default(limits.repository_bytes.0)),
            objects: own.objects.or(default(limits.repository_objects)),
            refs: own.refs.or(default(limits.repository_refs)),
        }
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
        if (self.objects.is_none() && self.bytes.is_none()) || change.objects.inline.is_empty() {
            return Ok(());
        }
        let stats = now.pool.stats();
        let objects = stats.objects + change.objects.inline.len() as u64;
        if let Some(limit) = self.objects.filter(|limit| objects > *limit) {
            return over("objects", limit, "settings.quotas.objects");
        }
        let bytes = stats.packed_bytes + change.objects.inline_bytes() as u64;
        if let Some(limit) = self.bytes.filter(|limit| bytes > *limit) {
            return over("bytes", limit, "settings.quotas.bytes");
        }
        Ok(())
    }
}

/// What the door said, as the use cases say it.
pub fn refused(repository: &Repository, error: PublishError) -> AppError {
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
            repo: repository.snapshot().record.id.to_string(),
        },
        PublishError::Full => AppError::OutOfSpace,
        PublishError::Damaged(_) | PublishError::Unavailable(_) => AppError::Unavailable {
            why: error.to_string(),
        },
        PublishError::Unknown => AppError::Unknown,
    }
}
