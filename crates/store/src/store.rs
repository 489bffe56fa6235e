//! The store: the engine's `Journal` on a disk, and what belongs to no single repository.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use govc_engine::journal::{
    AppendError, Batch, Floor, Journal, Moment, PackBytes, PackId, PastRefs, Position,
};
use govc_engine::{Entry, Place, RepoId, RepoKey, Seq, Time};
use govc_git::object::commit::CommitFacts;
use govc_git::{ObjectId, oid};

use crate::contents::Folders;
use crate::disk::{self, Disk};
use crate::history::HistoryIndex;
use crate::log::{self, Log};
use crate::repo::{Recent, Repo, RepoState, makes, record_after};
use crate::{Durability, StoreOptions, checkpoint, directory, history};

/// The node's log, and the directories of its repositories.
pub struct Store {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: StoreOptions,
    /// Held over an append: there is one at a time. Taken before a repository's state.
    log: Mutex<Log>,
    /// How often numbers have jumped ahead.
    pub(crate) epoch: u64,
    /// Segments from this one on stay: they have changes of repositories that are stopped.
    pub(crate) pinned: Option<u64>,
    /// In the order of their keys: what is done for all of them is done in the same order each time,
    /// so that a simulation can be brought back.
    repos: RwLock<BTreeMap<RepoKey, Arc<Repo>>>,
    /// Held to move directories.
    pub(crate) moving: Mutex<()>,
    listeners: Mutex<Vec<Arc<dyn Checkpointed>>>,
    pub(crate) counts: Counts,
    /// Where large files are.
    pub(crate) folders: Folders,
    background: Arc<Background>,
    /// Another server is kept out while this lives.
    _lock: Box<dyn Send + Sync>,
}

/// What the background threads wait on: they hold the store itself only while they work, so that
/// it goes when its users let go of it.
#[derive(Default)]
struct Background {
    state: Mutex<BackgroundState>,
    wake: Condvar,
}

#[derive(Default)]
struct BackgroundState {
    threads: Vec<JoinHandle<()>>,
    /// There is something to do before the time is up.
    wanted: bool,
    closing: bool,
}

#[derive(Default)]
pub(crate) struct Counts(Mutex<CountsInner>);

#[derive(Default)]
pub(crate) struct CountsInner {
    pub(crate) entries: u64,
    pub(crate) shared: u64,
    pub(crate) checkpoints: u64,
}

impl Counts {
    pub(crate) fn lock(&self) -> MutexGuard<'_, CountsInner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was found when the store opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Repositories for [`govc_engine::Engine::load`], deleted ones included (their record says
    /// so), each before what was forked from it.
    pub repositories: Vec<govc_engine::Recovered>,
    /// Repositories for [`govc_engine::Engine::lay_down`].
    pub resting: Vec<(RepoKey, govc_engine::Summary)>,
    /// Repositories that cannot even be read, and why. Their directories are left as they are.
    pub stopped: Vec<StoppedRepository>,
    /// What an operator is to be told, a sentence each.
    pub notes: Vec<String>,
}

/// A repository that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedRepository {
    /// Its key, where that could be read.
    pub key: Option<RepoKey>,
    /// Its id, where that could be read.
    pub id: Option<RepoId>,
    /// Why, for the operator and for who asks for it.
    pub why: String,
}

/// Is told what a checkpoint has saved.
pub trait Checkpointed: Send + Sync {
    /// Entries of `repo` up to `place` are in its directory. Their inline objects are in `pack`,
    /// if they had any: it is durable and listed.
    fn packed(&self, repo: RepoKey, place: Place, pack: Option<(PackId, PackBytes)>);

    /// What realities of `host` have brought up to these places is in its directory, too: it was
    /// told of its packs before.
    fn packed_of_realities(&self, host: RepoKey, realities: &[(RepoKey, Place)]) {
        let _ = (host, realities);
    }

    /// The directory of `repo`, a fork that was saved for the first time, has these packs.
    fn linked(&self, repo: RepoKey, packs: &[PackId]) {
        let _ = (repo, packs);
    }

    /// The packs `old` of `repo` were merged into `new`, which is durable and listed in their
    /// place. Their files may go when this returns.
    fn compacted(&self, repo: RepoKey, old: &[PackId], new: (PackId, PackBytes)) {
        let _ = (repo, old, new);
    }

    /// The packs `old` of `repo` were written again as `new`, without what nothing reaches: those
    /// are durable and listed in their place.
    fn collected(&self, repo: RepoKey, old: &[PackId], new: &[(PackId, PackBytes)]) {
        let _ = (repo, old, new);
    }

    /// About how many commits the pool of `repo` has.
    fn commit_count(&self, repo: RepoKey) -> u64 {
        let _ = repo;
        0
    }

    /// The commits of the pool of `repo` that `has` has, each with all its ancestors, and whether it
    /// has no others: for git's commit-graph, so that nobody need read them again.
    fn commits(
        &self,
        repo: RepoKey,
        has: &dyn Fn(&oid) -> bool,
    ) -> (Vec<(ObjectId, CommitFacts)>, bool) {
        let _ = (repo, has);
        (Vec::new(), false)
    }
}

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server has it open.
    #[error("another server uses this data directory (it holds .govc/lock)")]
    Locked,
    /// It was written by a later version.
    #[error("{what} has version {found}; this program knows versions up to {known}")]
    Version {
        /// What has it.
        what: String,
        /// The version found.
        found: u32,
        /// The greatest version known.
        known: u32,
    },
    /// The disk failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What it met.
        source: io::Error,
    },
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Batches appended.
    pub appends: u64,
    /// Entries in them.
    pub entries: u64,
    /// Entries that were in a batch with others: those were made durable by one sync.
    pub shared: u64,
    /// Calls of `fdatasync` on the log.
    pub syncs: u64,
    /// Bytes written to the log.
    pub log_bytes_written: u64,
    /// Bytes that the log has on the disk.
    pub log_bytes: u64,
    /// Checkpoints made.
    pub checkpoints: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        options: StoreOptions,
        log: Log,
        epoch: u64,
        pinned: Option<u64>,
        repos: BTreeMap<RepoKey, Arc<Repo>>,
        lock: Box<dyn Send + Sync>,
    ) -> Store {
        Store {
            disk,
            options,
            log: Mutex::new(log),
            epoch,
            pinned,
            repos: RwLock::new(repos),
            moving: Mutex::default(),
            listeners: Mutex::default(),
            counts: Counts::default(),
            folders: Folders::default(),
            background: Arc::default(),
            _lock: lock,
        }
    }

    /// Tells `listener` of every checkpoint, from now on.
    pub fn listen(&self, listener: Arc<dyn Checkpointed>) {
        lock(&self.listeners).push(listener);
    }

    pub(crate) fn listeners(&self) -> Vec<Arc<dyn Checkpointed>> {
        lock(&self.listeners).clone()
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub(crate) fn repo(&self, key: RepoKey) -> io::Result<Arc<Repo>> {
        let repos = self.repos.read().unwrap_or_else(PoisonError::into_inner);
        repos.get(&key).cloned().ok_or_else(|| {
            let why = format!("there is no repository {key}");
            io::Error::new(io::ErrorKind::NotFound, why)
        })
    }

    pub(crate) fn all(&self) -> Vec<Arc<Repo>> {
        let repos = self.repos.read().unwrap_or_else(PoisonError::into_inner);
        repos.values().cloned().collect()
    }

    pub(crate) fn add(&self, repo: Arc<Repo>) {
        let mut repos = self.repos.write().unwrap_or_else(PoisonError::into_inner);
        repos.insert(repo.key, repo);
    }

    pub(crate) fn forget(&self, key: RepoKey) {
        let mut repos = self.repos.write().unwrap_or_else(PoisonError::into_inner);
        repos.remove(&key);
    }

    /// Runs `work` in the repository's directory, which stays where it is meanwhile.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where it has none yet; those of `work`.
    pub(crate) fn in_directory<T>(
        &self,
        repo: &Repo,
        work: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let place = repo.place.read().unwrap_or_else(PoisonError::into_inner);
        match place.as_ref() {
            Some(dir) => work(dir),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Reads from the history of `repo`, which `index` tells of, or a newer one where that was cut
    /// meanwhile.
    pub(crate) fn in_history<T>(
        &self,
        repo: &Repo,
        mut index: Arc<HistoryIndex>,
        mut read: impl FnMut(&Path, &HistoryIndex) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match self.in_directory(repo, |dir| read(dir, &index)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let newer = repo.state().saved.as_ref().map(|s| Arc::clone(&s.history));
                    match newer {
                        Some(newer) if newer.base != index.base => index = newer,
                        _ => return Err(error),
                    }
                }
                result => return result,
            }
        }
    }

    /// Where the directory of `repo` is below the data directory, if it has one.
    pub fn directory(&self, repo: RepoKey) -> Option<PathBuf> {
        self.repo(repo).ok()?.where_now()
    }

    /// Lets go of the memory of packs and indexes that are mapped: what is read again comes back.
    pub fn release_pages(&self) {
        self.disk.release_pages();
    }

    /// Starts the threads that make checkpoints as the options say, and that sync the log where
    /// it is answered early. They end when the store closes or goes.
    ///
    /// # Errors
    /// Whatever starting a thread met.
    pub fn start_checkpointer(self: &Arc<Self>) -> io::Result<()> {
        let mut threads = Vec::new();
        let start = |name: &str| thread::Builder::new().name(name.to_owned());
        let (store, background) = (Arc::downgrade(self), Arc::clone(&self.background));
        threads.push(start("checkpointer").spawn(move || run_checkpointer(&store, &background))?);
        let (store, background) = (Arc::downgrade(self), Arc::clone(&self.background));
        threads.push(start("compactor").spawn(move || run_compactor(&store, &background))?);
        if let Durability::Async { within } = self.options.durability {
            let (store, background) = (Arc::downgrade(self), Arc::clone(&self.background));
            threads.push(start("log-sync").spawn(move || run_sync(&store, &background, within))?);
        }
        lock(&self.background.state).threads.extend(threads);
        Ok(())
    }

    /// Whether the background threads are to end.
    pub(crate) fn is_closing(&self) -> bool {
        lock(&self.background.state).closing
    }

    /// Makes durable what was answered early.
    ///
    /// # Errors
    /// Whatever the disk met.
    pub fn sync(&self) -> io::Result<()> {
        self.log().sync_early()
    }

    /// Makes the checkpoints that the options ask for now.
    ///
    /// # Errors
    /// The first error met; the others are tried nevertheless.
    pub fn checkpoint_due(&self) -> io::Result<()> {
        let options = &self.options;
        let due = |repo: &Arc<Repo>| {
            let state = repo.state();
            let old = |since: Instant| since.elapsed() >= options.checkpoint_age;
            state.damage.is_none()
                && (state.recent_bytes as u64 >= options.checkpoint_bytes
                    || state.recent.len() >= options.checkpoint_entries
                    || state.recent_since.is_some_and(old)
                    || state.recent.is_empty() && state.is_due())
        };
        let mut all = self.all();
        let mut first_error = Ok(());
        for repo in all.iter().filter(|repo| due(repo)) {
            first_error = first_error.and(self.checkpoint(repo.key).map(drop));
        }
        // Who holds the oldest segment goes first, until the log is small enough.
        let holds = |repo: &Arc<Repo>| repo.state().recent.front().map(|recent| recent.segment);
        all.retain(|repo| holds(repo).is_some());
        all.sort_by_key(holds);
        for repo in all {
            if self.log().bytes() <= options.log_bytes {
                break;
            }
            first_error = first_error.and(self.checkpoint(repo.key).map(drop));
        }
        first_error
    }

    /// A checkpoint of every repository that has changed since its last.
    ///
    /// # Errors
    /// The first error met; the others are tried nevertheless.
    pub fn checkpoint_all(&self) -> io::Result<()> {
        const TOLD_SECONDS: u64 = 5;
        let all = self.all();
        let next = AtomicUsize::new(0);
        let (began, told) = (Instant::now(), AtomicU64::new(0));
        let work = || {
            let mut result = Ok(());
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(repo) = all.get(at) else {
                    break result;
                };
                let now = began.elapsed().as_secs() / TOLD_SECONDS;
                if told.fetch_max(now, Ordering::Relaxed) < now {
                    let repositories = all.len();
                    tracing::info!(begun = at, repositories, "checkpoints are being made");
                }
                if repo.state().damage.is_none() {
                    result = result.and(self.bring_up(repo.key).map(drop));
                }
            }
        };
        // Mostly they wait for the disk, which can do something for several at once.
        let threads = self.options.checkpoints_at_once.min(all.len());
        let saved = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            others.into_iter().fold(own, |result, other| {
                let panicked = || Err(io::Error::other("a checkpoint panicked"));
                result.and(other.join().unwrap_or_else(|_| panicked()))
            })
        });
        saved.and(self.drop_segments())
    }

    /// Makes a checkpoint of everything and ends the log cleanly. Appending fails afterwards.
    ///
    /// # Errors
    /// Whatever the disk met; the log then recovers what has no checkpoint.
    pub fn close(&self) -> io::Result<()> {
        let threads = {
            let mut background = lock(&self.background.state);
            background.closing = true;
            std::mem::take(&mut background.threads)
        };
        self.background.wake.notify_all();
        for thread in threads {
            // One that panicked has said so.
            let _ = thread.join();
        }
        let saved = self.checkpoint_all();
        self.log().close()?;
        saved
    }

    /// Counts since the start.
    pub fn stats(&self) -> StoreStats {
        let (log, log_bytes) = {
            let log = self.log();
            (log.counts(), log.bytes())
        };
        let counts = self.counts.lock();
        StoreStats {
            appends: log.appends,
            entries: counts.entries,
            shared: counts.shared,
            syncs: log.syncs,
            log_bytes_written: log.bytes_written,
            log_bytes,
            checkpoints: counts.checkpoints,
        }
    }

    /// Keeps a note that entries of `repo` in the log are of something that is gone.
    pub(crate) fn log_must_forget(&self, repo: &Repo) -> io::Result<()> {
        let segment = self.log().newest_segment();
        let dir = Path::new(directory::PURGED);
        disk::create_dirs(&*self.disk, dir)?;
        let note = format!("{segment}\n");
        disk::replace(
            &*self.disk,
            &dir.join(repo.key.to_string()),
            note.as_bytes(),
        )
    }

    pub(crate) fn append_now(&self, entries: &[Arc<Entry>]) -> Result<Position, AppendError> {
        let failed = |why: String| AppendError::Failed(io::Error::other(why));
        let payload = log::encode_batch(entries).map_err(|error| failed(error.to_string()))?;
        // A reality's are its host's to keep.
        let keeper = |entry: &Entry| entry.host.unwrap_or(entry.repo);
        let mut keys: Vec<RepoKey> = entries.iter().map(|entry| keeper(entry)).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in &keys {
            let damage = match self.repo(*key) {
                Ok(repo) => repo.state().damage.clone(),
                Err(error) => {
                    let first = entries.iter().find(|entry| keeper(entry) == *key);
                    let made = first.is_some_and(|entry| entry.host.is_none() && makes(entry));
                    (!made).then(|| error.to_string())
                }
            };
            if let Some(why) = damage {
                return Err(failed(why));
            }
        }
        // Held until the repositories know: a segment goes only when nobody needs it.
        let mut log = self.log();
        let (record, segment) = log.append(keys, &payload)?;
        let mut wanted = false;
        for entry in entries {
            let repo = match self.repo(keeper(entry)) {
                Ok(repo) => repo,
                Err(_) => {
                    let Some(record) = record_after(entry) else {
                        continue;
                    };
                    let state = RepoState::new(Arc::new(record.clone()));
                    let repo = Repo::new(entry.repo, state, None);
                    self.add(Arc::clone(&repo));
                    repo
                }
            };
            let mut state = repo.state();
            state.push(Arc::clone(entry), segment, self.epoch);
            wanted |= state.recent.len() >= self.options.checkpoint_entries
                || state.recent_bytes as u64 >= self.options.checkpoint_bytes;
            drop(state);
            if !entry.objects.packs.is_empty() {
                // Now they are listed.
                let mut naming = repo.naming();
                entry.objects.packs.iter().for_each(|pack| {
                    naming.remove(pack);
                });
            }
        }
        wanted |= log.bytes() > self.options.log_bytes;
        drop(log);
        let mut counts = self.counts.lock();
        counts.entries += entries.len() as u64;
        if entries.len() > 1 {
            counts.shared += entries.len() as u64;
        }
        drop(counts);
        if wanted {
            lock(&self.background.state).wanted = true;
            self.background.wake.notify_all();
        }
        Ok(Position(record))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        lock(&self.background.state).closing = true;
        self.background.wake.notify_all();
    }
}

impl Background {
    /// Waits until there is something to do or the time is up. `false`: the store is closing.
    fn wait(&self, patience: Duration, wakes: bool) -> bool {
        let mut state = lock(&self.state);
        let until = Instant::now() + patience;
        loop {
            if state.closing {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || (wakes && state.wanted) {
                state.wanted &= !wakes;
                return true;
            }
            state = self
                .wake
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

fn run_checkpointer(store: &Weak<Store>, background: &Background) {
    const PATIENCE: Duration = Duration::from_secs(1);
    while background.wait(PATIENCE, true) {
        let Some(store) = store.upgrade() else { return };
        let made = store.checkpoint_due();
        drop(store);
        if let Err(error) = made {
            tracing::warn!(%error, "a checkpoint failed; the log still has what it would have saved");
            if !background.wait(PATIENCE, false) {
                return;
            }
        }
    }
}

fn run_compactor(store: &Weak<Store>, background: &Background) {
    const PATIENCE: Duration = Duration::from_secs(1);
    while background.wait(PATIENCE, false) {
        let Some(store) = store.upgrade() else { return };
        store.remove_replaced();
        // What failed was told, and is left alone for a while.
        let _ = store.compact_due();
    }
}

fn run_sync(store: &Weak<Store>, background: &Background, within: Duration) {
    while background.wait(within / 2, false) {
        let Some(store) = store.upgrade() else { return };
        if let Err(error) = store.sync() {
            tracing::error!(%error, "changes that were answered could not be made durable yet");
        }
    }
}

impl Journal for Store {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Position, AppendError>> {
        async move { self.append_now(&batch.entries) }.boxed()
    }

    fn entries(
        &self,
        repo: RepoKey,
        after: Option<Seq>,
        limit: usize,
    ) -> io::Result<Vec<Arc<Entry>>> {
        let Ok(repo) = self.repo(repo) else {
            return Ok(Vec::new());
        };
        let (index, recent, after) = {
            let state = repo.state();
            // What is older is kept, if it is, for others than those who ask for history.
            let floor = state.retained.floor.map(|floor| floor.seq);
            let after = after.max(floor);
            let is_before = |seq: Seq| after.is_some_and(|after| seq <= after);
            let start = state.recent.partition_point(|r| is_before(r.at.0.0));
            let numbered = |r: &&Recent| r.entry.step == 0 && r.entry.host.is_none();
            let recent = state.recent.range(start..).filter(numbered).take(limit);
            let recent: Vec<_> = recent.map(|r| Arc::clone(&r.entry)).collect();
            let index = state
                .saved
                .as_ref()
                .filter(|saved| after.is_none_or(|after| saved.seq > after))
                .map(|saved| Arc::clone(&saved.history));
            (index, recent, after)
        };
        let mut entries = match index {
            None => Vec::new(),
            Some(index) => self.in_history(&repo, index, |dir, index| {
                history::entries(&*self.disk, dir, index, after, limit)
            })?,
        };
        let room = limit.saturating_sub(entries.len());
        let recent = recent.iter().take(room);
        entries.extend(recent.map(crate::format::without_objects));
        Ok(entries)
    }

    fn reality_entries(
        &self,
        host: RepoKey,
        reality: RepoKey,
        after: Option<Seq>,
        limit: usize,
    ) -> io::Result<Vec<Arc<Entry>>> {
        let Ok(repo) = self.repo(host) else {
            return Ok(Vec::new());
        };
        let (history, recent) = {
            let state = repo.state();
            let is_wanted = |r: &&Recent| {
                let entry = &r.entry;
                entry.repo == reality
                    && entry.step == 0
                    && after.is_none_or(|after| entry.seq > after)
            };
            let recent = state.recent.iter().filter(is_wanted).take(limit);
            let recent: Vec<_> = recent.map(|r| Arc::clone(&r.entry)).collect();
            let saved = state.saved.as_ref();
            let history = saved.map(|saved| Arc::clone(&saved.reality_history));
            (history, recent)
        };
        let mut entries = match history {
            Some(history) if history.last.contains_key(&reality) => {
                self.in_directory(&repo, |dir| {
                    let disk = &*self.disk;
                    history::realities::entries(disk, dir, &history, reality, after, limit)
                })?
            }
            _ => Vec::new(),
        };
        let room = limit.saturating_sub(entries.len());
        let recent = recent.iter().take(room);
        entries.extend(recent.map(crate::format::without_objects));
        Ok(entries)
    }

    fn entry(
        &self,
        repo: RepoKey,
        host: Option<RepoKey>,
        place: Place,
    ) -> io::Result<Option<Arc<Entry>>> {
        let Ok(place_of) = self.repo(host.unwrap_or(repo)) else {
            return Ok(None);
        };
        let saved = {
            let state = place_of.state();
            let is_it = |r: &&Recent| {
                let entry = &r.entry;
                entry.repo == repo && (entry.seq, entry.step) == place
            };
            if let Some(recent) = state.recent.iter().find(is_it) {
                return Ok(Some(crate::format::without_objects(&recent.entry)));
            }
            state.saved.clone()
        };
        let Some(saved) = saved else { return Ok(None) };
        let disk = &*self.disk;
        match host {
            None => self.in_history(&place_of, saved.history, |dir, index| {
                history::entry(disk, dir, index, place)
            }),
            Some(_) => self.in_directory(&place_of, |dir| {
                history::realities::entry(disk, dir, &saved.reality_history, repo, place)
            }),
        }
    }

    fn answered(
        &self,
        repo: RepoKey,
        since: Time,
        take: &mut dyn FnMut(&Arc<Entry>),
    ) -> io::Result<()> {
        let Ok(repo) = self.repo(repo) else {
            return Ok(());
        };
        let (recent, saved, is_quiet) = {
            let state = repo.state();
            let answers =
                |r: &&Recent| r.entry.time >= since && r.entry.cause.idempotency.is_some();
            let recent = state.recent.iter().filter(answers);
            let recent: Vec<_> = recent.map(|r| Arc::clone(&r.entry)).collect();
            (recent, state.saved.clone(), state.time < since)
        };
        let disk = &*self.disk;
        if let Some(saved) = saved {
            if !is_quiet {
                self.in_history(&repo, saved.history, |dir, index| {
                    history::answered(disk, dir, index, since, take)
                })?;
            }
            if !saved.reality_history.last.is_empty() {
                self.in_directory(&repo, |dir| {
                    history::realities::answered(disk, dir, &saved.reality_history, since, take)
                })?;
            }
        }
        recent.iter().for_each(take);
        Ok(())
    }

    fn refs_at(&self, repo: RepoKey, moment: Moment) -> io::Result<Option<PastRefs>> {
        let Ok(repo) = self.repo(repo) else {
            return Ok(None);
        };
        let (saved, recent) = {
            let state = repo.state();
            let includes = |recent: &Recent| match moment {
                Moment::Seq(seq) => recent.at.0.0 <= seq,
                Moment::Time(time) => recent.at.1 <= time,
            };
            let end = state.recent.partition_point(includes);
            let recent = state.recent.range(..end);
            let recent = recent.filter(|recent| recent.entry.host.is_none());
            let recent: Vec<_> = recent.map(|r| Arc::clone(&r.entry)).collect();
            let saved = state.saved.as_ref().map(|s| Arc::clone(&s.history));
            (saved, recent)
        };
        let (Some(_), Some(last)) = (&saved, recent.last()) else {
            if let Some(index) = saved {
                return self.in_history(&repo, index, |dir, index| {
                    history::refs_at(&*self.disk, dir, index, moment)
                });
            }
            let mut refs = govc_engine::Refs::default();
            recent
                .iter()
                .for_each(|entry| history::apply(&mut refs, entry));
            return Ok(recent.last().map(|last| PastRefs {
                seq: last.seq,
                time: last.time,
                refs,
            }));
        };
        self.in_directory(&repo, |dir| {
            // It may be newer than it was a moment ago, and then has some of the entries.
            let there = checkpoint::read(&*self.disk, dir)?;
            let reached = (there.seq, there.step);
            if (last.seq, last.step) <= reached {
                return history::refs_at(&*self.disk, dir, &there.history, moment);
            }
            let mut refs = there.refs;
            for entry in recent.iter().filter(|e| (e.seq, e.step) > reached) {
                history::apply(&mut refs, entry);
            }
            Ok(Some(PastRefs {
                seq: last.seq,
                time: last.time,
                refs,
            }))
        })
    }

    fn floor(&self, repo: RepoKey) -> Option<Floor> {
        let repo = self.repo(repo).ok()?;
        let state = repo.state();
        state.retained.floor
    }
}
