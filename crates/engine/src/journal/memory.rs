//! The seams in memory: nothing survives the process. For `memory` storage, and for tests.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{
    AppendError, Batch, Journal, Moment, PackBytes, PackId, PackSpool, Packs, PastRefs, Position,
};
use crate::repository::history::History;
use crate::{Entry, RepoKey, Seq};

/// A journal that remembers for as long as it lives.
#[derive(Default)]
pub struct MemoryJournal {
    state: Mutex<MemoryJournalState>,
}

#[derive(Default)]
struct MemoryJournalState {
    batches: u64,
    histories: HashMap<RepoKey, History>,
}

impl MemoryJournal {
    /// Forgets a repository that is gone.
    pub fn forget(&self, repo: RepoKey) {
        self.state().histories.remove(&repo);
    }

    fn state(&self) -> MutexGuard<'_, MemoryJournalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Position, AppendError>> {
        let mut state = self.state();
        for entry in &batch.entries {
            state.histories.entry(entry.repo).or_default().push(entry);
        }
        state.batches += 1;
        let position = Position(state.batches);
        async move { Ok(position) }.boxed()
    }

    fn entries(
        &self,
        repo: RepoKey,
        after: Option<Seq>,
        limit: usize,
    ) -> io::Result<Vec<Arc<Entry>>> {
        let state = self.state();
        Ok(state
            .histories
            .get(&repo)
            .map_or(&[][..], |history| history.after(after, limit))
            .to_vec())
    }

    fn refs_at(&self, repo: RepoKey, moment: Moment) -> io::Result<Option<PastRefs>> {
        Ok(self
            .state()
            .histories
            .get(&repo)
            .and_then(|history| history.refs_at(moment)))
    }
}

/// Packs in memory.
#[derive(Default)]
pub struct MemoryPacks {
    packs: Arc<Mutex<HashMap<(RepoKey, PackId), PackBytes>>>,
}

impl Packs for MemoryPacks {
    fn receive(&self, repo: RepoKey) -> io::Result<Box<dyn PackSpool>> {
        Ok(Box::new(MemorySpool {
            repo,
            written: BytesMut::new(),
            read: None,
            packs: Arc::clone(&self.packs),
        }))
    }

    fn open(&self, repo: RepoKey, pack: PackId) -> io::Result<PackBytes> {
        let packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        packs
            .get(&(repo, pack))
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove(&self, repo: RepoKey, pack: PackId) -> io::Result<()> {
        self.packs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(repo, pack));
        Ok(())
    }
}

/// A pack that is arriving in memory.
struct MemorySpool {
    repo: RepoKey,
    written: BytesMut,
    /// What [`PackSpool::bytes`] gave out: the same memory, until somebody writes again.
    read: Option<Bytes>,
    packs: Arc<Mutex<HashMap<(RepoKey, PackId), PackBytes>>>,
}

impl MemorySpool {
    /// What was written, to be written to. Copies only while somebody still reads it.
    fn written(&mut self) -> &mut BytesMut {
        if let Some(read) = self.read.take() {
            self.written = read
                .try_into_mut()
                .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        }
        &mut self.written
    }

    fn freeze(&mut self) -> Bytes {
        let bytes = self.written().split().freeze();
        self.read = Some(bytes.clone());
        bytes
    }
}

impl PackSpool for MemorySpool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written().extend_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.read.as_ref().map_or(self.written.len(), Bytes::len) as u64
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let outside = || io::Error::from(io::ErrorKind::InvalidInput);
        let start = usize::try_from(offset).map_err(|_| outside())?;
        let end = start.checked_add(bytes.len()).ok_or_else(outside)?;
        self.written()
            .get_mut(start..end)
            .ok_or_else(outside)?
            .copy_from_slice(bytes);
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.written()
            .truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn bytes(&mut self) -> io::Result<Bytes> {
        Ok(self.freeze())
    }

    fn keep(mut self: Box<Self>, pack: PackId, index: &[u8]) -> io::Result<PackBytes> {
        let kept = PackBytes {
            pack: self.freeze(),
            index: Bytes::copy_from_slice(index),
        };
        let mut packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        packs.insert((self.repo, pack), kept.clone());
        Ok(kept)
    }
}
