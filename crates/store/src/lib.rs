//! Journal and packs on a disk: the node's log, checkpoints into bare repositories, recovery.

mod checkpoint;
mod collect;
mod compact;
mod config;
mod contents;
mod directory;
pub mod disk;
mod engine;
pub mod format;
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod holdings;
mod lists;
mod log;
mod loose;
mod objects;
mod options;
mod packs;
mod projection;
mod recover;
mod repo;
mod stash_log;
mod store;

pub use collect::Collection;
pub use compact::Compaction;
pub use disk::{Disk, RealDisk};
pub use options::{CompactionOptions, Durability, RetentionOptions, StoreOptions};
pub use store::{Checkpointed, OpenError, Recovered, StoppedRepository, Store, StoreStats};
