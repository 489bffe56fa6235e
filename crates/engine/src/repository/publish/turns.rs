//! Turns: whose proposals are decided next, on threads of the engine's own.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::committer::{Committer, Decided, Submission};
use super::{Door, PublishError, Published, Waiting};
use crate::{Clock, Entry, Repository, Time};

/// The repositories that have proposals waiting, and the threads that give each its turn.
///
/// A repository is in the line at most once, and its turn decides all that is waiting: N writers
/// on one branch cost one append, not N.
pub(crate) struct Turns {
    line: Mutex<Line>,
    arrived: Condvar,
    clock: Arc<dyn Clock>,
    committer: Arc<Committer>,
}

#[derive(Default)]
struct Line {
    repositories: VecDeque<Arc<Repository>>,
    closed: bool,
}

/// A repository's own waiting proposals.
#[derive(Default)]
pub(crate) struct Turn {
    waiting: Vec<Waiting>,
    /// Whether it stands in the line, or has its turn right now.
    in_line: bool,
}

impl Turns {
    pub(crate) fn new(clock: Arc<dyn Clock>, committer: Arc<Committer>) -> Arc<Turns> {
        Arc::new(Turns {
            line: Mutex::default(),
            arrived: Condvar::new(),
            clock,
            committer,
        })
    }

    /// Starts threads, which end when the line is closed and empty: `count` that decide, and one
    /// more, because one of them may be appending.
    pub(crate) fn start(self: &Arc<Self>, count: usize) -> std::io::Result<Vec<JoinHandle<()>>> {
        (0..=count)
            .map(|number| {
                let turns = Arc::clone(self);
                thread::Builder::new()
                    .name(format!("turn-{number}"))
                    .spawn(move || turns.run())
            })
            .collect()
    }

    /// Lets what is in line finish; whoever comes later is refused.
    pub(crate) fn close(&self) {
        self.line().closed = true;
        self.arrived.notify_all();
    }

    pub(super) fn enqueue(&self, repository: &Arc<Repository>, waiting: Waiting) {
        let mut turn = repository.turn();
        turn.waiting.push(waiting);
        if mem::replace(&mut turn.in_line, true) {
            return;
        }
        drop(turn);
        self.stand_in_line(repository);
    }

    fn stand_in_line(&self, repository: &Arc<Repository>) {
        let mut line = self.line();
        if line.closed {
            drop(line);
            let mut turn = repository.turn();
            turn.in_line = false;
            for waiting in mem::take(&mut turn.waiting) {
                waiting.answer(Err(PublishError::Unavailable("shutting down".into())));
            }
            return;
        }
        line.repositories.push_back(Arc::clone(repository));
        drop(line);
        self.arrived.notify_one();
    }

    fn run(&self) {
        while let Some(repository) = self.next() {
            self.take_turn(&repository);
            let mut turn = repository.turn();
            let more = !turn.waiting.is_empty();
            turn.in_line = more;
            drop(turn);
            if more {
                // More came meanwhile: to the end of the line, so that nobody starves.
                self.stand_in_line(&repository);
            }
            // Only now, so that the next turn can be taken meanwhile, by another thread.
            self.committer.work();
        }
    }

    fn next(&self) -> Option<Arc<Repository>> {
        let mut line = self.line();
        loop {
            if let Some(repository) = line.repositories.pop_front() {
                return Some(repository);
            }
            if line.closed {
                return None;
            }
            line = self
                .arrived
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Decides everything that waits at `repository`, and submits it to the committer.
    fn take_turn(&self, repository: &Arc<Repository>) {
        let waiting = mem::take(&mut repository.turn().waiting);
        if waiting.is_empty() {
            return;
        }
        let now = self.clock.now();
        let mut door = repository.door();
        let mut decided = Vec::with_capacity(waiting.len());
        let mut entries = false;
        for mut waiting in waiting {
            waiting.tries += 1;
            let outcome = match repository.damage() {
                Some(why) => Err(PublishError::Damaged(why)),
                None => decide(&mut door, repository, &mut waiting, now),
            };
            entries |= !waiting.rehearsal && matches!(outcome, Ok(Some(_)));
            decided.push(Decided { waiting, outcome });
        }
        let seq = door.pending.seq;
        if !entries && door.in_flight == 0 {
            drop(door);
            for Decided { waiting, outcome } in decided {
                waiting.answer(outcome.map(|entry| Published { seq, entry }));
            }
            return;
        }
        // Answers without an entry too wait for what they were built on to become durable.
        door.in_flight += 1;
        self.committer.submit(Submission {
            repository: Arc::clone(repository),
            generation: door.generation,
            after: Arc::new(door.pending.clone()),
            decided,
        });
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides one proposal. One that panics is refused, and its repository stands: a decision
/// changes the door in its last step only.
fn decide(
    door: &mut Door,
    repository: &Repository,
    waiting: &mut Waiting,
    now: Time,
) -> Result<Option<Arc<Entry>>, PublishError> {
    let Waiting {
        proposal,
        rehearsal,
        ..
    } = waiting;
    let attempt = AssertUnwindSafe(|| {
        door.decide(
            repository.key(),
            repository.pool(),
            &mut **proposal,
            now,
            *rehearsal,
        )
    });
    catch_unwind(attempt).unwrap_or_else(|_| {
        tracing::error!(repository = %repository.key(), "a proposal panicked");
        Err(PublishError::Unavailable(
            "it could not be decided: an error in the server".into(),
        ))
    })
}
