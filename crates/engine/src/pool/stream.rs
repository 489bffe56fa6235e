//! A pack as it is sent, piece by piece.

use std::sync::Arc;

use bytes::Bytes;

use super::planner::Planner;
use super::ready_pack::{Chunk, Maker, Next, ReadyPack};
use super::{ObjectSet, Pool, PoolError};

/// What the receiver of a pack understands and has.
#[derive(Debug, Clone, Copy, Default)]
pub struct PackOptions {
    /// It takes deltas whose base is not in the pack: it has what the set was told that it has.
    pub thin: bool,
    /// It takes deltas that name their base by its distance.
    pub ofs_delta: bool,
}

/// A pack of fewer objects is made as fast as it is found.
const SHARED_OBJECTS_MIN: u32 = 128;
/// Pieces are at most so large.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// A pack, piece by piece: header, entries, trailer. Pieces are up to 1 MiB, most of them views
/// of packs in memory.
///
/// A pack for somebody who has nothing is shared: what one stream has made, the others pass on,
/// and a stream that comes later finds all of it made.
pub struct PackStream {
    pool: Arc<Pool>,
    source: Source,
    chunk: Option<Arc<Chunk>>,
    /// How many of the chunk's pieces were given out.
    place: usize,
    /// The rest of a piece that is too large.
    rest: Bytes,
    count: u32,
    sent: u32,
}

enum Source {
    Shared {
        pack: Arc<ReadyPack>,
        /// The number of the next chunk.
        next: usize,
    },
    Made(Box<Maker>),
    /// The pack as it is, trailer included.
    Whole(Bytes),
    End,
}

impl Pool {
    /// The pack of `set`.
    ///
    /// # Errors
    /// [`PoolError::TooMany`].
    pub fn pack_stream(
        self: &Arc<Self>,
        set: ObjectSet,
        options: PackOptions,
    ) -> Result<PackStream, PoolError> {
        let count = set.len() as u64;
        let count = u32::try_from(count).map_err(|_| PoolError::TooMany { count })?;
        let source = match &set.parts[..] {
            [part] if options.ofs_delta && set.hot.objects.is_empty() && part.is_whole() => {
                Source::Whole(part.pack.pack.bytes().clone())
            }
            // Whoever fetches often has what others have who do, and wants the same; who wants
            // little does not. What is known of a receiver is no more than what commits it has, or
            // it is known by nobody else.
            _ if (set.had.is_empty() || set.receiver.is_some()) && count >= SHARED_OBJECTS_MIN => {
                Source::Shared {
                    pack: self.ready_pack(set, options),
                    next: 0,
                }
            }
            _ => {
                let planner = Planner::new(Arc::new(set), options);
                Source::Made(Box::new(Maker::new(planner, count, self.format)))
            }
        };
        Ok(PackStream {
            pool: Arc::clone(self),
            source,
            chunk: None,
            place: 0,
            rest: Bytes::new(),
            count,
            sent: 0,
        })
    }
}

impl PackStream {
    /// How many objects the pack has.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many objects were sent so far, for progress.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// How many bytes the whole pack has, where that is known before it was made.
    pub fn bytes(&self) -> Option<u64> {
        match &self.source {
            Source::Shared { pack, .. } => pack.len(),
            Source::Whole(pack) => Some(pack.len() as u64),
            Source::Made(_) | Source::End => None,
        }
    }

    /// The next piece, if it was made before: this takes no time.
    pub fn next_made(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.next_of_chunk() {
                return Some(piece);
            }
            let chunk = match &mut self.source {
                Source::Shared { pack, next } => {
                    let chunk = pack.made(*next)?;
                    *next += 1;
                    chunk
                }
                Source::Whole(pack) => {
                    let chunk = Arc::new(Chunk::whole(pack, self.count));
                    self.source = Source::End;
                    chunk
                }
                Source::Made(_) | Source::End => return None,
            };
            self.begin(chunk);
        }
    }

    fn begin(&mut self, chunk: Arc<Chunk>) {
        self.place = 0;
        self.chunk = Some(chunk);
    }

    fn next_of_chunk(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            let chunk = self.chunk.as_ref()?;
            match chunk.pieces.get(self.place) {
                Some(piece) => {
                    self.rest = piece.clone();
                    self.place += 1;
                }
                None => {
                    self.sent += chunk.objects;
                    self.chunk = None;
                    return None;
                }
            }
        }
        let len = self.rest.len().min(PIECE_BYTES_MAX);
        Some(self.rest.split_to(len))
    }

    /// Makes the next chunk, or takes it where somebody else made it; `None` at the end.
    fn make_next(&mut self) -> Result<Option<Arc<Chunk>>, PoolError> {
        loop {
            match &mut self.source {
                Source::Made(maker) => return maker.next(&self.pool),
                Source::Shared { pack, next } => match pack.next(&self.pool, *next)? {
                    Next::Chunk(chunk) => {
                        *next += 1;
                        return Ok(Some(chunk));
                    }
                    Next::MakeIt(maker) => self.source = Source::Made(maker),
                    Next::End => return Ok(None),
                },
                Source::Whole(_) | Source::End => return Ok(None),
            }
        }
    }
}

impl Iterator for PackStream {
    type Item = Result<Bytes, PoolError>;

    fn next(&mut self) -> Option<Result<Bytes, PoolError>> {
        loop {
            if let Some(piece) = self.next_made() {
                return Some(Ok(piece));
            }
            match self.make_next() {
                Ok(Some(chunk)) => self.begin(chunk),
                Ok(None) => {
                    self.source = Source::End;
                    return None;
                }
                Err(error) => {
                    self.source = Source::End;
                    return Some(Err(error));
                }
            }
        }
    }
}
