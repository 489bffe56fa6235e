//! What an index is written of.

use std::borrow::Cow;

use super::{IDS_AT, LARGE_OFFSET, MAGIC};
use crate::checksum::Checksum;
use crate::{ObjectFormat, ObjectId, oid};

/// One object of a pack, for its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// The object.
    pub id: ObjectId,
    /// The CRC-32 of its entry's bytes.
    pub crc32: u32,
    /// Where its entry begins.
    pub offset: u64,
}

/// The index of a pack with these entries, as `git index-pack` writes it. Sorts `entries` by id.
///
/// # Panics
/// When an id is of another hash.
pub fn write_index(
    entries: &mut [IndexEntry],
    pack_checksum: &oid,
    format: ObjectFormat,
) -> Vec<u8> {
    entries.sort_unstable_by_key(|entry| entry.id);
    let hash = format.len_in_bytes();
    encode_index(
        entries.len(),
        &|rank| {
            let IndexEntry { id, crc32, offset } = &entries[rank];
            assert_eq!(id.as_bytes().len(), hash, "all ids are of one hash");
            (id.as_bytes(), *crc32, *offset)
        },
        pack_checksum,
        format,
    )
}

/// Writes the index whose objects, in the order of their ids, `entry` knows.
fn encode_index<'a>(
    count: usize,
    entry: &dyn Fn(usize) -> (&'a [u8], u32, u64),
    pack_checksum: &oid,
    format: ObjectFormat,
) -> Vec<u8> {
    let hash = format.len_in_bytes();
    let is_large = |offset: u64| offset >= u64::from(LARGE_OFFSET);
    let large = (0..count).filter(|&rank| is_large(entry(rank).2)).count();
    let mut out = Vec::with_capacity(IDS_AT + count * (hash + 8) + large * 8 + 2 * hash);
    out.extend_from_slice(MAGIC);
    let mut fan_out = [0u32; 256];
    for rank in 0..count {
        fan_out[usize::from(entry(rank).0[0])] += 1;
    }
    let mut sum = 0;
    for number in fan_out {
        sum += number;
        out.extend_from_slice(&sum.to_be_bytes());
    }
    for rank in 0..count {
        out.extend_from_slice(entry(rank).0);
    }
    for rank in 0..count {
        out.extend_from_slice(&entry(rank).1.to_be_bytes());
    }
    let mut large_offsets = Vec::with_capacity(large);
    for rank in 0..count {
        let offset = entry(rank).2;
        let number = if is_large(offset) {
            large_offsets.push(offset);
            LARGE_OFFSET | (large_offsets.len() - 1) as u32
        } else {
            offset as u32
        };
        out.extend_from_slice(&number.to_be_bytes());
    }
    for offset in large_offsets {
        out.extend_from_slice(&offset.to_be_bytes());
    }
    out.extend_from_slice(pack_checksum.as_bytes());
    let checksum = Checksum::of(format, &out);
    out.extend_from_slice(checksum.as_bytes());
    out
}

/// The entries of a pack in the pack's order, without padding: 32 bytes each for SHA-1, and 4
/// once they were sorted.
#[derive(Debug, Clone)]
pub struct PackEntries {
    format: ObjectFormat,
    /// The entries' numbers in the order of their ids, from when [`PackEntries::sort`] was called
    /// to when an entry was added.
    order: Option<Vec<u32>>,
    pub(in crate::pack) ids: Vec<u8>,
    pub(in crate::pack) crc32s: Vec<u32>,
    pub(in crate::pack) offsets: Vec<u64>,
}

impl PackEntries {
    /// No entries yet.
    pub fn new(format: ObjectFormat) -> PackEntries {
        PackEntries {
            format,
            order: None,
            ids: Vec::new(),
            crc32s: Vec::new(),
            offsets: Vec::new(),
        }
    }

    /// No entries yet, and room for `count`.
    pub fn with_capacity(format: ObjectFormat, count: usize) -> PackEntries {
        PackEntries {
            format,
            order: None,
            ids: Vec::with_capacity(count * format.len_in_bytes()),
            crc32s: Vec::with_capacity(count),
            offsets: Vec::with_capacity(count),
        }
    }

    /// The hash that its ids are made with.
    pub fn format(&self) -> ObjectFormat {
        self.format
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Adds an entry behind the others.
    ///
    /// # Panics
    /// When `id` is of another hash.
    pub fn push(&mut self, id: &oid, crc32: u32, offset: u64) {
        assert_eq!(id.kind(), self.format, "all ids are of one hash");
        self.order = None;
        self.ids.extend_from_slice(id.as_bytes());
        self.crc32s.push(crc32);
        self.offsets.push(offset);
    }

    fn id_bytes(&self, number: usize) -> &[u8] {
        let hash = self.format.len_in_bytes();
        &self.ids[number * hash..(number + 1) * hash]
    }

    /// The id of the entry numbered `number` in the pack's order.
    ///
    /// # Panics
    /// When there is no such entry.
    pub fn id(&self, number: usize) -> &oid {
        oid::from_bytes_unchecked(self.id_bytes(number))
    }

    /// All of them, in the pack's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = IndexEntry> + '_ {
        (0..self.len()).map(|number| IndexEntry {
            id: self.id(number).to_owned(),
            crc32: self.crc32s[number],
            offset: self.offsets[number],
        })
    }

    /// Sorts the entries by id, for [`PackEntries::find`] and [`PackEntries::write_index`].
    pub fn sort(&mut self) {
        if self.order.is_none() {
            self.order = Some(self.sorted());
        }
    }

    fn sorted(&self) -> Vec<u32> {
        let count = self.len();
        let by_id = |&a: &u32, &b: &u32| self.id_bytes(a as usize).cmp(self.id_bytes(b as usize));
        if count < 1 << 10 {
            let mut order: Vec<u32> = (0..count as u32).collect();
            order.sort_unstable_by(by_id);
            return order;
        }
        // One pass deals them out by their first 16 bits, as ids are evenly distributed, and what
        // is left to sort is a few in each place. Should somebody have made ids that are not, it
        // is an ordinary sort.
        let place = |number: usize| {
            let id = self.id_bytes(number);
            usize::from(id[0]) << 8 | usize::from(id[1])
        };
        let mut ends = vec![0u32; 1 << 16];
        for number in 0..count {
            ends[place(number)] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            (*end, sum) = (sum, sum + *end);
        }
        let mut order = vec![0u32; count];
        for number in 0..count {
            let end = &mut ends[place(number)];
            order[*end as usize] = number as u32;
            *end += 1;
        }
        let mut start = 0;
        for end in ends {
            order[start as usize..end as usize].sort_unstable_by(by_id);
            start = end;
        }
        order
    }

    /// An object that two entries are. Only after [`PackEntries::sort`].
    pub(in crate::pack) fn duplicate(&self) -> Option<&oid> {
        let same = |pair: &&[u32]| self.id(pair[0] as usize) == self.id(pair[1] as usize);
        let twice = self.order.as_ref()?.windows(2).find(same)?;
        Some(self.id(twice[0] as usize))
    }

    /// The number of the entry that is `id`. Finds nothing before [`PackEntries::sort`].
    pub fn find(&self, id: &oid) -> Option<u32> {
        let order = self.order.as_ref()?;
        let rank = order
            .binary_search_by(|&number| self.id(number as usize).cmp(id))
            .ok()?;
        order.get(rank).copied()
    }

    /// The pack's index: see [`write_index`].
    pub fn write_index(&self, pack_checksum: &oid) -> Vec<u8> {
        let order = match &self.order {
            Some(order) => Cow::Borrowed(order),
            None => Cow::Owned(self.sorted()),
        };
        encode_index(
            order.len(),
            &|rank| {
                let number = order[rank] as usize;
                (
                    self.id_bytes(number),
                    self.crc32s[number],
                    self.offsets[number],
                )
            },
            pack_checksum,
            self.format,
        )
    }
}
