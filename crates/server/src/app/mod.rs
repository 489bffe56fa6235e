//! Use cases: what the server does when it is asked, the same for every way of asking.

mod ahead;
pub mod answers;
pub mod archive;
mod aside;
mod asked;
pub mod blame;
pub mod bundle;
pub mod commits;
pub mod compare;
pub mod content;
pub mod diff;
pub mod error;
pub mod events;
pub mod fetch;
pub mod files;
pub mod history;
pub mod hooks;
mod in_workspace;
pub mod lfs;
pub mod logged;
pub mod many;
pub mod memory;
pub mod merges;
pub mod operations;
pub mod programs;
pub mod publish;
pub mod push_nonce;
pub mod realities;
pub mod refs;
pub mod remote;
pub mod repos;
pub mod residence;
mod retention;
pub mod scope;
pub mod search;
mod staging;
pub mod stashes;
pub mod state;
pub mod time_travel;
pub mod transactions;
pub mod workspaces;

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use govc_engine::journal::contents::Contents;
use govc_engine::work::conflicts::ConflictCache;
use govc_engine::{Engine, Listener, RepoId, Repository};
use govc_store::Store;
use hashbrown::HashMap;
use tokio::sync::{OnceCell, Semaphore};

use crate::config::Config;
use crate::http::caller::Caller;
use crate::http::idempotency::Answers;
use crate::http::layers::Names;
use crate::serve::Storage;
use answers::LoggedAnswers;
use error::AppError;
use events::Hub;
use hooks::Courier;
use lfs::LargeFiles;
use lfs::passes::Passes;
use memory::Memory;
use residence::Residence;

/// Work that waits for the disk leaves the processor to others.
const DESKS_PER_PROCESSOR: usize = 4;

/// The server's one value: all that requests share. Cloning copies a pointer.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    config: Config,
    names: Names,
    /// Set once everything that was on disk is there.
    served: OnceLock<Served>,
    /// What those who came by SSH show to Git LFS.
    passes: Passes,
    /// Where HTTP is listened on.
    http_address: OnceLock<SocketAddr>,
    /// Set when the server is about to stop.
    draining: AtomicBool,
    memory: Memory,
    /// Large files that are being read.
    held: content::HeldContents,
    residence: Residence,
    /// Which realities conflict, as far as somebody asked.
    conflicts: ConflictCache,
    answers: Answers,
    /// Tells those who wait of what happens.
    hub: Arc<Hub>,
    /// Tells and asks webhooks.
    courier: Arc<Courier>,
    /// Where answers are in the log.
    logged: Arc<LoggedAnswers>,
    /// Set once those of runs before this one are among them.
    logged_read: OnceCell<()>,
    /// How much is computed at once beside the threads that serve.
    desks: Semaphore,
    /// How many hooks that are programs run at once.
    program_places: Semaphore,
}

/// What there is to serve.
struct Served {
    engine: Arc<Engine>,
    /// The data directory, if anything is kept on disk.
    store: Option<Arc<Store>>,
    /// Why repositories cannot be served, by their ids without regard to case.
    stopped: HashMap<String, String>,
    /// Whether there are repositories, with a name or without, that cannot be read.
    has_stopped: bool,
    /// The contents of large files.
    large_files: Arc<LargeFiles>,
}

/// What somebody wants to do with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Look at it.
    Read,
    /// Move its refs.
    Write,
    /// Change or remove the repository itself.
    Administer,
}

impl App {
    /// A server that is still starting: it answers when it is [`App::ready`].
    pub fn new(config: Config) -> App {
        let answers = Answers::new(
            config.limits.idempotency_keys,
            config.limits.idempotency_memory.as_usize(),
        );
        let programs_at_once = config
            .hooks
            .run_concurrency
            .clamp(1, Semaphore::MAX_PERMITS);
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        App(Arc::new(Inner {
            memory: Memory::of(config.storage.memory_budget.0),
            held: content::HeldContents::default(),
            residence: Residence::default(),
            conflicts: ConflictCache::default(),
            names: Names::of(&config),
            courier: Courier::new(&config.hooks),
            config,
            served: OnceLock::new(),
            passes: Passes::default(),
            http_address: OnceLock::new(),
            draining: AtomicBool::new(false),
            answers,
            hub: Hub::new(random()),
            logged: Arc::default(),
            logged_read: OnceCell::new(),
            desks: Semaphore::new(DESKS_PER_PROCESSOR * processors),
            program_places: Semaphore::new(programs_at_once),
        }))
    }

    /// From now on requests are answered.
    pub fn ready(&self, storage: &Storage) {
        let stopped = storage
            .stopped
            .iter()
            .filter_map(|stopped| Some((stopped.id.as_ref()?.folded(), stopped.why.clone())));
        let contents = storage.store.clone();
        let contents = contents.map(|store| store as Arc<dyn Contents>);
        let served = Served {
            engine: Arc::clone(&storage.engine),
            store: storage.store.clone(),
            stopped: stopped.collect(),
            has_stopped: !storage.stopped.is_empty(),
            large_files: LargeFiles::new(contents),
        };
        storage
            .engine
            .listen(Arc::clone(&self.0.logged) as Arc<dyn Listener>);
        storage
            .engine
            .listen(Arc::clone(&self.0.hub) as Arc<dyn Listener>);
        storage
            .engine
            .listen(Arc::clone(&self.0.courier) as Arc<dyn Listener>);
        // Only the first one counts; there is no second.
        let _ = self.0.served.set(served);
    }

    /// HTTP is listened on at `address`.
    pub fn listens(&self, address: SocketAddr) {
        // Only the first one counts; there is no second.
        let _ = self.0.http_address.set(address);
    }

    /// The server as somebody sees it who did not come by HTTP.
    pub fn http_origin(&self) -> String {
        let public = self.0.config.server.public_url.trim_end_matches('/');
        match self.0.http_address.get() {
            Some(address) if public.is_empty() => format!("http://{address}"),
            _ => public.to_owned(),
        }
    }

    /// From now on `/health/ready` says that the server is about to stop.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
        self.0.hub.close();
    }

    /// Whether the server is about to stop.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Whether requests are answered.
    pub fn is_ready(&self) -> bool {
        self.0.served.get().is_some() && !self.0.draining.load(Ordering::Relaxed)
    }

    /// What was set.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// By which names the server may be asked for.
    pub fn names(&self) -> &Names {
        &self.0.names
    }

    /// What memory there is to use.
    pub fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// Answers that are kept for requests that come again.
    pub fn answers(&self) -> &Answers {
        &self.0.answers
    }

    /// All repositories.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] while the server is starting.
    pub fn engine(&self) -> Result<&Arc<Engine>, AppError> {
        self.served().map(|served| &served.engine)
    }

    /// Whether this server keeps anything on disk.
    ///
    /// # Errors
    /// As [`App::engine`].
    pub fn keeps(&self) -> Result<bool, AppError> {
        self.served().map(|served| served.store.is_some())
    }

    fn served(&self) -> Result<&Served, AppError> {
        self.0.served.get().ok_or_else(|| AppError::Unavailable {
            why: "the server is starting".to_owned(),
        })
    }

    /// Why the repository `id`, which is in the data directory, cannot be served.
    ///
    /// # Errors
    /// As [`App::engine`].
    pub fn stopped(&self, id: &RepoId) -> Result<Option<&str>, AppError> {
        Ok(self.served()?.stopped.get(&id.folded()).map(String::as_str))
    }

    /// Places for hooks that are programs.
    fn program_places(&self) -> &Semaphore {
        &self.0.program_places
    }

    /// Runs what takes long, or waits for the disk, where it does not hold up other requests.
    ///
    /// # Errors
    /// [`AppError::Internal`] when it panics.
    pub async fn offload<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let _desk = self.0.desks.acquire().await.map_err(AppError::internal)?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(AppError::internal)
    }

    /// The repository `id`, for somebody who may do `action` with it. The only way to one.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`] when there is none, or none that the caller may know of.
    pub async fn repository(
        &self,
        caller: &Caller,
        id: &RepoId,
        action: Action,
    ) -> Result<Arc<Repository>, AppError> {
        let not_found = || AppError::RepoNotFound {
            repo: id.to_string(),
        };
        if !caller.may(action) {
            return Err(not_found());
        }
        if let Some(found) = self.engine()?.find(id.as_str()) {
            let repository = self.in_memory(found).await?;
            // What is left of it is not what was answered: better nothing than that.
            return match repository.damage() {
                None => Ok(repository),
                Some(why) => Err(AppError::Unavailable {
                    why: format!("{id} is damaged: {why}"),
                }),
            };
        }
        match self.stopped(id)? {
            Some(why) => Err(AppError::Unavailable {
                why: format!("{id} is stopped: {why}"),
            }),
            None => Err(not_found()),
        }
    }
}

/// A number that hardly comes twice; where the system has no chance to give, the same.
fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}
