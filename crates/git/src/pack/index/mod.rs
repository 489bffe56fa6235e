//! A pack's index, version 2: which objects a pack has, and where.

mod entries;
mod order;

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::checksum::Checksum;
use crate::{ObjectFormat, ObjectId, oid};

pub use entries::{IndexEntry, PackEntries, write_index};
use order::PackOrder;

/// What is wrong with an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The first bytes are not those of an index of version 2.
    #[error("this is not a pack index of version 2")]
    NotAnIndex,
    /// Its length is not what its number of objects asks for.
    #[error("an index of {objects} objects cannot have {bytes} bytes")]
    Length {
        /// The number of objects.
        objects: u32,
        /// The index's length.
        bytes: usize,
    },
    /// The fan-out table goes down somewhere.
    #[error("the fan-out table is not sorted at {byte:#04x}")]
    FanOut {
        /// Where.
        byte: u8,
    },
    /// The ids are not sorted, or one is there twice, or the fan-out table lies about it.
    #[error("the ids are not in order at position {position}")]
    Order {
        /// Where.
        position: u32,
    },
    /// An offset points into a table of large offsets that is not that long.
    #[error("the offset at position {position} is not there")]
    Offset {
        /// Where.
        position: u32,
    },
    /// The trailer is not the hash of what comes before it.
    #[error("the index's checksum is wrong")]
    Checksum,
}

const MAGIC: &[u8; 8] = b"\xfftOc\0\0\0\x02";
const FAN_OUT_BYTES: usize = 256 * 4;
const IDS_AT: usize = MAGIC.len() + FAN_OUT_BYTES;
/// In the table of 32-bit offsets: this is a position in the table of 64-bit ones.
const LARGE_OFFSET: u32 = 1 << 31;

/// An index over its bytes, which may be a mapped file: nothing is copied.
///
/// Positions count objects in the order of their ids.
#[derive(Debug, Clone)]
pub struct PackIndex {
    data: Bytes,
    format: ObjectFormat,
    count: u32,
    /// Where each table begins; the ids' is at [`IDS_AT`].
    crc32s_at: usize,
    offsets_at: usize,
    large_offsets_at: usize,
    trailer_at: usize,
    /// The order of the pack, once somebody asked.
    by_offset: Arc<OnceLock<PackOrder>>,
}

impl PackIndex {
    /// Reads the index in `data`. Takes time for the fan-out table alone: see
    /// [`PackIndex::verify`] for the rest. No later call panics because of what `data` is; ids that
    /// are not sorted are merely not found.
    ///
    /// # Errors
    /// [`IndexError`] when this cannot be an index.
    pub fn parse(data: Bytes, format: ObjectFormat) -> Result<PackIndex, IndexError> {
        if !data.starts_with(MAGIC) || data.len() < IDS_AT {
            return Err(IndexError::NotAnIndex);
        }
        let mut count = 0;
        for byte in 0..=u8::MAX {
            let next = u32_at(&data, MAGIC.len() + usize::from(byte) * 4);
            if next < count {
                return Err(IndexError::FanOut { byte });
            }
            count = next;
        }
        let hash = format.len_in_bytes();
        let objects = count as usize;
        let wrong_length = IndexError::Length {
            objects: count,
            bytes: data.len(),
        };
        // At most 2^32 × 40 bytes: no overflow where a usize has 64 bits.
        let crc32s_at = IDS_AT + objects * hash;
        let offsets_at = crc32s_at + objects * 4;
        let large_offsets_at = offsets_at + objects * 4;
        let trailer_at = data
            .len()
            .checked_sub(2 * hash)
            .ok_or(wrong_length.clone())?;
        let large = trailer_at
            .checked_sub(large_offsets_at)
            .ok_or(wrong_length.clone())?;
        if large % 8 != 0 || large / 8 > objects {
            return Err(wrong_length);
        }
        Ok(PackIndex {
            data,
            format,
            count,
            crc32s_at,
            offsets_at,
            large_offsets_at,
            trailer_at,
            by_offset: Arc::default(),
        })
    }

    /// Checks everything that [`PackIndex::parse`] does not: order, offsets, checksum.
    ///
    /// # Errors
    /// [`IndexError`], the first that is found.
    pub fn verify(&self) -> Result<(), IndexError> {
        let checksum_at = self.data.len() - self.format.len_in_bytes();
        let checksum = Checksum::of(self.format, &self.data[..checksum_at]);
        if checksum.as_bytes() != &self.data[checksum_at..] {
            return Err(IndexError::Checksum);
        }
        for position in 0..self.count {
            let id = self.id(position);
            let bucket = self.bucket(id.first_byte());
            if !bucket.contains(&position) || (position > 0 && self.id(position - 1) >= id) {
                return Err(IndexError::Order { position });
            }
            if self.offset(position) == u64::MAX {
                return Err(IndexError::Offset { position });
            }
        }
        Ok(())
    }

    /// The hash that its ids are made with.
    pub fn format(&self) -> ObjectFormat {
        self.format
    }

    /// The index as it is on disk.
    pub fn bytes(&self) -> &Bytes {
        &self.data
    }

    /// How many objects there are.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The positions of the ids that begin with `first`.
    fn bucket(&self, first: u8) -> Range<u32> {
        let at = MAGIC.len() + usize::from(first) * 4;
        let end = u32_at(&self.data, at);
        let start = if first == 0 {
            0
        } else {
            u32_at(&self.data, at - 4)
        };
        start..end
    }

    /// The bytes of the id at `position`.
    fn id_bytes(&self, position: u32) -> &[u8] {
        assert!(
            position < self.count,
            "position {position} of {}",
            self.count
        );
        let hash = self.format.len_in_bytes();
        let at = IDS_AT + position as usize * hash;
        &self.data[at..at + hash]
    }

    /// The position of `id`.
    ///
    /// Ids are evenly distributed, so a guess from an id's first bytes is off by about the square
    /// root of the bucket's size: that is searched around the guess, and most searches touch two
    /// cache lines.
    pub fn lookup(&self, id: &oid) -> Option<u32> {
        if id.kind() != self.format {
            return None;
        }
        let id = id.as_bytes();
        let Range {
            start: mut low,
            end: mut high,
        } = self.bucket(id[0]);
        if low >= high {
            return None;
        }
        let fraction = u64::from(u32::from_be_bytes([id[1], id[2], id[3], id[4]]));
        let guess = low + ((u64::from(high - low) * fraction) >> 32) as u32;
        let mut step = 4;
        match self.id_bytes(guess).cmp(id) {
            Ordering::Equal => return Some(guess),
            Ordering::Less => {
                low = guess + 1;
                while high - low > step {
                    match self.id_bytes(low + step).cmp(id) {
                        Ordering::Equal => return Some(low + step),
                        Ordering::Less => (low, step) = (low + step + 1, step * 4),
                        Ordering::Greater => high = low + step,
                    }
                }
            }
            Ordering::Greater => {
                high = guess;
                while high - low > step {
                    match self.id_bytes(high - step).cmp(id) {
                        Ordering::Equal => return Some(high - step),
                        Ordering::Greater => (high, step) = (high - step, step * 4),
                        Ordering::Less => low = high - step + 1,
                    }
                }
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.id_bytes(middle).cmp(id) {
                Ordering::Equal => return Some(middle),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The id at `position`.
    ///
    /// # Panics
    /// When `position` is not below [`PackIndex::len`]; so do the next two.
    pub fn id(&self, position: u32) -> &oid {
        oid::from_bytes_unchecked(self.id_bytes(position))
    }

    /// Where in the pack the entry of `position` begins. `u64::MAX` if the index is damaged there.
    pub fn offset(&self, position: u32) -> u64 {
        assert!(
            position < self.count,
            "position {position} of {}",
            self.count
        );
        let offset = u32_at(&self.data, self.offsets_at + position as usize * 4);
        if offset & LARGE_OFFSET == 0 {
            return u64::from(offset);
        }
        let at = self.large_offsets_at + (offset & !LARGE_OFFSET) as usize * 8;
        match self.data[..self.trailer_at]
            .get(at..)
            .and_then(<[u8]>::first_chunk)
        {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => u64::MAX,
        }
    }

    /// The CRC-32 of the entry's bytes in the pack.
    pub fn crc32(&self, position: u32) -> u32 {
        assert!(
            position < self.count,
            "position {position} of {}",
            self.count
        );
        u32_at(&self.data, self.crc32s_at + position as usize * 4)
    }

    /// The positions of all ids that begin with the first `hex_len` hexadecimal digits of `prefix`.
    pub fn prefix_range(&self, prefix: &[u8], hex_len: usize) -> Range<u32> {
        let hash = self.format.len_in_bytes();
        let hex_len = hex_len.min(prefix.len() * 2);
        if hex_len > hash * 2 {
            return 0..0;
        }
        let Some(&first) = prefix.first().filter(|_| hex_len > 0) else {
            return 0..self.count;
        };
        let whole = &prefix[..hex_len / 2];
        let half = (hex_len % 2 == 1).then(|| prefix[hex_len / 2] >> 4);
        // How an id compares with the prefix; all that begin with it are equal.
        let compare = |position: u32| {
            let id = self.id_bytes(position);
            let by_whole = id[..whole.len()].cmp(whole);
            by_whole.then_with(|| {
                half.map_or(Ordering::Equal, |half| (id[whole.len()] >> 4).cmp(&half))
            })
        };
        let within = match hex_len {
            1 => self.bucket(first & 0xf0).start..self.bucket(first | 0x0f).end,
            _ => self.bucket(first),
        };
        let start = partition_point(within.clone(), |position| compare(position).is_lt());
        let end = partition_point(start..within.end.max(start), |position| {
            compare(position).is_le()
        });
        start..end
    }

    /// The trailer of the pack that this is the index of.
    pub fn pack_checksum(&self) -> ObjectId {
        let hash = self.format.len_in_bytes();
        oid::from_bytes_unchecked(&self.data[self.trailer_at..self.trailer_at + hash]).to_owned()
    }

    /// The position of the entry that begins at `offset`. The first call makes a table of 8 bytes
    /// an object.
    pub fn position_by_offset(&self, offset: u64) -> Option<u32> {
        let order = self.pack_order();
        let rank = order.first_from(offset);
        (order.offset(rank)? == offset).then(|| order.positions[rank])
    }

    /// Where the first entry behind `offset` begins: where the one at `offset` ends, if it is not
    /// the last. Makes the table that [`PackIndex::position_by_offset`] makes.
    pub fn next_offset(&self, offset: u64) -> Option<u64> {
        let order = self.pack_order();
        order.offset(order.first_from(offset.checked_add(1)?))
    }

    /// Positions in the order of the pack. Makes the table that
    /// [`PackIndex::position_by_offset`] makes.
    pub fn positions_in_pack_order(&self) -> &[u32] {
        &self.pack_order().positions
    }

    /// Where the entry that is number `rank` in the order of the pack begins.
    pub fn offset_by_rank(&self, rank: usize) -> Option<u64> {
        self.pack_order().offset(rank)
    }

    /// Which entry in the order of the pack begins at `offset`.
    pub fn rank_by_offset(&self, offset: u64) -> Option<usize> {
        let order = self.pack_order();
        let rank = order.first_from(offset);
        (order.offset(rank)? == offset).then_some(rank)
    }

    /// As [`PackIndex::rank_by_offset`], for an entry before that of number `rank`: the nearer it
    /// is the sooner it is found.
    pub fn rank_before(&self, rank: usize, offset: u64) -> Option<usize> {
        let order = self.pack_order();
        let (mut high, mut step) = (rank, 1);
        let mut low = rank.checked_sub(1)?;
        while order.offset(low)? > offset {
            high = low;
            step *= 2;
            low = low.saturating_sub(step);
            if high == 0 {
                return None;
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match order.offset(middle)?.cmp(&offset) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn pack_order(&self) -> &PackOrder {
        self.by_offset.get_or_init(|| PackOrder::of(self))
    }

    /// How many bytes it takes besides [`PackIndex::bytes`].
    pub fn heap_bytes(&self) -> usize {
        self.by_offset.get().map_or(0, PackOrder::heap_bytes)
    }
}

/// The first of `range` for which `is_before` does not hold.
fn partition_point(mut range: Range<u32>, is_before: impl Fn(u32) -> bool) -> u32 {
    while range.start < range.end {
        let middle = range.start + (range.end - range.start) / 2;
        if is_before(middle) {
            range.start = middle + 1;
        } else {
            range.end = middle;
        }
    }
    range.start
}

/// The number at `at`, which the caller has checked to be inside.
#[inline]
fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMAT: ObjectFormat = ObjectFormat::Sha1;

    fn entries(count: u32, format: ObjectFormat) -> Vec<IndexEntry> {
        let entry = |number: u32| {
            // Every seventh is far behind, where 31 bits do not reach.
            let far = if number % 7 == 3 { 5 << 32 } else { 0 };
            let offset = u64::from(number) * 40 + 12 + far;
            IndexEntry {
                id: Checksum::of(format, &number.to_be_bytes()),
                crc32: number ^ 0xdead,
                offset,
            }
        };
        (0..count).map(entry).collect()
    }

    fn index(count: u32, format: ObjectFormat) -> (Vec<IndexEntry>, PackIndex) {
        let mut entries = entries(count, format);
        let data = write_index(&mut entries, format.null_ref(), format);
        (
            entries,
            PackIndex::parse(Bytes::from(data), format).unwrap(),
        )
    }

    #[test]
    fn what_is_written_is_found() {
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            for count in [0, 1, 2, 300, 5000] {
                let (sorted, index) = index(count, format);
                index.verify().unwrap();
                assert_eq!(index.len(), count);
                for (position, entry) in (0..).zip(&sorted) {
                    assert_eq!(index.lookup(&entry.id), Some(position));
                    assert_eq!(index.id(position), entry.id);
                    assert_eq!(index.offset(position), entry.offset);
                    assert_eq!(index.crc32(position), entry.crc32);
                    assert_eq!(index.position_by_offset(entry.offset), Some(position));
                    assert_eq!(index.position_by_offset(entry.offset + 1), None);
                    let mut other = entry.id;
                    let last = other.as_mut_slice().len() - 1;
                    other.as_mut_slice()[last] ^= 1;
                    assert_eq!(index.lookup(&other), None);
                    other.as_mut_slice()[2] ^= 0x40;
                    assert_eq!(index.lookup(&other), None);
                }
                let mut collected = PackEntries::new(format);
                entries(count, format)
                    .iter()
                    .for_each(|entry| collected.push(&entry.id, entry.crc32, entry.offset));
                assert_eq!(collected.write_index(format.null_ref()), index.bytes()[..]);
                collected.sort();
                assert_eq!(collected.write_index(format.null_ref()), index.bytes()[..]);
                assert_eq!(collected.duplicate(), None);
            }
        }
    }

    #[test]
    fn a_prefix_finds_all_that_begin_with_it() {
        let (sorted, index) = index(3000, FORMAT);
        for hex_len in 0..=40 {
            for sought in sorted.iter().step_by(101).map(|entry| entry.id) {
                let hex = sought.to_string();
                let expected: Vec<u32> = (0..)
                    .zip(&sorted)
                    .filter(|(_, entry)| entry.id.to_string().starts_with(&hex[..hex_len]))
                    .map(|(position, _)| position)
                    .collect();
                let found = index.prefix_range(sought.as_bytes(), hex_len);
                assert_eq!(
                    found.collect::<Vec<_>>(),
                    expected,
                    "{hex_len} digits of {hex}"
                );
            }
        }
        assert_eq!(index.prefix_range(&[0; 32], 41), 0..0);
    }

    #[test]
    fn what_is_not_an_index_is_refused() {
        let (_, index) = index(20, FORMAT);
        let good = index.bytes().to_vec();
        let parse = |data: &[u8]| PackIndex::parse(Bytes::copy_from_slice(data), FORMAT).err();
        assert_eq!(parse(b""), Some(IndexError::NotAnIndex));
        assert_eq!(parse(&good[..1031]), Some(IndexError::NotAnIndex));
        let bytes = good.len() - 1;
        let wrong_length = IndexError::Length { objects: 20, bytes };
        assert_eq!(parse(&good[..bytes]), Some(wrong_length));
        let with = |at: usize, bytes: &[u8]| {
            let mut data = good.clone();
            data[at..at + bytes.len()].copy_from_slice(bytes);
            data
        };
        let fan_out = parse(&with(8, &[0xff; 4]));
        assert_eq!(fan_out, Some(IndexError::FanOut { byte: 1 }));
        let objects = u32::MAX;
        let count = parse(&with(8 + 255 * 4, &[0xff; 4]));
        assert_eq!(
            count,
            Some(IndexError::Length {
                objects,
                bytes: good.len()
            })
        );

        let verify = |data: Vec<u8>| {
            // The checksum is right each time: what is inside is not.
            let (body, mut data) = (data.len() - 20, data);
            let checksum = Checksum::of(FORMAT, &data[..body]);
            data[body..].copy_from_slice(checksum.as_bytes());
            PackIndex::parse(Bytes::from(data), FORMAT)
                .unwrap()
                .verify()
        };
        assert_eq!(verify(good.clone()), Ok(()));
        assert_eq!(
            index_error(&with(IDS_AT + 3, &[1])),
            Err(IndexError::Checksum)
        );
        let (third, fourth) = (IDS_AT + 2 * 20, IDS_AT + 3 * 20);
        let swapped = [&good[..third], &good[fourth..fourth + 20], &good[fourth..]].concat();
        assert!(matches!(
            verify(swapped),
            Err(IndexError::Order { position: 2 | 3 })
        ));
        let offset = with(index.offsets_at, &[0x80, 0, 0, 99]);
        assert_eq!(verify(offset), Err(IndexError::Offset { position: 0 }));
    }

    fn index_error(data: &[u8]) -> Result<(), IndexError> {
        PackIndex::parse(Bytes::copy_from_slice(data), FORMAT)?.verify()
    }

    proptest! {
        #[test]
        fn no_bytes_panic(count in 0u32..40, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), from in 8usize..1100) {
            let (sorted, index) = index(count, FORMAT);
            let mut data = index.bytes().to_vec();
            for (at, byte) in changes {
                let at = (from + at.index(data.len())).min(data.len() - 1);
                data[at] = byte;
            }
            if let Ok(index) = PackIndex::parse(Bytes::from(data), FORMAT) {
                let _ = index.verify();
                for entry in &sorted {
                    let _ = index.lookup(&entry.id);
                    let _ = index.prefix_range(entry.id.as_bytes(), 5);
                    let _ = index.position_by_offset(entry.offset);
                    let _ = index.next_offset(entry.offset);
                }
                for position in 0..index.len() {
                    let _ = (index.id(position), index.offset(position), index.crc32(position));
                }
            }
        }
    }
}
