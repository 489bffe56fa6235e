//! A pack as it is sent: made piece by piece from the packs that are there.

use std::sync::Arc;

use bytes::Bytes;

use super::{ObjectSet, Pool, PoolError};

/// What the receiver of a pack understands and has.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    /// It takes deltas whose base is not in the pack but in `have`.
    pub thin: bool,
    /// It takes deltas that name their base by its distance.
    pub ofs_delta: bool,
    /// For thin packs: commits that it has, with all that they reach.
    pub have: Vec<govc_git::ObjectId>,
}

/// A pack, piece by piece: header, entries, trailer. Pieces are up to 1 MiB, most of them views
/// of packs in memory.
pub struct PackStream {
    pool: Arc<Pool>,
}

impl PackStream {
    /// How many objects the pack has.
    pub fn len(&self) -> u32 {
        unimplemented!()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many objects were sent so far, for progress.
    pub fn sent(&self) -> u32 {
        unimplemented!()
    }
}

impl Iterator for PackStream {
    type Item = Result<Bytes, PoolError>;

    fn next(&mut self) -> Option<Result<Bytes, PoolError>> {
        let _ = &self.pool;
        unimplemented!()
    }
}

impl Pool {
    /// The pack of `set`.
    ///
    /// # Errors
    /// [`PoolError::TooMany`].
    pub fn pack_stream(
        self: &Arc<Self>,
        set: ObjectSet,
        options: PackOptions,
    ) -> Result<PackStream, PoolError> {
        let _ = (set, options);
        unimplemented!()
    }
}
