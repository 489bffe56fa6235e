//! A push that is kept as the pack that it came as.

use std::collections::HashSet;
use std::io;

use govc_git::pack::{DeltaBaseCache, Pack, PackError, PackSpool as CompletedSpool};
use govc_git::{Object, ObjectId, ObjectKind, oid};

use super::connectivity::Arrived;
use crate::journal::PackSpool;
use crate::pool::PoolError;

/// The objects of a large push, in its pack.
pub(super) struct Large<'a> {
    pack: &'a Pack,
    cache: DeltaBaseCache,
    /// Objects that were appended to a thin pack: they did not come, they were there.
    bases: HashSet<ObjectId>,
}

/// Bytes of delta bases that are kept while the commits of a large push are walked.
const WALK_CACHE_BYTES: usize = 16 << 20;

impl<'a> Large<'a> {
    pub(super) fn new(pack: &'a Pack, bases: &[ObjectId]) -> Large<'a> {
        Large {
            pack,
            cache: DeltaBaseCache::new(WALK_CACHE_BYTES),
            bases: bases.iter().copied().collect(),
        }
    }

    fn damaged(id: &oid, error: &PackError) -> PoolError {
        PoolError::Damaged {
            id: id.to_owned(),
            pack: None,
            what: error.to_string(),
        }
    }
}

impl Arrived for Large<'_> {
    fn kind(&self, id: &oid) -> Option<ObjectKind> {
        if self.bases.contains(id) || self.pack.index().lookup(id).is_none() {
            return None;
        }
        let (kind, _) = self.pack.header(id, &|_| None).ok()??;
        Some(kind)
    }

    fn find(&self, id: &oid) -> Result<Option<Object>, PoolError> {
        if self.bases.contains(id) {
            return Ok(None);
        }
        let found = self.pack.find(id, &|_| None, &self.cache);
        found.map_err(|error| Large::damaged(id, &error))
    }
}

/// Lets a thin pack be completed where it was written.
pub(super) struct Completed<'a>(pub(super) &'a mut dyn PackSpool);

impl CompletedSpool for Completed<'_> {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }
}
