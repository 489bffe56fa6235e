//! Writing packs.

use std::io;

use crate::checksum::Checksum;
use crate::{ObjectFormat, ObjectId, ObjectKind, oid};

use super::entry::write_header;
use super::zlib::Deflater;
use super::{EntryKind, PackEntries, PackError, RawEntry};

/// Writes a pack, entry by entry, and keeps what its index needs.
pub struct PackWriter<W> {
    out: W,
    checksum: Checksum,
    count: u32,
    offset: u64,
    entries: PackEntries,
    deflater: Option<Deflater>,
    /// The entry that is being written.
    entry: Vec<u8>,
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
        let mut writer = PackWriter {
            out,
            checksum: Checksum::new(format),
            count,
            offset: 0,
            entries: PackEntries::new(format),
            deflater: None,
            entry: Vec::new(),
        };
        let header = [*b"PACK", 2u32.to_be_bytes(), count.to_be_bytes()].concat();
        writer.put(&header)?;
        Ok(writer)
    }

    /// Where the next entry will begin: subtract an earlier one's for
    /// [`EntryKind::OfsDelta`]'s distance.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The entries so far.
    pub fn entries(&self) -> &PackEntries {
        &self.entries
    }

    /// What is written to, for those who drain it.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes an object as it is, deflated at `level` (0 to 12; 1 is fast and nearly as small).
    /// Returns where its entry begins.
    ///
    /// # Errors
    /// [`PackError::Io`], [`PackError::Format`].
    pub fn whole(
        &mut self,
        id: &oid,
        kind: ObjectKind,
        data: &[u8],
        level: u8,
    ) -> Result<u64, PackError> {
        self.deflated(id, &EntryKind::Whole(kind), data, level)
    }

    /// Writes the object `id` as `delta` of `base`, deflated at `level`; `base` is never
    /// [`EntryKind::Whole`].
    ///
    /// # Errors
    /// [`PackError::Io`], [`PackError::Format`].
    pub fn delta(
        &mut self,
        id: &oid,
        base: &EntryKind,
        delta: &[u8],
        level: u8,
    ) -> Result<u64, PackError> {
        debug_assert!(!matches!(base, EntryKind::Whole(_)), "a delta has a base");
        self.deflated(id, base, delta, level)
    }

    /// Writes an entry of another pack with its deflated bytes as they are; `kind` says what it
    /// is here: a delta's base is elsewhere now.
    ///
    /// # Errors
    /// [`PackError::Io`], [`PackError::Format`].
    pub fn raw(&mut self, id: &oid, kind: &EntryKind, entry: &RawEntry) -> Result<u64, PackError> {
        self.begin(id, kind, entry.size)?;
        self.entry.extend_from_slice(&entry.deflated);
        self.end(id)
    }

    /// Ends the pack with its trailer.
    ///
    /// # Errors
    /// [`PackError::CountMismatch`], [`PackError::Io`].
    pub fn finish(mut self) -> Result<WrittenPack<W>, PackError> {
        if self.entries.len() as u64 != u64::from(self.count) {
            let written = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
            return Err(PackError::CountMismatch {
                expected: self.count,
                written,
            });
        }
        let checksum = self.checksum.finish();
        self.out.write_all(checksum.as_bytes())?;
        self.out.flush()?;
        let bytes = self.offset + checksum.as_bytes().len() as u64;
        Ok(WrittenPack {
            checksum,
            entries: self.entries,
            bytes,
            out: self.out,
        })
    }

    fn deflated(
        &mut self,
        id: &oid,
        kind: &EntryKind,
        data: &[u8],
        level: u8,
    ) -> Result<u64, PackError> {
        self.begin(id, kind, data.len() as u64)?;
        let level = level.min(Deflater::LEVEL_MAX);
        let deflater = match self.deflater.take() {
            Some(deflater) if deflater.level() == level => deflater,
            _ => Deflater::new(level),
        };
        self.deflater
            .insert(deflater)
            .deflate(data, &mut self.entry);
        self.end(id)
    }

    /// Puts the header of an entry into [`PackWriter::entry`].
    fn begin(&mut self, id: &oid, kind: &EntryKind, size: u64) -> Result<(), PackError> {
        let format = self.entries.format();
        let of_format = |id: &oid| id.kind() == format;
        let base_fits = match kind {
            EntryKind::RefDelta { base } => of_format(base),
            EntryKind::OfsDelta { .. } | EntryKind::Whole(_) => true,
        };
        if !of_format(id) || !base_fits {
            return Err(PackError::Format { expected: format });
        }
        self.entry.clear();
        write_header(kind, size, &mut self.entry);
        Ok(())
    }

    /// Writes [`PackWriter::entry`].
    fn end(&mut self, id: &oid) -> Result<u64, PackError> {
        let offset = self.offset;
        let entry = std::mem::take(&mut self.entry);
        self.put(&entry)?;
        self.entries.push(id, crc32fast::hash(&entry), offset);
        self.entry = entry;
        Ok(offset)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.out.write_all(bytes)?;
        self.checksum.update(bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }
}
