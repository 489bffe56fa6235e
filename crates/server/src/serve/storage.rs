//! Opens what is on disk, and the engine over it.

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use govc_engine::journal::memory::{MemoryJournal, MemoryPacks};
use govc_engine::pool::PoolLimits;
use govc_engine::{Clock, Engine, EngineParts, RepoKey, Time};

use super::ServeError;
use crate::config::{Config, StorageType};

/// The engine, and what is under it.
pub struct Storage {
    /// All repositories.
    pub engine: Arc<Engine>,
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

/// Opens the data directory, and recovers what it has. Blocks.
///
/// # Errors
/// [`ServeError::Open`].
pub fn open(config: &Config) -> Result<Storage, ServeError> {
    let failed = |source: io::Error| ServeError::Open {
        path: config.storage.disk_path.display().to_string(),
        source: Box::new(source),
    };
    let parts = EngineParts {
        journal: Arc::new(MemoryJournal::default()),
        packs: Arc::new(MemoryPacks::default()),
        clock: Arc::new(WallClock),
        new_key: Arc::new(new_key),
        turn_threads: 1,
        pool_limits: PoolLimits::default(),
    };
    let engine = Engine::new(parts).map_err(failed)?;
    if config.storage.r#type == StorageType::Memory {
        tracing::info!("repositories live in memory and are gone at stop");
    }
    Ok(Storage { engine })
}

impl Storage {
    /// Lets what is being written finish, makes a last checkpoint. Blocks.
    ///
    /// # Errors
    /// Whatever the disk met. Nothing is lost: the log has everything.
    pub fn close(self) -> io::Result<()> {
        self.engine.shut_down();
        Ok(())
    }
}
