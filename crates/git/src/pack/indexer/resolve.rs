//! Deltas of a pack, made whole depth-first.

use std::hash::BuildHasher;

use super::chain::{Chain, Content, Link};
use super::{DeltaBase, Indexer, Kept, NONE, PROGRESS_EVERY, Stage, VisitedObject, inflate_error};
use crate::pack::entry::EntryError;
use crate::pack::{EntryKind, PackError};
use crate::{ObjectFormat, ObjectId, ObjectKind, oid};

/// Spare buffers above this size are given back.
const SPARE_BYTES_MAX: usize = 1 << 20;
const SPARE_BUFFERS_MAX: usize = 8;

impl Indexer<'_> {
    /// Makes `child` a delta of `base`.
    pub(super) fn link(&mut self, child: u32, base: u32) {
        self.next_sibling[child as usize] = self.first_child[base as usize];
        self.first_child[base as usize] = child;
    }

    /// Makes `child` a delta of whatever will be `base`.
    pub(super) fn wait(&mut self, child: u32, base: &oid) {
        let hash = self.waiting_hash.hash_one(base.as_bytes());
        let is_base = |&first: &u32| {
            ref_base(self.body, &self.entries.offsets, first, self.format) == base.as_bytes()
        };
        match self.waiting.find_mut(hash, is_base) {
            // `child` itself is not among the entries yet: it goes behind the first.
            Some(&mut first) => {
                self.next_sibling[child as usize] = self.next_sibling[first as usize];
                self.next_sibling[first as usize] = child;
            }
            None => {
                let (body, offsets, format) = (self.body, &self.entries.offsets, self.format);
                let hasher = &self.waiting_hash;
                self.waiting.insert_unique(hash, child, |&first| {
                    hasher.hash_one(ref_base(body, offsets, first, format))
                });
            }
        }
    }

    /// Moves what waits for `id` to the deltas of the entry that it turned out to be. Returns
    /// the first of them.
    pub(super) fn arrived(&mut self, id: &oid) -> u32 {
        if self.waiting.is_empty() {
            return NONE;
        }
        let hash = self.waiting_hash.hash_one(id.as_bytes());
        let is_base = |&first: &u32| {
            ref_base(self.body, &self.entries.offsets, first, self.format) == id.as_bytes()
        };
        match self.waiting.find_entry(hash, is_base) {
            Ok(found) => found.remove().0,
            Err(_) => NONE,
        }
    }

    /// All deltas of the entry `number`, which is `id`.
    pub(super) fn children(&mut self, number: u32, id: &oid) -> u32 {
        let by_distance = self.first_child[number as usize];
        let by_id = self.arrived(id);
        if by_id == NONE {
            return by_distance;
        }
        let mut last = by_id;
        while self.next_sibling[last as usize] != NONE {
            last = self.next_sibling[last as usize];
        }
        self.next_sibling[last as usize] = by_distance;
        by_id
    }

    /// Resolves all deltas whose chain begins in the pack.
    pub(super) fn resolve_inside(&mut self) -> Result<(), PackError> {
        for number in 0..self.count {
            let has_children = self.first_child[number as usize] != NONE;
            if !has_children && self.waiting.is_empty() {
                continue;
            }
            let offset = self.entries.offsets[number as usize];
            let header = self.header_at(offset)?;
            let EntryKind::Whole(kind) = header.kind else {
                continue;
            };
            let id = self.entries.id(number as usize).to_owned();
            let next_child = self.children(number, &id);
            if next_child != NONE {
                let root = Link {
                    number,
                    id,
                    next_child,
                    content: Content::Dropped,
                };
                self.resolve_family(kind, root)?;
            }
        }
        Ok(())
    }

    /// Resolves all deltas whose chain begins outside the pack. Returns the bases that it took.
    pub(super) fn resolve_outside(&mut self) -> Result<Vec<ObjectId>, PackError> {
        let mut bases = Vec::new();
        // In the pack's order, so that the same pack always gives the same answer. A base that
        // is not known may be a delta that another base will bring.
        let mut firsts: Vec<u32> = self.waiting.iter().copied().collect();
        firsts.sort_unstable();
        for first in firsts {
            let base = ref_base(self.body, &self.entries.offsets, first, self.format);
            let base = oid::from_bytes_unchecked(base).to_owned();
            let hash = self.waiting_hash.hash_one(base.as_bytes());
            if self.waiting.find(hash, |&other| other == first).is_none() {
                continue;
            }
            let Some(object) = (self.external)(&base) else {
                continue;
            };
            let next_child = self.arrived(&base);
            let content = Content::Outside(object.data);
            bases.push(base);
            self.resolve_family(
                object.kind,
                Link {
                    number: NONE,
                    id: base,
                    next_child,
                    content,
                },
            )?;
        }
        self.visitor
            .progress(Stage::Resolving, self.resolved, self.count);
        match self.waiting.iter().min() {
            None => Ok(bases),
            Some(&first) => Err(PackError::MissingBase {
                offset: self.entries.offsets[first as usize],
                base: oid::from_bytes_unchecked(ref_base(
                    self.body,
                    &self.entries.offsets,
                    first,
                    self.format,
                ))
                .to_owned(),
                count: self.count - self.resolved,
            }),
        }
    }

    /// Resolves everything that is a delta of `root`, and of that, and so on.
    fn resolve_family(&mut self, kind: ObjectKind, root: Link) -> Result<(), PackError> {
        let mut chain = Chain::new(root);
        let mut delta = std::mem::take(&mut self.delta);
        while let Some(base) = chain.links.last_mut() {
            let child = base.next_child;
            if child == NONE {
                if let Some(data) = chain.pop() {
                    self.recycle(data);
                }
                continue;
            }
            base.next_child = self.next_sibling[child as usize];
            let offset = self.entries.offsets[child as usize];
            if chain.links.len() > self.limits.max_chain as usize {
                return Err(PackError::ChainTooLong {
                    offset,
                    limit: self.limits.max_chain,
                });
            }
            if chain.last().content.is_dropped() {
                self.make_again(&mut chain, &mut delta)?;
            }
            let mut data = self.spare.pop().unwrap_or_default();
            let id = self.resolve(kind, child, chain.last(), &mut delta, &mut data)?;
            // The base that was taken from outside: in this pack it would be made of itself, and
            // whoever reads it here goes round and round.
            let root = &chain.links[0];
            if root.number == NONE && root.id == id {
                let reason = EntryError::OwnBase.reason();
                return Err(PackError::Entry { offset, reason });
            }
            let next_child = self.children(child, &id);
            if next_child == NONE {
                self.recycle(data);
                continue;
            }
            let last = chain.links.len() - 1;
            if chain.last().next_child == NONE
                && let Some(done) = chain.drop_at(last)
            {
                self.recycle(done);
            }
            // A spare buffer may be far too large for what it holds now, and it will wait.
            data.shrink_to(data.len() * 2);
            chain.push(Link {
                number: child,
                id,
                next_child,
                content: Content::Made(data),
            });
            chain.trim_before(last + 1, self.limits.memory_bytes / 2);
        }
        self.delta = delta;
        Ok(())
    }

    /// Makes the delta `child` of `base` whole, in `data`, and shows it.
    fn resolve(
        &mut self,
        kind: ObjectKind,
        child: u32,
        base: &Link,
        delta: &mut Vec<u8>,
        data: &mut Vec<u8>,
    ) -> Result<ObjectId, PackError> {
        let offset = self.entries.offsets[child as usize];
        self.load_delta(child, delta)?;
        self.make(offset, base.content.bytes(), delta, data)?;
        let id = self.hash(offset, kind, data)?;
        let hash = self.format.len_in_bytes();
        let slot = child as usize * hash;
        self.entries.ids[slot..slot + hash].copy_from_slice(id.as_bytes());
        self.total_inflated += data.len() as u64;
        self.resolved += 1;
        if self.resolved.is_multiple_of(PROGRESS_EVERY) {
            self.visitor
                .progress(Stage::Resolving, self.resolved, self.count);
        }
        let object = VisitedObject {
            id: &id,
            kind,
            data,
            number: child,
            base: Some(DeltaBase {
                id: &base.id,
                number: (base.number != NONE).then_some(base.number),
                data: base.content.bytes(),
                delta,
            }),
        };
        self.visit(&object)?;
        Ok(id)
    }

    /// Makes the last link's object again, which was dropped, from the nearest that was not.
    fn make_again(&mut self, chain: &mut Chain, delta: &mut Vec<u8>) -> Result<(), PackError> {
        let last = chain.links.len() - 1;
        let held = (0..last)
            .rev()
            .find(|&at| !chain.links[at].content.is_dropped());
        let mut from = match held {
            Some(held) => held,
            None => {
                let data = self.inflate_root(chain.links[0].number)?;
                chain.hold(0, data);
                0
            }
        };
        while from < last {
            let to = from + 1;
            let number = chain.links[to].number;
            let offset = self.entries.offsets[number as usize];
            self.inflate_entry(number, delta)?;
            let mut data = self.spare.pop().unwrap_or_default();
            self.make(offset, chain.links[from].content.bytes(), delta, &mut data)?;
            data.shrink_to(data.len() * 2);
            // Those with deltas to come are kept while there is room: they are next.
            if chain.links[from].next_child == NONE
                && let Some(data) = chain.drop_at(from)
            {
                self.recycle(data);
            }
            chain.hold(to, data);
            chain.trim_before(to, self.limits.memory_bytes / 2);
            from = to;
        }
        Ok(())
    }

    /// The object that the whole entry `number` holds.
    fn inflate_root(&mut self, number: u32) -> Result<Vec<u8>, PackError> {
        let mut data = self.spare.pop().unwrap_or_default();
        self.inflate_entry(number, &mut data)?;
        self.spend(data.len() as u64)?;
        Ok(data)
    }

    /// Puts the delta `number`, which was not resolved yet, into `delta`.
    fn load_delta(&mut self, number: u32, delta: &mut Vec<u8>) -> Result<(), PackError> {
        let slot = number as usize * self.format.len_in_bytes();
        let kept = Kept::decode(&self.entries.ids[slot..]);
        let (start, length) = (kept.start as usize, kept.length as usize);
        if length == 0 {
            return self.inflate_entry(number, delta);
        }
        delta.clear();
        delta.extend_from_slice(&self.kept_deltas[start..start + length]);
        Ok(())
    }

    /// What the entry `number` inflates to. The scan has found it sound.
    fn inflate_entry(&mut self, number: u32, out: &mut Vec<u8>) -> Result<(), PackError> {
        let offset = self.entries.offsets[number as usize];
        let header = self.header_at(offset)?;
        let deflated = &self.body[offset as usize + header.header_len..];
        match self.inflater.inflate(deflated, header.size, out) {
            Ok(_) => Ok(()),
            Err(error) => Err(inflate_error(offset, header.size, error)),
        }
    }

    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= SPARE_BYTES_MAX && self.spare.len() < SPARE_BUFFERS_MAX {
            self.spare.push(buffer);
        }
    }
}

/// The id that the delta numbered `number`, which names its base by id, names.
fn ref_base<'p>(body: &'p [u8], offsets: &[u64], number: u32, format: ObjectFormat) -> &'p [u8] {
    let bytes = body
        .get(offsets[number as usize] as usize..)
        .unwrap_or_default();
    // The scan has parsed this header: type and size end at the first byte below 0x80.
    let size_bytes = bytes.iter().take_while(|&&byte| byte >= 0x80).count() + 1;
    bytes
        .get(size_bytes..size_bytes + format.len_in_bytes())
        .unwrap_or_default()
}
