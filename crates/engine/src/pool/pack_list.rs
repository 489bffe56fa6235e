//! The packs of a pool.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use govc_git::pack::{Pack, PackError};
use govc_git::{ObjectId, ObjectKind, oid};

use super::{PoolError, scan};
use crate::journal::PackId;

/// Nobody is known to have introduced it.
const NOBODY: u32 = u32::MAX;

/// A pack, and what the pool knows about its objects.
pub(super) struct PoolPack {
    pub(super) id: PackId,
    /// Its number among the packs that this pool ever had.
    pub(super) serial: u32,
    pub(super) pack: Pack,
    /// For each position of the index the commit that introduced the object, as far as that is
    /// known. 4 bytes an object, once anybody asked.
    introducers: OnceLock<Box<[AtomicU32]>>,
    /// What its objects are, once anybody asked.
    kinds: OnceLock<Kinds>,
    /// Objects of the pack that together reach all of it and nothing else, where that is known.
    sources: OnceLock<Box<[ObjectId]>>,
}

/// The kind of each object of a pack by its position: three bits each.
pub(super) struct Kinds {
    /// For each kind but the last a word of bits for 64 objects; what is none of them is a blob.
    words: Box<[[u64; 3]]>,
}

impl Kinds {
    const IN_WORDS: [ObjectKind; 3] = [ObjectKind::Commit, ObjectKind::Tag, ObjectKind::Tree];

    /// What cannot be told, because the pack is damaged there, is passed for a commit: it is not
    /// filtered away, and whoever reads it meets the damage.
    fn of(kinds: &[Option<ObjectKind>]) -> Kinds {
        let mut words = vec![[0; 3]; kinds.len().div_ceil(64)].into_boxed_slice();
        for (word, kinds) in words.iter_mut().zip(kinds.chunks(64)) {
            for (bit, kind) in kinds.iter().enumerate() {
                let kind = kind.unwrap_or(ObjectKind::Commit);
                for (bits, of) in word.iter_mut().zip(Kinds::IN_WORDS) {
                    *bits |= u64::from(kind == of) << bit;
                }
            }
        }
        Kinds { words }
    }

    /// The objects at the 64 positions from `64 * word` on whose kind is `wanted`, as bits.
    pub(super) fn of_word(&self, word: usize, wanted: impl Fn(ObjectKind) -> bool) -> u64 {
        let Some(bits) = self.words.get(word) else {
            return 0;
        };
        let mut found = 0;
        let mut blobs = u64::MAX;
        for (bits, kind) in bits.iter().zip(Kinds::IN_WORDS) {
            blobs &= !bits;
            if wanted(kind) {
                found |= bits;
            }
        }
        if wanted(ObjectKind::Blob) {
            found |= blobs;
        }
        found
    }
}

impl fmt::Debug for PoolPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolPack({})", self.id.0)
    }
}

impl PoolPack {
    pub(super) fn new(id: PackId, serial: u32, pack: Pack) -> PoolPack {
        PoolPack {
            id,
            serial,
            pack,
            introducers: OnceLock::new(),
            kinds: OnceLock::new(),
            sources: OnceLock::new(),
        }
    }

    /// Says which objects of the pack reach all of it.
    pub(super) fn set_sources(&self, sources: Vec<ObjectId>) {
        let _ = self.sources.set(sources.into());
    }

    /// Objects of the pack that together reach all of it; `None` where that is not known.
    pub(super) fn sources(&self) -> Option<&[ObjectId]> {
        self.sources.get().map(|sources| &sources[..])
    }

    /// What its objects are: made when somebody asks, without inflating any of them.
    pub(super) fn kinds(&self) -> &Kinds {
        self.kinds.get_or_init(|| Kinds::of(&scan::kinds(self)))
    }

    pub(super) fn len(&self) -> u32 {
        self.pack.index().len()
    }

    pub(super) fn position(&self, id: &oid) -> Option<u32> {
        self.pack.index().lookup(id)
    }

    pub(super) fn object_id(&self, position: u32) -> ObjectId {
        self.pack.index().id(position).to_owned()
    }

    /// The commit that is known to have introduced the object at `position`.
    pub(super) fn introducer(&self, position: u32) -> Option<u32> {
        let slot = self.introducers.get()?.get(position as usize)?;
        Some(slot.load(Ordering::Relaxed)).filter(|&n| n != NOBODY)
    }

    /// Says who introduced the object at `position`; returns who it was until now.
    pub(super) fn set_introducer(&self, position: u32, commit: u32) -> Option<u32> {
        let slots = self
            .introducers
            .get_or_init(|| (0..self.len()).map(|_| AtomicU32::new(NOBODY)).collect());
        let slot = slots.get(position as usize)?;
        let noted = slot.compare_exchange(NOBODY, commit, Ordering::Relaxed, Ordering::Relaxed);
        noted.err()
    }

    /// All that is known about introducers: positions and commits.
    pub(super) fn introducers(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let slots = self
            .introducers
            .get()
            .map(|slots| &slots[..])
            .unwrap_or_default();
        let known = slots.iter().enumerate();
        known
            .map(|(position, slot)| (position as u32, slot.load(Ordering::Relaxed)))
            .filter(|&(_, commit)| commit != NOBODY)
    }

    /// Bytes beyond pack and index.
    pub(super) fn memory_bytes(&self) -> u64 {
        let introducers = self.introducers.get();
        let kinds = self.kinds.get();
        introducers.map_or(0, |slots| 4 * slots.len() as u64)
            + kinds.map_or(0, |kinds| 24 * kinds.words.len() as u64)
    }

    /// What `error` says about the object `id`.
    pub(super) fn damaged(&self, id: &oid, error: &PackError) -> PoolError {
        PoolError::Damaged {
            id: id.to_owned(),
            pack: Some(self.id),
            what: error.to_string(),
        }
    }
}

/// The packs, oldest first. Never edited; a pool swaps it for another.
pub(super) type PackList = Vec<Arc<PoolPack>>;

/// Where in which pack `id` is; newer packs first.
pub(super) fn locate<'l>(list: &'l PackList, id: &oid) -> Option<(&'l Arc<PoolPack>, u32)> {
    let mut packs = list.iter().rev();
    packs.find_map(|pack| Some((pack, pack.position(id)?)))
}
