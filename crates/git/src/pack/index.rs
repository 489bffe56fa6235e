//! A pack's index, version 2: which objects a pack has, and where.

use std::ops::Range;

use bytes::Bytes;

use crate::{ObjectFormat, ObjectId, oid};

/// What is wrong with an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The first bytes are not those of an index of version 2.
    #[error("this is not a pack index of version 2")]
    NotAnIndex,
    /// Its length is not what its number of objects asks for.
    #[error("an index of {objects} objects cannot have {bytes} bytes")]
    Length {
        /// The number of objects.
        objects: u32,
        /// The index's length.
        bytes: usize,
    },
    /// The fan-out table goes down somewhere.
    #[error("the fan-out table is not sorted at {byte:#04x}")]
    FanOut {
        /// Where.
        byte: u8,
    },
    /// The ids are not sorted, or one is there twice, or the fan-out table lies about it.
    #[error("the ids are not in order at position {position}")]
    Order {
        /// Where.
        position: u32,
    },
    /// An offset points into a table of large offsets that is not that long.
    #[error("the offset at position {position} is not there")]
    Offset {
        /// Where.
        position: u32,
    },
    /// The trailer is not the hash of what comes before it.
    #[error("the index's checksum is wrong")]
    Checksum,
}

/// An index over its bytes, which may be a mapped file: nothing is copied.
///
/// Positions count objects in the order of their ids.
#[derive(Debug, Clone)]
pub struct PackIndex {
    data: Bytes,
    format: ObjectFormat,
}

impl PackIndex {
    /// Reads the index in `data`. Takes time for the fan-out table alone: see
    /// [`PackIndex::verify`] for the rest. No later call panics, whatever `data` is; ids that
    /// are not sorted are merely not found.
    ///
    /// # Errors
    /// [`IndexError`] when this cannot be an index.
    pub fn parse(data: Bytes, format: ObjectFormat) -> Result<PackIndex, IndexError> {
        unimplemented!()
    }

    /// Checks everything that [`PackIndex::parse`] does not: order, offsets, checksum.
    ///
    /// # Errors
    /// [`IndexError`], the first that is found.
    pub fn verify(&self) -> Result<(), IndexError> {
        unimplemented!()
    }

    /// The hash that its ids are made with.
    pub fn format(&self) -> ObjectFormat {
        self.format
    }

    /// The index as it is on disk.
    pub fn bytes(&self) -> &Bytes {
        &self.data
    }

    /// How many objects there are.
    pub fn len(&self) -> u32 {
        unimplemented!()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position of `id`.
    pub fn lookup(&self, id: &oid) -> Option<u32> {
        unimplemented!()
    }

    /// The id at `position`.
    ///
    /// # Panics
    /// When `position` is not below [`PackIndex::len`]; so do the next two.
    pub fn id(&self, position: u32) -> &oid {
        unimplemented!()
    }

    /// Where in the pack the entry of `position` begins. `u64::MAX` if the index is damaged there.
    pub fn offset(&self, position: u32) -> u64 {
        unimplemented!()
    }

    /// The CRC-32 of the entry's bytes in the pack.
    pub fn crc32(&self, position: u32) -> u32 {
        unimplemented!()
    }

    /// The positions of all ids that begin with the first `hex_len` hexadecimal digits of `prefix`.
    pub fn prefix_range(&self, prefix: &[u8], hex_len: usize) -> Range<u32> {
        unimplemented!()
    }

    /// The trailer of the pack that this is the index of.
    pub fn pack_checksum(&self) -> ObjectId {
        unimplemented!()
    }

    /// The position of the entry that begins at `offset`. The first call makes a table of 4 bytes
    /// an object.
    pub fn position_by_offset(&self, offset: u64) -> Option<u32> {
        unimplemented!()
    }

    /// Positions in the order of the pack.
    pub fn positions_in_pack_order(&self) -> &[u32] {
        unimplemented!()
    }
}

/// One object of a pack, for its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// The object.
    pub id: ObjectId,
    /// The CRC-32 of its entry's bytes.
    pub crc32: u32,
    /// Where its entry begins.
    pub offset: u64,
}

/// The index of a pack with these entries, as `git index-pack` writes it. Sorts `entries` by id.
pub fn write_index(
    entries: &mut [IndexEntry],
    pack_checksum: &oid,
    format: ObjectFormat,
) -> Vec<u8> {
    unimplemented!()
}

/// The entries of a pack in the pack's order, without padding: 32 bytes each for SHA-1.
#[derive(Debug, Clone)]
pub struct PackEntries {
    format: ObjectFormat,
    ids: Vec<u8>,
    crc32s: Vec<u32>,
    offsets: Vec<u64>,
}

impl PackEntries {
    /// No entries yet.
    pub fn new(format: ObjectFormat) -> PackEntries {
        PackEntries {
            format,
            ids: Vec::new(),
            crc32s: Vec::new(),
            offsets: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Adds an entry behind the others.
    pub fn push(&mut self, id: &oid, crc32: u32, offset: u64) {
        unimplemented!()
    }

    /// The id of the entry numbered `number` in the pack's order.
    pub fn id(&self, number: usize) -> &oid {
        unimplemented!()
    }

    /// All of them, in the pack's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = IndexEntry> + '_ {
        (0..self.len()).map(|number| IndexEntry {
            id: self.id(number).to_owned(),
            crc32: self.crc32s[number],
            offset: self.offsets[number],
        })
    }

    /// The pack's index: see [`write_index`].
    pub fn write_index(&self, pack_checksum: &oid) -> Vec<u8> {
        unimplemented!()
    }
}
