//! Making a thin pack whole: the bases that it needs are appended to it.

use std::io;

use crate::{Object, ObjectFormat, oid};

use super::{IndexedPack, PackError};

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

/// Appends to the pack in `spool` the bases that `indexed` misses, each whole, and mends its count
/// and its trailer; `indexed` is then what the whole pack has. Does nothing when none is missing.
///
/// `pack` is what is in `spool` before. `external` is that of [`super::index_pack`].
///
/// # Errors
/// [`PackError::MissingBase`] when `external` no longer knows a base, [`PackError::Io`].
pub fn complete(
    pack: &[u8],
    format: ObjectFormat,
    indexed: &mut IndexedPack,
    external: &dyn Fn(&oid) -> Option<Object>,
    spool: &mut dyn PackSpool,
) -> Result<(), PackError> {
    unimplemented!()
}
