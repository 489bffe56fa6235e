//! Reading objects out of a pack that has an index.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{Object, ObjectId, ObjectKind, oid};

use super::entry::{self, EntryHeader};
use super::indexer::{PackHeader, inflate_error};
use super::zlib::{self, StreamInflater};
use super::{BaseCache, EntryKind, PackError, PackIndex, delta};

/// A pack and its index: bytes that never change. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pack {
    id: ObjectId,
    data: Bytes,
    index: PackIndex,
}

/// What a delta in a pack is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The object at this position of the same pack's index.
    Position(u32),
    /// An object outside the pack.
    External(ObjectId),
}

/// An entry as it is in its pack, for sending it on.
#[derive(Debug, Clone)]
pub struct RawEntry {
    /// What it holds.
    pub kind: EntryKind,
    /// How many bytes its deflated part inflates to.
    pub size: u64,
    /// How long its header is.
    pub header_len: usize,
    /// All of it.
    pub bytes: Bytes,
    /// Its deflated part.
    pub deflated: Bytes,
}

/// No object is larger, when it is to be had whole.
const OBJECT_BYTES_MAX: u64 = 2 << 30;

/// No chain of deltas is longer.
const CHAIN_MAX: usize = 4095;

impl Pack {
    /// The pack in `bytes`, whose name is `id`: any name will do, its trailer is a good one.
    ///
    /// # Errors
    /// [`PackError`] when header or trailer do not fit each other or `index`. The checksum itself is
    /// not computed.
    pub fn new(id: ObjectId, bytes: Bytes, index: PackIndex) -> Result<Pack, PackError> {
        let header = PackHeader::parse(&bytes, index.format(), u32::MAX)?;
        if header.count != index.len() {
            return Err(PackError::Index {
                reason: "it counts other objects",
            });
        }
        if index.pack_checksum().as_bytes() != &bytes[header.trailer_at..] {
            return Err(PackError::Index {
                reason: "it is of another pack",
            });
        }
        Ok(Pack {
            id,
            data: bytes,
            index,
        })
    }

    /// Its name.
    pub fn id(&self) -> &ObjectId {
        &self.id
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.data
    }

    /// Its index.
    pub fn index(&self) -> &PackIndex {
        &self.index
    }

    /// What it is called in a [`BaseCache`].
    pub fn cache_key(&self) -> u64 {
        self.id
            .as_bytes()
            .first_chunk()
            .map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// The object `id`, if the pack has it. `external` knows bases outside the pack: only a thin
    /// pack needs it.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn find(
        &self,
        id: &oid,
        external: &dyn Fn(&oid) -> Option<Object>,
        cache: &dyn BaseCache,
    ) -> Result<Option<Object>, PackError> {
        match self.index.lookup(id) {
            Some(position) => self.object_at(position, external, cache).map(Some),
            None => Ok(None),
        }
    }

    /// The object at `position` of the index.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn object_at(
        &self,
        position: u32,
        external: &dyn Fn(&oid) -> Option<Object>,
        cache: &dyn BaseCache,
    ) -> Result<Object, PackError> {
        let key = self.cache_key();
        // From the object that is asked for down to the first that is there to begin with.
        let mut deltas: SmallVec<[Entry; 16]> = SmallVec::new();
        let mut offset = self.index.offset(position);
        let mut object = loop {
            if let Some(object) = cache.get(key, offset) {
                break object;
            }
            let entry = self.entry(offset)?;
            match entry.header.kind {
                EntryKind::Whole(kind) => {
                    let object = Object {
                        kind,
                        data: self.inflate(&entry)?,
                    };
                    if !deltas.is_empty() {
                        cache.put(key, offset, object.clone());
                    }
                    break object;
                }
                EntryKind::OfsDelta { .. } | EntryKind::RefDelta { .. } => {
                    if deltas.len() >= CHAIN_MAX {
                        let limit = CHAIN_MAX as u32;
                        return Err(PackError::ChainTooLong { offset, limit });
                    }
                    let base = self.base(&entry)?;
                    deltas.push(entry);
                    match base {
                        Place::Inside(base) => offset = base,
                        Place::Outside(base) => {
                            let missing = || PackError::MissingBase {
                                offset,
                                base,
                                count: 1,
                            };
                            break external(&base).ok_or_else(missing)?;
                        }
                    }
                }
            }
        };
        while let Some(entry) = deltas.pop() {
            object.data = self.apply(&entry, &object.data)?;
            if !deltas.is_empty() {
                cache.put(key, entry.offset, object.clone());
            }
        }
        Ok(object)
    }

    /// The kind and size of `id`, if the pack has it, without making it.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn header(
        &self,
        id: &oid,
        external: &dyn Fn(&oid) -> Option<ObjectKind>,
    ) -> Result<Option<(ObjectKind, u64)>, PackError> {
        match self.index.lookup(id) {
            Some(position) => self.header_at(position, external).map(Some),
            None => Ok(None),
        }
    }

    /// The kind and size of the object at `position`, without making it: the size is in the first
    /// bytes of its delta, the kind at the end of its chain.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn header_at(
        &self,
        position: u32,
        external: &dyn Fn(&oid) -> Option<ObjectKind>,
    ) -> Result<(ObjectKind, u64), PackError> {
        let mut entry = self.entry(self.index.offset(position))?;
        if let EntryKind::Whole(kind) = entry.header.kind {
            return Ok((kind, entry.header.size));
        }
        let size = self.made_size(&entry)?;
        for _ in 0..CHAIN_MAX {
            match self.base(&entry)? {
                Place::Inside(offset) => entry = self.entry(offset)?,
                Place::Outside(base) => {
                    let offset = entry.offset;
                    let missing = || PackError::MissingBase {
                        offset,
                        base,
                        count: 1,
                    };
                    return Ok((external(&base).ok_or_else(missing)?, size));
                }
            }
            if let EntryKind::Whole(kind) = entry.header.kind {
                return Ok((kind, size));
            }
        }
        Err(PackError::ChainTooLong {
            offset: entry.offset,
            limit: CHAIN_MAX as u32,
        })
    }

    /// The content of the object at `position` in pieces, if its entry is whole; `None` for a delta.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn stream_at(&self, position: u32) -> Result<Option<ObjectStream>, PackError> {
        let entry = self.entry(self.index.offset(position))?;
        let EntryKind::Whole(kind) = entry.header.kind else {
            return Ok(None);
        };
        let size = entry.header.size;
        Ok(Some(ObjectStream {
            kind,
            size,
            offset: entry.offset,
            deflated: self.data.slice(entry.deflated_at..self.trailer_at()),
            inflater: StreamInflater::new(size),
            has_ended: false,
        }))
    }

    /// The entry at `position` as it is.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn raw_entry(&self, position: u32) -> Result<RawEntry, PackError> {
        let Entry {
            header,
            offset,
            deflated_at,
        } = self.entry(self.index.offset(position))?;
        let trailer_at = self.trailer_at();
        let end = match self.index.next_offset(offset) {
            Some(next) => usize::try_from(next).unwrap_or(usize::MAX),
            None => trailer_at,
        };
        if end > trailer_at || end < deflated_at {
            return Err(PackError::Index {
                reason: "entries overlap",
            });
        }
        let bytes = self.data.slice(offset as usize..end);
        let deflated = bytes.slice(header.header_len..);
        let EntryHeader {
            kind,
            size,
            header_len,
        } = header;
        Ok(RawEntry {
            kind,
            size,
            header_len,
            bytes,
            deflated,
        })
    }

    /// What the entry at `position` is a delta of; `None` when it is whole.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn base_of(&self, position: u32) -> Result<Option<Base>, PackError> {
        let entry = self.entry(self.index.offset(position))?;
        let offset = entry.offset;
        match entry.header.kind {
            EntryKind::Whole(_) => Ok(None),
            EntryKind::RefDelta { base } => Ok(Some(match self.index.lookup(&base) {
                Some(position) => Base::Position(position),
                None => Base::External(base),
            })),
            EntryKind::OfsDelta {
                base_distance: distance,
            } => {
                let base = offset.checked_sub(distance);
                match base.and_then(|base| self.index.position_by_offset(base)) {
                    Some(position) => Ok(Some(Base::Position(position))),
                    None => Err(PackError::NoEntryAtBase { offset, distance }),
                }
            }
        }
    }

    fn trailer_at(&self) -> usize {
        // `Pack::new` has seen that there is room for it.
        self.data
            .len()
            .saturating_sub(self.index.format().len_in_bytes())
    }

    fn entry(&self, offset: u64) -> Result<Entry, PackError> {
        let outside = PackError::Index {
            reason: "an offset is outside the pack",
        };
        let start = usize::try_from(offset)
            .ok()
            .filter(|&start| start >= PackHeader::BYTES);
        let Some((start, bytes)) =
            start.and_then(|start| Some((start, self.data.get(start..self.trailer_at())?)))
        else {
            return Err(outside);
        };
        match entry::parse_header(bytes, self.index.format()) {
            Ok(header) => Ok(Entry {
                offset,
                deflated_at: start + header.header_len,
                header,
            }),
            Err(error) => Err(PackError::Entry {
                offset,
                reason: error.reason(),
            }),
        }
    }

    /// Where the base of a delta is.
    fn base(&self, entry: &Entry) -> Result<Place, PackError> {
        let offset = entry.offset;
        match entry.header.kind {
            EntryKind::OfsDelta {
                base_distance: distance,
            } => match offset.checked_sub(distance) {
                Some(base) => Ok(Place::Inside(base)),
                None => Err(PackError::NoEntryAtBase { offset, distance }),
            },
            EntryKind::RefDelta { base } => Ok(match self.index.lookup(&base) {
                Some(position) => Place::Inside(self.index.offset(position)),
                None => Place::Outside(base),
            }),
            EntryKind::Whole(_) => Err(PackError::Entry {
                offset,
                reason: "it is no delta",
            }),
        }
    }

    fn deflated(&self, entry: &Entry) -> &[u8] {
        self.data
            .get(entry.deflated_at..self.trailer_at())
            .unwrap_or_default()
    }

    /// What an entry holds, inflated.
    fn inflate(&self, entry: &Entry) -> Result<Bytes, PackError> {
        self.check_size(entry, entry.header.size)?;
        let mut data = Vec::new();
        let inflated = zlib::with_inflater(|inflater, _| {
            inflater.inflate(self.deflated(entry), entry.header.size, &mut data)
        });
        inflated.map_err(|error| inflate_error(entry.offset, entry.header.size, error))?;
        Ok(Bytes::from(data))
    }

    /// What the delta that `entry` holds makes of `base`.
    fn apply(&self, entry: &Entry, base: &[u8]) -> Result<Bytes, PackError> {
        let (offset, size) = (entry.offset, entry.header.size);
        self.check_size(entry, size)?;
        zlib::with_inflater(|inflater, delta| {
            let inflated = inflater.inflate(self.deflated(entry), size, delta);
            inflated.map_err(|error| inflate_error(offset, size, error))?;
            let made = delta::apply(base, delta, OBJECT_BYTES_MAX);
            made.map(Bytes::from)
                .map_err(|source| PackError::Delta { offset, source })
        })
    }

    fn check_size(&self, entry: &Entry, size: u64) -> Result<(), PackError> {
        if size > OBJECT_BYTES_MAX {
            let offset = entry.offset;
            return Err(PackError::ObjectTooLarge {
                offset,
                size,
                limit: OBJECT_BYTES_MAX,
            });
        }
        Ok(())
    }

    /// The size of what a delta makes.
    fn made_size(&self, entry: &Entry) -> Result<u64, PackError> {
        let (offset, size) = (entry.offset, entry.header.size);
        let deflated = self.deflated(entry);
        let sizes = if size <= SMALL_DELTA_BYTES {
            zlib::with_inflater(|inflater, delta| {
                inflater
                    .inflate(deflated, size, delta)
                    .map(|_| delta::sizes(delta))
            })
        } else {
            let mut front = [0; delta::SIZES_BYTES_MAX];
            zlib::inflate_front(deflated, &mut front).map(delta::sizes)
        };
        let sizes = sizes.map_err(|error| inflate_error(offset, size, error))?;
        match sizes {
            Ok((_, made)) => Ok(made),
            Err(source) => Err(PackError::Delta { offset, source }),
        }
    }
}

/// Up to here inflating all of a delta costs less than setting up to inflate its front.
const SMALL_DELTA_BYTES: u64 = 2 << 10;

/// An entry, found.
struct Entry {
    header: EntryHeader,
    offset: u64,
    deflated_at: usize,
}

/// Where a base is.
enum Place {
    /// In the same pack, at this offset.
    Inside(u64),
    /// Elsewhere.
    Outside(ObjectId),
}

/// A whole object, inflated piece by piece.
pub struct ObjectStream {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its size: all pieces together.
    pub size: u64,
    offset: u64,
    deflated: Bytes,
    inflater: StreamInflater,
    has_ended: bool,
}

/// Pieces of up to 64 KiB. The last is an error if the pack is damaged.
impl Iterator for ObjectStream {
    type Item = Result<Bytes, PackError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let mut piece = vec![0; zlib::PIECE_BYTES];
        match self.inflater.next(&self.deflated, &mut piece) {
            Ok(0) => {
                self.has_ended = true;
                None
            }
            Ok(filled) => {
                piece.truncate(filled);
                Some(Ok(Bytes::from(piece)))
            }
            Err(error) => {
                self.has_ended = true;
                Some(Err(inflate_error(self.offset, self.size, error)))
            }
        }
    }
}
