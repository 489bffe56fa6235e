//! Making a thin pack whole: the bases that it needs are appended to it.

use std::io;

use crate::checksum::Checksum;
use crate::{Object, ObjectFormat, oid};

use super::entry::write_header;
use super::indexer::PackHeader;
use super::zlib::Deflater;
use super::{EntryKind, IndexedPack, PackError};

/// Where a pack's bytes are kept while it is completed.
pub trait PackSpool {
    /// Cuts off everything from `length` on.
    ///
    /// # Errors
    /// What the medium says.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// What the medium says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Overwrites bytes that are there.
    ///
    /// # Errors
    /// What the medium says.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
}

/// A pack that is all in memory.
impl PackSpool for Vec<u8> {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        Vec::truncate(self, usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
        match range.and_then(|(start, end)| self.get_mut(start..end)) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// How the bases are deflated: they are of the size of what is deflated best, and few.
const LEVEL: u8 = 1;

/// Appends to the pack in `spool` the bases that `indexed` misses, each whole, and mends its count
/// and its trailer; `indexed` is then what the whole pack has. Does nothing when none is missing.
///
/// `pack` is what is in `spool` before: all of it is hashed again, as its first bytes change.
/// `external` is that of [`super::index_pack`].
///
/// # Errors
/// [`PackError::MissingBase`] when `external` no longer knows a base, [`PackError::ObjectCount`]
/// when there are too many, [`PackError::Io`].
pub fn complete(
    pack: &[u8],
    format: ObjectFormat,
    indexed: &mut IndexedPack,
    external: &dyn Fn(&oid) -> Option<Object>,
    spool: &mut dyn PackSpool,
) -> Result<(), PackError> {
    if indexed.missing_bases.is_empty() {
        return Ok(());
    }
    let header = PackHeader::parse(pack, format, u32::MAX)?;
    let added = u32::try_from(indexed.missing_bases.len()).ok();
    let Some(count) = added.and_then(|added| header.count.checked_add(added)) else {
        let reason = "with the objects that it needs there are more than 2^32";
        return Err(PackError::ObjectCount {
            count: header.count,
            reason,
        });
    };
    let mut checksum = Checksum::new(format);
    checksum.update(&pack[..COUNT_AT]);
    checksum.update(&count.to_be_bytes());
    checksum.update(&pack[PackHeader::BYTES..header.trailer_at]);

    spool.truncate(header.trailer_at as u64)?;
    let mut offset = header.trailer_at as u64;
    let mut deflater = Deflater::new(LEVEL);
    let mut entry = Vec::new();
    for base in &indexed.missing_bases {
        let Some(object) = external(base) else {
            return Err(PackError::MissingBase {
                offset,
                base: *base,
                count: 1,
            });
        };
        entry.clear();
        write_header(
            &EntryKind::Whole(object.kind),
            object.data.len() as u64,
            &mut entry,
        );
        deflater.deflate(&object.data, &mut entry);
        spool.append(&entry)?;
        checksum.update(&entry);
        indexed.entries.push(base, crc32fast::hash(&entry), offset);
        indexed.total_inflated += object.data.len() as u64;
        offset += entry.len() as u64;
    }
    indexed.checksum = checksum.finish();
    spool.append(indexed.checksum.as_bytes())?;
    spool.write_at(COUNT_AT as u64, &count.to_be_bytes())?;
    indexed.missing_bases.clear();
    Ok(())
}

/// Where the header has the number of objects.
const COUNT_AT: usize = 8;
