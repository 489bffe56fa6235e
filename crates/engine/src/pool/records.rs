//! Where hot objects' bytes are: behind each other, in the order in which they came.

/// A segment of a large collection; a small one's are smaller.
const SEGMENT_BYTES_MAX: usize = 32 << 10;
const SEGMENT_BYTES_MIN: usize = 512;
/// A collection has about this many segments before they are of full size: so much of it at most
/// is room that nobody uses yet.
const SEGMENTS_BEFORE_MAX: usize = 4;
/// Before each record: its length.
const LENGTH_BYTES: usize = 4;

/// Byte strings without an allocation for each. What comes together lies together and leaves
/// together, so a segment goes as a whole, when the last of its records was removed.
#[derive(Default)]
pub(super) struct Records {
    segments: Vec<Segment>,
    /// Segments without memory, to be used again.
    free: Vec<u32>,
    /// The one that records are added to.
    open: Option<u32>,
    /// Bytes of all segments.
    bytes: usize,
}

#[derive(Default)]
struct Segment {
    /// Never beyond its capacity: records do not move.
    bytes: Vec<u8>,
    /// How many of its records were not removed.
    records: u32,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    segment: u32,
    offset: u32,
}

impl Records {
    /// Adds the record that `parts` make behind each other: below 4 GiB, as an entry's objects are
    /// by far.
    pub(super) fn push(&mut self, parts: &[&[u8]]) -> Place {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        debug_assert!(u32::try_from(length).is_ok());
        let number = self.with_room(LENGTH_BYTES + length);
        let segment = &mut self.segments[number as usize];
        let offset = segment.bytes.len() as u32;
        segment
            .bytes
            .extend_from_slice(&(length as u32).to_le_bytes());
        for part in parts {
            segment.bytes.extend_from_slice(part);
        }
        segment.records += 1;
        Place {
            segment: number,
            offset,
        }
    }

    /// A segment with room for so many bytes more.
    fn with_room(&mut self, room: usize) -> u32 {
        if let Some(open) = self.open {
            let bytes = &self.segments[open as usize].bytes;
            if bytes.capacity() - bytes.len() >= room {
                return open;
            }
        }
        let usual = self.bytes / SEGMENTS_BEFORE_MAX;
        let usual = usual.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let segment = Segment {
            bytes: Vec::with_capacity(usual.max(room)),
            records: 0,
        };
        self.bytes += segment.bytes.capacity();
        let number = match self.free.pop() {
            Some(number) => {
                self.segments[number as usize] = segment;
                number
            }
            None => {
                self.segments.push(segment);
                (self.segments.len() - 1) as u32
            }
        };
        // One that fills a segment by itself leaves the open one to the small ones.
        if room < usual {
            self.open = Some(number);
        }
        number
    }

    /// The record at `place`.
    #[inline]
    pub(super) fn get(&self, place: Place) -> &[u8] {
        let bytes = self.segments.get(place.segment as usize);
        let rest = bytes.and_then(|segment| segment.bytes.get(place.offset as usize..));
        let Some((length, rest)) = rest.and_then(|rest| rest.split_first_chunk()) else {
            return &[];
        };
        let length = u32::from_le_bytes(*length) as usize;
        rest.get(..length).unwrap_or_default()
    }

    /// The record at `place`, to change what is in it.
    pub(super) fn get_mut(&mut self, place: Place) -> &mut [u8] {
        let bytes = self.segments.get_mut(place.segment as usize);
        let rest = bytes.and_then(|segment| segment.bytes.get_mut(place.offset as usize..));
        let Some((length, rest)) = rest.and_then(|rest| rest.split_first_chunk_mut()) else {
            return &mut [];
        };
        let length = u32::from_le_bytes(*length) as usize;
        rest.get_mut(..length).unwrap_or_default()
    }

    /// Removes the record at `place`: nobody asks for it any more.
    pub(super) fn remove(&mut self, place: Place) {
        let Some(segment) = self.segments.get_mut(place.segment as usize) else {
            return;
        };
        segment.records = segment.records.saturating_sub(1);
        if segment.records > 0 {
            return;
        }
        let gone = std::mem::take(segment);
        self.bytes -= gone.bytes.capacity();
        self.free.push(place.segment);
        if self.open == Some(place.segment) {
            self.open = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_removed_gives_its_memory_back() {
        let mut records = Records::default();
        let places: Vec<Place> = (0..10_000u32)
            .map(|n| records.push(&[&n.to_le_bytes(), &[7; 90]]))
            .collect();
        assert!(records.bytes < 10_000 * (94 + LENGTH_BYTES) + 2 * SEGMENT_BYTES_MAX);
        for (n, place) in places.iter().enumerate() {
            assert!(records.get(*place).starts_with(&(n as u32).to_le_bytes()));
            records.remove(*place);
        }
        assert_eq!(records.bytes, 0);
        let segments = records.segments.len();
        records.push(&[&[1; 70_000]]);
        assert_eq!(records.segments.len(), segments, "a number is used again");
    }

    proptest! {
        #[test]
        fn records_agree_with_a_plain_map(
            steps in prop::collection::vec((any::<bool>(), 0usize..900, any::<u8>()), 0..400),
        ) {
            let mut records = Records::default();
            let mut model: BTreeMap<usize, (Place, Vec<u8>)> = BTreeMap::new();
            for (number, (adds, size, byte)) in steps.into_iter().enumerate() {
                if adds || model.is_empty() {
                    let content = vec![byte; size];
                    let half = size / 2;
                    let place = records.push(&[&content[..half], &content[half..]]);
                    model.insert(number, (place, content));
                } else {
                    let key = *model.keys().nth(size % model.len()).expect("there is one");
                    let (place, _) = model.remove(&key).expect("it is there");
                    records.remove(place);
                }
                for (place, content) in model.values_mut() {
                    prop_assert_eq!(records.get(*place), &content[..]);
                    if let Some(first) = records.get_mut(*place).first_mut() {
                        *first = first.wrapping_add(1);
                        content[0] = content[0].wrapping_add(1);
                    }
                }
            }
        }
    }
}
