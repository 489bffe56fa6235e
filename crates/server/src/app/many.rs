//! Transactions over many refs of many repositories: all or nothing.

use std::sync::Arc;

use govc_api::history::ref_updates;
use govc_api::transactions::{ManyOrder, ManyResult, ManyResults};
use govc_engine::{
    Cause, CauseKind, Change, Entry, NewObjects, Pending, Proposal, Refusal, RepoId, Repository,
    Via,
};

use super::answers::Logged;
use super::commits::PendingCommit;
use super::error::AppError;
use super::publish::{Member, cause};
use super::{Action, App};
use crate::http::ask::Terms;
use crate::http::caller::Caller;

/// What is done in one repository: all of its operations as one change.
struct Combined {
    parts: Vec<Box<dyn Proposal>>,
    cause: Cause,
}

impl Proposal for Combined {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let mut all = Change {
            objects: NewObjects::default(),
            edits: Vec::new(),
            cause: self.cause.clone(),
        };
        for part in &mut self.parts {
            let Some(change) = part.decide(now)? else {
                continue;
            };
            all.edits.extend(change.edits);
            for object in change.objects.inline {
                // Two commits may bring the same file.
                if !all.objects.inline.contains(&object) {
                    all.objects.inline.push(object);
                }
            }
            all.objects.packs.extend(change.objects.packs);
        }
        Ok((!all.edits.is_empty()).then_some(all))
    }
}

/// One repository of a transaction.
struct Part {
    repository: Arc<Repository>,
    parts: Vec<Box<dyn Proposal>>,
}

/// What will be told of one operation.
struct Telling {
    repo: String,
    /// Its repository's place among the members.
    member: usize,
    commit: Option<PendingCommit>,
}

impl App {
    /// Does several operations in several repositories, all or none.
    ///
    /// # Errors
    /// That of the first one that is refused; nothing was changed then.
    pub async fn change_many(
        &self,
        caller: &Caller,
        operations: Vec<(String, ManyOrder)>,
        terms: &Terms,
    ) -> Result<ManyResults, AppError> {
        if operations.is_empty() {
            return Err(AppError::body("operations", "`operations` is empty"));
        }
        let limit = self.config().limits.transaction_repositories;
        let mut members: Vec<Part> = Vec::new();
        let mut tellings = Vec::with_capacity(operations.len());
        for (repo, order) in operations {
            let not_found = || AppError::RepoNotFound { repo: repo.clone() };
            let id = RepoId::parse(&repo).map_err(|_| not_found())?;
            let repository = self.repository(caller, &id, Action::Write).await?;
            let place = members
                .iter()
                .position(|member| member.repository.key() == repository.key());
            let member = match place {
                Some(place) => place,
                None => {
                    members.push(Part {
                        repository: Arc::clone(&repository),
                        parts: Vec::new(),
                    });
                    members.len() - 1
                }
            };
            if members.len() > limit {
                return Err(AppError::TooLarge {
                    what: "the number of repositories".to_owned(),
                    limit: limit as u64,
                    setting: "limits.transaction_repositories",
                });
            }
            let (proposal, commit) = match order {
                ManyOrder::Commit(order) => {
                    let made = self.commit_proposal(caller, &repository, *order, terms.dry_run);
                    let (proposal, commit) = made.await?;
                    (proposal, Some(commit))
                }
                ManyOrder::Refs(edits) => {
                    (self.refs_proposal(caller, &repository, edits).await?, None)
                }
            };
            members[member].parts.push(proposal);
            tellings.push(Telling {
                repo,
                member,
                commit,
            });
        }
        let cause = cause(caller, CauseKind::Transaction, Via::Rest);
        let before = members.iter().map(|part| part.repository.snapshot().seq);
        let tellings = Arc::new(Tellings {
            all: tellings,
            before: before.collect(),
        });
        let members = members.into_iter().map(|Part { repository, parts }| {
            let cause = cause.clone();
            Member {
                repository,
                proposal: Box::new(Combined { parts, cause }),
                about: Vec::new(),
            }
        });
        let answering = Arc::clone(&tellings);
        let answer = move |entries: &[Option<Arc<Entry>>]| {
            Logged::body(200, answering.results(entries).ok()).in_several()
        };
        let published = self
            .publish_together(members.collect(), terms, answer)
            .await?;
        let entries: Vec<_> = published.into_iter().map(|done| done.entry).collect();
        let mut done = tellings.results(&entries)?;
        if terms.dry_run {
            tellings.as_before(&mut done);
        }
        Ok(done)
    }
}

/// What will be told of all operations.
struct Tellings {
    all: Vec<Telling>,
    /// The numbers of the members before.
    before: Vec<u64>,
}

impl Tellings {
    /// What is told, from what was decided of each member.
    fn results(&self, entries: &[Option<Arc<Entry>>]) -> Result<ManyResults, AppError> {
        let tell = |telling: &Telling| {
            let entry = entries.get(telling.member).and_then(Option::as_deref);
            let seq = match entry {
                Some(entry) => entry.seq,
                None => self.seq_before(telling),
            };
            let updates = || entry.map(ref_updates).unwrap_or_default();
            let commit = telling.commit.as_ref();
            Ok(ManyResult {
                repo: telling.repo.clone(),
                seq,
                ref_updates: commit.is_none().then(updates),
                commit: commit.map(PendingCommit::body).transpose()?,
            })
        };
        let results: Result<_, AppError> = self.all.iter().map(tell).collect();
        Ok(ManyResults { results: results? })
    }

    /// Nothing of it was done.
    fn as_before(&self, done: &mut ManyResults) {
        for (telling, result) in self.all.iter().zip(&mut done.results) {
            result.seq = self.seq_before(telling);
        }
    }

    fn seq_before(&self, telling: &Telling) -> u64 {
        self.before.get(telling.member).copied().unwrap_or_default()
    }
}
