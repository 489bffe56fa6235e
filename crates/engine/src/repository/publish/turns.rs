//! Turns: whose proposals are decided next, on threads of the engine's own.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::committer::{Committer, Decided, Submission};
use super::together::{Held, Together};
use super::{Door, PublishError, Published, Waiting};
use crate::{Clock, Entry, Repository, Time};

/// The repositories that have proposals waiting, and the threads that give each its turn.
///
/// A repository is in the line at most once, and its turn decides all that is waiting: N writers
/// on one branch cost one append, not N. Its next turn comes when what this one decided was
/// answered: until then they gather.
pub(crate) struct Turns {
    line: Mutex<Line>,
    arrived: Condvar,
    clock: Arc<dyn Clock>,
    committer: Arc<Committer>,
}

#[derive(Default)]
struct Line {
    repositories: VecDeque<Arc<Repository>>,
    /// Groups that hold the turns of all their repositories.
    groups: VecDeque<Together>,
    closed: bool,
}

/// What a thread does next.
enum Next {
    One(Arc<Repository>),
    Several(Together),
}

/// A repository's own waiting proposals.
#[derive(Default)]
pub(crate) struct Turn {
    waiting: Vec<Waiting>,
    /// Whether it stands in the line, has its turn, or waits for what that decided to be answered.
    in_line: bool,
    /// How many its last turn decided, and how long that took until all were answered.
    last: (usize, Duration),
    /// Somebody waits for so many to be waiting.
    enough: usize,
    /// Those who want to hold its next turn.
    holders: VecDeque<oneshot::Sender<Held>>,
}

/// A turn that is being taken, to be ended by [`Turns::over`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    count: usize,
    since: Instant,
}

impl Taken {
    pub(super) fn of(count: usize, since: Instant) -> Taken {
        Taken { count, since }
    }
}

/// Those who were answered together mostly come again together: their next turn waits for as many
/// as there were, for this part of the time that it took to answer them, and no longer than this.
const GATHER_PART: u32 = 4;
const GATHER_MAX: Duration = Duration::from_millis(2);

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
            let is_enough = turn.waiting.len() == turn.enough;
            drop(turn);
            if is_enough {
                repository.gathered.notify_one();
            }
            return;
        }
        drop(turn);
        if self.stand_in_line(repository) {
            self.arrived.notify_one();
        }
    }

    /// Whether it stands there now: not after the line was closed. Who calls this sees to it that
    /// somebody takes the turn.
    fn stand_in_line(&self, repository: &Arc<Repository>) -> bool {
        let mut line = self.line();
        if line.closed {
            drop(line);
            let mut turn = repository.turn();
            turn.in_line = false;
            for waiting in mem::take(&mut turn.waiting) {
                waiting.answer(Err(PublishError::Unavailable("shutting down".into())));
            }
            return false;
        }
        line.repositories.push_back(Arc::clone(repository));
        true
    }

    /// A turn's proposals were answered. The next one is for a thread that looks at the line: the
    /// one that calls this does so soon.
    pub(super) fn over(&self, repository: &Arc<Repository>, taken: Taken) {
        loop {
            let mut turn = repository.turn();
            turn.last = (taken.count, taken.since.elapsed());
            let Some(holder) = turn.holders.pop_front() else {
                turn.in_line = !turn.waiting.is_empty();
                if turn.in_line {
                    drop(turn);
                    self.stand_in_line(repository);
                }
                return;
            };
            drop(turn);
            match holder.send(Held::new(Arc::clone(repository))) {
                Ok(()) => return,
                // It does not wait any more: the next one's.
                Err(held) => drop(held.leave()),
            }
        }
    }

    /// The next turn of `repository`, or when it comes.
    pub(super) fn hold(repository: &Arc<Repository>) -> Result<Held, oneshot::Receiver<Held>> {
        let mut turn = repository.turn();
        if !mem::replace(&mut turn.in_line, true) {
            drop(turn);
            return Ok(Held::new(Arc::clone(repository)));
        }
        let (sender, receiver) = oneshot::channel();
        turn.holders.push_back(sender);
        Err(receiver)
    }

    /// Lets a thread decide a group. One that comes after the line was closed is dropped.
    pub(super) fn enqueue_together(&self, group: Together) {
        let mut line = self.line();
        if line.closed {
            drop(line);
            return;
        }
        line.groups.push_back(group);
        drop(line);
        self.arrived.notify_one();
    }

    /// Somebody has to look at the line.
    pub(super) fn look(&self) {
        self.arrived.notify_one();
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn submit_together(&self, submissions: Vec<Submission>) {
        self.committer.submit_all(submissions);
    }

    fn run(&self) {
        while let Some(next) = self.next() {
            match next {
                Next::One(repository) => self.take_turn(&repository),
                Next::Several(group) => self.take_turns(group),
            }
            let mut first = true;
            while let Some(submissions) = self.committer.next() {
                // Turns that came with the last append's end are for others: this thread stays.
                if !mem::replace(&mut first, false) {
                    self.arrived.notify_one();
                }
                self.committer.append_all(submissions);
            }
        }
    }

    fn next(&self) -> Option<Next> {
        let mut line = self.line();
        loop {
            if let Some(group) = line.groups.pop_front() {
                if !line.repositories.is_empty() || !line.groups.is_empty() {
                    self.arrived.notify_one();
                }
                return Some(Next::Several(group));
            }
            if let Some(repository) = line.repositories.pop_front() {
                if !line.repositories.is_empty() {
                    self.arrived.notify_one();
                }
                return Some(Next::One(repository));
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

    /// What waits at `repository`, once those have come who came last time, or did not hurry.
    fn gather(repository: &Repository) -> Vec<Waiting> {
        let mut turn = repository.turn();
        let (count, took) = turn.last;
        let patience = (took / GATHER_PART).min(GATHER_MAX);
        if turn.waiting.len() < count && !patience.is_zero() {
            turn.enough = count;
            let is_short = |turn: &mut Turn| turn.waiting.len() < turn.enough;
            turn = repository
                .gathered
                .wait_timeout_while(turn, patience, is_short)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            turn.enough = 0;
        }
        mem::take(&mut turn.waiting)
    }

    /// Decides everything that waits at `repository`, and submits it to the committer.
    fn take_turn(&self, repository: &Arc<Repository>) {
        let waiting = Turns::gather(repository);
        #[allow(
            clippy::disallowed_methods,
            reason = "not the time of anything that is kept, only how long a turn takes here"
        )]
        let since = Instant::now();
        let count = waiting.len();
        let taken = Taken { count, since };
        let now = self.clock.now();
        let mut door = repository.door();
        let mut decided = Vec::with_capacity(waiting.len());
        let mut entries = false;
        for mut waiting in waiting {
            waiting.tries += 1;
            let outcome = match repository.is_closed() {
                Some(closed) => Err(closed),
                None => decide(&mut door, repository, &mut waiting, now),
            };
            entries |= !waiting.rehearsal && matches!(outcome, Ok(Some(_)));
            decided.push(Decided { waiting, outcome });
        }
        let seq = door.pending.seq;
        if !entries {
            drop(door);
            for Decided { waiting, outcome } in decided {
                waiting.answer(outcome.map(|entry| Published { seq, entry }));
            }
            self.over(repository, taken);
            return;
        }
        // Answers without an entry too wait for what they were built on to become durable.
        let after = Arc::new(door.pending.clone());
        drop(door);
        self.committer.submit(Submission {
            repository: Arc::clone(repository),
            taken,
            after,
            decided,
            together: None,
        });
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides one proposal. One that panics is refused, and its repository stands: a decision
/// changes the door in its last step only.
pub(super) fn decide(
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
            (repository.key(), repository.host()),
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
