//! Journal and packs on a disk: the node's log, checkpoints into bare repositories, recovery.

pub mod disk;
mod options;
mod store;

pub use disk::{Disk, RealDisk};
pub use options::{Durability, StoreOptions};
pub use store::{
    Checkpointed, LoadedRepository, OpenError, Recovered, StoppedRepository, Store, StoreStats,
};
