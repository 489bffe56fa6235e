//! Entries of packs, to be passed on.

use std::ops::Range;

use govc_git::Object;
use govc_git::pack::{Pack, PackError};

use crate::pool::pack_list::PoolPack;
use crate::pool::{Pool, PoolError};

/// An entry of a pack, of which it is known that its bytes are what they were.
pub(super) struct Entry<'p> {
    pool_pack: &'p PoolPack,
    pub(super) pack: &'p Pack,
    /// Its place in the order of the pack.
    pub(super) rank: usize,
    pub(super) position: u32,
    pub(super) source: u64,
    pub(super) range: Range<usize>,
}

impl<'p> Entry<'p> {
    /// The entry that is number `rank` in the order of its pack, and at `position` of the index.
    pub(super) fn at(
        pool_pack: &'p PoolPack,
        rank: usize,
        position: u32,
    ) -> Result<Entry<'p>, PoolError> {
        let pack = &pool_pack.pack;
        let index = pack.index();
        let damaged = |error| pool_pack.damaged(index.id(position), &error);
        let range = range_of(pack, rank);
        let Some(range) = range.filter(|range| pack.bytes().get(range.clone()).is_some()) else {
            return Err(damaged(wrong_index()));
        };
        let entry = Entry {
            pool_pack,
            pack,
            rank,
            position,
            source: range.start as u64,
            range,
        };
        // What is damaged is not passed on as if it were whole.
        if crc32fast::hash(entry.bytes()) != index.crc32(position) {
            return Err(damaged(PackError::Index {
                reason: "the entry is not what its checksum says",
            }));
        }
        Ok(entry)
    }

    /// The object at `position` of the same pack.
    pub(super) fn object_at(&self, pool: &Pool, position: u32) -> Result<Object, PoolError> {
        let object = (self.pack).object_at(position, &|_| None, &pool.base_cache);
        object.map_err(|error| self.damaged(&error))
    }

    pub(super) fn bytes(&self) -> &'p [u8] {
        self.pack
            .bytes()
            .get(self.range.clone())
            .unwrap_or_default()
    }

    pub(super) fn damaged(&self, error: &dyn std::error::Error) -> PoolError {
        PoolError::Damaged {
            id: self.pack.index().id(self.position).to_owned(),
            pack: Some(self.pool_pack.id),
            what: error.to_string(),
        }
    }
}

/// Where the entry that is number `rank` in the order of its pack is, if its index is right.
pub(super) fn range_of(pack: &Pack, rank: usize) -> Option<Range<usize>> {
    let index = pack.index();
    let begin = |rank| usize::try_from(index.offset_by_rank(rank)?).ok();
    let behind_all = pack
        .bytes()
        .len()
        .checked_sub(index.format().len_in_bytes())?;
    let end = match rank + 1 < index.positions_in_pack_order().len() {
        true => begin(rank + 1)?,
        false => behind_all,
    };
    Some(begin(rank)?..end)
}

pub(super) fn wrong_index() -> PackError {
    PackError::Index {
        reason: "it names places outside the pack",
    }
}
