//! Taking a pack apart: every object made whole once, checked and named.

mod chain;
mod resolve;
mod visitor;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::checksum::Checksum;
use crate::object_id::{hash_object, object_hasher};
use crate::{Object, ObjectFormat, ObjectId, ObjectKind, oid};

use super::delta::{self, DeltaError};
use super::entry::{self, EntryError, EntryHeader};
use super::zlib::{self, InflateError, Inflater, StreamInflater};
use super::{EntryKind, PackEntries, PackError};

pub use visitor::{DeltaBase, PackVisitor, Stage, VisitedObject};

/// Blobs larger than this are hashed as they are inflated and not handed to the visitor.
pub const LARGE_BLOB_BYTES: u64 = 16 << 20;

/// What a pack may ask of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexLimits {
    /// How many objects.
    pub max_objects: u32,
    /// How many bytes one object may have, inflated. (One delta too.)
    pub max_object_bytes: u64,
    /// How many bytes may be made of all entries together: it bounds the time that a pack can take.
    pub max_total_bytes: u64,
    /// How many bytes may be made of each byte of the pack; [`IndexLimits::INFLATION_FREE_BYTES`]
    /// are free. A few bytes can ask for gigabytes, delta by delta. Real repositories are at 20 to
    /// 30, long histories of a folder of 10,000 files at 2,000.
    pub max_inflation: u64,
    /// How many deltas may follow each other.
    pub max_chain: u32,
    /// How many bytes of inflated bases to keep while their deltas are resolved. Two objects more
    /// may be held: the one being made, and the one it is made of.
    pub memory_bytes: usize,
}

impl Default for IndexLimits {
    fn default() -> IndexLimits {
        IndexLimits {
            max_objects: u32::MAX,
            max_object_bytes: 2 << 30,
            max_total_bytes: 1 << 40,
            max_inflation: 8192,
            max_chain: 4095,
            memory_bytes: 32 << 20,
        }
    }
}

impl IndexLimits {
    /// So much may be made of any pack.
    pub const INFLATION_FREE_BYTES: u64 = 4 << 30;

    /// How many bytes may be made of a pack of `pack_bytes`.
    fn total_for(&self, pack_bytes: usize) -> u64 {
        let by_length = (pack_bytes as u64).saturating_mul(self.max_inflation);
        by_length
            .max(Self::INFLATION_FREE_BYTES)
            .min(self.max_total_bytes)
    }
}

/// What a pack was found to have.
#[derive(Debug, Clone)]
pub struct IndexedPack {
    /// Its entries, in its order; [`PackEntries::write_index`] makes the index.
    pub entries: PackEntries,
    /// Its trailer.
    pub checksum: ObjectId,
    /// Objects outside it that its deltas need: with these [`super::complete`] completes it.
    pub missing_bases: Vec<ObjectId>,
    /// How many bytes its objects have together.
    pub total_inflated: u64,
}

/// Takes `pack` apart: checks all of it, makes every object whole and shows it to `visitor`.
///
/// `external` knows the objects that a thin pack's deltas may be based on.
///
/// The pack is read from front to back once, as an entry's end is only known when it was
/// inflated; whole objects are named on the way, and of deltas is kept whose they are. Then
/// each whole object that has deltas is inflated again, and its deltas are resolved depth-first
/// from an explicit stack, so that each base is made once while memory allows: what is above
/// [`IndexLimits::memory_bytes`] is dropped, oldest ancestor first, and made again on the way back.
///
/// # Errors
/// [`PackError`] at the first thing that is wrong.
pub fn index_pack(
    pack: &[u8],
    format: ObjectFormat,
    limits: &IndexLimits,
    external: &dyn Fn(&oid) -> Option<Object>,
    visitor: &mut dyn PackVisitor,
) -> Result<IndexedPack, PackError> {
    let header = PackHeader::parse(pack, format, limits.max_objects)?;
    let checksum = header.verify(pack, format)?;
    let mut indexer = Indexer::new(pack, header, format, limits, external, visitor);
    indexer.scan()?;
    indexer.resolve_inside()?;
    let mut missing_bases = indexer.resolve_outside()?;
    let (mut entries, total_inflated) = indexer.finish();

    entries.sort();
    if let Some(id) = entries.duplicate() {
        return Err(PackError::DuplicateObject { id: id.to_owned() });
    }
    // A base may have been asked for before the pack's own copy of it was resolved.
    missing_bases.retain(|base| entries.find(base).is_none());
    Ok(IndexedPack {
        entries,
        checksum,
        missing_bases,
        total_inflated,
    })
}

/// The first bytes of a pack, and where its last ones are.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackHeader {
    /// How many objects it says that it has.
    pub(super) count: u32,
    /// Where its trailer begins.
    pub(super) trailer_at: usize,
}

impl PackHeader {
    pub(super) const BYTES: usize = 12;
    /// A header of one byte and the shortest zlib stream.
    const ENTRY_BYTES_MIN: usize = 9;

    /// Reads the header, and compares what it promises with how much there is.
    pub(super) fn parse(
        pack: &[u8],
        format: ObjectFormat,
        max_objects: u32,
    ) -> Result<PackHeader, PackError> {
        if !pack.starts_with(b"PACK") {
            return Err(PackError::NotAPack);
        }
        let truncated = PackError::Truncated {
            offset: pack.len() as u64,
        };
        let Some((front, _)) = pack.split_first_chunk::<{ PackHeader::BYTES }>() else {
            return Err(truncated);
        };
        let version = u32::from_be_bytes([front[4], front[5], front[6], front[7]]);
        let count = u32::from_be_bytes([front[8], front[9], front[10], front[11]]);
        if version != 2 && version != 3 {
            return Err(PackError::UnsupportedVersion { version });
        }
        let Some(trailer_at) = pack
            .len()
            .checked_sub(format.len_in_bytes())
            .filter(|&trailer_at| trailer_at >= PackHeader::BYTES)
        else {
            return Err(truncated);
        };
        let room = (trailer_at - PackHeader::BYTES) / PackHeader::ENTRY_BYTES_MIN;
        if count as usize > room {
            return Err(PackError::ObjectCount {
                count,
                reason: "it is too short for so many",
            });
        }
        if count > max_objects {
            return Err(PackError::ObjectCount {
                count,
                reason: "so many are not allowed",
            });
        }
        Ok(PackHeader { count, trailer_at })
    }

    /// Compares the trailer with the hash of everything before it.
    fn verify(&self, pack: &[u8], format: ObjectFormat) -> Result<ObjectId, PackError> {
        let (body, trailer) = pack.split_at(self.trailer_at);
        let actual = Checksum::of(format, body);
        let expected = oid::from_bytes_unchecked(trailer).to_owned();
        if actual != expected {
            return Err(PackError::Checksum { expected, actual });
        }
        Ok(actual)
    }
}

/// No entry.
const NONE: u32 = u32::MAX;

/// How often [`PackVisitor::progress`] is called.
const PROGRESS_EVERY: u32 = 4096;

/// A pack while it is taken apart.
///
/// What it keeps for each object is 40 bytes for SHA-1: id, CRC-32 and offset, which are the
/// answer, and two links that make a tree of the deltas.
struct Indexer<'a> {
    /// The pack without its trailer.
    body: &'a [u8],
    count: u32,
    format: ObjectFormat,
    limits: &'a IndexLimits,
    external: &'a dyn Fn(&oid) -> Option<Object>,
    visitor: &'a mut dyn PackVisitor,

    /// Ids of entries that are not resolved hold [`Kept`] in their place.
    entries: PackEntries,
    /// For each entry the last delta that has it as its base.
    first_child: Vec<u32>,
    /// For each delta the next one with the same base.
    next_sibling: Vec<u32>,
    /// The first delta for each base that is named by id and was not made yet.
    waiting: HashTable<u32>,
    waiting_hash: RandomState,
    /// Deltas that were inflated by the scan and were small enough to keep.
    kept_deltas: Vec<u8>,

    inflater: Inflater,
    /// Inflated deltas that were not kept.
    delta: Vec<u8>,
    /// Buffers to make objects in.
    spare: Vec<Vec<u8>>,
    resolved: u32,
    total_inflated: u64,
    /// Bytes made, also those that were made twice, and how many may be.
    work: u64,
    work_limit: u64,
}

/// Where [`Indexer::kept_deltas`] has a delta; a length of 0 says that it has not.
#[derive(Clone, Copy)]
struct Kept {
    start: u32,
    length: u32,
}

impl Kept {
    fn encode(self) -> [u8; 8] {
        (u64::from(self.start) << 32 | u64::from(self.length)).to_ne_bytes()
    }

    fn decode(slot: &[u8]) -> Kept {
        let number = slot
            .first_chunk()
            .map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        Kept {
            start: (number >> 32) as u32,
            length: number as u32,
        }
    }
}

/// Deltas above this size are not kept: inflating them again costs less than what they would push out.
const KEPT_DELTA_BYTES_MAX: u64 = 4 << 10;

impl<'a> Indexer<'a> {
    fn new(
        pack: &'a [u8],
        header: PackHeader,
        format: ObjectFormat,
        limits: &'a IndexLimits,
        external: &'a dyn Fn(&oid) -> Option<Object>,
        visitor: &'a mut dyn PackVisitor,
    ) -> Indexer<'a> {
        let count = header.count as usize;
        Indexer {
            body: &pack[..header.trailer_at],
            count: header.count,
            format,
            limits,
            external,
            visitor,
            entries: PackEntries::with_capacity(format, count),
            first_child: vec![NONE; count],
            next_sibling: vec![NONE; count],
            waiting: HashTable::new(),
            waiting_hash: RandomState::default(),
            kept_deltas: Vec::new(),
            inflater: Inflater::new(),
            delta: Vec::new(),
            spare: Vec::new(),
            resolved: 0,
            total_inflated: 0,
            work: 0,
            work_limit: limits.total_for(pack.len()),
        }
    }

    /// The answer; what it took to find it is given back.
    fn finish(self) -> (PackEntries, u64) {
        (self.entries, self.total_inflated)
    }

    /// Reads the pack from front to back: every entry's extent, and whole objects' ids.
    fn scan(&mut self) -> Result<(), PackError> {
        let mut at = PackHeader::BYTES;
        for number in 0..self.count {
            if number % PROGRESS_EVERY == 0 {
                self.visitor.progress(Stage::Receiving, number, self.count);
            }
            let offset = at as u64;
            let header = self.header_at(offset)?;
            if header.size > self.limits.max_object_bytes {
                return Err(PackError::ObjectTooLarge {
                    offset,
                    size: header.size,
                    limit: self.limits.max_object_bytes,
                });
            }
            let deflated_at = at + header.header_len;
            let deflated = &self.body[deflated_at..];
            if !zlib::is_possible(deflated.len(), header.size) {
                return Err(inflate_error(offset, header.size, InflateError::Impossible));
            }
            let consumed = match header.kind {
                EntryKind::Whole(ObjectKind::Blob) if header.size > LARGE_BLOB_BYTES => {
                    self.scan_large_blob(number, offset, header.size, deflated)?
                }
                EntryKind::Whole(kind) => {
                    self.scan_whole(number, offset, kind, header.size, deflated)?
                }
                EntryKind::OfsDelta { base_distance } => {
                    let base = self.entry_before(offset, base_distance)?;
                    self.link(number, base);
                    self.scan_delta(offset, header.size, deflated)?
                }
                EntryKind::RefDelta { base } => {
                    self.wait(number, &base);
                    self.scan_delta(offset, header.size, deflated)?
                }
            };
            let end = deflated_at + consumed;
            self.entries.offsets.push(offset);
            self.entries
                .crc32s
                .push(crc32fast::hash(&self.body[at..end]));
            at = end;
        }
        self.visitor
            .progress(Stage::Receiving, self.count, self.count);
        match self.body.len() - at {
            0 => Ok(()),
            bytes => Err(PackError::TrailingGarbage {
                bytes: bytes as u64,
            }),
        }
    }

    fn scan_whole(
        &mut self,
        number: u32,
        offset: u64,
        kind: ObjectKind,
        size: u64,
        deflated: &[u8],
    ) -> Result<usize, PackError> {
        self.spend(size)?;
        let mut data = self.spare.pop().unwrap_or_default();
        let consumed = self.inflater.inflate(deflated, size, &mut data);
        let consumed = consumed.map_err(|error| inflate_error(offset, size, error))?;
        self.total_inflated += size;
        let id = self.hash(offset, kind, &data)?;
        self.entries.ids.extend_from_slice(id.as_bytes());
        self.resolved += 1;
        self.visit(&VisitedObject {
            id: &id,
            kind,
            data: &data,
            number,
            base: None,
        })?;
        self.recycle(data);
        Ok(consumed)
    }

    fn scan_large_blob(
        &mut self,
        number: u32,
        offset: u64,
        size: u64,
        deflated: &[u8],
    ) -> Result<usize, PackError> {
        self.spend(size)?;
        self.total_inflated += size;
        let mut hasher = object_hasher(self.format, ObjectKind::Blob, size);
        let mut stream = StreamInflater::new(size);
        let mut piece = vec![0; zlib::PIECE_BYTES];
        loop {
            let filled = stream.next(deflated, &mut piece);
            match filled.map_err(|error| inflate_error(offset, size, error))? {
                0 => break,
                filled => hasher.update(&piece[..filled]),
            }
        }
        let id = hasher
            .try_finalize()
            .map_err(|_| PackError::Collision { offset })?;
        self.entries.ids.extend_from_slice(id.as_bytes());
        self.resolved += 1;
        self.visitor
            .large_blob(&id, number, size)
            .map_err(|reason| PackError::Refused {
                id,
                kind: ObjectKind::Blob,
                reason,
            })?;
        Ok(stream.consumed())
    }

    /// Finds a delta's end, and keeps it if it is small.
    fn scan_delta(&mut self, offset: u64, size: u64, deflated: &[u8]) -> Result<usize, PackError> {
        self.spend(size)?;
        let consumed = self.inflater.inflate(deflated, size, &mut self.delta);
        let consumed = consumed.map_err(|error| inflate_error(offset, size, error))?;
        let budget = self.limits.memory_bytes / 2;
        let mut kept = Kept {
            start: 0,
            length: 0,
        };
        if size <= KEPT_DELTA_BYTES_MAX && self.kept_deltas.len() + self.delta.len() <= budget {
            kept = Kept {
                start: self.kept_deltas.len() as u32,
                length: size as u32,
            };
            self.kept_deltas.extend_from_slice(&self.delta);
        }
        let slot = self.entries.ids.len();
        self.entries.ids.extend_from_slice(&kept.encode());
        self.entries
            .ids
            .resize(slot + self.format.len_in_bytes(), 0);
        Ok(consumed)
    }

    fn header_at(&self, offset: u64) -> Result<EntryHeader, PackError> {
        let bytes = self.body.get(offset as usize..).unwrap_or_default();
        entry::parse_header(bytes, self.format).map_err(|error| match error {
            EntryError::Truncated => PackError::Truncated {
                offset: self.body.len() as u64,
            },
            error => PackError::Entry {
                offset,
                reason: error.reason(),
            },
        })
    }

    /// The entry that begins `distance` before `offset`; all entries before `offset` are known.
    fn entry_before(&self, offset: u64, distance: u64) -> Result<u32, PackError> {
        let nowhere = PackError::NoEntryAtBase { offset, distance };
        let Some(base_offset) = offset.checked_sub(distance) else {
            return Err(nowhere);
        };
        // Bases are mostly near: look in windows that double, from the end.
        let offsets = &self.entries.offsets;
        let mut window = 16;
        let start = loop {
            let start = offsets.len().saturating_sub(window);
            if start == 0 || offsets[start] <= base_offset {
                break start;
            }
            window *= 4;
        };
        match offsets[start..].binary_search(&base_offset) {
            Ok(at) => Ok((start + at) as u32),
            Err(_) => Err(nowhere),
        }
    }

    /// Applies the delta of the entry at `offset` to its base.
    fn make(
        &mut self,
        offset: u64,
        base: &[u8],
        delta: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), PackError> {
        let limit = self.limits.max_object_bytes;
        let malformed = |source| match source {
            DeltaError::TooLarge { size, limit } => PackError::ObjectTooLarge {
                offset,
                size,
                limit,
            },
            source => PackError::Delta { offset, source },
        };
        let (_, size) = delta::sizes(delta).map_err(malformed)?;
        if size <= limit {
            self.spend(size)?;
        }
        delta::apply_into(base, delta, limit, out).map_err(malformed)
    }

    fn hash(&self, offset: u64, kind: ObjectKind, data: &[u8]) -> Result<ObjectId, PackError> {
        hash_object(self.format, kind, data).map_err(|_| PackError::Collision { offset })
    }

    /// Shows an object; large blobs are only named, however they came.
    fn visit(&mut self, object: &VisitedObject<'_>) -> Result<(), PackError> {
        let size = object.data.len() as u64;
        let verdict = if object.kind == ObjectKind::Blob && size > LARGE_BLOB_BYTES {
            self.visitor.large_blob(object.id, object.number, size)
        } else {
            self.visitor.object(object)
        };
        verdict.map_err(|reason| PackError::Refused {
            id: object.id.to_owned(),
            kind: object.kind,
            reason,
        })
    }

    /// Counts bytes that were made, and ends what makes too many.
    fn spend(&mut self, bytes: u64) -> Result<(), PackError> {
        self.work = self.work.saturating_add(bytes);
        if self.work > self.work_limit {
            return Err(PackError::TotalTooLarge {
                limit: self.work_limit,
            });
        }
        Ok(())
    }
}

pub(super) fn inflate_error(offset: u64, size: u64, error: InflateError) -> PackError {
    PackError::Inflate {
        offset,
        size,
        reason: error.reason(),
    }
}
