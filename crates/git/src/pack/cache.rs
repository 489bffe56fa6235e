//! Inflated bases of deltas, kept for the next delta that needs them.

use crate::Object;

/// Where bases are kept between reads, by the pack they are in and their offset in it.
pub trait BaseCache: Send + Sync {
    /// The object whose entry is there, if it is kept.
    fn get(&self, pack: u64, offset: u64) -> Option<Object>;
    /// Keeps it, or does not.
    fn put(&self, pack: u64, offset: u64, object: Object);
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCache;

impl BaseCache for NoCache {
    fn get(&self, _pack: u64, _offset: u64) -> Option<Object> {
        None
    }
    fn put(&self, _pack: u64, _offset: u64, _object: Object) {}
}

/// Keeps what was used last, up to a number of bytes; sharded, so that readers seldom meet.
pub struct DeltaBaseCache {}

impl DeltaBaseCache {
    /// A cache that keeps up to `bytes` of inflated objects.
    pub fn new(bytes: usize) -> DeltaBaseCache {
        unimplemented!()
    }

    /// How many bytes it keeps now.
    pub fn used_bytes(&self) -> usize {
        unimplemented!()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        unimplemented!()
    }
}

impl BaseCache for DeltaBaseCache {
    fn get(&self, pack: u64, offset: u64) -> Option<Object> {
        unimplemented!()
    }
    fn put(&self, pack: u64, offset: u64, object: Object) {
        unimplemented!()
    }
}
