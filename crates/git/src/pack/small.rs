//! A small pack, all at once in memory.

use bytes::Bytes;

use crate::{Object, ObjectFormat, ObjectId, ObjectKind, oid};

use super::{DeltaBase, IndexLimits, PackError, PackVisitor, VisitedObject, index_pack};

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
    let limit = limits.memory_bytes as u64;
    let mut collector = Collector {
        objects: Vec::new(),
        kept_bytes: 0,
        limit,
        is_full: false,
    };
    match index_pack(pack, format, limits, external, &mut collector) {
        Err(PackError::Refused { .. }) if collector.is_full => {
            return Err(PackError::TotalTooLarge { limit });
        }
        result => result?,
    };
    collector
        .objects
        .sort_unstable_by_key(|(number, _)| *number);
    Ok(collector
        .objects
        .into_iter()
        .map(|(_, object)| object)
        .collect())
}

/// Keeps all it is shown, up to a limit.
struct Collector {
    objects: Vec<(u32, ParsedObject)>,
    kept_bytes: u64,
    limit: u64,
    is_full: bool,
}

impl Collector {
    fn keep(&mut self, bytes: u64) -> Result<(), String> {
        self.kept_bytes = self.kept_bytes.saturating_add(bytes);
        self.is_full = self.kept_bytes > self.limit;
        if self.is_full {
            Err("there is too much of it".to_owned())
        } else {
            Ok(())
        }
    }
}

impl PackVisitor for Collector {
    fn object(&mut self, object: &VisitedObject<'_>) -> Result<(), String> {
        let delta_bytes = object.base.map_or(0, |base| base.delta.len());
        self.keep((object.data.len() + delta_bytes) as u64)?;
        let delta = |base: DeltaBase<'_>| (base.id.to_owned(), Bytes::copy_from_slice(base.delta));
        let parsed = ParsedObject {
            id: object.id.to_owned(),
            kind: object.kind,
            data: Bytes::copy_from_slice(object.data),
            delta: object.base.map(delta),
        };
        self.objects.push((object.number, parsed));
        Ok(())
    }

    fn large_blob(&mut self, _id: &oid, _number: u32, _size: u64) -> Result<(), String> {
        self.keep(u64::MAX)
    }
}
