//! A pack that is made once and sent to many.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use govc_git::ObjectFormat;
use govc_git::checksum::Checksum;

use super::planner::{Draft, Planner};
use super::{ObjectSet, PackOptions, Pool, PoolError};

/// So many bytes are made at once, and a few more.
const CHUNK_BYTES: usize = 512 << 10;
/// A pack that is shared keeps so much at most that is nowhere else; from there on everybody
/// makes the rest anew.
const OWN_BYTES_MAX: usize = 48 << 20;

/// Consecutive bytes of a pack: mostly views of packs that are there.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) pieces: Box<[Bytes]>,
    /// How many objects end with it.
    pub(super) objects: u32,
    bytes: u64,
    /// What it takes of memory.
    own_bytes: usize,
}

impl Chunk {
    fn of(draft: Draft, objects: u32) -> Chunk {
        let bytes = draft.len() as u64;
        let (pieces, own_bytes) = draft.finish();
        Chunk {
            own_bytes: own_bytes + size_of::<Chunk>() + size_of_val(&pieces[..]),
            pieces,
            objects,
            bytes,
        }
    }

    /// A pack that is there as a whole.
    pub(super) fn whole(pack: &Bytes, objects: u32) -> Chunk {
        Chunk {
            pieces: Box::new([pack.clone()]),
            objects,
            bytes: pack.len() as u64,
            own_bytes: 0,
        }
    }

    /// How many bytes of the pack it is.
    pub(super) fn len(&self) -> u64 {
        self.bytes
    }
}

/// Makes a pack, chunk by chunk: header, entries, trailer. A clone goes on where this one is.
#[derive(Clone)]
pub(super) struct Maker {
    planner: Planner,
    count: u32,
    /// `None` once the trailer is written.
    checksum: Option<Checksum>,
    has_begun: bool,
    /// Entries that were made for a smaller pack, and come first.
    before: VecDeque<Arc<Chunk>>,
}

impl Maker {
    pub(super) fn new(planner: Planner, count: u32, format: ObjectFormat) -> Maker {
        Maker {
            count,
            checksum: Some(Checksum::new(format)),
            planner,
            has_begun: false,
            before: VecDeque::new(),
        }
    }

    /// The next chunk; `None` at the end. The set is of `pool`. After an error it is of no use any
    /// more.
    pub(super) fn next(&mut self, pool: &Pool) -> Result<Option<Arc<Chunk>>, PoolError> {
        let Some(checksum) = &mut self.checksum else {
            return Ok(None);
        };
        let mut draft = Draft::default();
        if !self.has_begun {
            self.has_begun = true;
            let own = draft.own();
            own.extend_from_slice(b"PACK");
            own.extend_from_slice(&2u32.to_be_bytes());
            own.extend_from_slice(&self.count.to_be_bytes());
            draft.added_own(0);
            let chunk = Chunk::of(draft, 0);
            chunk.pieces.iter().for_each(|piece| checksum.update(piece));
            return Ok(Some(Arc::new(chunk)));
        }
        if let Some(chunk) = self.before.pop_front() {
            chunk.pieces.iter().for_each(|piece| checksum.update(piece));
            return Ok(Some(chunk));
        }
        let sent = self.planner.sent();
        while draft.len() < CHUNK_BYTES && !self.planner.is_done() {
            self.planner.step(pool, &mut draft)?;
        }
        if draft.len() > 0 {
            let chunk = Chunk::of(draft, self.planner.sent() - sent);
            chunk.pieces.iter().for_each(|piece| checksum.update(piece));
            return Ok(Some(Arc::new(chunk)));
        }
        let Some(checksum) = self.checksum.take() else {
            return Ok(None);
        };
        let trailer = checksum.finish();
        let own = draft.own();
        own.extend_from_slice(trailer.as_bytes());
        draft.added_own(0);
        Ok(Some(Arc::new(Chunk::of(draft, 0))))
    }
}

/// A pack of a set, which is made as far as somebody needed it, and then sent to all who want it.
///
/// Whoever is ahead makes the next chunk, and hashes it; all others send what is there. Nothing
/// is kept but what is nowhere else: the most of it are ranges of packs.
pub(super) struct ReadyPack {
    pub(super) set: Arc<ObjectSet>,
    pub(super) ofs_delta: bool,
    pub(super) thin: bool,
    made: RwLock<Made>,
    /// Held to make the next chunk.
    maker: Mutex<Maker>,
}

#[derive(Default)]
struct Made {
    chunks: Vec<Arc<Chunk>>,
    bytes: u64,
    own_bytes: usize,
    end: Option<End>,
}

#[derive(Clone)]
enum End {
    /// The trailer was made.
    Whole,
    /// More of it is not kept.
    Closed,
    Failed(PoolError),
}

/// What follows in a pack.
pub(super) enum Next {
    Chunk(Arc<Chunk>),
    /// It is to be made, and not kept.
    MakeIt(Box<Maker>),
    End,
}

impl ReadyPack {
    pub(super) fn new(set: Arc<ObjectSet>, options: PackOptions, maker: Maker) -> ReadyPack {
        ReadyPack {
            set,
            ofs_delta: options.ofs_delta,
            thin: options.thin,
            made: RwLock::default(),
            maker: Mutex::new(maker),
        }
    }

    /// Begins the pack of a larger set with what was made for this one; `None` where this one is
    /// not finished, or no beginning of it.
    pub(super) fn extended(
        &self,
        set: &Arc<ObjectSet>,
        count: u32,
        format: ObjectFormat,
    ) -> Option<Maker> {
        let entries = {
            let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
            if !matches!(made.end, Some(End::Whole)) {
                return None;
            }
            // Header and trailer are of this pack alone.
            let entries = made.chunks.get(1..made.chunks.len().checked_sub(1)?)?;
            entries.iter().cloned().collect()
        };
        let maker = self.maker.lock().unwrap_or_else(PoisonError::into_inner);
        let mut larger = Maker::new(maker.planner.extended(set)?, count, format);
        larger.before = entries;
        Some(larger)
    }

    /// How many bytes the pack has, once that is known.
    pub(super) fn len(&self) -> Option<u64> {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        matches!(made.end, Some(End::Whole)).then_some(made.bytes)
    }

    /// What it takes of memory.
    pub(super) fn own_bytes(&self) -> usize {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        made.own_bytes + self.set.memory_bytes()
    }

    /// Whether it cannot be made.
    pub(super) fn has_failed(&self) -> bool {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        matches!(made.end, Some(End::Failed(_)))
    }

    /// The chunk `number`, if it was made.
    pub(super) fn made(&self, number: usize) -> Option<Arc<Chunk>> {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        made.chunks.get(number).cloned()
    }

    /// The chunk `number`, whose predecessors were all made. The set is of `pool`.
    pub(super) fn next(&self, pool: &Pool, number: usize) -> Result<Next, PoolError> {
        if let Some(chunk) = self.made(number) {
            return Ok(Next::Chunk(chunk));
        }
        let mut maker = self.maker.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, end) = {
            let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
            (made.chunks.get(number).cloned(), made.end.clone())
        };
        match (made, end) {
            // Somebody else was faster.
            (Some(chunk), _) => return Ok(Next::Chunk(chunk)),
            (None, Some(End::Whole)) => return Ok(Next::End),
            (None, Some(End::Closed)) => return Ok(Next::MakeIt(Box::new(maker.clone()))),
            (None, Some(End::Failed(error))) => return Err(error),
            (None, None) => {}
        }
        let next = maker.next(pool);
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        match next {
            Ok(Some(chunk)) => {
                made.bytes += chunk.len();
                made.own_bytes += chunk.own_bytes;
                made.chunks.push(Arc::clone(&chunk));
                if maker.checksum.is_none() {
                    made.end = Some(End::Whole);
                } else if made.own_bytes > OWN_BYTES_MAX {
                    made.end = Some(End::Closed);
                }
                Ok(Next::Chunk(chunk))
            }
            Ok(None) => Ok(Next::End),
            Err(error) => {
                made.end = Some(End::Failed(error.clone()));
                Err(error)
            }
        }
    }
}
