//! The hot map: objects that no pack has yet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid};
use hashbrown::{HashMap, HashTable};
use smallvec::SmallVec;

use super::id_hash::IdHash;
use crate::{NewObject, ObjectBody};

const SHARDS: usize = 32;
/// Contents above are kept apart: a reader shares them, while smaller ones are cheaper to copy.
const RECORD_DATA_MAX: usize = 2048;
/// Nobody is known to have introduced it.
const NOBODY: u32 = u32::MAX;

const KIND_MASK: u8 = 3;
/// The record has a base's id and a delta.
const DELTA: u8 = 4;
/// The record has no content: that is kept apart.
const LARGE: u8 = 8;
/// Flags, holders, version.
const HEAD_BYTES: usize = 4;

/// New objects, whole or as deltas, in shards that are chosen by the first byte of the id.
///
/// An object is one allocation, a record: flags, how many changes hold it, its version (below),
/// its id, for a delta its base's id, and the content. The table beside has the pointer, 32 bits
/// of the hash, so that growing it touches no record, and the commit that introduced the object.
///
/// Every insertion of an object counts, so that a refused change takes back its own and not what
/// an accepted one brought as well.
pub(super) struct HotMap {
    format: ObjectFormat,
    hash: IdHash,
    shards: [RwLock<HashTable<Slot>>; SHARDS],
    large: RwLock<HashMap<ObjectId, Bytes>>,
    objects: AtomicU64,
    bytes: AtomicU64,
}

struct Slot {
    record: Box<[u8]>,
    short_hash: u32,
    introducer: u32,
}

/// A hot object as it is kept.
pub(super) enum Hot {
    Whole(ObjectKind, Bytes),
    Delta(HotDelta),
}

/// A hot object that is a delta.
pub(super) struct HotDelta {
    pub(super) kind: ObjectKind,
    pub(super) base: ObjectId,
    pub(super) delta: SmallVec<[u8; 128]>,
}

fn kind_number(kind: ObjectKind) -> u8 {
    match kind {
        ObjectKind::Commit => 0,
        ObjectKind::Tree => 1,
        ObjectKind::Blob => 2,
        ObjectKind::Tag => 3,
    }
}

/// A record, read.
#[derive(Clone, Copy)]
struct Record<'a> {
    bytes: &'a [u8],
    id_bytes: usize,
}

impl<'a> Record<'a> {
    fn kind(self) -> ObjectKind {
        match self.flags() & KIND_MASK {
            0 => ObjectKind::Commit,
            1 => ObjectKind::Tree,
            2 => ObjectKind::Blob,
            _ => ObjectKind::Tag,
        }
    }

    fn flags(self) -> u8 {
        self.bytes[0]
    }

    fn version(self) -> u16 {
        u16::from_le_bytes([self.bytes[2], self.bytes[3]])
    }

    fn id(self) -> &'a [u8] {
        &self.bytes[HEAD_BYTES..HEAD_BYTES + self.id_bytes]
    }

    fn base(self) -> &'a [u8] {
        &self.bytes[HEAD_BYTES + self.id_bytes..HEAD_BYTES + 2 * self.id_bytes]
    }

    fn content(self) -> &'a [u8] {
        let ids = if self.flags() & DELTA != 0 { 2 } else { 1 };
        &self.bytes[HEAD_BYTES + ids * self.id_bytes..]
    }
}

impl HotMap {
    pub(super) fn new(format: ObjectFormat, hash: IdHash) -> HotMap {
        HotMap {
            format,
            hash,
            shards: [const { RwLock::new(HashTable::new()) }; SHARDS],
            large: RwLock::default(),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    fn shard(&self, id: &oid) -> &RwLock<HashTable<Slot>> {
        &self.shards[shard_of(id.first_byte())]
    }

    fn record<'a>(&self, slot: &'a Slot) -> Record<'a> {
        Record {
            bytes: &slot.record,
            id_bytes: self.format.len_in_bytes(),
        }
    }

    fn with<T>(&self, id: &oid, read: impl FnOnce(Record<'_>, &Slot) -> T) -> Option<T> {
        let short = self.hash.short(id);
        let shard = self
            .shard(id)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let slot = shard.find(IdHash::widen(short), |slot| {
            slot.short_hash == short && self.record(slot).id() == id.as_bytes()
        })?;
        Some(read(self.record(slot), slot))
    }

    /// Takes an object in, or counts it once more. A delta comes with its base and its version:
    /// how many changes lie between it and the whole object that its bases lead to.
    pub(super) fn insert(
        &self,
        id: &oid,
        kind: ObjectKind,
        base: Option<(&oid, u16)>,
        content: &[u8],
        introducer: Option<u32>,
    ) {
        let large = base.is_none() && content.len() > RECORD_DATA_MAX;
        let id_bytes = self.format.len_in_bytes();
        let kept = if large { &[][..] } else { content };
        let ids = 1 + usize::from(base.is_some());
        let mut record = Vec::with_capacity(HEAD_BYTES + ids * id_bytes + kept.len());
        let mut flags = kind_number(kind);
        if base.is_some() {
            flags |= DELTA;
        }
        if large {
            flags |= LARGE;
        }
        let version = base.map_or(0, |(_, version)| version).to_le_bytes();
        record.extend_from_slice(&[flags, 1, version[0], version[1]]);
        record.extend_from_slice(id.as_bytes());
        if let Some((base, _)) = base {
            record.extend_from_slice(base.as_bytes());
        }
        record.extend_from_slice(kept);
        if large {
            let mut all = self.large.write().unwrap_or_else(PoisonError::into_inner);
            all.entry(id.to_owned())
                .or_insert_with(|| Bytes::copy_from_slice(content));
        }

        let short = self.hash.short(id);
        let mut shard = self
            .shard(id)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let known = shard.find_mut(IdHash::widen(short), |slot| {
            slot.short_hash == short && self.record(slot).id() == id.as_bytes()
        });
        match known {
            Some(slot) => {
                slot.record[1] = slot.record[1].saturating_add(1);
                if slot.introducer == NOBODY {
                    slot.introducer = introducer.unwrap_or(NOBODY);
                }
            }
            None => {
                let slot = Slot {
                    record: record.into_boxed_slice(),
                    short_hash: short,
                    introducer: introducer.unwrap_or(NOBODY),
                };
                shard.insert_unique(IdHash::widen(short), slot, |slot| {
                    IdHash::widen(slot.short_hash)
                });
                self.objects.fetch_add(1, Ordering::Relaxed);
                let bytes = HEAD_BYTES + ids * id_bytes + content.len() + SLOT_BYTES;
                self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            }
        }
    }

    /// Takes one insertion of `id` back. Returns whether the object left.
    pub(super) fn release(&self, id: &oid) -> bool {
        self.remove_if(id, |record| {
            let holders = record[1];
            // 255 means that many or more: such an object stays.
            if holders < u8::MAX {
                record[1] = holders - 1;
            }
            record[1] == 0
        })
        .is_some()
    }

    /// Drops `id`, whoever holds it. Returns who introduced it.
    pub(super) fn remove(&self, id: &oid) -> Option<Option<u32>> {
        self.remove_if(id, |_| true)
    }

    fn remove_if(&self, id: &oid, leaves: impl FnOnce(&mut [u8]) -> bool) -> Option<Option<u32>> {
        let short = self.hash.short(id);
        let mut shard = self
            .shard(id)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut entry = shard
            .find_entry(IdHash::widen(short), |slot| {
                slot.short_hash == short && self.record(slot).id() == id.as_bytes()
            })
            .ok()?;
        if !leaves(&mut entry.get_mut().record) {
            return None;
        }
        let (slot, _) = entry.remove();
        // A map that has been emptied gives its memory back.
        if shard.len() < shard.capacity() / 8 {
            shard.shrink_to_fit(|slot| IdHash::widen(slot.short_hash));
        }
        drop(shard);
        let mut bytes = slot.record.len() + SLOT_BYTES;
        if slot.record[0] & LARGE != 0 {
            let mut all = self.large.write().unwrap_or_else(PoisonError::into_inner);
            bytes += all.remove(id).map_or(0, |content| content.len());
        }
        self.objects.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
        Some((slot.introducer != NOBODY).then_some(slot.introducer))
    }

    pub(super) fn get(&self, id: &oid) -> Option<Hot> {
        let found = self.with(id, |record, _| {
            if record.flags() & LARGE != 0 {
                return Err(record.kind());
            }
            Ok(if record.flags() & DELTA != 0 {
                Hot::Delta(HotDelta {
                    kind: record.kind(),
                    base: ObjectId::from_bytes_or_panic(record.base()),
                    delta: record.content().into(),
                })
            } else {
                Hot::Whole(record.kind(), Bytes::copy_from_slice(record.content()))
            })
        })?;
        match found {
            Ok(hot) => Some(hot),
            Err(kind) => {
                let all = self.large.read().unwrap_or_else(PoisonError::into_inner);
                all.get(id).map(|content| Hot::Whole(kind, content.clone()))
            }
        }
    }

    /// The kind of `id`, and the size of its content, or the front of its delta.
    pub(super) fn header(&self, id: &oid) -> Option<(ObjectKind, HotSize)> {
        let (kind, size) = self.with(id, |record, _| {
            let size = if record.flags() & LARGE != 0 {
                None
            } else if record.flags() & DELTA != 0 {
                let content = record.content();
                let front = content.len().min(DELTA_SIZES_BYTES_MAX);
                Some(HotSize::DeltaFront(content[..front].into()))
            } else {
                Some(HotSize::Whole(record.content().len() as u64))
            };
            (record.kind(), size)
        })?;
        match size {
            Some(size) => Some((kind, size)),
            None => {
                let all = self.large.read().unwrap_or_else(PoisonError::into_inner);
                all.get(id)
                    .map(|content| (kind, HotSize::Whole(content.len() as u64)))
            }
        }
    }

    pub(super) fn contains(&self, id: &oid) -> bool {
        self.with(id, |_, _| ()).is_some()
    }

    /// The version of `id`: 0 when it is whole; `None` when it is not hot.
    pub(super) fn version(&self, id: &oid) -> Option<u16> {
        self.with(id, |record, _| {
            if record.flags() & DELTA != 0 {
                record.version()
            } else {
                0
            }
        })
    }

    /// Whether `id` is kept as a delta of `base`.
    pub(super) fn is_delta_of(&self, id: &oid, base: &oid) -> bool {
        let found = self.with(id, |record, _| {
            record.flags() & DELTA != 0 && record.base() == base.as_bytes()
        });
        found == Some(true)
    }

    /// The commit that is known to have introduced `id`, if it is hot.
    pub(super) fn introducer(&self, id: &oid) -> Option<Option<u32>> {
        self.with(id, |_, slot| {
            (slot.introducer != NOBODY).then_some(slot.introducer)
        })
    }

    /// Says who introduced `id`. Returns `None` when it is not hot, else who it was until now.
    pub(super) fn set_introducer(&self, id: &oid, commit: u32) -> Option<Option<u32>> {
        let short = self.hash.short(id);
        let mut shard = self
            .shard(id)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let slot = shard.find_mut(IdHash::widen(short), |slot| {
            slot.short_hash == short && self.record(slot).id() == id.as_bytes()
        })?;
        let before = slot.introducer;
        if before == NOBODY {
            slot.introducer = commit;
        }
        Some((before != NOBODY).then_some(before))
    }

    /// Ids that begin with `prefix`, of which the first `hex_len` digits count.
    pub(super) fn with_prefix(&self, prefix: &[u8], hex_len: usize, out: &mut Vec<ObjectId>) {
        let Some(&first) = prefix.first() else { return };
        let shard = self.shards[shard_of(first)]
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for slot in shard.iter() {
            let id = self.record(slot).id();
            let whole = hex_len / 2;
            let half = hex_len % 2 == 1;
            let fits = id.get(..whole) == prefix.get(..whole)
                && (!half || id.get(whole).map(|b| b >> 4) == prefix.get(whole).map(|b| b >> 4));
            if fits {
                out.push(ObjectId::from_bytes_or_panic(id));
            }
        }
    }

    pub(super) fn body(&self, id: &oid) -> Option<NewObject> {
        let (kind, body) = match self.get(id)? {
            Hot::Whole(kind, data) => (kind, ObjectBody::Whole(data)),
            Hot::Delta(hot) => (
                hot.kind,
                ObjectBody::Delta {
                    base: hot.base,
                    delta: Bytes::copy_from_slice(&hot.delta),
                },
            ),
        };
        Some(NewObject {
            id: id.to_owned(),
            kind,
            body,
        })
    }

    pub(super) fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Two sizes of up to ten bytes each begin a delta.
const DELTA_SIZES_BYTES_MAX: usize = 20;
/// A slot of the table at its usual fill, its control byte, and what the allocator rounds up.
const SLOT_BYTES: usize = 24 * 3 / 2 + 8;

/// How large a hot object is.
pub(super) enum HotSize {
    Whole(u64),
    /// The first bytes of the delta, which say.
    DeltaFront(SmallVec<[u8; 24]>),
}

fn shard_of(first_byte: u8) -> usize {
    usize::from(first_byte) % SHARDS
}
