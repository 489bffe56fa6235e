//! The seam for what lies beside the packs: contents named by their SHA-256, once for the whole
//! node. Who may see one is not decided here: that a content is there says nothing.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::LfsOid;

/// Keeps contents.
pub trait Contents: Send + Sync {
    /// Opens a place for a content that is about to arrive. What is written there and not kept is
    /// gone when the writer is dropped.
    ///
    /// # Errors
    /// Whatever making the file met.
    fn receive(&self) -> io::Result<Box<dyn ContentSpool>>;

    /// Opens a content.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none; whatever opening it met.
    fn open(&self, oid: &LfsOid) -> io::Result<Arc<dyn Content>>;

    /// All contents that are kept, in no order.
    ///
    /// # Errors
    /// Whatever reading them met.
    fn list(&self) -> io::Result<Vec<LfsOid>>;

    /// Removes a content; that it is not there is no error. Who reads it reads on.
    ///
    /// # Errors
    /// Whatever removing it met.
    fn remove(&self, oid: &LfsOid) -> io::Result<()>;
}

/// A content that is arriving. Dropped without [`ContentSpool::keep`] it leaves nothing.
pub trait ContentSpool: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when there is no room; else whatever writing met.
    fn write(&mut self, bytes: Bytes) -> io::Result<()>;

    /// Makes what was written durable under the name `oid`, whose hash it must be: after this the
    /// entry that references it may be appended. In place of what had the name, which is the same.
    ///
    /// # Errors
    /// As [`ContentSpool::write`], and whatever syncing met.
    fn keep(self: Box<Self>, oid: &LfsOid) -> io::Result<()>;
}

/// An open content.
pub trait Content: Send + Sync {
    /// How many bytes it has.
    fn size(&self) -> u64;

    /// At most `most` bytes from `offset` on; none only behind its end.
    ///
    /// # Errors
    /// Whatever reading met.
    fn read(&self, offset: u64, most: usize) -> io::Result<Bytes>;
}

/// Contents in memory: nothing survives the process.
#[derive(Default)]
pub struct MemoryContents(Arc<Mutex<HashMap<LfsOid, Arc<MemoryContent>>>>);

/// The pieces that it arrived in, and where each begins.
#[derive(Default)]
struct MemoryContent {
    pieces: Vec<(u64, Bytes)>,
    size: u64,
}

impl MemoryContents {
    fn lock(&self) -> MutexGuard<'_, HashMap<LfsOid, Arc<MemoryContent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents for MemoryContents {
    fn receive(&self) -> io::Result<Box<dyn ContentSpool>> {
        Ok(Box::new(MemorySpool {
            arriving: MemoryContent::default(),
            kept: Arc::clone(&self.0),
        }))
    }

    fn open(&self, oid: &LfsOid) -> io::Result<Arc<dyn Content>> {
        match self.lock().get(oid) {
            Some(content) => Ok(content.clone()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<LfsOid>> {
        Ok(self.lock().keys().copied().collect())
    }

    fn remove(&self, oid: &LfsOid) -> io::Result<()> {
        self.lock().remove(oid);
        Ok(())
    }
}

struct MemorySpool {
    arriving: MemoryContent,
    kept: Arc<Mutex<HashMap<LfsOid, Arc<MemoryContent>>>>,
}

impl ContentSpool for MemorySpool {
    fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        if !bytes.is_empty() {
            let at = self.arriving.size;
            self.arriving.size += bytes.len() as u64;
            self.arriving.pieces.push((at, bytes));
        }
        Ok(())
    }

    fn keep(self: Box<Self>, oid: &LfsOid) -> io::Result<()> {
        let MemorySpool { arriving, kept } = *self;
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        // What is there is the same, and others may be reading it: one copy is enough.
        kept.entry(*oid).or_insert_with(|| Arc::new(arriving));
        Ok(())
    }
}

impl Content for MemoryContent {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        if offset >= self.size {
            return Ok(Bytes::new());
        }
        let after = self.pieces.partition_point(|(at, _)| *at <= offset);
        let Some((at, piece)) = after.checked_sub(1).and_then(|n| self.pieces.get(n)) else {
            return Ok(Bytes::new());
        };
        // Within one piece, whose length is a usize.
        let start = (offset - at) as usize;
        let end = start.saturating_add(most).min(piece.len());
        Ok(piece.slice(start.min(end)..end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_in_memory_is_read_from_anywhere() {
        let contents = MemoryContents::default();
        let oid = LfsOid([7; 32]);
        assert!(contents.open(&oid).is_err());
        let mut spool = contents.receive().unwrap();
        for piece in ["ab", "", "cdef", "g"] {
            spool.write(Bytes::from(piece)).unwrap();
        }
        assert!(contents.list().unwrap().is_empty());
        spool.keep(&oid).unwrap();
        let content = contents.open(&oid).unwrap();
        assert_eq!(content.size(), 7);
        for start in 0..=7u64 {
            let mut all = Vec::new();
            loop {
                let piece = content.read(start + all.len() as u64, 3).unwrap();
                if piece.is_empty() {
                    break;
                }
                assert!(piece.len() <= 3);
                all.extend_from_slice(&piece);
            }
            assert_eq!(all, &b"abcdefg"[start as usize..]);
        }
        contents.remove(&oid).unwrap();
        assert!(contents.open(&oid).is_err());
        // Who has it open reads on.
        assert_eq!(content.read(2, 9).unwrap(), "cdef");
    }
}
