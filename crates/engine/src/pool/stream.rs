//! A pack as it is sent: made piece by piece from the packs that are there.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use govc_git::object_id::Hasher;
use govc_git::pack::entry::{EntryKind, parse_header, write_header};
use govc_git::pack::zlib::Deflater;
use govc_git::pack::{Pack, PackError, delta};
use govc_git::{ObjectId, ObjectKind, oid};

use super::hot::Hot;
use super::{ObjectSet, Pool, PoolError};

/// What the receiver of a pack understands and has.
#[derive(Debug, Clone, Copy, Default)]
pub struct PackOptions {
    /// It takes deltas whose base is not in the pack: it has what the set was told that it has.
    pub thin: bool,
    /// It takes deltas that name their base by its distance.
    pub ofs_delta: bool,
}

/// Pieces are at least so large, but for the last one.
const PIECE_BYTES_MIN: usize = 64 << 10;
/// And at most so large, but for an object that has to be deflated in one go.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// Longer runs of a pack are passed on as they lie there, shorter ones are copied together.
const VIEW_BYTES_MIN: usize = 16 << 10;
/// Deflating harder costs more time than anybody's network saves.
const DEFLATE_LEVEL: u8 = 1;
const HEADER_BYTES: u64 = 12;

/// A pack, piece by piece: header, entries, trailer. Pieces are up to 1 MiB, most of them views
/// of packs in memory.
///
/// Entries of packs are passed on as they are, deflated bytes and deltas included, wherever the
/// base is in the set, or the receiver has it; neighbours go out as one run. A base's distance is
/// written anew only where something between it and the delta is not sent or has another length.
pub struct PackStream {
    pool: Arc<Pool>,
    set: ObjectSet,
    options: PackOptions,
    /// `None` once the trailer is written, or when a pack goes out as it is, trailer included.
    hasher: Option<Hasher>,
    deflater: Deflater,
    at: Stage,
    /// Pieces that are finished.
    ready: VecDeque<Bytes>,
    /// The piece that is being filled.
    piece: Vec<u8>,
    /// Bytes of a pack, part by part, that are to be sent as they are, after `piece`.
    run: Option<(Bytes, Range<usize>)>,
    /// Where the next entry begins.
    offset: u64,
    /// For each part where its entries went: from an offset there on, to an offset here.
    moved: Vec<Vec<(u64, u64)>>,
    /// Where hot objects went.
    hot_offsets: Vec<u64>,
    count: u32,
    sent: u32,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Header,
    /// All bytes of the only part's pack, from here on.
    Verbatim(usize),
    /// A part, and a place in the order of its pack.
    Part(usize, usize),
    Hot(usize),
    Trailer,
    Done,
}

/// Where a base is.
enum Place {
    Here(u64),
    AtReceiver,
}

impl Pool {
    /// The pack of `set`.
    ///
    /// # Errors
    /// [`PoolError::TooMany`].
    pub fn pack_stream(
        self: &Arc<Self>,
        set: ObjectSet,
        options: PackOptions,
    ) -> Result<PackStream, PoolError> {
        let count = set.len() as u64;
        let count = u32::try_from(count).map_err(|_| PoolError::TooMany { count })?;
        let one_pack = match &set.parts[..] {
            [part] => options.ofs_delta && set.hot.objects.is_empty() && part.is_whole(),
            _ => false,
        };
        Ok(PackStream {
            pool: self.clone(),
            hasher: Some(govc_git::object_id::hasher(self.format)),
            deflater: Deflater::new(DEFLATE_LEVEL),
            at: if one_pack {
                Stage::Verbatim(0)
            } else {
                Stage::Header
            },
            ready: VecDeque::new(),
            piece: Vec::new(),
            run: None,
            offset: HEADER_BYTES,
            moved: vec![Vec::new(); set.parts.len()],
            hot_offsets: Vec::new(),
            count,
            sent: 0,
            set,
            options,
        })
    }
}

impl PackStream {
    /// How many objects the pack has.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many objects were sent so far, for progress.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Does the next small piece of work.
    fn step(&mut self) -> Result<(), PoolError> {
        self.at = match self.at {
            Stage::Header => {
                self.piece.extend_from_slice(b"PACK");
                self.piece.extend_from_slice(&2u32.to_be_bytes());
                self.piece.extend_from_slice(&self.count.to_be_bytes());
                Stage::Part(0, 0)
            }
            Stage::Verbatim(from) => self.verbatim(from),
            Stage::Part(part, from) => self.part(part, from)?,
            Stage::Hot(place) => self.hot(place)?,
            Stage::Trailer => {
                self.flush();
                if let Some(hasher) = self.hasher.take() {
                    let trailer = hasher.try_finalize().map_err(|_| PoolError::Collision)?;
                    self.ready
                        .push_back(Bytes::copy_from_slice(trailer.as_bytes()));
                }
                Stage::Done
            }
            Stage::Done => Stage::Done,
        };
        Ok(())
    }

    fn verbatim(&mut self, from: usize) -> Stage {
        let bytes = self.set.parts[0].pack.pack.bytes();
        let to = bytes.len().min(from + PIECE_BYTES_MAX);
        self.ready.push_back(bytes.slice(from..to));
        self.sent = (u64::from(self.count) * to as u64 / bytes.len().max(1) as u64) as u32;
        if to == bytes.len() {
            Stage::Done
        } else {
            Stage::Verbatim(to)
        }
    }

    /// Sends what the set has of a part among some entries.
    fn part(&mut self, number: usize, from: usize) -> Result<Stage, PoolError> {
        const ENTRIES: usize = 256;
        let Some(part) = self.set.parts.get(number) else {
            return Ok(Stage::Hot(0));
        };
        let pool_pack = part.pack.clone();
        let order = pool_pack.pack.index().positions_in_pack_order();
        let to = order.len().min(from + ENTRIES);
        for place in from..to {
            let position = order[place];
            if self.set.parts[number].has(position) {
                let next = order.get(place + 1).copied();
                self.entry(number, &pool_pack.pack, position, next)?;
                self.sent += 1;
            }
        }
        if to < order.len() {
            return Ok(Stage::Part(number, to));
        }
        // A run is of one pack.
        self.flush_run();
        Ok(Stage::Part(number + 1, 0))
    }

    /// Sends the entry at `position` of a part's pack; `next` is the one behind it.
    fn entry(
        &mut self,
        number: usize,
        pack: &Pack,
        position: u32,
        next: Option<u32>,
    ) -> Result<(), PoolError> {
        let index = pack.index();
        let data = pack.bytes();
        let id_bytes = self.pool.format.len_in_bytes();
        let source = index.offset(position);
        let end = match next {
            Some(next) => index.offset(next),
            None => data.len().saturating_sub(id_bytes) as u64,
        };
        let damaged = |error: &dyn std::error::Error| PoolError::Damaged {
            id: index.id(position).to_owned(),
            pack: Some(self.set.parts[number].pack.id),
            what: error.to_string(),
        };
        let wrong_index = PackError::Index {
            reason: "it names places outside the pack",
        };
        let range = usize::try_from(source).ok().zip(usize::try_from(end).ok());
        let range = range.map(|(from, to)| from..to);
        let bytes = range.clone().and_then(|range| data.get(range));
        let (Some(range), Some(bytes)) = (range, bytes) else {
            return Err(damaged(&wrong_index));
        };
        let header = parse_header(bytes, self.pool.format).map_err(|error| damaged(&error))?;
        // What is damaged is not passed on as if it were whole.
        if crc32fast::hash(bytes) != index.crc32(position) {
            return Err(damaged(&wrong_checksum()));
        }

        let part = &self.set.parts[number];
        let (base, same_part) = match &header.kind {
            EntryKind::Whole(_) => {
                self.note_moved(number, source);
                self.send_run(data, range);
                return Ok(());
            }
            EntryKind::OfsDelta { base_distance } => {
                let base = source.checked_sub(*base_distance);
                let base = base.and_then(|offset| index.position_by_offset(offset));
                let base = base.ok_or_else(|| damaged(&wrong_index))?;
                (index.id(base).to_owned(), part.has(base).then_some(base))
            }
            EntryKind::RefDelta { base } => (*base, index.lookup(base).filter(|&at| part.has(at))),
        };
        let place = match same_part {
            Some(base) => match index.offset(base) {
                base if base < source => self.moved_to(number, base).map(Place::Here),
                // It comes later in the same pack: by name that is right.
                _ => {
                    self.note_moved(number, source);
                    self.send_run(data, range);
                    return Ok(());
                }
            },
            None => self.place_of(&base, number),
        };
        let Some(place) = place else {
            return self.send_whole_entry(number, pack, position, source);
        };
        let kind = self.delta_kind(&base, place);
        if kind == header.kind {
            self.note_moved(number, source);
            self.send_run(data, range);
        } else {
            self.note_moved(number, source);
            let mut rewritten = Vec::with_capacity(32);
            write_header(&kind, header.size, &mut rewritten);
            self.send_copied(&rewritten);
            self.send_run(data, range.start + header.header_len..range.end);
        }
        Ok(())
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
    /// One that is in the set and was not sent yet is of none: bases could go in a ring.
    fn place_of(&self, base: &oid, parts: usize) -> Option<Place> {
        for (number, part) in self.set.parts.iter().enumerate().take(parts) {
            let position = part.pack.position(base).filter(|&at| part.has(at));
            if let Some(position) = position {
                let source = part.pack.pack.index().offset(position);
                return self.moved_to(number, source).map(Place::Here);
            }
        }
        let hot = self.set.hot.places.get(base);
        if let Some(&offset) = hot.and_then(|&place| self.hot_offsets.get(place as usize)) {
            return Some(Place::Here(offset));
        }
        (self.options.thin && self.set.had.contains(base)).then_some(Place::AtReceiver)
    }

    fn send_whole_entry(
        &mut self,
        number: usize,
        pack: &Pack,
        position: u32,
        source: u64,
    ) -> Result<(), PoolError> {
        let object = pack.object_at(position, &|_| None, &self.pool.base_cache);
        let pool_pack = &self.set.parts[number].pack;
        let object =
            object.map_err(|error| pool_pack.damaged(pack.index().id(position), &error))?;
        self.note_moved(number, source);
        self.send_deflated(&EntryKind::Whole(object.kind), &object.data);
        Ok(())
    }

    /// Sends a few hot objects.
    fn hot(&mut self, from: usize) -> Result<Stage, PoolError> {
        const OBJECTS: usize = 64;
        let to = self.set.hot.objects.len().min(from + OBJECTS);
        for place in from..to {
            let (id, _) = self.set.hot.objects[place];
            self.hot_object(&id)?;
            self.sent += 1;
        }
        Ok(if to == self.set.hot.objects.len() {
            Stage::Trailer
        } else {
            Stage::Hot(to)
        })
    }

    fn hot_object(&mut self, id: &oid) -> Result<(), PoolError> {
        let offset = self.offset;
        let all_parts = self.set.parts.len();
        if let Some(Hot::Delta(kept)) = self.pool.hot.get(id)
            && let Some(place) = self.place_of(&kept.base, all_parts)
        {
            let kind = self.delta_kind(&kept.base, place);
            self.send_deflated(&kind, &kept.delta);
            self.hot_offsets.push(offset);
            return Ok(());
        }
        let object = self.pool.get(id)?;
        let before = self.set.before.get(id).copied();
        let place = before.and_then(|before| Some((before, self.place_of(&before, all_parts)?)));
        if let Some((before, place)) = place {
            let base = self.pool.get_kind(&before, ObjectKind::Tree)?;
            let step = delta::between(&base, &object.data);
            if step.len() < object.data.len() / 2 {
                let kind = self.delta_kind(&before, place);
                self.send_deflated(&kind, &step);
                self.hot_offsets.push(offset);
                return Ok(());
            }
        }
        self.send_deflated(&EntryKind::Whole(object.kind), &object.data);
        self.hot_offsets.push(offset);
        Ok(())
    }

    /// Notes that the entry at `source` of a part's pack goes out here and now.
    fn note_moved(&mut self, number: usize, source: u64) {
        let moved = &mut self.moved[number];
        let follows = moved
            .last()
            .is_some_and(|&(from, to)| to + (source - from) == self.offset);
        if !follows {
            moved.push((source, self.offset));
        }
    }

    /// Where the entry at `source` of a part's pack went, which was sent.
    fn moved_to(&self, number: usize, source: u64) -> Option<u64> {
        let moved = self.moved.get(number)?;
        let at = moved
            .partition_point(|&(from, _)| from <= source)
            .checked_sub(1)?;
        let &(from, to) = moved.get(at)?;
        Some(to + (source - from))
    }

    fn send_deflated(&mut self, kind: &EntryKind, data: &[u8]) {
        self.flush_run();
        let from = self.piece.len();
        write_header(kind, data.len() as u64, &mut self.piece);
        self.deflater.deflate(data, &mut self.piece);
        self.offset += (self.piece.len() - from) as u64;
    }

    fn send_copied(&mut self, bytes: &[u8]) {
        self.flush_run();
        self.piece.extend_from_slice(bytes);
        self.offset += bytes.len() as u64;
    }

    /// Sends bytes of a pack as they are.
    fn send_run(&mut self, pack: &Bytes, range: Range<usize>) {
        self.offset += range.len() as u64;
        match &mut self.run {
            Some((_, run)) if run.end == range.start => run.end = range.end,
            _ => {
                self.flush_run();
                self.run = Some((pack.clone(), range));
            }
        }
    }

    fn flush_run(&mut self) {
        let Some((pack, range)) = self.run.take() else {
            return;
        };
        if range.len() < VIEW_BYTES_MIN {
            self.piece.extend_from_slice(&pack[range]);
            return;
        }
        self.flush_piece();
        let mut from = range.start;
        while from < range.end {
            let to = range.end.min(from + PIECE_BYTES_MAX);
            self.push(pack.slice(from..to));
            from = to;
        }
    }

    fn flush_piece(&mut self) {
        if !self.piece.is_empty() {
            let piece = Bytes::from(std::mem::take(&mut self.piece));
            let mut from = 0;
            while from < piece.len() {
                let to = piece.len().min(from + PIECE_BYTES_MAX);
                self.push(piece.slice(from..to));
                from = to;
            }
        }
    }

    fn flush(&mut self) {
        self.flush_run();
        self.flush_piece();
    }

    fn push(&mut self, piece: Bytes) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        self.ready.push_back(piece);
    }

    fn pending(&self) -> usize {
        self.piece.len() + self.run.as_ref().map_or(0, |(_, range)| range.len())
    }
}

fn wrong_checksum() -> PackError {
    PackError::Index {
        reason: "the entry is not what its checksum says",
    }
}

impl Iterator for PackStream {
    type Item = Result<Bytes, PoolError>;

    fn next(&mut self) -> Option<Result<Bytes, PoolError>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(Ok(piece));
            }
            if matches!(self.at, Stage::Done) {
                return None;
            }
            if let Err(error) = self.step() {
                self.at = Stage::Done;
                self.ready.clear();
                return Some(Err(error));
            }
            if self.pending() >= PIECE_BYTES_MIN {
                self.flush();
            }
        }
    }
}
