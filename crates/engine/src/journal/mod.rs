//! The two seams that decide what "safe" means: `Journal` orders changes, `Packs` keeps bytes.

pub mod contents;
pub mod failing;
pub mod memory;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use govc_git::ObjectId;

use crate::repository::Usage;
use crate::repository::refs::Refs;
use crate::{Entry, Place, Recovered, RepoKey, Seq, Time};

/// Entries of any number of repositories, in the order they were decided: all of them become
/// durable, or none.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// In the order they were decided.
    pub entries: Vec<Arc<Entry>>,
}

/// Where in the journal a batch is. Later batches are at greater positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// Orders changes and makes them durable.
pub trait Journal: Send + Sync {
    /// Makes a batch durable, as durable as the journal is configured to be.
    ///
    /// Called by one thread at a time, in the order in which the batches were decided. It may
    /// block: it is never called on the runtime that serves requests.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the batch is then to be made visible.
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Position, AppendError>>;

    /// Up to `limit` entries of `repo` with numbers greater than `after` (`None`: from the first),
    /// in order, without the bytes of their inline objects. Steps of staging have no number of
    /// their own, and are not among them.
    ///
    /// # Errors
    /// Whatever reading them met.
    fn entries(
        &self,
        repo: RepoKey,
        after: Option<Seq>,
        limit: usize,
    ) -> io::Result<Vec<Arc<Entry>>>;

    /// As [`Journal::entries`], of a reality that was made in `host`.
    ///
    /// # Errors
    /// Whatever reading them met.
    fn reality_entries(
        &self,
        host: RepoKey,
        reality: RepoKey,
        after: Option<Seq>,
        limit: usize,
    ) -> io::Result<Vec<Arc<Entry>>> {
        let _ = host;
        self.entries(reality, after, limit)
    }

    /// The entry of `repo` at `place`, or of the reality `repo` of `host`, without the bytes of its
    /// objects. Of steps of staging those may be found that answer their requests again.
    ///
    /// # Errors
    /// Whatever reading it met.
    fn entry(
        &self,
        repo: RepoKey,
        host: Option<RepoKey>,
        place: Place,
    ) -> io::Result<Option<Arc<Entry>>> {
        let before = place.0.checked_sub(1);
        let found = match host {
            Some(host) => self.reality_entries(host, repo, before, 1)?,
            None => self.entries(repo, before, 1)?,
        };
        let mut found = found.into_iter();
        Ok(found.find(|entry| (entry.seq, entry.step) == place))
    }

    /// Gives `take` the entries from `since` on of `repo`, and of realities that were made in it,
    /// that answer their requests again, in no order. Steps of staging and what is of realities are
    /// among them where the journal lasts longer than the process.
    ///
    /// # Errors
    /// Whatever reading them met.
    fn answered(
        &self,
        repo: RepoKey,
        since: Time,
        take: &mut dyn FnMut(&Arc<Entry>),
    ) -> io::Result<()> {
        const AT_ONCE: usize = 1024;
        let before = self.refs_at(repo, Moment::Time(since))?;
        let mut after = before.map(|past| past.seq);
        loop {
            let entries = self.entries(repo, after, AT_ONCE)?;
            let Some(last) = entries.last() else {
                return Ok(());
            };
            after = Some(last.seq);
            let answers = |entry: &&Arc<Entry>| entry.cause.idempotency.is_some();
            entries.iter().filter(answers).for_each(&mut *take);
        }
    }

    /// The refs of `repo` after the newest entry that `moment` includes, and that entry's number
    /// and time. `None` when `moment` is before the repository's first entry. What is below the
    /// [`Journal::floor`] may be answered or not.
    ///
    /// # Errors
    /// Whatever reading them met.
    fn refs_at(&self, repo: RepoKey, moment: Moment) -> io::Result<Option<PastRefs>>;

    /// The oldest state of `repo` that is kept, where older ones went because their time was over.
    /// Entries up to it are not among [`Journal::entries`].
    fn floor(&self, repo: RepoKey) -> Option<Floor> {
        let _ = repo;
        None
    }
}

/// The oldest state of a repository that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// The number of the change that led to it.
    pub seq: Seq,
    /// When that was.
    pub time: Time,
}

impl Floor {
    /// Whether `moment` is before it.
    pub fn is_above(&self, moment: Moment) -> bool {
        match moment {
            Moment::Seq(seq) => seq < self.seq,
            Moment::Time(time) => time < self.time,
        }
    }
}

/// A moment in a repository's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After the change with this number.
    Seq(Seq),
    /// After the last change that is not later than this.
    Time(Time),
}

/// All refs as they were after one change.
#[derive(Debug, Clone)]
pub struct PastRefs {
    /// The change's number.
    pub seq: Seq,
    /// When it was.
    pub time: Time,
    /// All refs after it, HEAD included.
    pub refs: Refs,
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else wrote the repository: it is to be reloaded, and the proposals to be run once
    /// more on what it became.
    #[error("repository {repo} was moved to change {seq} by another writer")]
    Moved {
        /// Which repository.
        repo: RepoKey,
        /// The number of its newest change.
        seq: Seq,
    },
    /// It may have become durable or not; after a restart the journal knows.
    #[error("the journal did not say whether the change became durable")]
    Unknown,
    /// No room. Nothing was written.
    #[error("the journal is full")]
    Full,
    /// Nothing became durable.
    #[error("the journal failed: {0}")]
    Failed(#[source] io::Error),
}

/// Names a pack: the checksum at its end, which is also in its file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackId(pub ObjectId);

/// A pack and its index, as bytes in memory or mapped from files that never change.
#[derive(Debug, Clone)]
pub struct PackBytes {
    /// The pack, header and trailer included.
    pub pack: Bytes,
    /// Its index, in the format of `.idx` files, version 2 (gitformat-pack(5)).
    pub index: Bytes,
}

/// Keeps packs.
pub trait Packs: Send + Sync {
    /// Opens a place for a pack that is about to arrive for `repo`. What is written there and not
    /// kept is gone when the writer is dropped.
    ///
    /// # Errors
    /// Whatever making the file met.
    fn receive(&self, repo: RepoKey) -> io::Result<Box<dyn PackSpool>>;

    /// Opens a pack of `repo`.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none; whatever reading it met.
    fn open(&self, repo: RepoKey, pack: PackId) -> io::Result<PackBytes>;

    /// Removes a pack of `repo`; that it is not there is no error.
    ///
    /// # Errors
    /// Whatever removing it met.
    fn remove(&self, repo: RepoKey, pack: PackId) -> io::Result<()>;
}

/// Where repositories rest that have left memory.
pub trait Shelf: Send + Sync {
    /// Saves what of `repo` is in no other place than memory and the log. Blocks.
    ///
    /// # Errors
    /// Whatever the disk met; it cannot leave memory now.
    fn save(&self, repo: RepoKey) -> io::Result<()>;

    /// Whether everything of `repo` is saved. Answered from memory.
    fn is_saved(&self, repo: RepoKey) -> bool;

    /// Opens repositories that rest, all of one family, and hands them to `take`: nothing is saved
    /// or merged of them before that returns. Blocks.
    ///
    /// # Errors
    /// Whatever the disk met; `take` was not called then.
    fn open(&self, repos: &[RepoKey], take: &mut dyn FnMut(Vec<Recovered>)) -> io::Result<()>;

    /// How much there is of a repository that rests.
    ///
    /// # Errors
    /// Whatever the disk met.
    fn usage(&self, repo: RepoKey) -> io::Result<Usage>;
}

/// A pack that is arriving. Dropped without [`PackSpool::keep`] it leaves nothing.
pub trait PackSpool: Send {
    /// Appends bytes of the pack.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when there is no room; else whatever writing met.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// How many bytes were written.
    fn len(&self) -> u64;

    /// Whether nothing was written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Overwrites bytes at `offset` that were written before: the object count in the header,
    /// when a thin pack is completed.
    ///
    /// # Errors
    /// As [`PackSpool::write`].
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts it to `len` bytes: the trailer goes when a thin pack is completed.
    ///
    /// # Errors
    /// As [`PackSpool::write`].
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// What was written, to be read and indexed. Writing after this is not seen through it.
    ///
    /// # Errors
    /// Whatever mapping it met.
    fn bytes(&mut self) -> io::Result<Bytes>;

    /// Makes the pack and `index` durable under the name `pack`: after this the entry that names
    /// it may be appended.
    ///
    /// # Errors
    /// As [`PackSpool::write`], and whatever syncing met.
    fn keep(self: Box<Self>, pack: PackId, index: &[u8]) -> io::Result<PackBytes>;
}
