//! Who waits for what happens.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use govc_engine::{CauseKind, Entry, Listener, RepoKey, Seq, Time};
use hashbrown::HashMap;
use tokio::sync::{broadcast, watch};

/// How many of the newest changes of all repositories are known in their order.
const RECENT: usize = 10_000;
/// How many steps of staging wait for a slow reader; it misses more than that.
const STAGED: usize = 256;

/// Hears of every change, and wakes those who wait for it. What they are told they read from
/// history.
pub struct Hub {
    subjects: Mutex<HashMap<RepoKey, Weak<Subject>>>,
    /// How many subjects somebody may wait for: mostly none, then a change costs nothing here.
    watched: AtomicUsize,
    recent: Mutex<Recent>,
    /// The count of changes, for those who wait for the next one anywhere.
    count: watch::Sender<u64>,
    /// Set when the server stops.
    closing: watch::Sender<bool>,
    /// Says of which run of the server a position is.
    run: u32,
}

/// What happens in one repository.
struct Subject {
    changed: watch::Sender<()>,
    staged: broadcast::Sender<Arc<Entry>>,
    /// Something happened in a reality of it.
    realities: watch::Sender<()>,
    /// It is gone for good.
    gone: watch::Sender<bool>,
}

/// The newest changes of all repositories in the order in which they became visible.
struct Recent {
    /// The position of the first.
    first: u64,
    places: VecDeque<Place>,
}

/// A change of some repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) repo: RepoKey,
    pub(super) seq: Seq,
    pub(super) time: Time,
}

/// Waits for what happens in one repository.
pub struct News {
    subject: Arc<Subject>,
    changed: watch::Receiver<()>,
    staged: broadcast::Receiver<Arc<Entry>>,
    realities: watch::Receiver<()>,
    gone: watch::Receiver<bool>,
    closing: watch::Receiver<bool>,
}

/// What [`News::next`] waited for.
pub(super) enum Heard {
    /// There are changes that were not read yet.
    Changed,
    /// Something was staged.
    Staged(Arc<Entry>),
    /// Something happened in a reality of it.
    InReality,
    /// The server stops, or the repository is gone for good.
    Closing,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// A hub of a run of the server that is told from others by `run`.
    pub(crate) fn new(run: u32) -> Arc<Hub> {
        Arc::new(Hub {
            subjects: Mutex::default(),
            watched: AtomicUsize::new(0),
            recent: Mutex::new(Recent {
                first: 0,
                places: VecDeque::new(),
            }),
            count: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            run,
        })
    }

    /// From now on whoever has the answer hears of `repo`.
    pub(super) fn listen_to(&self, repo: RepoKey) -> News {
        let mut subjects = lock(&self.subjects);
        let known = subjects.get(&repo).and_then(Weak::upgrade);
        let subject = known.unwrap_or_else(|| {
            subjects.retain(|_, subject| subject.strong_count() > 0);
            let subject = Arc::new(Subject {
                changed: watch::Sender::new(()),
                staged: broadcast::Sender::new(STAGED),
                realities: watch::Sender::new(()),
                gone: watch::Sender::new(false),
            });
            subjects.insert(repo, Arc::downgrade(&subject));
            self.watched.store(subjects.len(), Ordering::Release);
            subject
        });
        News {
            changed: subject.changed.subscribe(),
            staged: subject.staged.subscribe(),
            realities: subject.realities.subscribe(),
            gone: subject.gone.subscribe(),
            closing: self.closing.subscribe(),
            subject,
        }
    }

    /// Ends the streams of a repository that is gone for good.
    pub(crate) fn gone(&self, repo: RepoKey) {
        let subject = lock(&self.subjects).get(&repo).and_then(Weak::upgrade);
        if let Some(subject) = subject {
            subject.gone.send_replace(true);
        }
    }

    /// Ends all streams.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// The run of the server.
    pub(super) fn run(&self) -> u32 {
        self.run
    }

    /// The position of the next change anywhere.
    pub(super) fn next_position(&self) -> u64 {
        let recent = lock(&self.recent);
        recent.first + recent.places.len() as u64
    }

    /// Up to `limit` changes from `position` on; `None` when it is too long ago.
    pub(super) fn from(&self, position: u64, limit: usize) -> Option<Vec<Place>> {
        let recent = lock(&self.recent);
        let skip = usize::try_from(position.checked_sub(recent.first)?).ok()?;
        Some(
            recent
                .places
                .iter()
                .skip(skip)
                .take(limit)
                .copied()
                .collect(),
        )
    }

    /// Tells of changes anywhere, and of the end.
    pub(super) fn watch(&self) -> (watch::Receiver<u64>, watch::Receiver<bool>) {
        (self.count.subscribe(), self.closing.subscribe())
    }
}

impl Listener for Hub {
    fn known(&self, entry: &Arc<Entry>) {
        if entry.step == 0 {
            let mut recent = lock(&self.recent);
            if recent.places.len() == RECENT {
                recent.places.pop_front();
                recent.first += 1;
            }
            recent.places.push_back(Place {
                repo: entry.repo,
                seq: entry.seq,
                time: entry.time,
            });
            drop(recent);
            if self.count.receiver_count() > 0 {
                self.count.send_modify(|count| *count += 1);
            }
        }
        // How far webhooks are is nothing that happened.
        if entry.cause.kind == CauseKind::HookDelivered {
            return;
        }
        if self.watched.load(Ordering::Acquire) == 0 {
            return;
        }
        let subjects = lock(&self.subjects);
        let subject_of = |repo: &RepoKey| subjects.get(repo).and_then(Weak::upgrade);
        let (subject, host) = (
            subject_of(&entry.repo),
            entry.host.as_ref().and_then(subject_of),
        );
        drop(subjects);
        if let Some(host) = host {
            host.realities.send_replace(());
        }
        let Some(subject) = subject else { return };
        if entry.step == 0 {
            subject.changed.send_replace(());
        } else {
            // Nobody listening is nothing wrong.
            let _ = subject.staged.send(Arc::clone(entry));
        }
    }
}

impl News {
    /// Waits for the next thing that happens. What is there already when this is called for the
    /// first time is the caller's to look for. `realities`: in its realities, too.
    pub(super) async fn next(&mut self, realities: bool) -> Heard {
        loop {
            tokio::select! {
                biased;
                // The end comes when the value is true, or nobody is left to say so.
                _ = self.closing.wait_for(|closing| *closing) => return Heard::Closing,
                _ = self.gone.wait_for(|gone| *gone) => return Heard::Closing,
                changed = self.changed.changed() => {
                    // The sender is ours, so it is there.
                    debug_assert!(changed.is_ok() && Arc::strong_count(&self.subject) > 0);
                    return Heard::Changed;
                }
                _ = self.realities.changed(), if realities => return Heard::InReality,
                staged = self.staged.recv() => match staged {
                    Ok(entry) => return Heard::Staged(entry),
                    // What a slow reader missed was not worth waiting for.
                    Err(_) => continue,
                },
            }
        }
    }
}
