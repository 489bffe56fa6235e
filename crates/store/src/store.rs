//! The store: the engine's `Journal` and `Packs` on a disk.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use govc_engine::journal::{
    AppendError, Batch, Journal, Moment, PackBytes, PackId, PackSpool, Packs, PastRefs, Position,
};
use govc_engine::{Entry, NewObject, Refs, RepoId, RepoKey, RepositoryRecord, Seq, Time};
use govc_git::ObjectId;

use crate::{Disk, StoreOptions};

/// The node's log, and the directories of its repositories.
pub struct Store {}

/// What was found when the store opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Repositories that can be served, deleted ones included (their record says so), each
    /// before what was forked from it.
    pub repositories: Vec<LoadedRepository>,
    /// Repositories that cannot, and why. Their directories are left as they are.
    pub stopped: Vec<StoppedRepository>,
    /// What an operator is to be told, a sentence each.
    pub notes: Vec<String>,
}

/// A repository as it was last answered for.
#[derive(Debug, Clone)]
pub struct LoadedRepository {
    /// Its key.
    pub key: RepoKey,
    /// Its record.
    pub record: Arc<RepositoryRecord>,
    /// The number of its newest change. The next is greater by one.
    pub seq: Seq,
    /// Steps of staging since.
    pub step: u32,
    /// When that was.
    pub time: Time,
    /// All refs, HEAD included.
    pub refs: Refs,
    /// Its packs, oldest first; [`Packs::open`] has their bytes. Members of one fork family share
    /// packs by hard links: the same name is the same pack.
    pub packs: Vec<PackId>,
    /// Objects that came by entries since the last checkpoint and are in no pack yet, in the order
    /// in which they came: a delta's base is before it, in a pack, or with the repository that
    /// this was forked from.
    pub objects: Vec<NewObject>,
    /// git's commit-graph of the packs, if there is one; commits may be missing in it.
    pub commit_graph: Option<Bytes>,
}

/// A repository that cannot be served.
#[derive(Debug, Clone)]
pub struct StoppedRepository {
    /// Its key, where that could be read.
    pub key: Option<RepoKey>,
    /// Its id, where that could be read.
    pub id: Option<RepoId>,
    /// Why, for the operator and for who asks for it.
    pub why: String,
}

/// Is told what a checkpoint has packed.
pub trait Checkpointed: Send + Sync {
    /// The objects `ids` of `repo` are in the pack `pack` now, which is durable and in the list:
    /// they need not be kept otherwise.
    fn packed(&self, repo: RepoKey, pack: PackId, bytes: PackBytes, ids: &[ObjectId]);
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
    /// Calls of `fdatasync` on the log.
    pub syncs: u64,
    /// Bytes written to the log.
    pub log_bytes_written: u64,
    /// Bytes that the log has on the disk.
    pub log_bytes: u64,
    /// Checkpoints made.
    pub checkpoints: u64,
}

impl Store {
    /// Opens the data directory: recovers what it has, adopts what it did not know, and is ready
    /// to append.
    ///
    /// # Errors
    /// [`OpenError`]. A damaged repository is no error: it is among [`Recovered::stopped`].
    pub fn open(
        disk: Arc<dyn Disk>,
        options: StoreOptions,
    ) -> Result<(Arc<Store>, Recovered), OpenError> {
        let _ = (disk, options);
        unimplemented!()
    }

    /// Tells `listener` of every pack that a checkpoint makes, from now on.
    pub fn listen(&self, listener: Arc<dyn Checkpointed>) {
        let _ = listener;
        unimplemented!()
    }

    /// Starts the thread that makes checkpoints as the options say. It ends when the store closes.
    pub fn start_checkpointer(self: &Arc<Self>) {
        unimplemented!()
    }

    /// Brings the directory of `repo` up to its newest change. `false`: it was already.
    ///
    /// # Errors
    /// Whatever the disk met. Nothing is lost: the log still has it.
    pub fn checkpoint(&self, repo: RepoKey) -> io::Result<bool> {
        let _ = repo;
        unimplemented!()
    }

    /// A checkpoint of every repository that has changed since its last.
    ///
    /// # Errors
    /// The first error met; the others are tried nevertheless.
    pub fn checkpoint_all(&self) -> io::Result<()> {
        unimplemented!()
    }

    /// Removes a deleted repository for good, its directory too.
    ///
    /// # Errors
    /// Whatever the disk met; [`io::ErrorKind::InvalidInput`] if it is not deleted.
    pub fn purge(&self, repo: RepoKey) -> io::Result<()> {
        let _ = repo;
        unimplemented!()
    }

    /// Makes a checkpoint of everything and ends the log cleanly. Appending fails afterwards.
    ///
    /// # Errors
    /// Whatever the disk met; the log then recovers what has no checkpoint.
    pub fn close(&self) -> io::Result<()> {
        unimplemented!()
    }

    /// Counts since the start.
    pub fn stats(&self) -> StoreStats {
        unimplemented!()
    }
}

impl Journal for Store {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Position, AppendError>> {
        let _ = batch;
        unimplemented!()
    }

    fn entries(
        &self,
        repo: RepoKey,
        after: Option<Seq>,
        limit: usize,
    ) -> io::Result<Vec<Arc<Entry>>> {
        let _ = (repo, after, limit);
        unimplemented!()
    }

    fn refs_at(&self, repo: RepoKey, moment: Moment) -> io::Result<Option<PastRefs>> {
        let _ = (repo, moment);
        unimplemented!()
    }
}

impl Packs for Store {
    fn receive(&self, repo: RepoKey) -> io::Result<Box<dyn PackSpool>> {
        let _ = repo;
        unimplemented!()
    }

    fn open(&self, repo: RepoKey, pack: PackId) -> io::Result<PackBytes> {
        let _ = (repo, pack);
        unimplemented!()
    }

    fn remove(&self, repo: RepoKey, pack: PackId) -> io::Result<()> {
        let _ = (repo, pack);
        unimplemented!()
    }
}
