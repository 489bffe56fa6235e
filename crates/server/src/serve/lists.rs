//! Introduced lists are made beside the serving: one thread, of the least priority.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use govc_engine::journal::{PackBytes, PackId};
use govc_engine::pool::ListBuilder;
use govc_engine::{Engine, Entry, Found, Listener, Place, RepoKey, Repository};
use govc_store::{Checkpointed, Store};

/// The least priority that there is: whoever serves goes first.
const NICE: i32 = 19;
/// So long lists are made without a look at what else goes on.
const SLICE: Duration = Duration::from_millis(5);
/// A slice that took so many times its processor time was in the way of others, and a pause
/// follows.
const CROWDED: u32 = 2;
/// How long, in slices.
const PAUSE: u32 = 4;
/// Lists are saved when so many are new, or one of so many.
const UNSAVED_MIN: u32 = 256;
const UNSAVED_PART: u32 = 32;

/// Makes the lists of repositories that got packs, newest commits first, and saves them.
pub(super) struct ListsThread {
    due: Arc<Due>,
    thread: JoinHandle<()>,
}

/// Repositories whose lists are to be looked at.
#[derive(Default)]
struct Due {
    state: Mutex<DueState>,
    wake: Condvar,
}

#[derive(Default)]
struct DueState {
    repositories: VecDeque<RepoKey>,
    closing: bool,
}

impl ListsThread {
    /// Starts it; all repositories that are in memory are looked at, and others when they come back.
    ///
    /// # Errors
    /// Whatever starting a thread met.
    pub(super) fn start(engine: &Arc<Engine>, store: Option<&Arc<Store>>) -> io::Result<Self> {
        let due = Arc::new(Due::default());
        for repository in engine.all().into_iter().filter_map(Found::here) {
            due.add(repository.key());
        }
        engine.listen(Arc::clone(&due) as Arc<dyn Listener>);
        if let Some(store) = store {
            store.listen(Arc::clone(&due) as Arc<dyn Checkpointed>);
        }
        let work = Work {
            engine: Arc::clone(engine),
            store: store.map(Arc::clone),
            due: Arc::clone(&due),
        };
        let thread = thread::Builder::new()
            .name("lists".to_owned())
            .spawn(move || work.run())?;
        Ok(ListsThread { due, thread })
    }

    /// Ends it; what it has made and not saved is saved.
    pub(super) fn stop(self) {
        self.due.lock().closing = true;
        self.due.wake.notify_all();
        // One that panicked has said so.
        let _ = self.thread.join();
    }
}

impl Due {
    fn lock(&self) -> MutexGuard<'_, DueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, key: RepoKey) {
        let mut state = self.lock();
        if !state.repositories.contains(&key) {
            state.repositories.push_back(key);
            self.wake.notify_one();
        }
    }

    /// Waits for the next one; `None` at the end.
    fn next(&self) -> Option<RepoKey> {
        let state = self.lock();
        let idle = |state: &mut DueState| state.repositories.is_empty() && !state.closing;
        let waited = self.wake.wait_while(state, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        match state.closing {
            true => None,
            false => state.repositories.pop_front(),
        }
    }

    /// Waits so long, or until the end.
    fn pause(&self, time: Duration) {
        let open = |state: &mut DueState| !state.closing;
        let _ = self.wake.wait_timeout_while(self.lock(), time, open);
    }

    fn is_closing(&self) -> bool {
        self.lock().closing
    }
}

impl Listener for Due {
    fn known(&self, entry: &Arc<Entry>) {
        if !entry.objects.packs.is_empty() {
            self.add(entry.repo);
        }
    }

    fn came_back(&self, repo: RepoKey) {
        self.add(repo);
    }
}

impl Checkpointed for Due {
    fn packed(&self, repo: RepoKey, _: Place, _: Option<(PackId, PackBytes)>) {
        self.add(repo);
    }

    fn compacted(&self, repo: RepoKey, _: &[PackId], _: (PackId, PackBytes)) {
        self.add(repo);
    }

    fn collected(&self, repo: RepoKey, _: &[PackId], _: &[(PackId, PackBytes)]) {
        self.add(repo);
    }
}

struct Work {
    engine: Arc<Engine>,
    store: Option<Arc<Store>>,
    due: Arc<Due>,
}

impl Work {
    fn run(self) {
        // Of the calling thread alone, on Linux: setpriority(2).
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!(%error, "introduced lists are made at the usual priority");
        }
        while let Some(key) = self.due.next() {
            if let Some(repository) = self.engine.by_key(key) {
                self.build(&repository);
                self.save(&repository, UNSAVED_MIN, UNSAVED_PART);
            }
        }
        for repository in self.engine.all().into_iter().filter_map(Found::here) {
            if repository.pool().unsaved_lists() < UNSAVED_MIN / 4 {
                continue;
            }
            if let Some(store) = &self.store
                && let Err(error) = store.checkpoint(repository.key())
            {
                // The last checkpoint of all is still to come, and tells.
                tracing::debug!(repository = %repository.key(), %error, "no checkpoint for lists");
            }
            self.save(&repository, UNSAVED_MIN / 4, UNSAVED_PART);
        }
    }

    fn build(&self, repository: &Repository) {
        let pool = repository.pool();
        if !pool.lacks_lists() {
            return;
        }
        let (start, commits) = (Instant::now(), pool.unsaved_lists());
        let builder = ListBuilder::new(Arc::clone(pool));
        let mut used = Duration::ZERO;
        loop {
            let (slice, processor) = (Instant::now(), processor_time());
            let is_left = builder.build(|| slice.elapsed() >= SLICE);
            let processor = processor_time().saturating_sub(processor);
            used += processor;
            if !is_left || self.due.is_closing() {
                break;
            }
            if slice.elapsed() > processor * CROWDED {
                self.due.pause(SLICE * PAUSE);
            }
        }
        tracing::info!(
            repository = %repository.snapshot().record.id,
            commits = pool.unsaved_lists().saturating_sub(commits),
            processor_ms = used.as_millis() as u64,
            ms = start.elapsed().as_millis() as u64,
            "introduced lists are made"
        );
    }

    /// Saves the lists of `repository`, once `least` of its family are new, or a `part`th of all.
    fn save(&self, repository: &Repository, least: u32, part: u32) {
        let Some(store) = &self.store else { return };
        let pool = repository.pool();
        if pool.unsaved_lists() < least.max(pool.graph().len() / part) {
            return;
        }
        let saved = store.save_lists(repository.key(), |packs, besides| {
            pool.save_lists(packs, besides)
        });
        match saved {
            Ok(true) => {
                tracing::debug!(repository = %repository.key(), "introduced lists are saved");
            }
            Ok(false) => {}
            Err(error) => {
                // They only make the next start faster.
                tracing::warn!(repository = %repository.key(), %error, "lists were not saved");
            }
        }
    }
}

/// The processor time of the calling thread.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
