//! Writing packs.

use std::io;

use crate::{ObjectFormat, ObjectId, ObjectKind, oid};

use super::{EntryKind, PackEntries, PackError, RawEntry};

/// Writes a pack, entry by entry, and keeps what its index needs.
pub struct PackWriter<W> {
    out: W,
    entries: PackEntries,
}

/// A pack that was written.
#[derive(Debug)]
pub struct WrittenPack<W> {
    /// Its trailer.
    pub checksum: ObjectId,
    /// Its entries; [`PackEntries::write_index`] makes the index.
    pub entries: PackEntries,
    /// How many bytes it has.
    pub bytes: u64,
    /// What was written to.
    pub out: W,
}

impl<W: io::Write> PackWriter<W> {
    /// Begins a pack of `count` objects.
    ///
    /// # Errors
    /// [`PackError::Io`].
    pub fn new(out: W, format: ObjectFormat, count: u32) -> Result<PackWriter<W>, PackError> {
        unimplemented!()
    }

    /// Where the next entry will begin: subtract an earlier one's for
    /// [`EntryKind::OfsDelta`]'s distance.
    pub fn offset(&self) -> u64 {
        unimplemented!()
    }

    /// What is written to, for those who drain it.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes an object as it is, deflated at `level` (0 to 12; 1 is fast and nearly as small).
    /// Returns where its entry begins.
    ///
    /// # Errors
    /// [`PackError::Io`].
    pub fn whole(
        &mut self,
        id: &oid,
        kind: ObjectKind,
        data: &[u8],
        level: u8,
    ) -> Result<u64, PackError> {
        unimplemented!()
    }

    /// Writes the object `id` as `delta` of `base`, deflated at `level`; `base` is never
    /// [`EntryKind::Whole`].
    ///
    /// # Errors
    /// [`PackError::Io`].
    pub fn delta(
        &mut self,
        id: &oid,
        base: &EntryKind,
        delta: &[u8],
        level: u8,
    ) -> Result<u64, PackError> {
        unimplemented!()
    }

    /// Writes an entry of another pack with its deflated bytes as they are; `kind` says what it
    /// is here: a delta's base is elsewhere now.
    ///
    /// # Errors
    /// [`PackError::Io`].
    pub fn raw(&mut self, id: &oid, kind: &EntryKind, entry: &RawEntry) -> Result<u64, PackError> {
        unimplemented!()
    }

    /// Ends the pack with its trailer.
    ///
    /// # Errors
    /// [`PackError::CountMismatch`], [`PackError::Io`].
    pub fn finish(self) -> Result<WrittenPack<W>, PackError> {
        unimplemented!()
    }
}
