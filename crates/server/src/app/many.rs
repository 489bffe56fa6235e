//! Transactions over many refs of many repositories: all or nothing.

use std::sync::Arc;

use govc_api::history::ref_updates;
use govc_api::transactions::{ManyOrder, ManyResult, ManyResults};
use govc_engine::{
    Cause, CauseKind, Change, NewObjects, Pending, Proposal, Refusal, RepoId, Repository, Via,
};

use super::commits::PendingCommit;
use super::error::AppError;
use super::publish::cause;
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
struct Member {
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
        let mut members: Vec<Member> = Vec::new();
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
                    members.push(Member {
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
        let before: Vec<u64> = members
            .iter()
            .map(|member| member.repository.snapshot().seq)
            .collect();
        let members = members.into_iter().map(|Member { repository, parts }| {
            let cause = cause.clone();
            let proposal: Box<dyn Proposal> = Box::new(Combined { parts, cause });
            (repository, proposal)
        });
        let published = self
            .publish_together(members.collect(), terms.dry_run)
            .await?;
        let mut results = Vec::with_capacity(tellings.len());
        for telling in tellings {
            let done = published.get(telling.member);
            let seq = match (done, terms.dry_run) {
                (Some(done), false) => done.seq,
                _ => before.get(telling.member).copied().unwrap_or_default(),
            };
            let entry = done.and_then(|done| done.entry.as_ref());
            let updates = entry.map(|entry| ref_updates(entry)).unwrap_or_default();
            results.push(ManyResult {
                repo: telling.repo,
                seq,
                ref_updates: telling.commit.is_none().then_some(updates),
                commit: telling.commit.map(|commit| commit.body()).transpose()?,
            });
        }
        Ok(ManyResults { results })
    }
}
