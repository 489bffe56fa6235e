//! Parallel realities: made, listed, shown, discarded, written to, measured.

pub mod body;
pub mod compare;
pub mod conflicts;
pub mod promote;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use govc_api::commits::Commit;
use govc_api::realities::{Apply, RealitiesOrder};
use govc_engine::work::View;
use govc_engine::work::realities::{DiscardRealities, MakeRealities, RealityError};
use govc_engine::{
    Cause, CauseKind, Change, Edit, EntryEdit, Fate, Metric, NewObjects, Pending, Proposal,
    Reality, RealityBatch, RealityEdit, RealityId, RealityResults, RefName, Refs, Refusal, RepoId,
    Repository, Seq, Time, Via,
};
use govc_git::ObjectId;

use super::answers::{Logged, LoggedRealities};
use super::error::AppError;
use super::publish::{Answering, cause};
use super::repos::location;
use super::scope::Scope;
use super::state::commit;
use super::{Action, App};
use crate::http::ask::{Reading, Terms};
use crate::http::caller::Caller;
use crate::http::page::{Cursor, Page, PageQuery};
use crate::http::path::encode;
use body::Bodies;

/// Which realities are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Those that can be written to.
    Open,
    /// Those that were promoted.
    Closed,
    /// Both.
    All,
}

/// What somebody wants to do in a reality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Look at it.
    Reading,
    /// Change it.
    Writing,
}

/// What realities are made from.
struct Origin {
    parent: Option<RealityId>,
    /// Known where it is not the repository as it is when the turn comes.
    past: Option<(Seq, Refs)>,
    head: RefName,
    tip: Option<ObjectId>,
    oid: Option<ObjectId>,
    in_memory: bool,
}

impl App {
    /// Makes realities, all in one change. What is answered is the body.
    ///
    /// # Errors
    /// [`AppError::RealityExists`], [`AppError::Quota`], [`AppError::RefNotFound`].
    pub async fn make_realities(
        &self,
        caller: &Caller,
        id: &RepoId,
        order: RealitiesOrder,
        terms: &Terms,
        origin: &str,
    ) -> Result<(Bytes, Seq), AppError> {
        // How long it took is told, and kept nowhere.
        let begun = Instant::now();
        let host = self.repository(caller, id, Action::Write).await?;
        let again = order.clone();
        let to_make = (&host, id, order);
        match self.make_now(caller, to_make, terms, origin, begun).await {
            // Nobody finds one whose time is over: its name is free.
            Err(AppError::RealityExists { .. }) if self.expire_realities_of(&host).await? => {
                let to_make = (&host, id, again);
                self.make_now(caller, to_make, terms, origin, begun).await
            }
            done => done,
        }
    }

    async fn make_now(
        &self,
        caller: &Caller,
        (host, id, order): (&Arc<Repository>, &RepoId, RealitiesOrder),
        terms: &Terms,
        origin: &str,
        begun: Instant,
    ) -> Result<(Bytes, Seq), AppError> {
        let parent = order.parent.as_ref().or(terms.scope.reality.as_ref());
        let from = self.origin(host, parent, &order).await?;
        let engine = self.engine()?;
        let micros = |ttl: u64| i64::try_from(ttl).unwrap_or(i64::MAX / 1_000_000) * 1_000_000;
        let (base, refs) = match from.past {
            Some((seq, refs)) => (Some(seq), Some(refs)),
            None => (None, None),
        };
        let batch = RealityBatch {
            keys: engine.reality_keys(),
            names: order.names,
            parent: from.parent,
            base: base.unwrap_or_default(),
            head: from.head,
            tip: from.tip,
            oid: from.oid,
            in_memory: order.in_memory || from.in_memory,
            expires_at: order
                .ttl_seconds
                .map(|ttl| Time(engine.clock().now().0.saturating_add(micros(ttl)))),
        };
        let proposal = Told(MakeRealities {
            batch,
            of_now: base.is_none(),
            limit: self.config().limits.realities,
            cause: cause(caller, CauseKind::RealityCreated, Via::Rest),
        });
        // What an answer said that may come again is what it says.
        let said = Arc::new(OnceLock::new());
        let (noted, origin_said) = (Arc::clone(&said), origin.to_owned());
        let answer = move |_: &Change, _: &Pending<'_>| Logged {
            status: 201,
            realities: Some(LoggedRealities {
                elapsed_us: *noted.get_or_init(|| elapsed_us(begun)),
                origin: origin_said.clone(),
            }),
            ..Logged::default()
        };
        let answering = Answering::about(Vec::new(), answer);
        let published = self
            .publish_answering(host, terms, answering, proposal)
            .await?;
        let entry = published
            .entry
            .ok_or_else(|| AppError::Internal("no reality was made".into()))?;
        let snapshot = host.snapshot();
        if let (Some(refs), Some(made)) = (refs, snapshot.realities.batch(entry.seq)) {
            engine.begins_with(made, refs);
        }
        let bodies = Bodies::of(id, origin);
        let body = entry.edits.iter().find_map(|edit| match edit {
            EntryEdit::Reality(RealityEdit::Made(batch)) => {
                let made = (entry.seq, entry.time, batch);
                let elapsed = || *said.get_or_init(|| elapsed_us(begun));
                Some(bodies.made(&snapshot.realities, made, elapsed))
            }
            _ => None,
        });
        let body = body.ok_or_else(|| AppError::Internal("no reality was made".into()))??;
        Ok((body, published.seq))
    }

    /// What realities are to be made from.
    async fn origin(
        &self,
        host: &Arc<Repository>,
        parent: Option<&String>,
        order: &RealitiesOrder,
    ) -> Result<Origin, AppError> {
        let (repository, parent) = match parent {
            None => (Arc::clone(host), None),
            Some(name) => {
                let reality = self.reality(host, name)?;
                if reality.fate == Fate::Discarded {
                    return Err(AppError::RealityNotFound { name: name.clone() });
                }
                let repository = self.open_reality(&reality, Doing::Reading).await?;
                (repository, Some(reality))
            }
        };
        let view = match &order.at {
            None => View::of(&repository),
            Some((moment, said)) => {
                super::history::kept(&repository, *moment, said)?;
                let (past, moment) = (Arc::clone(&repository), *moment);
                let view = self.offload(move || View::at(&past, moment)).await?;
                let view = view.map_err(AppError::internal)?;
                view.ok_or_else(|| AppError::SeqNotFound { at: said.clone() })?
            }
        };
        let default = view.refs.head_branch().cloned();
        let branch = match order.from.as_deref() {
            None | Some("HEAD") => default.clone(),
            Some(from) => branch_called(&view, from),
        };
        let (head, tip) = match (branch, &order.from) {
            (Some(branch), _) => (branch, None),
            (None, from) => {
                let revision = from.as_deref().unwrap_or("HEAD");
                let tip = commit(&view, revision)?;
                (
                    default.unwrap_or_else(|| RefName::branch("main")),
                    Some(tip),
                )
            }
        };
        let oid = tip.or_else(|| view.refs.resolve(head.as_bytes()));
        let is_now = parent.is_none() && order.at.is_none();
        Ok(Origin {
            in_memory: parent
                .as_ref()
                .is_some_and(|parent| parent.made.batch.in_memory),
            parent: parent.map(|parent| parent.id),
            past: (!is_now).then(|| (view.seq, view.refs.clone())),
            head,
            tip,
            oid,
        })
    }

    /// The reality of `host` that is called `name`, which may be discarded.
    ///
    /// # Errors
    /// [`AppError::RealityNotFound`].
    pub fn reality(&self, host: &Arc<Repository>, name: &str) -> Result<Reality, AppError> {
        let found = self.engine()?.reality(host, name);
        found.ok_or_else(|| AppError::RealityNotFound {
            name: name.to_owned(),
        })
    }

    /// The reality as a repository, to do something in it.
    ///
    /// # Errors
    /// [`AppError::RealityNotFound`], [`AppError::RealityClosed`], [`AppError::RealityDiscarded`].
    pub async fn open_reality(
        &self,
        reality: &Reality,
        doing: Doing,
    ) -> Result<Arc<Repository>, AppError> {
        match (&reality.fate, doing) {
            (Fate::Discarded, Doing::Reading) => {
                return Err(AppError::RealityNotFound {
                    name: reality.name.to_string(),
                });
            }
            (Fate::Discarded, Doing::Writing) => return Err(AppError::RealityDiscarded),
            (Fate::Promoted(_), Doing::Writing) => return Err(AppError::RealityClosed),
            (Fate::Promoted(_) | Fate::Open, _) => {}
        }
        let engine = self.engine()?;
        let writing = doing == Doing::Writing;
        if reality.is_ready() || engine.reality_here(reality).is_some() {
            return engine
                .reality_repository(reality, writing)
                .map_err(AppError::internal);
        }
        // What it began with may have to be read from the disk.
        let (engine, reality) = (Arc::clone(engine), reality.clone());
        self.offload(move || engine.reality_repository(&reality, writing))
            .await?
            .map_err(AppError::internal)
    }

    /// Realities in the order of their making.
    ///
    /// # Errors
    /// [`AppError::Query`] when the cursor is none of this list.
    pub async fn list_realities(
        &self,
        caller: &Caller,
        id: &RepoId,
        listed: Listed,
        reading: &Reading,
        page: &PageQuery,
    ) -> Result<(Arc<Repository>, Page<Reality>), AppError> {
        let host = self.repository(caller, id, Action::Read).await?;
        self.reached(&host, reading).await?;
        let after = page.cursor.as_ref().map(|cursor| after(&cursor.after));
        let after = after.map(|id| id.ok_or_else(PageQuery::not_a_cursor));
        let (engine, there) = (Arc::clone(self.engine()?), Arc::clone(&host));
        let (after, limit) = (after.transpose()?, page.limit + 1);
        let mut items = self
            .offload(move || {
                engine.realities(&there, after, limit, |reality| match reality.fate {
                    Fate::Open => listed != Listed::Closed,
                    Fate::Promoted(_) => listed != Listed::Open,
                    Fate::Discarded => false,
                })
            })
            .await?;
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        let next = items.last().filter(|_| more).map(|last| {
            let RealityId { made, index } = last.id;
            Cursor {
                seq: 0,
                after: [&made.to_be_bytes()[..], &index.to_be_bytes()].concat(),
            }
        });
        Ok((host, Page { items, next }))
    }

    /// One reality.
    ///
    /// # Errors
    /// [`AppError::RealityNotFound`].
    pub async fn show_reality(
        &self,
        caller: &Caller,
        id: &RepoId,
        name: &str,
        reading: &Reading,
    ) -> Result<Reality, AppError> {
        let host = self.repository(caller, id, Action::Read).await?;
        self.reached(&host, reading).await?;
        let reality = self.reality(&host, name)?;
        match reality.fate {
            Fate::Discarded => Err(AppError::RealityNotFound {
                name: name.to_owned(),
            }),
            _ => Ok(reality),
        }
    }

    /// Discards a reality, with all that were made from it.
    ///
    /// # Errors
    /// [`AppError::RealityNotFound`], [`AppError::RealityDiscarded`] when somebody else was faster.
    pub async fn discard_reality(
        &self,
        caller: &Caller,
        id: &RepoId,
        name: &str,
        terms: &Terms,
    ) -> Result<Seq, AppError> {
        let host = self.repository(caller, id, Action::Write).await?;
        let reality = self.reality(&host, name)?;
        if reality.fate == Fate::Discarded {
            return Err(AppError::RealityNotFound {
                name: name.to_owned(),
            });
        }
        let proposal = Told(DiscardRealities {
            ids: vec![reality.id],
            cause: cause(caller, CauseKind::RealityDiscarded, Via::Rest),
        });
        let answering =
            Answering::about(Vec::new(), |_: &Change, _: &Pending<'_>| Logged::empty(204));
        let published = self
            .publish_answering(&host, terms, answering, proposal)
            .await?;
        if let Some(entry) = published.entry.filter(|_| !terms.dry_run) {
            self.engine()?.realities_changed(&host, &entry);
        }
        Ok(published.seq)
    }

    /// Records one commit in a reality.
    ///
    /// # Errors
    /// As [`App::create_commit`].
    pub async fn apply_to_reality(
        &self,
        caller: &Caller,
        id: &RepoId,
        name: &str,
        apply: Apply,
        terms: Terms,
    ) -> Result<(Commit, Seq), AppError> {
        let host = self.repository(caller, id, Action::Write).await?;
        let reality = self.reality(&host, name)?;
        let repository = self.open_reality(&reality, Doing::Writing).await?;
        let snapshot = repository.snapshot();
        let branch = snapshot.refs.head_branch();
        let branch = branch.and_then(RefName::branch_name).unwrap_or_default();
        let order = apply.on(&String::from_utf8_lossy(branch))?;
        let terms = Terms {
            scope: Scope {
                reality: Some(name.to_owned()),
                within: None,
            },
            ..terms
        };
        self.create_commit(caller, id, order, &terms).await
    }

    /// Attaches figures to a reality.
    ///
    /// # Errors
    /// [`AppError::RealityNotFound`], [`AppError::RealityClosed`].
    pub async fn attach_results(
        &self,
        caller: &Caller,
        id: &RepoId,
        name: &str,
        (metrics, passed): (BTreeMap<Arc<str>, Metric>, Option<bool>),
        terms: &Terms,
    ) -> Result<Seq, AppError> {
        let host = self.repository(caller, id, Action::Write).await?;
        let reality = self.reality(&host, name)?;
        let repository = self.open_reality(&reality, Doing::Writing).await?;
        let proposal = Attach {
            metrics,
            passed,
            cause: cause(caller, CauseKind::RealityResults, Via::Rest),
        };
        let answering =
            Answering::about(Vec::new(), |_: &Change, _: &Pending<'_>| Logged::empty(204));
        let published = self
            .publish_answering(&repository, terms, answering, proposal)
            .await?;
        Ok(published.seq)
    }

    /// Discards the realities whose time to live is over.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] while the server is starting. What cannot be discarded now is told
    /// to the log, and tried again the next time.
    pub async fn expire_realities(&self) -> Result<(), AppError> {
        for found in self.engine()?.all() {
            // Those of one that rests are gone for whoever asks, too: `Engine::reality` looks.
            let Some(host) = found.here() else { continue };
            if let Err(error) = self.expire_realities_of(&host).await {
                tracing::warn!(repository = %host.key(), %error, "expired realities stay");
            }
        }
        Ok(())
    }

    /// Discards those of one repository; whether there were any.
    async fn expire_realities_of(&self, host: &Arc<Repository>) -> Result<bool, AppError> {
        let engine = self.engine()?;
        let now = engine.clock().now();
        let there = host.snapshot().realities.clone();
        let over = there.batches(0).filter(|made| {
            let is_over = made.batch.expires_at.is_some_and(|at| at <= now);
            is_over && !there.all_discarded(made)
        });
        let ids: Vec<RealityId> = over
            .flat_map(|made| {
                (0..made.batch.names.len()).map(|index| RealityId {
                    made: made.seq,
                    index,
                })
            })
            .filter(|id| there.fate(*id) != Fate::Discarded)
            .collect();
        if ids.is_empty() {
            return Ok(false);
        }
        let mut cause = cause(&Caller::job(), CauseKind::RealityDiscarded, Via::Job);
        cause.reason = Some("its time to live is over".into());
        let proposal = Told(DiscardRealities { ids, cause });
        let published = self.publish(host, proposal).await?;
        if let Some(entry) = published.entry {
            engine.realities_changed(host, &entry);
        }
        Ok(true)
    }
}

/// Where a reality is in the API.
pub fn place(repo: &RepoId, name: &str) -> String {
    let name = encode(name.as_bytes(), false);
    format!("{}/parallel-realities/{name}", location(repo))
}

fn elapsed_us(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn after(key: &[u8]) -> Option<RealityId> {
    let (made, index) = key.split_first_chunk()?;
    Some(RealityId {
        made: u64::from_be_bytes(*made),
        index: u32::from_be_bytes(index.try_into().ok()?),
    })
}

/// The branch that `from` names, if it does not name something before it: Git looks for tags first.
fn branch_called(view: &View, from: &str) -> Option<RefName> {
    let is_there = |name: &RefName| view.refs.get(name.as_bytes()).is_some();
    if from.starts_with("refs/heads/") {
        return Some(RefName::new(from)).filter(is_there);
    }
    if let Some(short) = from.strip_prefix("heads/") {
        return Some(RefName::branch(short)).filter(is_there);
    }
    let is_other = is_there(&RefName::new(format!("refs/{from}"))) || is_there(&RefName::tag(from));
    Some(RefName::branch(from)).filter(|name| !is_other && is_there(name))
}

/// A proposal whose refusals are told as the use cases tell them.
pub(super) struct Told<P>(pub(super) P);

impl<P: Proposal> Proposal for Told<P> {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        self.0.decide(now).map_err(|refusal| {
            let error = match refusal.downcast::<RealityError>() {
                Ok(error) => *error,
                Err(other) => return other,
            };
            Refusal::from(match error {
                RealityError::Exists { name } => AppError::RealityExists { name },
                RealityError::TooMany { limit } => AppError::Quota {
                    what: "realities",
                    limit,
                    setting: "limits.realities",
                },
                RealityError::Closed => AppError::RealityClosed,
                RealityError::Discarded => AppError::RealityDiscarded,
            })
        })
    }
}

/// Figures to be attached.
struct Attach {
    metrics: BTreeMap<Arc<str>, Metric>,
    passed: Option<bool>,
    cause: Cause,
}

impl Proposal for Attach {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let there = now.snapshot.realities.results();
        // What is said again replaces, all else stays.
        let mut metrics = there.map_or_else(BTreeMap::new, |there| there.metrics.clone());
        metrics.extend(
            self.metrics
                .iter()
                .map(|(name, metric)| (Arc::clone(name), *metric)),
        );
        let results = RealityResults {
            metrics,
            passed: self.passed.or(there.and_then(|there| there.passed)),
            commit: now.snapshot.head(),
            at: now.time,
        };
        Ok(Some(Change {
            objects: NewObjects::default(),
            edits: vec![Edit::Reality(RealityEdit::Results(Arc::new(results)))],
            cause: self.cause.clone(),
        }))
    }
}
