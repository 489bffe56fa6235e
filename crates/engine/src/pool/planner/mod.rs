//! How a set of objects becomes a pack: what is passed on as it lies there, and what is written
//! anew.

mod draft;
mod entry;
mod relatives;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use govc_git::pack::entry::{EntryKind, parse_header, write_header};
use govc_git::pack::zlib::Deflater;
use govc_git::pack::{delta, delta_between};
use govc_git::{Object, ObjectId, ObjectKind, oid};
use hashbrown::HashMap;
use smallvec::SmallVec;

pub(super) use draft::Draft;
use entry::{Entry, range_of, wrong_index};
use relatives::{Chain, Relative, Relatives, folder_of};

use super::hot::Hot;
use super::object_set::Part;
use super::pack_list::PoolPack;
use super::{ObjectSet, PackOptions, Pool, PoolError};

/// Deflating harder costs more time than anybody's network saves.
const DEFLATE_LEVEL: u8 = 1;
/// What every pack begins with.
const HEADER_BYTES: u64 = 12;

/// Plans the entries of a pack, one after the other, without its header and its trailer.
///
/// Entries of packs are passed on as they are, deflated bytes and deltas included, wherever the
/// base is in the set, or the receiver has it; neighbours go out as one run. A base's distance is
/// written anew only where something between it and the delta is not sent or has another length.
///
/// A clone goes on where this one is: so streams that had their beginning in common part.
#[derive(Clone)]
pub(super) struct Planner {
    set: Arc<ObjectSet>,
    options: PackOptions,
    at: Stage,
    /// Where the next entry begins.
    offset: u64,
    /// The parts that were begun, and where their entries went.
    parts: Vec<SentPart>,
    /// Where hot objects went.
    hot_offsets: HashMap<ObjectId, u64>,
    sent: u32,
    /// Which entries the part that is being sent has, where it has few of its pack.
    ranks: Option<Arc<[u32]>>,
    /// What became of deltas whose base is not sent.
    relatives: Relatives,
    deflater: SpareDeflater,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// A part, and a place among its entries.
    Part(usize, usize),
    Hot(usize),
    Done,
}

/// Where the entries of a part went: from an offset there on, to an offset here.
#[derive(Debug, Clone)]
struct SentPart {
    serial: u32,
    moved: Vec<(u64, u64)>,
    is_finished: bool,
}

/// Where a base is.
enum Place {
    Here(u64),
    AtReceiver,
}

/// A compressor, once one is needed. It is nothing that a clone shares.
#[derive(Default)]
struct SpareDeflater(Option<Deflater>);

impl Clone for SpareDeflater {
    fn clone(&self) -> SpareDeflater {
        SpareDeflater(None)
    }
}

impl Planner {
    pub(super) fn new(set: Arc<ObjectSet>, options: PackOptions) -> Planner {
        Planner {
            set,
            options,
            at: Stage::Part(0, 0),
            offset: HEADER_BYTES,
            parts: Vec::new(),
            hot_offsets: HashMap::new(),
            sent: 0,
            ranks: None,
            relatives: Relatives::default(),
            deflater: SpareDeflater::default(),
        }
    }

    /// Goes on with a larger set, where all of this one was sent. `None` where what was sent is
    /// no beginning of it: something in its midst is new, or something is not in it.
    pub(super) fn extended(&self, set: &Arc<ObjectSet>) -> Option<Planner> {
        if !matches!(self.at, Stage::Done) {
            return None;
        }
        for old in &self.set.parts {
            let new = set.part(old.pack.serial)?;
            if !new.has_same(old) {
                return None;
            }
        }
        let hot = self.set.hot.places.keys();
        if !hot.clone().all(|id| set.hot.places.contains_key(id)) {
            return None;
        }
        let mut planner = self.clone();
        planner.set = Arc::clone(set);
        planner.at = Stage::Part(0, 0);
        Some(planner)
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.at, Stage::Done)
    }

    /// How many objects were sent so far.
    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    /// Does the next small piece of work; the set is of `pool`. After an error it is of no use any
    /// more.
    pub(super) fn step(&mut self, pool: &Pool, draft: &mut Draft) -> Result<(), PoolError> {
        self.at = match self.at {
            Stage::Part(part, from) => self.part(pool, part, from, draft)?,
            Stage::Hot(place) => self.hot(pool, place, draft)?,
            Stage::Done => Stage::Done,
        };
        Ok(())
    }

    /// Sends what the set has of a part among some entries.
    fn part(
        &mut self,
        pool: &Pool,
        number: usize,
        from: usize,
        draft: &mut Draft,
    ) -> Result<Stage, PoolError> {
        const ENTRIES: usize = 256;
        let set = Arc::clone(&self.set);
        let Some(part) = set.parts.get(number) else {
            return Ok(Stage::Hot(0));
        };
        if from == 0 {
            let serial = part.pack.serial;
            // Where a smaller set was sent before, all of this part was.
            if self.parts.iter().any(|sent| sent.serial == serial) {
                return Ok(Stage::Part(number + 1, 0));
            }
            self.parts.push(SentPart {
                serial,
                moved: Vec::new(),
                is_finished: false,
            });
            self.ranks = part.few_ranks();
            self.relatives.clear();
        }
        // All deltas of a whole pack have their bases in it, as far away as before.
        let is_whole = part.is_whole() && self.options.ofs_delta;
        let order = part.pack.pack.index().positions_in_pack_order();
        let ranks = self.ranks.clone();
        let len = ranks.as_ref().map_or(order.len(), |ranks| ranks.len());
        let to = len.min(from + ENTRIES);
        if is_whole {
            self.pass_on_all(part, from..to, draft)?;
        } else {
            for place in from..to {
                let rank = match &ranks {
                    Some(ranks) => ranks.get(place).map_or(order.len(), |&rank| rank as usize),
                    None => place,
                };
                let Some(&position) = order.get(rank) else {
                    break;
                };
                if part.has(position) {
                    let entry = Entry::at(&part.pack, rank, position)?;
                    self.entry(pool, number, entry, draft)?;
                    self.sent += 1;
                }
            }
        }
        if to < len {
            return Ok(Stage::Part(number, to));
        }
        self.ranks = None;
        draft.end_run();
        if let Some(sent) = self.parts.last_mut() {
            sent.is_finished = true;
        }
        Ok(Stage::Part(number + 1, 0))
    }

    /// Sends an entry of a part's pack, as it is or changed.
    fn entry(
        &mut self,
        pool: &Pool,
        number: usize,
        entry: Entry<'_>,
        draft: &mut Draft,
    ) -> Result<(), PoolError> {
        let set = Arc::clone(&self.set);
        let Some(part) = set.parts.get(number) else {
            return Ok(());
        };
        let (index, source) = (entry.pack.index(), entry.source);
        let header = parse_header(entry.bytes(), index.format());
        let header = header.map_err(|error| entry.damaged(&error))?;
        // The base, where it is in the same pack: its position, and where its entry begins.
        let in_pack = match &header.kind {
            EntryKind::Whole(_) => {
                self.pass_on(&entry, draft);
                return Ok(());
            }
            EntryKind::OfsDelta { base_distance } => {
                let base = source.checked_sub(*base_distance);
                let found =
                    base.and_then(|base| Some((base, index.rank_before(entry.rank, base)?)));
                let position = |rank| index.positions_in_pack_order().get(rank).copied();
                let found = found.and_then(|(base, rank)| Some((position(rank)?, base)));
                Some(found.ok_or_else(|| entry.damaged(&wrong_index()))?)
            }
            EntryKind::RefDelta { base } => {
                let position = index.lookup(base);
                position.map(|position| (position, index.offset(position)))
            }
        };
        let base = || match (&header.kind, in_pack) {
            (EntryKind::RefDelta { base }, _) => *base,
            (_, Some((position, _))) => index.id(position).to_owned(),
            _ => index.id(entry.position).to_owned(),
        };
        let place = match in_pack.filter(|&(position, _)| part.has(position)) {
            Some((_, base)) if base < source => {
                let sent = self.parts.last();
                sent.and_then(|sent| sent.moved_to(base)).map(Place::Here)
            }
            // It comes later in the same pack: by name that is right.
            Some(_) => {
                self.pass_on(&entry, draft);
                return Ok(());
            }
            None => {
                let at = in_pack.map(|(position, _)| (&*part.pack, position));
                self.place_of(pool, &base(), at)
            }
        };
        let kind = match place {
            None => return self.write_anew(pool, part, &entry, draft),
            Some(Place::Here(offset)) if self.options.ofs_delta => EntryKind::OfsDelta {
                base_distance: self.offset - offset,
            },
            Some(_) => EntryKind::RefDelta { base: base() },
        };
        if kind == header.kind {
            self.pass_on(&entry, draft);
            return Ok(());
        }
        self.note_moved(source);
        let own = draft.own();
        let from = own.len();
        write_header(&kind, header.size, own);
        self.offset += (own.len() - from) as u64;
        draft.added_own(from);
        let deflated = entry.range.start + header.header_len..entry.range.end;
        self.offset += deflated.len() as u64;
        draft.add_run(entry.pack.bytes(), deflated);
        Ok(())
    }

    /// Sends the entries of these ranks of a whole pack as they are, one behind the other.
    ///
    /// No checksum of theirs is looked at, as with a pack that goes out with its own trailer: who
    /// receives them inflates them and computes their ids.
    fn pass_on_all(
        &mut self,
        part: &Part,
        ranks: Range<usize>,
        draft: &mut Draft,
    ) -> Result<(), PoolError> {
        let (Some(last), pack) = (ranks.clone().last(), &part.pack.pack) else {
            return Ok(());
        };
        let (first, last) = (range_of(pack, ranks.start), range_of(pack, last));
        let range = first.zip(last).map(|(first, last)| first.start..last.end);
        let Some(range) = range.filter(|range| pack.bytes().get(range.clone()).is_some()) else {
            let position = pack.index().positions_in_pack_order().get(ranks.start);
            let id = pack.index().id(position.copied().unwrap_or_default());
            return Err(part.pack.damaged(id, &wrong_index()));
        };
        self.note_moved(range.start as u64);
        self.offset += range.len() as u64;
        self.sent += ranks.len() as u32;
        draft.add_run(pack.bytes(), range);
        Ok(())
    }

    /// Sends an entry as it is.
    fn pass_on(&mut self, entry: &Entry<'_>, draft: &mut Draft) {
        self.note_moved(entry.source);
        self.offset += entry.range.len() as u64;
        draft.add_run(entry.pack.bytes(), entry.range.clone());
    }

    /// How a delta of `base`, which is at `place`, names it.
    fn delta_kind(&self, base: &ObjectId, place: Place) -> EntryKind {
        match place {
            Place::Here(offset) if self.options.ofs_delta => EntryKind::OfsDelta {
                base_distance: self.offset - offset,
            },
            Place::Here(_) | Place::AtReceiver => EntryKind::RefDelta { base: *base },
        }
    }

    /// Where a base is that is not in the part that is being sent; `None` where it is of no use.
    /// One that is in the set and was not sent yet is of none: bases could go in a ring. `at` is
    /// where it is in a pack, if that is known.
    fn place_of(&self, pool: &Pool, base: &oid, at: Option<(&PoolPack, u32)>) -> Option<Place> {
        if let Some(place) = self.place_near(base) {
            return Some(place);
        }
        let receiver = self.set.receiver.as_ref().filter(|_| self.options.thin)?;
        if self.set.contains(base) {
            return None;
        }
        let is_noted = at.is_some_and(|(pack, at)| receiver.has_at(pool, pack, at));
        let is_theirs = is_noted || receiver.has(pool, base);
        is_theirs.then_some(Place::AtReceiver)
    }

    /// As [`Planner::place_of`]; of what the receiver has only what it has at the paths that
    /// changed.
    fn place_near(&self, base: &oid) -> Option<Place> {
        for sent in self.parts.iter().filter(|sent| sent.is_finished) {
            let Some(part) = self.set.part(sent.serial) else {
                continue;
            };
            let position = part.pack.position(base).filter(|&at| part.has(at));
            if let Some(position) = position {
                let source = part.pack.pack.index().offset(position);
                return sent.moved_to(source).map(Place::Here);
            }
        }
        if let Some(&offset) = self.hot_offsets.get(base) {
            return Some(Place::Here(offset));
        }
        (self.options.thin && self.set.had.contains(base)).then_some(Place::AtReceiver)
    }

    /// Sends what an entry of `part` makes, whose base is of no use: as a delta of a relative that
    /// was sent, or whole.
    fn write_anew(
        &mut self,
        pool: &Pool,
        part: &Part,
        entry: &Entry<'_>,
        draft: &mut Draft,
    ) -> Result<(), PoolError> {
        /// Smaller ones are not worth a delta.
        const BYTES_MIN: usize = 64;
        let object = entry.object_at(pool, entry.position)?;
        let chain = Chain::of(entry.pack, entry.source);
        let folder = folder_of(&object, entry.pack.index().format());
        self.note_moved(entry.source);
        let mut depth = 0;
        let mut found = None;
        if object.data.len() >= BYTES_MIN {
            for (relative, offset) in self.relatives_of(part, entry, &chain, folder) {
                found = self.delta_of(pool, relative, entry, &object)?;
                if let Some(delta) = &found {
                    let id = entry.pack.index().id(relative.position).to_owned();
                    let kind = self.delta_kind(&id, Place::Here(offset));
                    self.write(&kind, delta, draft);
                    depth = relative.depth + 1;
                    break;
                }
            }
        }
        if found.is_none() {
            self.write(&EntryKind::Whole(object.kind), &object.data, draft);
        }
        let position = entry.position;
        (self.relatives).note(&chain, folder, Relative { position, depth }, &object);
        Ok(())
    }

    /// A delta that makes `object` of a relative, if it is worth one.
    fn delta_of(
        &mut self,
        pool: &Pool,
        relative: Relative,
        entry: &Entry<'_>,
        object: &Object,
    ) -> Result<Option<Vec<u8>>, PoolError> {
        let base = match self.relatives.object(relative.position) {
            Some(base) => base,
            None => {
                let base = entry.object_at(pool, relative.position)?;
                self.relatives.keep(relative.position, &base);
                base
            }
        };
        if base.kind != object.kind {
            return Ok(None);
        }
        // Deflating halves what is whole, but not what a delta inserts.
        let most = object.data.len() / 3;
        Ok(delta_between(&base.data, &object.data, most))
    }

    /// What was sent of `part` and may be another version of an entry, and where it went: what has
    /// this chain, else what looks like the same folder.
    fn relatives_of(
        &self,
        part: &Part,
        entry: &Entry<'_>,
        chain: &Chain,
        folder: Option<u64>,
    ) -> SmallVec<[(Relative, u64); 2]> {
        let index = part.pack.pack.index();
        let Some(sent) = self.parts.last() else {
            return SmallVec::new();
        };
        // A base of the base may be sent though it is not.
        let nearest = chain.bases().iter().find_map(|&base| {
            let position = index.position_by_offset(base)?;
            let relative = Relative { position, depth: 0 };
            (part.has(position) && base < entry.source).then_some(relative)
        });
        let of_chain = nearest.or_else(|| self.relatives.of_chain(chain));
        let of_folder = folder.and_then(|folder| self.relatives.of_folder(folder));
        let of_folder = of_folder
            .filter(|folder| of_chain.is_none_or(|other| other.position != folder.position));
        let all = of_chain.into_iter().chain(of_folder);
        all.filter_map(|relative| {
            let offset = sent.moved_to(index.offset(relative.position))?;
            Some((relative, offset))
        })
        .collect()
    }

    /// Sends a few hot objects.
    fn hot(&mut self, pool: &Pool, from: usize, draft: &mut Draft) -> Result<Stage, PoolError> {
        const OBJECTS: usize = 64;
        const BYTES: usize = 64 << 10;
        let set = Arc::clone(&self.set);
        let mut next = from;
        let start = draft.len();
        for (id, _) in set.hot.objects.iter().skip(from).take(OBJECTS) {
            next += 1;
            if !self.hot_offsets.contains_key(id) {
                let offset = self.offset;
                self.hot_object(pool, id, draft)?;
                self.hot_offsets.insert(*id, offset);
                self.sent += 1;
            }
            if draft.len() - start >= BYTES {
                break;
            }
        }
        Ok(if next == set.hot.objects.len() {
            Stage::Done
        } else {
            Stage::Hot(next)
        })
    }

    fn hot_object(&mut self, pool: &Pool, id: &oid, draft: &mut Draft) -> Result<(), PoolError> {
        let kept = match pool.hot.get(id) {
            Some(Hot::Delta(kept)) => Some(kept),
            _ => None,
        };
        if let Some(kept) = &kept
            && let Some(place) = self.place_near(&kept.base)
        {
            let kind = self.delta_kind(&kept.base, place);
            self.write(&kind, &kept.delta, draft);
            return Ok(());
        }
        let object = pool.get(id)?;
        let before = self.set.before.get(id).copied();
        let place = before.and_then(|before| Some((before, self.place_near(&before)?)));
        if let Some((before, place)) = place {
            let base = pool.get_kind(&before, ObjectKind::Tree)?;
            let step = delta::between(&base, &object.data);
            if step.len() < object.data.len() / 2 {
                let kind = self.delta_kind(&before, place);
                self.write(&kind, &step, draft);
                return Ok(());
            }
        }
        // A base from further back makes a larger delta than what was there before.
        if let Some(kept) = &kept
            && let Some(place) = self.place_of(pool, &kept.base, None)
        {
            let kind = self.delta_kind(&kept.base, place);
            self.write(&kind, &kept.delta, draft);
            return Ok(());
        }
        self.write_hot(pool, id, &object, draft);
        Ok(())
    }

    /// Sends a hot object, which is deflated once for all who fetch it before a pack has it.
    fn write_hot(&mut self, pool: &Pool, id: &oid, object: &Object, draft: &mut Draft) {
        let kind = EntryKind::Whole(object.kind);
        let Some(deflated) = pool.deflated.get(id) else {
            let from = self.write(&kind, &object.data, draft);
            let data = Bytes::copy_from_slice(draft.own().get(from..).unwrap_or_default());
            let kind = object.kind;
            pool.deflated.put(id.to_owned(), Object { kind, data });
            return;
        };
        let own = draft.own();
        let from = own.len();
        write_header(&kind, object.data.len() as u64, own);
        own.extend_from_slice(&deflated.data);
        self.offset += (own.len() - from) as u64;
        draft.added_own(from);
    }

    /// Notes that the entry at `source` of the pack that is being sent goes out here and now.
    fn note_moved(&mut self, source: u64) {
        let Some(sent) = self.parts.last_mut() else {
            return;
        };
        let follows = sent
            .moved
            .last()
            .is_some_and(|&(from, to)| to + (source - from) == self.offset);
        if !follows {
            sent.moved.push((source, self.offset));
        }
    }

    /// Sends an entry; returns where in the draft's own bytes what was deflated begins.
    fn write(&mut self, kind: &EntryKind, data: &[u8], draft: &mut Draft) -> usize {
        let own = draft.own();
        let from = own.len();
        write_header(kind, data.len() as u64, own);
        let deflated_from = own.len();
        let deflater = self
            .deflater
            .0
            .get_or_insert_with(|| Deflater::new(DEFLATE_LEVEL));
        deflater.deflate(data, own);
        self.offset += (own.len() - from) as u64;
        draft.added_own(from);
        deflated_from
    }
}

impl SentPart {
    /// Where the entry at `source` of its pack went, which was sent.
    fn moved_to(&self, source: u64) -> Option<u64> {
        let at = self
            .moved
            .partition_point(|&(from, _)| from <= source)
            .checked_sub(1)?;
        let &(from, to) = self.moved.get(at)?;
        Some(to + (source - from))
    }
}
