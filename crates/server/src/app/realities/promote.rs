//! Promoting: what a reality became moves its parent's branch, as a merge would.

use std::sync::Arc;

use govc_api::commits::Commit;
use govc_api::merges::MergeStrategy;
use govc_api::realities::PromoteOrder;
use govc_engine::pool::Pool;
use govc_engine::work::merge::{self, People, integrate};
use govc_engine::work::realities::{
    DiscardRealities, PromoteReality, RealityError, Siblings, brought, siblings,
};
use govc_engine::{
    Cause, CauseKind, Change, Edit, Entry, Expected, Fate, NewObjects, ObjectBody, Pending,
    Proposal, Quarantined, Reality, RefEdit, RefName, Refusal, RepoId, Repository, Seq, Snapshot,
    Target, Via,
};
use govc_git::ObjectId;

use super::{Action, App, Doing, Told};
use crate::app::answers::Logged;
use crate::app::commits::{place, read};
use crate::app::error::{AppError, SaidIn};
use crate::app::publish::{Answering, Member, cause, check_beliefs};
use crate::http::ask::Terms;
use crate::http::caller::Caller;

/// So often a promotion is made again because the branch moved meanwhile.
const TRIES_MAX: usize = 3;

/// What a promotion came to.
pub struct Promoted {
    /// The commit that the branch is at.
    pub commit: Commit,
    /// Whether it was made by this.
    pub is_new: bool,
    /// The parent's number.
    pub seq: Seq,
    /// What was recorded.
    entries: Vec<Arc<Entry>>,
}

/// What moves the branch, worked out for the branch as it was a moment ago.
struct Plan {
    /// What the branch was.
    current: Option<ObjectId>,
    /// What it becomes.
    target: ObjectId,
    objects: NewObjects,
    is_new: bool,
    /// Keeps the pack of what is too large for an entry until one names it.
    _aside: Option<Quarantined>,
}

impl App {
    /// Promotes a reality: its parent's branch gets what it has, and it is closed.
    ///
    /// # Errors
    /// [`AppError::MergeConflict`], [`AppError::RefMoved`], [`AppError::RealityClosed`],
    /// [`AppError::RealityDiscarded`].
    pub async fn promote_reality(
        &self,
        caller: &Caller,
        id: &RepoId,
        name: &str,
        order: PromoteOrder,
        terms: &Terms,
    ) -> Result<Promoted, AppError> {
        let host = self.repository(caller, id, Action::Write).await?;
        let reality = self.reality(&host, name)?;
        if let Some(end) = self.end_of(&host, &reality)? {
            return Err(end);
        }
        let parent = self.parent_of(&reality, Doing::Writing).await?;
        let author = self.signature(caller, "author", order.author.as_ref())?;
        let committer = match &order.committer {
            Some(_) => self.signature(caller, "committer", order.committer.as_ref())?,
            None => author.clone(),
        };
        let into = match &order.into {
            Some(into) => into.clone(),
            None => reality.made.batch.head.clone(),
        };
        let (source, _) = self.engine()?.reality_head(&reality);
        let source = source.ok_or_else(|| AppError::Impossible {
            code: "NOTHING_TO_PROMOTE",
            detail: format!("the reality {name:?} has no commit"),
        })?;
        let work = Arc::new(Work {
            reality: reality.clone(),
            parent: Arc::clone(&parent),
            into,
            source,
            people: People { author, committer },
            order,
        });
        for again in 1.. {
            let plan = {
                let (work, terms) = (Arc::clone(&work), terms.clone());
                self.offload(move || work.plan(&terms)).await?
            };
            let plan = match plan {
                Ok(plan) => plan,
                // What cannot be merged with the branch as somebody has just left it may be
                // discarded by the same change.
                Err(error) => return Err(self.end_of(&host, &reality)?.unwrap_or(error)),
            };
            match self
                .publish_promotion(caller, &host, &work, plan, terms)
                .await
            {
                // Somebody else moved it; whoever said what they believe is told.
                Err(AppError::RefMoved { .. })
                    if again < TRIES_MAX
                        && work.order.expected == Expected::Anything
                        && terms.if_match.is_none() => {}
                Err(error) => return Err(error),
                Ok(promoted) => {
                    if !terms.dry_run {
                        let engine = self.engine()?;
                        for entry in &promoted.entries {
                            engine.realities_changed(&host, entry);
                        }
                    }
                    return Ok(promoted);
                }
            }
        }
        Err(AppError::Unknown)
    }

    /// What became of a reality that is no longer open.
    fn end_of(
        &self,
        host: &Arc<Repository>,
        reality: &Reality,
    ) -> Result<Option<AppError>, AppError> {
        let there = host.snapshot().realities.clone();
        let now = self.engine()?.reality_by_id(host, &there, reality.id);
        Ok(match now.map(|reality| reality.fate) {
            Some(Fate::Open) => None,
            Some(Fate::Promoted(_)) => Some(AppError::RealityClosed),
            Some(Fate::Discarded) | None => Some(AppError::RealityDiscarded),
        })
    }

    /// The repository that a reality was made from.
    pub(super) async fn parent_of(
        &self,
        reality: &Reality,
        doing: Doing,
    ) -> Result<Arc<Repository>, AppError> {
        let Some(parent) = reality.made.batch.parent else {
            return Ok(Arc::clone(&reality.host));
        };
        let there = reality.host.snapshot().realities.clone();
        let parent = self.engine()?.reality_by_id(&reality.host, &there, parent);
        let parent = parent.ok_or(AppError::RealityDiscarded)?;
        self.open_reality(&parent, doing).await
    }

    async fn publish_promotion(
        &self,
        caller: &Caller,
        host: &Arc<Repository>,
        work: &Arc<Work>,
        plan: Plan,
        terms: &Terms,
    ) -> Result<Promoted, AppError> {
        let commit = match plan.is_new {
            true => plan.commit(work.parent.pool())?,
            false => read(work.parent.pool(), plan.target)?,
        };
        let is_new = plan.is_new;
        let status = if is_new { 201 } else { 200 };
        let mut logged = Logged::body(status, Some(&commit));
        if is_new {
            let there = host.snapshot();
            logged = logged.at(place(&there.record.id, &commit));
        }
        let batch = &work.reality.made.batch;
        let in_host = batch.parent.is_none();
        let moving = Moving {
            plan,
            into: work.into.clone(),
            expected: work.order.expected,
        };
        let siblings = Siblings {
            parent: batch.parent,
        };
        let proposal = Told(PromoteReality {
            inner: moving,
            reality: work.reality.id,
            into: work.into.clone(),
            siblings: work.order.discard_siblings.then_some(siblings),
            in_host,
            cause: cause(caller, CauseKind::RealityPromoted, Via::Rest),
        });
        let about = vec![work.into.clone()];
        let published = if in_host {
            let answering = Answering::about(about, move |_, _| logged.clone());
            let published = self.publish_answering(&work.parent, terms, answering, proposal);
            vec![published.await?]
        } else {
            // It is recorded in its parent, and that others are discarded in the repository.
            let promoted = Member {
                repository: Arc::clone(&work.parent),
                proposal: Box::new(proposal),
                about,
            };
            let others = Member {
                repository: Arc::clone(host),
                proposal: Box::new(Told(Others {
                    work: Arc::clone(work),
                    cause: cause(caller, CauseKind::RealityDiscarded, Via::Rest),
                })),
                about: Vec::new(),
            };
            self.publish_together(vec![promoted, others], terms, move |_| logged.clone())
                .await?
        };
        let seq = published.first().map(|published| published.seq);
        let entries = published.into_iter().filter_map(|done| done.entry);
        Ok(Promoted {
            commit,
            is_new,
            seq: seq.ok_or(AppError::Unknown)?,
            entries: entries.collect(),
        })
    }
}

/// What becomes of the others in the repository, when one is promoted into a reality.
struct Others {
    work: Arc<Work>,
    cause: Cause,
}

impl Proposal for Others {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let there = &now.snapshot.realities;
        let reality = &self.work.reality;
        if there.fate(reality.id) == Fate::Discarded {
            return Err(RealityError::Discarded.into());
        }
        if !self.work.order.discard_siblings {
            return Ok(None);
        }
        let mut ids = siblings(there, reality.made.batch.parent, reality.id);
        // Which of them were promoted is known where they were promoted to.
        let parent = self.work.parent.snapshot();
        ids.retain(|id| parent.realities.fate(*id) == Fate::Open);
        if ids.is_empty() {
            return Ok(None);
        }
        let cause = self.cause.clone();
        DiscardRealities { ids, cause }.decide(now)
    }
}

/// A promotion, before anything is decided.
struct Work {
    reality: Reality,
    parent: Arc<Repository>,
    into: RefName,
    source: ObjectId,
    people: People,
    order: PromoteOrder,
}

impl Work {
    /// What moves the branch as it is now.
    fn plan(&self, terms: &Terms) -> Result<Plan, AppError> {
        let snapshot = self.parent.snapshot();
        let if_match = terms.if_match.as_ref();
        check_beliefs(&self.into, self.order.expected, if_match, &snapshot)?;
        let pool = self.parent.pool();
        let current = snapshot.refs.resolve(self.into.as_bytes());
        let is_unborn = current.is_none() && snapshot.refs.head_branch() == Some(&self.into);
        if current.is_none() && !is_unborn {
            return Err(AppError::RefNotFound {
                name: self.into.to_text(),
            });
        }
        let mut plan = self.moves(pool, current, snapshot.refs.head_branch())?;
        if self.reality.made.batch.in_memory {
            // Nothing of it was kept by anybody so far.
            let brought = brought(pool, self.source, &snapshot.refs)?;
            let own = std::mem::take(&mut plan.objects.inline);
            plan.objects.inline = brought.inline;
            plan.objects.inline.extend(own);
        }
        if !terms.dry_run {
            plan._aside = self
                .parent
                .put_aside(&mut plan.objects)
                .map_err(AppError::internal)?;
        }
        Ok(plan)
    }

    fn moves(
        &self,
        pool: &Pool,
        current: Option<ObjectId>,
        default: Option<&RefName>,
    ) -> Result<Plan, AppError> {
        let source = self.source;
        let to = |target: ObjectId| Plan {
            current,
            target,
            objects: NewObjects::default(),
            is_new: false,
            _aside: None,
        };
        let Some(head) = current else {
            return Ok(to(source));
        };
        let bringing = merge::Plan::Merge {
            from: source,
            label: format!("realities/{}", self.reality.name).into_bytes(),
            strategy: self.order.strategy.into(),
            message: self.message(default)?,
        };
        let integrated = integrate(pool, Some(head), &bringing, &self.people)
            .map_err(|error| AppError::from_integrating(error, pool))?;
        let mut plan = to(integrated.head);
        plan.is_new = !integrated.made.is_empty();
        plan.objects.inline = integrated.objects;
        Ok(plan)
    }

    /// The message of the commit, if one is made; `None`: what the strategy says by itself.
    fn message(&self, default: Option<&RefName>) -> Result<Option<Vec<u8>>, AppError> {
        let name = &self.reality.name;
        match (&self.order.message, self.order.strategy) {
            (Some(message), _) => {
                let cleaned = govc_git::message::clean(message.as_bytes());
                match cleaned.is_empty() {
                    true => Err(AppError::body("message", "`message`: is empty")),
                    false => Ok(Some(cleaned)),
                }
            }
            (None, MergeStrategy::Squash) => Ok(None),
            // As git says it of branches.
            (None, _) if default == Some(&self.into) => {
                Ok(Some(format!("Merge reality '{name}'\n").into_bytes()))
            }
            (None, _) => {
                let into = self.into.branch_name().unwrap_or(self.into.as_bytes());
                let into = String::from_utf8_lossy(into);
                Ok(Some(
                    format!("Merge reality '{name}' into {into}\n").into_bytes(),
                ))
            }
        }
    }
}

impl Plan {
    /// The commit that is made.
    fn commit(&self, pool: &Pool) -> Result<Commit, AppError> {
        let made = self.objects.inline.iter().find(|new| new.id == self.target);
        match made.map(|made| &made.body) {
            Some(ObjectBody::Whole(data)) => {
                Commit::read(self.target, data, pool.format()).map_err(AppError::internal)
            }
            // It went aside, and is in the pool.
            _ => read(pool, self.target),
        }
    }
}

/// Moves the branch, if it is still what it was.
struct Moving {
    plan: Plan,
    into: RefName,
    expected: Expected,
}

impl Moving {
    fn moved(&self, now: &Snapshot) -> Option<AppError> {
        let current = now.refs.resolve(self.into.as_bytes());
        let believed = match self.expected {
            Expected::Anything => true,
            Expected::Absent => current.is_none(),
            Expected::At(id) => current == Some(id),
        };
        let expected = match self.expected {
            Expected::At(id) => Some(id),
            Expected::Anything | Expected::Absent => self.plan.current,
        };
        (!believed || current != self.plan.current).then(|| AppError::RefMoved {
            name: self.into.to_text(),
            expected,
            current,
            said_in: SaidIn::Request,
        })
    }
}

impl Proposal for Moving {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        if let Some(moved) = self.moved(now.snapshot) {
            return Err(moved.into());
        }
        if self.plan.current == Some(self.plan.target) {
            return Ok(None);
        }
        Ok(Some(Change {
            objects: self.plan.objects.clone(),
            edits: vec![Edit::Ref(RefEdit {
                name: self.into.clone(),
                expected: self.plan.current.map_or(Expected::Absent, Expected::At),
                target: Target::At(self.plan.target),
            })],
            // The promotion has its own.
            cause: cause_of_nobody(),
        }))
    }
}

fn cause_of_nobody() -> govc_engine::Cause {
    cause(&Caller::job(), CauseKind::RealityPromoted, Via::Job)
}
