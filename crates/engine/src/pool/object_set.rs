//! A set of objects that is about to be sent.

use std::sync::Arc;

use bytes::Bytes;
use govc_git::{ObjectId, ObjectKind, oid};
use hashbrown::{HashMap, HashSet};

use super::pack_list::{PackList, PoolPack};
use super::receiver::Receiver;
use super::{CommitNumber, Pool, PoolError};
use crate::{NewObject, ObjectBody};

/// Objects to be sent: a bit for each object of each pack, and the hot ones by name.
///
/// The order in which they are sent is that of the packs, oldest first, and in each pack the
/// pack's own; packs that git made have commits, tags, trees and blobs in this order, newest
/// first. Hot objects come last, in the same order of kinds. So what is a delta comes after its
/// base wherever that can be.
#[derive(Debug, Clone, Default)]
pub struct ObjectSet {
    /// Oldest first.
    pub(super) parts: Vec<Part>,
    pub(super) hot: HotPart,
    /// What the receiver has at the paths where something in the set is new: bases for a thin
    /// pack.
    pub(super) had: HashSet<ObjectId>,
    /// Who has commits that the set begins behind, and all that they reach.
    pub(super) receiver: Option<Arc<Receiver>>,
    /// For hot trees: what was at their path before.
    pub(super) before: HashMap<ObjectId, ObjectId>,
}

/// What the set has of one pack.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) pack: Arc<PoolPack>,
    bits: Vec<u64>,
    pub(super) count: u32,
}

/// What no pack has.
#[derive(Debug, Clone, Default)]
pub(super) struct HotPart {
    pub(super) objects: Vec<(ObjectId, ObjectKind)>,
    pub(super) places: HashMap<ObjectId, u32>,
}

impl Part {
    fn new(pack: Arc<PoolPack>) -> Part {
        let bits = vec![0; (pack.len() as usize).div_ceil(64)];
        Part {
            pack,
            bits,
            count: 0,
        }
    }

    pub(super) fn has(&self, position: u32) -> bool {
        let word = self.bits.get((position / 64) as usize);
        word.is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.count == self.pack.len()
    }

    /// Whether it is of the same pack as `other` and has the same objects of it.
    pub(super) fn has_same(&self, other: &Part) -> bool {
        self.pack.serial == other.pack.serial && self.bits == other.bits
    }

    /// Adds the object at `position`; returns whether it was new.
    pub(super) fn add(&mut self, position: u32) -> bool {
        let Some(word) = self.bits.get_mut((position / 64) as usize) else {
            return false;
        };
        let before = *word;
        *word |= 1 << (position % 64);
        let is_new = *word != before;
        self.count += u32::from(is_new);
        is_new
    }

    /// Leaves the positions whose bits are in the word that `mask` gives for the number of each
    /// word.
    pub(super) fn retain_words(&mut self, mask: impl Fn(usize) -> u64) {
        self.count = 0;
        for (number, word) in self.bits.iter_mut().enumerate() {
            *word &= mask(number);
            self.count += word.count_ones();
        }
    }

    /// Of the positions in the words of `among`, leaves those that `keep` says.
    pub(super) fn retain_each(
        &mut self,
        among: impl Fn(usize) -> u64,
        mut keep: impl FnMut(u32) -> bool,
    ) {
        for (number, word) in self.bits.iter_mut().enumerate() {
            let mut asked = *word & among(number);
            while asked != 0 {
                let bit = asked.trailing_zeros();
                asked &= asked - 1;
                if !keep(number as u32 * 64 + bit) {
                    *word &= !(1 << bit);
                    self.count -= 1;
                }
            }
        }
    }

    /// The ranks of its objects in the order of the pack, where it has so little of that that
    /// looking at all of it would take longer.
    pub(super) fn few_ranks(&self) -> Option<Arc<[u32]>> {
        /// About what finding one takes, beside looking at one.
        const LOOKED_AT: u64 = 64;
        if u64::from(self.count) * LOOKED_AT > u64::from(self.pack.len()) {
            return None;
        }
        let index = self.pack.pack.index();
        let mut offsets = Vec::with_capacity(self.count as usize);
        for (number, &word) in self.bits.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                let position = number as u32 * 64 + left.trailing_zeros();
                left &= left - 1;
                offsets.push(index.offset(position));
            }
        }
        offsets.sort_unstable();
        let rank = |offset: &u64| index.rank_by_offset(*offset).map(|rank| rank as u32);
        offsets.iter().map(rank).collect()
    }

    /// Its positions in the order of the pack.
    pub(super) fn positions(&self) -> impl Iterator<Item = u32> + '_ {
        let index = self.pack.pack.index();
        let order = index.positions_in_pack_order().iter().copied();
        order.filter(|&position| self.has(position))
    }
}

impl HotPart {
    /// Has `objects` instead of what it has.
    pub(super) fn replace(&mut self, objects: Vec<(ObjectId, ObjectKind)>) {
        let places = objects.iter().zip(0..).map(|((id, _), place)| (*id, place));
        self.places = places.collect();
        self.objects = objects;
    }
}

impl ObjectSet {
    /// How many.
    pub fn len(&self) -> usize {
        let packed: usize = self.parts.iter().map(|part| part.count as usize).sum();
        packed + self.hot.objects.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it takes of memory, about.
    pub(super) fn memory_bytes(&self) -> usize {
        /// An id and its kind, and an id and its place in a table.
        const HOT_BYTES: usize = 80;
        let bits: usize = self.parts.iter().map(|part| 8 * part.bits.len()).sum();
        bits + HOT_BYTES * self.hot.objects.len()
    }

    /// What it has of the pack with this number.
    pub(super) fn part(&self, serial: u32) -> Option<&Part> {
        self.parts.iter().find(|part| part.pack.serial == serial)
    }

    /// Whether who receives both has the same commits, or nothing is known of either.
    pub(super) fn has_same_receiver(&self, other: &ObjectSet) -> bool {
        match (&self.receiver, &other.receiver) {
            (Some(ours), Some(theirs)) => ours.is_same(theirs),
            (None, None) => self.had.is_empty() && other.had.is_empty(),
            _ => false,
        }
    }

    /// Whether both have the same objects in the same places.
    pub(super) fn is_same(&self, other: &ObjectSet) -> bool {
        let hot = |set: &ObjectSet| set.hot.places.len();
        self.parts.len() == other.parts.len()
            && hot(self) == hot(other)
            && self
                .hot
                .places
                .keys()
                .all(|id| other.hot.places.contains_key(id))
            && (self.parts.iter()).all(|part| {
                let same = other.part(part.pack.serial);
                same.is_some_and(|same| part.has_same(same))
            })
    }

    /// Whether `id` is among them.
    pub fn contains(&self, id: &oid) -> bool {
        let packed = |part: &Part| part.pack.position(id).is_some_and(|at| part.has(at));
        self.hot.places.contains_key(id) || self.parts.iter().any(packed)
    }

    /// Takes out what `other` has, where both have it in the same place.
    pub(super) fn leave_out(&mut self, other: &ObjectSet) {
        for part in &mut self.parts {
            let same = |theirs: &&Part| theirs.pack.serial == part.pack.serial;
            let Some(theirs) = other.parts.iter().find(same) else {
                continue;
            };
            for (word, theirs) in part.bits.iter_mut().zip(&theirs.bits) {
                part.count -= (*word & theirs).count_ones();
                *word &= !theirs;
            }
        }
        self.parts.retain(|part| part.count > 0);
        if !other.hot.objects.is_empty() {
            let hot = &mut self.hot;
            hot.objects
                .retain(|(id, _)| !other.hot.places.contains_key(id));
            hot.places.clear();
            for (place, (id, _)) in hot.objects.iter().enumerate() {
                hot.places.insert(*id, place as u32);
            }
        }
    }

    /// Notes that the receiver has all of `other`.
    pub(super) fn receiver_has(&mut self, other: &ObjectSet) {
        self.had.extend(other.ids());
    }

    /// Their ids, in the order in which they are sent.
    pub fn ids(&self) -> Box<dyn Iterator<Item = ObjectId> + '_> {
        let packed = self.parts.iter().flat_map(|part| {
            part.positions()
                .map(|position| part.pack.object_id(position))
        });
        Box::new(packed.chain(self.hot.objects.iter().map(|(id, _)| *id)))
    }
}

/// Collects a set.
pub(super) struct SetBuilder<'p> {
    pool: &'p Pool,
    list: Arc<PackList>,
    set: ObjectSet,
}

impl<'p> SetBuilder<'p> {
    pub(super) fn new(pool: &'p Pool) -> SetBuilder<'p> {
        SetBuilder::with(pool, ObjectSet::default())
    }

    /// Goes on with `set`.
    pub(super) fn with(pool: &'p Pool, set: ObjectSet) -> SetBuilder<'p> {
        SetBuilder {
            pool,
            list: pool.packs.load_full(),
            set,
        }
    }

    /// Adds an object; returns whether it was new.
    pub(super) fn add(&mut self, id: &oid, kind: ObjectKind) -> Result<bool, PoolError> {
        if self.set.hot.places.contains_key(id) {
            return Ok(false);
        }
        if let Some(added) = self.add_packed(id) {
            return Ok(added);
        }
        if self.is_elsewhere(id, None) {
            return Ok(false);
        }
        if self.pool.hot.contains(id) {
            let place = self.set.hot.objects.len() as u32;
            self.set.hot.objects.push((id.to_owned(), kind));
            self.set.hot.places.insert(id.to_owned(), place);
            return Ok(true);
        }
        // It may have gone from the hot map into a pack that is younger than this list.
        self.list = self.pool.packs.load_full();
        match self.add_packed(id) {
            Some(added) => Ok(added),
            None if self.pool.is_empty_tree(id) => {
                // Commits of it that git made need not have it; whoever receives them is sent it.
                self.pool.insert(&[NewObject {
                    id: id.to_owned(),
                    kind: ObjectKind::Tree,
                    body: ObjectBody::Whole(Bytes::new()),
                }])?;
                self.add(id, ObjectKind::Tree)
            }
            None => Err(PoolError::Missing { id: id.to_owned() }),
        }
    }

    /// `None` when it is in no pack.
    fn add_packed(&mut self, id: &oid) -> Option<bool> {
        for pack in self.list.iter().rev() {
            if let Some(position) = pack.position(id) {
                if self.is_elsewhere(id, Some(pack)) {
                    return Some(false);
                }
                return Some(part_of(&mut self.set.parts, pack).add(position));
            }
        }
        None
    }

    /// Whether the set has `id` in another place than in `pack`. An object may be in several packs,
    /// and one that was hot or in an old pack when it was added is in a young one now: no receiver
    /// takes a pack that has it twice.
    fn is_elsewhere(&self, id: &oid, pack: Option<&PoolPack>) -> bool {
        let serial = pack.map(|pack| pack.serial);
        let others = self.set.parts.iter();
        let mut others = others.filter(|part| Some(part.pack.serial) != serial);
        self.set.hot.places.contains_key(id)
            || others.any(|part| part.pack.position(id).is_some_and(|at| part.has(at)))
    }

    pub(super) fn contains(&self, id: &oid) -> bool {
        self.set.contains(id)
    }

    /// Adds the object at a position of a pack.
    pub(super) fn add_at(&mut self, pack: &Arc<PoolPack>, position: u32) {
        let parts = &self.set.parts;
        let is_alone = parts.iter().all(|part| part.pack.serial == pack.serial);
        if (!is_alone || !self.set.hot.objects.is_empty())
            && self.is_elsewhere(&pack.object_id(position), Some(pack))
        {
            return;
        }
        part_of(&mut self.set.parts, pack).add(position);
    }

    /// Notes that the receiver has these commits and all that they reach.
    pub(super) fn note_receiver(&mut self, haves: Vec<CommitNumber>) {
        self.set.receiver = Some(Arc::new(Receiver::new(haves)));
    }

    /// Notes that the receiver has `id`.
    pub(super) fn note_had(&mut self, id: &oid) {
        self.set.had.insert(id.to_owned());
    }

    /// Notes what was at the path of the tree `id` before, if it is hot: its own delta may be of
    /// another tree, which is of no use here.
    pub(super) fn note_before(&mut self, id: &oid, before: &oid) {
        let is_hot = self.set.hot.places.contains_key(id);
        if is_hot && !self.pool.hot.is_delta_of(id, before) {
            self.set.before.insert(id.to_owned(), before.to_owned());
        }
    }

    pub(super) fn finish(mut self) -> ObjectSet {
        self.set.parts.sort_by_key(|part| part.pack.serial);
        let hot = &mut self.set.hot;
        // Kinds are sorted as they are sent but for tags.
        hot.objects.sort_by_key(|(_, kind)| match kind {
            ObjectKind::Commit => 0,
            ObjectKind::Tag => 1,
            ObjectKind::Tree => 2,
            ObjectKind::Blob => 3,
        });
        for (place, (id, _)) in hot.objects.iter().enumerate() {
            hot.places.insert(*id, place as u32);
        }
        self.set
    }
}

fn part_of<'s>(parts: &'s mut Vec<Part>, pack: &Arc<PoolPack>) -> &'s mut Part {
    let at = match parts
        .iter()
        .position(|part| part.pack.serial == pack.serial)
    {
        Some(at) => at,
        None => {
            parts.push(Part::new(pack.clone()));
            parts.len() - 1
        }
    };
    &mut parts[at]
}
