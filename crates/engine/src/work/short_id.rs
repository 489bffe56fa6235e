//! Ids as Git abbreviates them.

use govc_git::{ObjectId, oid};

use crate::pool::Pool;

/// The least number of digits that Git gives an abbreviation.
const DIGITS_MIN: usize = 7;

/// The id as Git abbreviates it where there are so many objects: half as many digits as their
/// number has bits, at least seven, and as many more as make it the only one.
pub(super) fn short_id_among(pool: &Pool, id: &oid, objects: u64) -> String {
    let bits = objects.checked_ilog2().map_or(0, |bits| bits as usize + 1);
    let hex = id.to_string();
    let mut length = bits.div_ceil(2).max(DIGITS_MIN);
    while length < hex.len() && pool.candidates(&hex[..length], 2).len() > 1 {
        length += 1;
    }
    hex[..length.min(hex.len())].to_owned()
}

/// The id as Git abbreviates it in a clone of what the pool has.
pub(super) fn short_id(pool: &Pool, id: &ObjectId) -> String {
    short_id_among(pool, id, pool.stats().objects)
}
