//! Opens what is on disk, and the engine over it.

use std::io;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use govc_engine::journal::memory::{MemoryJournal, MemoryPacks};
use govc_engine::journal::{Journal, Packs};
use govc_engine::pool::PoolLimits;
use govc_engine::{Clock, Engine, EngineParts, RepoKey, Time};
use govc_store::{
    CompactionOptions, Disk, RealDisk, RetentionOptions, StoppedRepository, Store, StoreOptions,
};

use super::ServeError;
use crate::config::{Config, DISK_PATH, Durability, StorageType};

/// The engine, and what is under it.
pub struct Storage {
    /// All repositories that can be served.
    pub engine: Arc<Engine>,
    /// The data directory; `None`: nothing is kept on disk.
    pub store: Option<Arc<Store>>,
    /// Repositories in the data directory that cannot be served.
    pub stopped: Vec<StoppedRepository>,
}

/// The machine's clock.
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Time(since.map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        }))
    }
}

/// 128 random bits.
#[allow(
    clippy::expect_used,
    reason = "a key that is not random could name two repositories"
)]
fn new_key() -> RepoKey {
    let mut key = [0; 16];
    getrandom::fill(&mut key).expect("the system has randomness");
    RepoKey(key)
}

/// How many threads decide: it takes microseconds, and the log is one.
const TURN_THREADS_MAX: usize = 4;
/// How many repositories get their last checkpoint at once: they wait for the disk mostly, which
/// makes what several want durable by one write.
const CHECKPOINTS_AT_ONCE: usize = 16;

/// Opens the data directory, and recovers what it has. Blocks.
///
/// # Errors
/// [`ServeError::Open`].
pub fn open(config: &Config) -> Result<Storage, ServeError> {
    let path = &config.storage.disk_path;
    // Who wants repositories in memory, and names no directory, gets none.
    let memory_only = config.storage.r#type == StorageType::Memory
        && path == Path::new(DISK_PATH)
        && !path.exists();
    let opened = if memory_only {
        tracing::info!("repositories live in memory and are gone at stop");
        over(
            config,
            Arc::new(MemoryJournal::default()),
            Arc::new(MemoryPacks::default()),
        )
        .map(|engine| Storage {
            engine,
            store: None,
            stopped: Vec::new(),
        })
        .map_err(Into::into)
    } else {
        on_disk(config)
    };
    opened.map_err(|source| ServeError::Open {
        path: path.display().to_string(),
        source,
    })
}

/// A time that is kept; 0 is for ever.
fn for_ever_or(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

fn on_disk(config: &Config) -> Result<Storage, Box<dyn std::error::Error + Send + Sync>> {
    let settings = &config.storage;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(&settings.disk_path)?);
    let options = StoreOptions {
        durability: match settings.durability {
            Durability::Sync => govc_store::Durability::Sync,
            Durability::Async => govc_store::Durability::Async {
                within: settings.async_delay.get(),
            },
        },
        segment_bytes: settings.log_segment.0,
        checkpoint_age: settings.checkpoint_interval.get(),
        checkpoints_at_once: CHECKPOINTS_AT_ONCE,
        compaction: CompactionOptions {
            packs: settings.compaction_packs,
            git: Some(settings.compaction_git.clone()).filter(|git| !git.as_os_str().is_empty()),
            memory_bytes: settings.compaction_memory.0,
            grace: settings.compaction_grace.get(),
        },
        retention: RetentionOptions {
            refs: for_ever_or(config.retention.refs.get()),
            discarded: for_ever_or(config.retention.discarded_realities.get())
                .unwrap_or(Duration::MAX),
            deleted: for_ever_or(config.retention.deleted_repositories.get()),
            in_flight: config.retention.in_flight.get(),
        },
        storage: match settings.r#type {
            // What is on disk already does not move into memory.
            StorageType::Memory => govc_engine::Storage::Hybrid,
            other => other.into(),
        },
        ..StoreOptions::default()
    };
    let (store, recovered) = Store::open_resting(disk, options)?;
    for note in &recovered.notes {
        tracing::warn!("{note}");
    }
    for stopped in &recovered.stopped {
        let id = stopped
            .id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(
            repository = id,
            why = stopped.why,
            "a repository cannot be served"
        );
    }
    let journal = Arc::clone(&store) as Arc<dyn Journal>;
    let engine = over(config, journal, Arc::clone(&store) as Arc<dyn Packs>)?;
    let count = recovered.repositories.len() + recovered.resting.len();
    store.attach(&engine);
    engine.lay_down(recovered.resting);
    engine.load(recovered.repositories);
    store.start_checkpointer()?;
    tracing::info!(path = %settings.disk_path.display(), repositories = count, "opened");
    Ok(Storage {
        engine,
        store: Some(store),
        stopped: recovered.stopped,
    })
}

fn over(
    config: &Config,
    journal: Arc<dyn Journal>,
    packs: Arc<dyn Packs>,
) -> io::Result<Arc<Engine>> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    Engine::new(EngineParts {
        journal,
        packs,
        clock: Arc::new(WallClock),
        new_key: Arc::new(new_key),
        turn_threads: processors.min(TURN_THREADS_MAX),
        pool_limits: PoolLimits {
            object_bytes_max: config.limits.object.0,
            ..PoolLimits::default()
        },
    })
}

impl Storage {
    /// Lets what is being written finish, makes a last checkpoint. Blocks.
    ///
    /// # Errors
    /// Whatever the disk met. Nothing is lost: the log has everything.
    pub fn close(self) -> io::Result<()> {
        self.engine.shut_down();
        let Some(store) = self.store else {
            return Ok(());
        };
        let stats = store.stats();
        tracing::info!(
            changes = stats.entries,
            syncs = stats.syncs,
            shared = stats.shared,
            "changes made durable, syncs of the log, and changes that shared one"
        );
        store.close()
    }
}
