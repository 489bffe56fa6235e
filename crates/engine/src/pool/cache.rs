//! Objects that were read lately.

use std::mem;
use std::sync::{Mutex, PoisonError};

use govc_git::{Object, ObjectId, oid};
use hashbrown::HashMap;

const SHARDS: usize = 8;
/// Bytes that an entry costs besides its content.
const ENTRY_BYTES: usize = 160;
/// Larger parts of a shard than this are not given to one object.
const OBJECT_SHARE_MAX: usize = 4;

/// A cache with a budget of bytes, in two generations: what is read again moves to the young one,
/// and when that has half the budget the old one is dropped. Close to least-recently-used, without
/// a list to maintain.
pub(super) struct ReadCache {
    shards: [Mutex<Shard>; SHARDS],
    /// Half of a shard's budget.
    generation_bytes: usize,
}

#[derive(Default)]
struct Shard {
    young: HashMap<ObjectId, Object>,
    old: HashMap<ObjectId, Object>,
    young_bytes: usize,
    old_bytes: usize,
}

impl ReadCache {
    pub(super) fn new(bytes: usize) -> ReadCache {
        ReadCache {
            shards: Default::default(),
            generation_bytes: bytes / SHARDS / 2,
        }
    }

    fn shard(&self, id: &oid) -> &Mutex<Shard> {
        // The hot map chooses by the first byte.
        let byte = id.as_bytes().get(9).copied().unwrap_or(0);
        &self.shards[usize::from(byte) % SHARDS]
    }

    pub(super) fn get(&self, id: &oid) -> Option<Object> {
        let mut shard = self
            .shard(id)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(object) = shard.young.get(id) {
            return Some(object.clone());
        }
        let (id, object) = shard.old.remove_entry(id)?;
        shard.old_bytes = shard
            .old_bytes
            .saturating_sub(object.data.len() + ENTRY_BYTES);
        self.put_into(&mut shard, id, object.clone());
        Some(object)
    }

    pub(super) fn put(&self, id: ObjectId, object: Object) {
        let mut shard = self
            .shard(&id)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.put_into(&mut shard, id, object);
    }

    fn put_into(&self, shard: &mut Shard, id: ObjectId, object: Object) {
        let cost = object.data.len() + ENTRY_BYTES;
        if cost > self.generation_bytes / OBJECT_SHARE_MAX {
            return;
        }
        if shard.young_bytes + cost > self.generation_bytes {
            shard.old = mem::take(&mut shard.young);
            shard.old_bytes = mem::take(&mut shard.young_bytes);
        }
        if shard.young.insert(id, object).is_none() {
            shard.young_bytes += cost;
        }
    }

    pub(super) fn remove(&self, id: &oid) {
        let mut shard = self
            .shard(id)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(object) = shard.young.remove(id) {
            shard.young_bytes = shard
                .young_bytes
                .saturating_sub(object.data.len() + ENTRY_BYTES);
        }
        if let Some(object) = shard.old.remove(id) {
            shard.old_bytes = shard
                .old_bytes
                .saturating_sub(object.data.len() + ENTRY_BYTES);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            *shard.lock().unwrap_or_else(PoisonError::into_inner) = Shard::default();
        }
    }

    /// Bytes that it holds at the moment.
    pub(super) fn bytes(&self) -> u64 {
        let of = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            (shard.young_bytes + shard.old_bytes) as u64
        };
        self.shards.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use govc_git::{ObjectFormat, ObjectKind, object_id::hash_object};

    use super::*;

    #[test]
    fn it_stays_within_its_budget_and_keeps_what_is_read() {
        let cache = ReadCache::new(1 << 20);
        let blob = |n: u32| Object {
            kind: ObjectKind::Blob,
            data: vec![n as u8; 1000].into(),
        };
        let id = |n: u32| {
            hash_object(ObjectFormat::Sha1, ObjectKind::Blob, &n.to_le_bytes())
                .expect("no collision")
        };
        for n in 0..5_000 {
            cache.put(id(n), blob(n));
            assert!(cache.get(&id(0)).is_some(), "read again after {n} others");
        }
        assert!(cache.bytes() <= 1 << 20);
        assert!(cache.get(&id(4_999)).is_some());
        assert!(cache.get(&id(1)).is_none());
        cache.remove(&id(0));
        assert!(cache.get(&id(0)).is_none());
        cache.clear();
        assert!(cache.get(&id(4_999)).is_none());
        assert_eq!(cache.bytes(), 0);
    }
}
