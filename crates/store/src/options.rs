//! What the store is told when it opens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use govc_engine::repository::record::Retention;
use govc_engine::{Clock, RepoKey, Storage, Time};

/// When a change is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After it is on the disk.
    #[default]
    Sync,
    /// After it was handed to the system; it is on the disk within this time. A power loss takes
    /// what is younger, and numbers then jump ahead so that none is used twice.
    Async {
        /// How long it may take.
        within: Duration,
    },
}

/// When and how packs are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionOptions {
    /// A repository with more packs than this is compacted in the background; 0: none is.
    pub packs: usize,
    /// The git that searches for deltas; without one entries are merged as they are.
    pub git: Option<PathBuf>,
    /// About how many bytes of memory that may take.
    pub memory_bytes: u64,
    /// How long packs that were merged stay: other processes that have listed the folder open
    /// them when they need them.
    pub grace: Duration,
}

impl Default for CompactionOptions {
    fn default() -> CompactionOptions {
        CompactionOptions {
            packs: 20,
            git: Some("git".into()),
            memory_bytes: 64 << 20,
            grace: Duration::from_secs(600),
        }
    }
}

/// How long what is past is kept, where a repository's settings do not say. `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionOptions {
    /// Past states of refs.
    pub refs: Option<Duration>,
    /// Realities that were discarded.
    pub discarded: Duration,
    /// Repositories that were deleted.
    pub deleted: Option<Duration>,
    /// Past states of refs are kept for so long whatever settings say: no request takes longer from
    /// looking at what is there to changing it.
    pub in_flight: Duration,
}

impl Default for RetentionOptions {
    fn default() -> RetentionOptions {
        const DAY: Duration = Duration::from_secs(86_400);
        RetentionOptions {
            refs: Some(90 * DAY),
            discarded: DAY,
            deleted: Some(7 * DAY),
            in_flight: Duration::from_secs(600),
        }
    }
}

impl RetentionOptions {
    /// How long past states of the refs of a repository with these settings are kept.
    pub fn refs_of(&self, settings: &Retention) -> Option<Duration> {
        of(settings.refs_seconds, self.refs).map(|time| time.max(self.in_flight))
    }

    /// How long its discarded realities are.
    pub fn discarded_of(&self, settings: &Retention) -> Duration {
        let for_ever = Duration::MAX;
        of(settings.discarded_realities_seconds, Some(self.discarded)).unwrap_or(for_ever)
    }

    /// How long it is, once it is deleted.
    pub fn deleted_of(&self, settings: &Retention) -> Option<Duration> {
        of(settings.deleted_seconds, self.deleted)
    }
}

/// What a setting says, or else the default. 0 seconds is for ever.
fn of(setting: Option<u64>, default: Option<Duration>) -> Option<Duration> {
    match setting {
        Some(0) => None,
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => default,
    }
}

/// What the store is told when it opens.
#[derive(Clone)]
pub struct StoreOptions {
    /// When a change is answered.
    pub durability: Durability,
    /// How large a segment of the log is. A larger batch gets a larger one.
    pub segment_bytes: u64,
    /// The background checkpointer takes a repository once it has this many bytes in the log.
    pub checkpoint_bytes: u64,
    /// Or this many entries.
    pub checkpoint_entries: usize,
    /// Or once its oldest entry there is this old.
    pub checkpoint_age: Duration,
    /// Where all repositories get one, so many checkpoints are made at once.
    pub checkpoints_at_once: usize,
    /// The log is kept below this many bytes, by checkpoints of who holds its oldest segment.
    pub log_bytes: u64,
    /// When and how packs are merged.
    pub compaction: CompactionOptions,
    /// How long what is past is kept.
    pub retention: RetentionOptions,
    /// Where repositories that are adopted live.
    pub storage: Storage,
    /// Tells the time of entries for what others changed on the disk.
    pub clock: Arc<dyn Clock>,
    /// Names repositories that are adopted: 128 random bits.
    pub new_key: fn() -> RepoKey,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            durability: Durability::Sync,
            segment_bytes: 64 << 20,
            checkpoint_bytes: 32 << 20,
            checkpoint_entries: 10_000,
            checkpoint_age: Duration::from_secs(60),
            checkpoints_at_once: 1,
            log_bytes: 512 << 20,
            compaction: CompactionOptions::default(),
            retention: RetentionOptions::default(),
            storage: Storage::Hybrid,
            clock: Arc::new(WallClock),
            new_key: random_key,
        }
    }
}

/// The machine's clock.
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Time(since.map_or(0, |since| since.as_micros() as i64))
    }
}

/// 128 bits from the system, or, where it has none to give, from what differs between two calls.
fn random_key() -> RepoKey {
    let mut key = [0; 16];
    if getrandom::fill(&mut key).is_err() {
        use std::hash::{BuildHasher, Hasher};
        for half in key.chunks_mut(8) {
            let random = std::collections::hash_map::RandomState::new();
            half.copy_from_slice(&random.build_hasher().finish().to_le_bytes());
        }
    }
    RepoKey(key)
}
