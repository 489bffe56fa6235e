//! The hot map: objects that no pack has yet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid};
use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};
use smallvec::SmallVec;

use super::id_hash::IdHash;
use super::records::{Place, Records};
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
/// An object is a record: flags, how many changes hold it, its version (below), its id, for a
/// delta its base's id, and the content. The table beside says where the record is, has 32 bits
/// of the hash, so that growing it touches no record, and the commit that introduced the object.
///
/// Every insertion of an object counts, so that a refused change takes back its own and not what
/// an accepted one brought as well.
pub(super) struct HotMap {
    format: ObjectFormat,
    hash: IdHash,
    shards: [RwLock<Shard>; SHARDS],
    large: RwLock<HashMap<ObjectId, Bytes>>,
    objects: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Default)]
struct Shard {
    table: HashTable<Slot>,
    records: Records,
}

#[derive(Clone, Copy)]
struct Slot {
    place: Place,
    short_hash: u32,
    introducer: u32,
}

impl Shard {
    fn find(&self, short: u32, id: &oid) -> Option<&Slot> {
        let is_it =
            |slot: &Slot| slot.short_hash == short && is_of(self.records.get(slot.place), id);
        self.table.find(IdHash::widen(short), is_it)
    }

    /// The slot of `id`, and the record, to be changed.
    fn find_mut(&mut self, short: u32, id: &oid) -> Option<(&mut Slot, &mut [u8])> {
        let Shard { table, records } = self;
        let is_it = |slot: &Slot| slot.short_hash == short && is_of(records.get(slot.place), id);
        let slot = table.find_mut(IdHash::widen(short), is_it)?;
        let place = slot.place;
        Some((slot, records.get_mut(place)))
    }
}

/// Whether a record is that of `id`.
fn is_of(record: &[u8], id: &oid) -> bool {
    record
        .get(HEAD_BYTES..)
        .is_some_and(|rest| rest.starts_with(id.as_bytes()))
}

/// What insertions added to a [`HotMap`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Grown {
    objects: u64,
    bytes: u64,
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
            shards: Default::default(),
            large: RwLock::default(),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    fn shard(&self, id: &oid) -> &RwLock<Shard> {
        &self.shards[shard_of(id.first_byte())]
    }

    fn record<'a>(&self, shard: &'a Shard, slot: &Slot) -> Record<'a> {
        Record {
            bytes: shard.records.get(slot.place),
            id_bytes: self.format.len_in_bytes(),
        }
    }

    fn with<T>(&self, id: &oid, read: impl FnOnce(Record<'_>, &Slot) -> T) -> Option<T> {
        let short = self.hash.short(id);
        let shard = self
            .shard(id)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let slot = shard.find(short, id)?;
        Some(read(self.record(&shard, slot), slot))
    }

    /// Takes an object in, or counts it once more. A delta comes with its base and its version:
    /// how many changes lie between it and the whole object that its bases lead to.
    ///
    /// What it adds goes to `grown`, which somebody gives to [`HotMap::count`].
    pub(super) fn insert(
        &self,
        id: &oid,
        kind: ObjectKind,
        base: Option<(&oid, u16)>,
        content: &[u8],
        introducer: Option<u32>,
        grown: &mut Grown,
    ) {
        let large = base.is_none() && content.len() > RECORD_DATA_MAX;
        let kept = if large { &[][..] } else { content };
        let mut flags = kind_number(kind);
        if base.is_some() {
            flags |= DELTA;
        }
        if large {
            flags |= LARGE;
            let mut all = self.large.write().unwrap_or_else(PoisonError::into_inner);
            all.entry(id.to_owned())
                .or_insert_with(|| Bytes::copy_from_slice(content));
        }
        let version = base.map_or(0, |(_, version)| version).to_le_bytes();
        let head: [u8; HEAD_BYTES] = [flags, 1, version[0], version[1]];
        let base = base.map_or(&[][..], |(base, _)| base.as_bytes());

        let short = self.hash.short(id);
        let mut shard = self
            .shard(id)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Shard { table, records } = &mut *shard;
        let is_it = |slot: &Slot| slot.short_hash == short && is_of(records.get(slot.place), id);
        let rehash = |slot: &Slot| IdHash::widen(slot.short_hash);
        match table.entry(IdHash::widen(short), is_it, rehash) {
            Entry::Occupied(mut known) => {
                let slot = known.get_mut();
                let record = records.get_mut(slot.place);
                record[1] = record[1].saturating_add(1);
                if slot.introducer == NOBODY {
                    slot.introducer = introducer.unwrap_or(NOBODY);
                }
                return;
            }
            Entry::Vacant(place) => {
                place.insert(Slot {
                    place: records.push(&[&head, id.as_bytes(), base, kept]),
                    short_hash: short,
                    introducer: introducer.unwrap_or(NOBODY),
                });
            }
        }
        drop(shard);
        let bytes = HEAD_BYTES + id.as_bytes().len() + base.len() + content.len() + SLOT_BYTES;
        grown.objects += 1;
        grown.bytes += bytes as u64;
    }

    /// Counts what insertions added.
    pub(super) fn count(&self, grown: Grown) {
        self.objects.fetch_add(grown.objects, Ordering::Relaxed);
        self.bytes.fetch_add(grown.bytes, Ordering::Relaxed);
    }

    /// Takes one insertion of `id` back. Where the object left returns who introduced it.
    pub(super) fn release(&self, id: &oid) -> Option<Option<u32>> {
        self.remove_if(id, |record| {
            let holders = record[1];
            // 255 means that many or more: such an object stays.
            if holders < u8::MAX {
                record[1] = holders - 1;
            }
            record[1] == 0
        })
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
        let (slot, record) = shard.find_mut(short, id)?;
        let slot = *slot;
        if !leaves(record) {
            return None;
        }
        let mut bytes = record.len() + SLOT_BYTES;
        let is_large = record[0] & LARGE != 0;
        let Shard { table, records } = &mut *shard;
        let is_it = |other: &Slot| other.place == slot.place;
        if let Ok(entry) = table.find_entry(IdHash::widen(short), is_it) {
            entry.remove();
        }
        records.remove(slot.place);
        // A map that has been emptied gives its memory back.
        if table.len() < table.capacity() / 8 {
            table.shrink_to_fit(|slot| IdHash::widen(slot.short_hash));
        }
        drop(shard);
        if is_large {
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

    /// What `id` is a delta of; `None` where it is whole, or not here.
    pub(super) fn base(&self, id: &oid) -> Option<ObjectId> {
        self.with(id, |record, _| {
            let is_delta = record.flags() & DELTA != 0;
            is_delta.then(|| ObjectId::from_bytes_or_panic(record.base()))
        })?
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
        let (slot, _) = shard.find_mut(short, id)?;
        let before = slot.introducer;
        if before == NOBODY {
            slot.introducer = commit;
        }
        Some((before != NOBODY).then_some(before))
    }

    /// Calls `found` with each object that is known to have been introduced, and by whom.
    pub(super) fn each_introducer(&self, mut found: impl FnMut(&oid, u32)) {
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            for slot in shard.table.iter().filter(|slot| slot.introducer != NOBODY) {
                let id = ObjectId::from_bytes_or_panic(self.record(&shard, slot).id());
                found(&id, slot.introducer);
            }
        }
    }

    /// Ids that begin with `prefix`, of which the first `hex_len` digits count.
    pub(super) fn with_prefix(&self, prefix: &[u8], hex_len: usize, out: &mut Vec<ObjectId>) {
        let Some(&first) = prefix.first() else { return };
        let shard = self.shards[shard_of(first)]
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for slot in shard.table.iter() {
            let id = self.record(&shard, slot).id();
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
/// A slot of the table at its usual fill, its control byte, and what [`Records`] adds.
const SLOT_BYTES: usize = 16 * 3 / 2 + 8;

/// How large a hot object is.
pub(super) enum HotSize {
    Whole(u64),
    /// The first bytes of the delta, which say.
    DeltaFront(SmallVec<[u8; 24]>),
}

fn shard_of(first_byte: u8) -> usize {
    usize::from(first_byte) % SHARDS
}
