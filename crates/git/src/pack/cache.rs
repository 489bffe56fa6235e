//! Inflated bases of deltas, kept for the next delta that needs them.

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::{Object, ObjectKind};

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
pub struct DeltaBaseCache {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

/// Where an object's entry is: pack and offset.
type Place = (u64, u64);

/// A part of the cache: a list from the most to the least recently used, in slots that are reused.
struct Shard {
    slots: Vec<Slot>,
    /// Which slot has a place.
    by_place: HashTable<u32>,
    newest: u32,
    oldest: u32,
    free: Vec<u32>,
    used_bytes: usize,
    limit_bytes: usize,
}

struct Slot {
    place: Place,
    object: Object,
    newer: u32,
    older: u32,
}

/// No slot.
const NONE: u32 = u32::MAX;

const SHARDS: usize = 16;

/// What keeping an object costs besides its content.
const SLOT_BYTES: usize = 96;

impl DeltaBaseCache {
    /// A cache that keeps up to `bytes` of inflated objects. One that is larger than a
    /// thirty-second of it is not kept.
    pub fn new(bytes: usize) -> DeltaBaseCache {
        let limit_bytes = bytes / SHARDS;
        let shard = || {
            Mutex::new(Shard {
                slots: Vec::new(),
                by_place: HashTable::new(),
                newest: NONE,
                oldest: NONE,
                free: Vec::new(),
                used_bytes: 0,
                limit_bytes,
            })
        };
        let shards = std::iter::repeat_with(shard).take(SHARDS).collect();
        DeltaBaseCache {
            shards,
            hasher: RandomState::default(),
        }
    }

    /// How many bytes it keeps now.
    pub fn used_bytes(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).used_bytes).sum()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            while shard.oldest != NONE {
                let oldest = shard.oldest;
                shard.remove(oldest, &self.hasher);
            }
        }
    }

    fn shard(&self, place: Place) -> (u64, MutexGuard<'_, Shard>) {
        let hash = self.hasher.hash_one(place);
        (hash, lock(&self.shards[hash as usize >> 7 & (SHARDS - 1)]))
    }
}

/// What is behind the lock is whole between any two statements that can panic.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BaseCache for DeltaBaseCache {
    fn get(&self, pack: u64, offset: u64) -> Option<Object> {
        let (hash, mut shard) = self.shard((pack, offset));
        let slot = shard.find(hash, (pack, offset))?;
        if shard.newest != slot {
            shard.unlink(slot);
            shard.link_newest(slot);
        }
        Some(shard.slots[slot as usize].object.clone())
    }

    fn put(&self, pack: u64, offset: u64, object: Object) {
        let place = (pack, offset);
        let bytes = object.data.len() + SLOT_BYTES;
        let (hash, mut shard) = self.shard(place);
        if bytes > shard.limit_bytes / 2 || shard.find(hash, place).is_some() {
            return;
        }
        shard.used_bytes += bytes;
        while shard.used_bytes > shard.limit_bytes && shard.oldest != NONE {
            let oldest = shard.oldest;
            shard.remove(oldest, &self.hasher);
        }
        shard.insert(hash, place, object, &self.hasher);
    }
}

impl Shard {
    fn find(&self, hash: u64, place: Place) -> Option<u32> {
        self.by_place
            .find(hash, |&slot| self.slots[slot as usize].place == place)
            .copied()
    }

    fn insert(&mut self, hash: u64, place: Place, object: Object, hasher: &RandomState) {
        let filled = Slot {
            place,
            object,
            newer: NONE,
            older: NONE,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = filled;
                slot
            }
            None => {
                self.slots.push(filled);
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.by_place.insert_unique(hash, slot, |&slot| {
            hasher.hash_one(slots[slot as usize].place)
        });
        self.link_newest(slot);
    }

    fn remove(&mut self, slot: u32, hasher: &RandomState) {
        self.unlink(slot);
        let place = self.slots[slot as usize].place;
        if let Ok(found) = self
            .by_place
            .find_entry(hasher.hash_one(place), |&other| other == slot)
        {
            found.remove();
        }
        let nothing = Object {
            kind: ObjectKind::Blob,
            data: Bytes::new(),
        };
        let object = std::mem::replace(&mut self.slots[slot as usize].object, nothing);
        self.used_bytes -= object.data.len() + SLOT_BYTES;
        self.free.push(slot);
    }

    fn unlink(&mut self, slot: u32) {
        let (newer, older) = (
            self.slots[slot as usize].newer,
            self.slots[slot as usize].older,
        );
        match newer {
            NONE => self.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
    }

    fn link_newest(&mut self, slot: u32) {
        let before = std::mem::replace(&mut self.newest, slot);
        self.slots[slot as usize].newer = NONE;
        self.slots[slot as usize].older = before;
        match before {
            NONE => self.oldest = slot,
            before => self.slots[before as usize].newer = slot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(length: usize) -> Object {
        Object {
            kind: ObjectKind::Blob,
            data: Bytes::from(vec![1; length]),
        }
    }

    #[test]
    fn what_was_used_last_stays() {
        // Room for ten in each shard, and so many that every shard gets more.
        const OFFSETS: u64 = 10_000;
        let cache = DeltaBaseCache::new(SHARDS * 10 * 1000);
        let content = 1000 - SLOT_BYTES;
        cache.put(1, 0, object(content));
        for offset in 1..OFFSETS {
            cache.put(1, offset, object(content));
            assert!(
                cache.get(1, 0).is_some(),
                "it is used again and again, and gone at {offset}"
            );
            assert!(cache.get(1, offset).is_some());
        }
        let kept = (0..OFFSETS)
            .filter(|&offset| cache.get(1, offset).is_some())
            .count();
        assert_eq!(kept, SHARDS * 10);
        assert_eq!(cache.used_bytes(), SHARDS * 10 * 1000);
        assert!(cache.get(1, 1).is_none() && cache.get(2, 999).is_none());
        cache.clear();
        assert_eq!(cache.used_bytes(), 0);
        assert!(cache.get(1, OFFSETS - 1).is_none());
    }

    #[test]
    fn what_would_push_everything_out_is_not_kept() {
        let cache = DeltaBaseCache::new(SHARDS * 1000);
        cache.put(1, 1, object(1000));
        assert!(cache.get(1, 1).is_none());
        assert_eq!(cache.used_bytes(), 0);
    }
}
