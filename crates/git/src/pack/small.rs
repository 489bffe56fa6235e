//! A small pack, all at once in memory.

use bytes::Bytes;

use crate::{Object, ObjectFormat, ObjectId, ObjectKind, oid};

use super::{IndexLimits, PackError};

/// An object of a small pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedObject {
    /// Its id.
    pub id: ObjectId,
    /// Its kind.
    pub kind: ObjectKind,
    /// Its content.
    pub data: Bytes,
    /// The base it came as a delta of, and that delta.
    pub delta: Option<(ObjectId, Bytes)>,
}

/// The objects of `pack`, in its order. For packs of about 1 MiB: everything is held in memory.
///
/// # Errors
/// [`PackError`] as [`super::index_pack`] has it; [`PackError::TotalTooLarge`] when the objects have
/// more than `limits.memory_bytes` together, or one is a blob larger than
/// [`super::indexer::LARGE_BLOB_BYTES`]: such a pack is for [`super::index_pack`].
pub fn parse_small(
    pack: &[u8],
    format: ObjectFormat,
    limits: &IndexLimits,
    external: &dyn Fn(&oid) -> Option<Object>,
) -> Result<Vec<ParsedObject>, PackError> {
    unimplemented!()
}
