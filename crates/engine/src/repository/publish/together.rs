//! Changes to several repositories at once: decided together, in one batch of the journal, and
//! seen together.
//!
//! A group waits for the turn of each of its repositories, in the order of their keys, and holds
//! it: nobody else decides there meanwhile. It is decided on a thread of the engine; where one
//! repository refuses, what was decided of the others is taken back before anybody saw it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tokio::sync::oneshot;

use super::committer::{Decided, Submission};
use super::turns::{Taken, Turns, decide};
use super::{Proposal, PublishError, Published, Reply, Waiting};
use crate::{Entry, Idempotency, Repository, Snapshot};

/// Why several repositories were not changed. None of them was then, unless it is
/// [`PublishError::Unknown`].
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct TogetherError {
    /// Which of the proposals refused.
    pub at: usize,
    /// Why.
    #[source]
    pub error: PublishError,
}

/// What answers the request of a group when it comes again, from what was decided of each of its
/// members, in the order in which they were given.
pub type AnswerTogether = Arc<dyn Fn(&[Option<Arc<Entry>>]) -> Idempotency + Send + Sync>;

/// The turn of a repository, held by whoever has this. Dropped, it is the next one's.
pub(super) struct Held {
    repository: Arc<Repository>,
    since: Instant,
    is_over: bool,
}

/// A group that is to be decided.
pub(super) struct Together {
    members: Vec<(Held, Waiting)>,
    /// Where among the members, as they were given, each of these is.
    order: Vec<usize>,
    answer: Option<AnswerTogether>,
    rehearsal: bool,
    /// Told which one refused and why; `None` once all are decided.
    decided: oneshot::Sender<Option<(usize, PublishError)>>,
}

impl Held {
    #[allow(
        clippy::disallowed_methods,
        reason = "not the time of anything that is kept, only how long a turn takes here"
    )]
    pub(super) fn new(repository: Arc<Repository>) -> Held {
        Held {
            repository,
            since: Instant::now(),
            is_over: false,
        }
    }

    fn taken(&self) -> Taken {
        Taken::of(1, self.since)
    }

    /// Somebody else sees to it that the turn ends.
    pub(super) fn leave(mut self) -> Arc<Repository> {
        self.is_over = true;
        Arc::clone(&self.repository)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_over {
            let turns = Arc::clone(&self.repository.turns);
            turns.over(&self.repository, self.taken());
            turns.look();
        }
    }
}

/// Changes several repositories of one engine as their proposals say, all or none: when one
/// refuses nothing happened to any, and readers who see one's new state see that of all. What
/// `answer` says is kept in the entry of the first one that is changed.
///
/// # Errors
/// [`TogetherError`].
pub async fn publish_together(
    members: Vec<(Arc<Repository>, Box<dyn Proposal>)>,
    rehearsal: bool,
    answer: Option<AnswerTogether>,
) -> Result<Vec<Published>, TogetherError> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|at| members[*at].0.key());
    let same = order
        .windows(2)
        .find(|pair| members[pair[0]].0.key() == members[pair[1]].0.key());
    if let Some(pair) = same {
        let why = "one repository is to be changed twice".into();
        return Err(TogetherError {
            at: pair[1],
            error: PublishError::Unavailable(why),
        });
    }
    let mut members: Vec<Option<_>> = members.into_iter().map(Some).collect();
    let shutting_down = |at: usize| TogetherError {
        at,
        error: PublishError::Unavailable("shutting down".into()),
    };
    let mut held = Vec::with_capacity(order.len());
    let mut answers = Vec::with_capacity(order.len());
    let mut turns: Option<Arc<Turns>> = None;
    for at in &order {
        let Some((repository, proposal)) = members[*at].take() else {
            continue;
        };
        turns.get_or_insert_with(|| Arc::clone(&repository.turns));
        let hold = match Turns::hold(&repository) {
            Ok(held) => held,
            Err(wait) => wait.await.map_err(|_| shutting_down(*at))?,
        };
        let (reply, answer) = Reply::new();
        let waiting = Waiting {
            proposal,
            reply,
            rehearsal,
            tries: 0,
        };
        held.push((hold, waiting));
        answers.push(answer);
    }
    let Some(turns) = turns else {
        return Ok(Vec::new());
    };
    let (decided, outcome) = oneshot::channel();
    turns.enqueue_together(Together {
        members: held,
        order: order.clone(),
        answer,
        rehearsal,
        decided,
    });
    match outcome.await {
        Ok(None) => {}
        Ok(Some((number, error))) => {
            let at = order[number];
            return Err(TogetherError { at, error });
        }
        Err(_) => return Err(shutting_down(0)),
    }
    let mut published: Vec<Option<Published>> = order.iter().map(|_| None).collect();
    let mut failed = None;
    for (at, answer) in order.iter().zip(answers) {
        match answer.await {
            Ok(Ok(done)) => published[*at] = Some(done),
            Ok(Err(error)) => failed = failed.or(Some(TogetherError { at: *at, error })),
            Err(_) => failed = failed.or(Some(shutting_down(*at))),
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(published.into_iter().flatten().collect()),
    }
}

impl Turns {
    /// Decides a group, and submits it as one.
    pub(super) fn take_turns(&self, group: Together) {
        let Together {
            mut members,
            order,
            answer,
            rehearsal,
            decided,
        } = group;
        let now = self.now();
        let mut outcomes: Vec<(Snapshot, Option<Arc<Entry>>)> = Vec::new();
        for number in 0..members.len() {
            let (held, waiting) = &mut members[number];
            let repository = Arc::clone(&held.repository);
            waiting.tries += 1;
            let mut door = repository.door();
            let before = door.pending.clone();
            let outcome = match repository.is_closed() {
                Some(closed) => Err(closed),
                None => decide(&mut door, &repository, waiting, now),
            };
            drop(door);
            match outcome {
                Ok(entry) => outcomes.push((before, entry)),
                Err(error) => {
                    if !rehearsal {
                        for ((held, _), (before, entry)) in members.iter().zip(outcomes) {
                            take_back(&held.repository, before, entry);
                        }
                    }
                    // Whoever asked may have gone.
                    let _ = decided.send(Some((number, error)));
                    return;
                }
            }
        }
        let _ = decided.send(None);
        if let Some(answer) = answer {
            keep_answer(&answer, &order, &mut outcomes);
        }
        let changes_nothing = outcomes.iter().all(|(_, entry)| entry.is_none());
        if rehearsal || changes_nothing {
            for ((held, waiting), (before, entry)) in members.into_iter().zip(outcomes) {
                let seq = match &entry {
                    Some(entry) => entry.seq,
                    None => before.seq,
                };
                drop(held);
                waiting.answer(Ok(Published { seq, entry }));
            }
            return;
        }
        let flag = Arc::new(AtomicBool::new(false));
        let submissions = members.into_iter().zip(outcomes);
        let submissions = submissions.map(|((held, waiting), (_, entry))| {
            let taken = held.taken();
            let after = Arc::new(held.repository.door().pending.clone());
            Submission {
                repository: held.leave(),
                taken,
                after,
                decided: vec![Decided {
                    waiting,
                    outcome: Ok(entry),
                }],
                together: Some(Arc::clone(&flag)),
            }
        });
        self.submit_together(submissions.collect());
    }
}

/// Keeps what answers the request again in the entry of the first member that is changed.
fn keep_answer(
    answer: &AnswerTogether,
    order: &[usize],
    outcomes: &mut [(Snapshot, Option<Arc<Entry>>)],
) {
    let mut entries = vec![None; order.len()];
    for (at, (_, entry)) in order.iter().zip(&*outcomes) {
        entries[*at].clone_from(entry);
    }
    let Some(first) = entries.iter().position(Option::is_some) else {
        return;
    };
    let kept = answer(&entries);
    drop(entries);
    let mut outcomes = order.iter().zip(outcomes);
    if let Some((_, (_, Some(entry)))) = outcomes.find(|(at, _)| **at == first) {
        Arc::make_mut(entry).cause.idempotency = Some(Box::new(kept));
    }
}

/// What was decided of one repository never was: nobody has decided anything on it.
fn take_back(repository: &Repository, before: Snapshot, entry: Option<Arc<Entry>>) {
    let Some(entry) = entry else { return };
    let ids: Vec<_> = entry.objects.brought().collect();
    repository.pool().forget(&ids);
    let mut door = repository.door();
    door.pending = before;
    // A step of staging has taken no number.
    if entry.step == 0 {
        door.next = entry.seq;
    }
}
