//! Making durable what was decided, making it visible, and telling who listens.

use std::mem;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use arc_swap::ArcSwap;

use super::turns::Taken;
use super::{Answers, PublishError, Published, TRIES_MAX, Waiting};
use crate::journal::memory::MemoryJournal;
use crate::journal::{AppendError, Batch, Journal};
use crate::{Entry, Listener, RepoKey, Repository, Snapshot, Storage};

/// One append takes submissions until they have this many bytes of objects: a larger record
/// would make the first writer in it wait for the last.
const APPEND_BYTES: usize = 4 << 20;

/// What one turn of one repository decided, in order.
pub(super) struct Submission {
    pub(super) repository: Arc<Repository>,
    pub(super) taken: Taken,
    /// The repository after it.
    pub(super) after: Arc<Snapshot>,
    pub(super) decided: Vec<Decided>,
    /// Set when those who were decided together are seen; each has the same.
    pub(super) together: Option<Arc<AtomicBool>>,
}

/// A proposal, and what was decided about it.
pub(super) struct Decided {
    pub(super) waiting: Waiting,
    pub(super) outcome: Result<Option<Arc<Entry>>, PublishError>,
}

/// Appends to the journal, for all repositories of the node.
///
/// It has no thread of its own: of the threads that decide, the first to submit something appends
/// it, and all that others submit meanwhile, until nothing is left. A writer who is alone wakes
/// one thread less, and among many there is one append at a time all the same.
pub(crate) struct Committer {
    queue: Mutex<Queue>,
    journal: Arc<dyn Journal>,
    /// Where the entries of `memory` repositories go.
    memory: Arc<MemoryJournal>,
    listeners: ArcSwap<Vec<Arc<dyn Listener>>>,
}

#[derive(Default)]
struct Queue {
    submissions: Vec<Submission>,
    /// Whether a thread is appending.
    busy: bool,
}

impl Committer {
    pub(crate) fn new(journal: Arc<dyn Journal>, memory: Arc<MemoryJournal>) -> Arc<Committer> {
        Arc::new(Committer {
            queue: Mutex::default(),
            journal,
            memory,
            listeners: ArcSwap::default(),
        })
    }

    pub(crate) fn listen(&self, listener: Arc<dyn Listener>) {
        self.listeners.rcu(|listeners| {
            let mut next = Vec::clone(listeners);
            next.push(Arc::clone(&listener));
            next
        });
    }

    /// Tells who listens that a repository is in memory again.
    pub(crate) fn came_back(&self, repo: RepoKey) {
        let listeners = self.listeners.load();
        listeners
            .iter()
            .for_each(|listener| listener.came_back(repo));
    }

    /// Puts a submission behind those that wait: see [`Committer::next`].
    pub(super) fn submit(&self, submission: Submission) {
        self.queue().submissions.push(submission);
    }

    /// As [`Committer::submit`], of several that are appended as one and seen as one.
    pub(super) fn submit_all(&self, submissions: Vec<Submission>) {
        self.queue().submissions.extend(submissions);
    }

    /// What waits, and with it the right and the duty to append it ([`Committer::append_all`]);
    /// `None` where nothing does, or another thread is at it, which then takes that too.
    pub(super) fn next(&self) -> Option<Vec<Submission>> {
        let mut queue = self.queue();
        if queue.busy || queue.submissions.is_empty() {
            return None;
        }
        queue.busy = true;
        Some(mem::take(&mut queue.submissions))
    }

    /// Appends what [`Committer::next`] gave. To be called without a lock.
    pub(super) fn append_all(&self, submissions: Vec<Submission>) {
        let _half_way = HalfWay;
        let mut batch: Vec<Submission> = Vec::new();
        let mut bytes = 0;
        let mut submissions = submissions.into_iter().peekable();
        while let Some(submission) = submissions.next() {
            bytes += submission.bytes();
            let next = submissions.peek();
            let goes_on = next.is_some_and(|next| next.is_together_with(&submission));
            batch.push(submission);
            if bytes >= APPEND_BYTES && !goes_on {
                self.commit(mem::take(&mut batch));
                bytes = 0;
            }
        }
        self.commit(batch);
        self.queue().busy = false;
    }

    /// Appends a batch; makes it visible and known, or drops it.
    fn commit(&self, batch: Vec<Submission>) {
        if batch.is_empty() {
            return;
        }
        match self.append(&batch) {
            Ok(()) => {
                // First everybody who changes with others gets ready, then they are seen at once.
                let together = || batch.iter().filter_map(|s| Some((s, s.together.as_ref()?)));
                for (submission, flag) in together() {
                    let entries: Vec<Arc<Entry>> = submission.entries().cloned().collect();
                    let after = Arc::clone(&submission.after);
                    submission.repository.prepare(after, &entries, flag);
                }
                for (_, flag) in together() {
                    flag.store(true, Ordering::Release);
                }
                for submission in batch {
                    self.show(submission);
                }
            }
            Err(error) => self.take_back(batch, &error),
        }
    }

    fn append(&self, batch: &[Submission]) -> Result<(), AppendError> {
        let (mut durable, mut memory) = (Batch::default(), Batch::default());
        for submission in batch {
            let into = match submission.is_in_memory() {
                true => &mut memory,
                false => &mut durable,
            };
            into.entries.extend(submission.entries().cloned());
        }
        for (journal, batch) in [
            (&*self.journal, durable),
            (&*self.memory as &dyn Journal, memory),
        ] {
            if !batch.entries.is_empty() {
                futures_executor::block_on(journal.append(batch))?;
            }
        }
        Ok(())
    }

    /// Visible, then known, then answered.
    fn show(&self, submission: Submission) {
        let entries: Vec<Arc<Entry>> = submission.entries().cloned().collect();
        let Submission {
            repository,
            taken,
            after,
            decided,
            together,
        } = submission;
        let seq = after.seq;
        match together {
            None => repository.show(after, &entries),
            Some(_) => repository.show_noted(after, &entries),
        }
        self.tell(&entries);
        let mut answers = Answers::default();
        for Decided { waiting, outcome } in decided {
            let answer = outcome.map(|entry| {
                let seq = entry.as_ref().map_or(seq, |entry| entry.seq);
                Published { seq, entry }
            });
            answers.add(waiting.reply, answer);
        }
        answers.send();
        repository.turns.over(&repository, taken);
    }

    /// Drops what is pending in each repository of the batch, back to what is durable. What the
    /// journal has all the same is shown: of those who were decided together at once, as ever.
    fn take_back(&self, batch: Vec<Submission>, error: &AppendError) {
        tracing::error!(%error, "changes could not be made durable");
        let durable = self.durable_all_the_same(&batch, error);
        let mut resets = Vec::with_capacity(batch.len());
        for (submission, durable) in batch.into_iter().zip(durable) {
            let mut current = submission.repository.snapshot();
            for entry in &durable {
                current = Arc::new(current.after(entry));
            }
            if let (Some(flag), false) = (&submission.together, durable.is_empty()) {
                let current = Arc::clone(&current);
                submission.repository.prepare(current, &durable, flag);
            }
            resets.push((submission, current, durable));
        }
        for (submission, _, durable) in &resets {
            if let (Some(flag), false) = (&submission.together, durable.is_empty()) {
                flag.store(true, Ordering::Release);
            }
        }
        for (submission, current, durable) in resets {
            let repository = &submission.repository;
            if !durable.is_empty() {
                match submission.together {
                    None => repository.show(Arc::clone(&current), &durable),
                    Some(_) => repository.show_noted(Arc::clone(&current), &durable),
                }
                self.tell(&durable);
            }
            let mut door = repository.door();
            door.next = if repository.is_made() {
                door.lowest.max(current.seq + 1)
            } else {
                0
            };
            door.pending = Snapshot::clone(&current);
            drop(door);
            submission.taken_back(error, &durable);
        }
    }

    /// For each submission the entries that its journal has beyond what readers see, though its
    /// append failed. Only the journal knows, where not even the error says.
    fn durable_all_the_same(
        &self,
        batch: &[Submission],
        error: &AppendError,
    ) -> Vec<Vec<Arc<Entry>>> {
        if !matches!(error, AppendError::Moved { .. } | AppendError::Unknown) {
            return vec![Vec::new(); batch.len()];
        }
        let mut durable: Vec<_> = batch.iter().map(Submission::unseen).collect();
        // Of a group that is durable the members that live in memory are changed too.
        let made = |(submission, durable): &(&Submission, &Vec<Arc<Entry>>)| {
            let is_there = |entry: &Arc<Entry>| durable.iter().any(|there| is_same(there, entry));
            submission.entries().any(is_there)
        };
        let there: Vec<&Submission> = { batch.iter().zip(&durable).filter(made) }
            .map(|(submission, _)| submission)
            .collect();
        for (submission, durable) in batch.iter().zip(&mut durable) {
            let goes_with = |other: &&Submission| submission.is_together_with(other);
            if submission.is_in_memory() && there.iter().any(goes_with) {
                let entries: Vec<Arc<Entry>> = submission.entries().cloned().collect();
                let batch = Batch {
                    entries: entries.clone(),
                };
                match futures_executor::block_on(self.memory.append(batch)) {
                    Ok(_) => *durable = entries,
                    Err(error) => submission.repository.mark_damaged(&error.to_string()),
                }
            }
        }
        durable
    }

    fn tell(&self, entries: &[Arc<Entry>]) {
        let listeners = self.listeners.load();
        for entry in entries {
            listeners.iter().for_each(|listener| listener.known(entry));
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands while a batch is being appended. Should that panic, nobody knows what is durable and
/// what readers may see: the process ends, and its next start reads the log.
struct HalfWay;

impl Drop for HalfWay {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("appending panicked: ending, so that the log says what there is");
            process::abort();
        }
    }
}

impl Decided {
    /// The entry that is to become durable.
    fn entry(&self) -> Option<&Arc<Entry>> {
        match &self.outcome {
            Ok(Some(entry)) if !self.waiting.rehearsal => Some(entry),
            _ => None,
        }
    }
}

impl Submission {
    fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.decided.iter().filter_map(Decided::entry)
    }

    /// Whether its entries go to the journal that is in memory.
    fn is_in_memory(&self) -> bool {
        self.after.record.storage == Storage::Memory
    }

    /// What the journal has of its repository beyond what readers see.
    fn unseen(&self) -> Vec<Arc<Entry>> {
        let repository = &self.repository;
        let seen = repository.is_made().then(|| repository.snapshot().seq);
        repository
            .entries(seen, usize::MAX)
            .unwrap_or_else(|error| {
                repository.mark_damaged(&format!("its log cannot be read: {error}"));
                Vec::new()
            })
    }

    /// Whether both were decided together.
    fn is_together_with(&self, other: &Submission) -> bool {
        let flags = self.together.as_ref().zip(other.together.as_ref());
        flags.is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// Bytes of the objects in it.
    fn bytes(&self) -> usize {
        self.entries()
            .map(|entry| entry.objects.inline_bytes())
            .sum()
    }

    /// Its append failed; `durable` is what the journal has all the same.
    fn taken_back(self, error: &AppendError, durable: &[Arc<Entry>]) {
        for Decided { waiting, outcome } in self.decided {
            match &outcome {
                Ok(Some(entry)) if !waiting.rehearsal => {
                    if durable.iter().any(|there| is_same(there, entry)) {
                        let (seq, entry) = (entry.seq, Some(Arc::clone(entry)));
                        waiting.answer(Ok(Published { seq, entry }));
                        continue;
                    }
                    if matches!(error, AppendError::Unknown) {
                        self.repository.hold(&entry.objects.packs);
                    } else {
                        forget(&self.repository, &outcome);
                    }
                    if matches!(error, AppendError::Moved { .. }) && self.together.is_none() {
                        decide_again(&self.repository, waiting);
                    } else {
                        waiting.answer(Err(PublishError::from(error)));
                    }
                }
                // What belongs to a group is not decided alone.
                _ if self.together.is_some() => waiting.answer(Err(PublishError::from(error))),
                // Decided on a state that was dropped: the answer may be another one now.
                _ => decide_again(&self.repository, waiting),
            }
        }
        self.repository.turns.over(&self.repository, self.taken);
    }
}

/// Whether two values are one change: a journal gives entries back without their objects.
fn is_same(durable: &Entry, decided: &Entry) -> bool {
    durable.seq == decided.seq
        && durable.time == decided.time
        && durable.cause == decided.cause
        && durable.edits == decided.edits
}

/// Takes the objects of an entry that was dropped out of the pool.
fn forget(repository: &Repository, outcome: &Result<Option<Arc<Entry>>, PublishError>) {
    if let Ok(Some(entry)) = outcome {
        // What it only names was brought by others, and is theirs.
        let ids: Vec<_> = entry.objects.brought().collect();
        repository.pool().forget(&ids);
    }
}

fn decide_again(repository: &Arc<Repository>, waiting: Waiting) {
    if waiting.tries < TRIES_MAX {
        repository.turns.enqueue(repository, waiting);
    } else {
        let why = "the repository kept being moved by others".into();
        waiting.answer(Err(PublishError::Unavailable(why)));
    }
}
