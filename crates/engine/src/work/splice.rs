//! Replaces byte ranges of an object, and says so as a Git delta (gitformat-pack(5), "Deltified
//! representation").

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

/// The longest text of one insert instruction, in bytes.
const INSERT_BYTES_MAX: usize = 0x7f;
/// The longest range of one copy instruction, in bytes.
const COPY_BYTES_MAX: usize = 0xff_ffff;

/// Replaces `range` of `bytes` with `new` in place, and answers the delta that does it.
pub(super) fn splice(bytes: &mut Vec<u8>, range: Range<usize>, new: &[u8]) -> Bytes {
    let before = bytes.len();
    let after = before - range.len() + new.len();
    let mut delta = Delta::new();
    put_size(&mut delta, before);
    put_size(&mut delta, after);
    put_copy(&mut delta, 0..range.start);
    put_insert(&mut delta, new);
    put_copy(&mut delta, range.end..before);
    if range.len() == new.len() {
        bytes[range].copy_from_slice(new);
    } else {
        bytes.splice(range, new.iter().copied());
    }
    Bytes::copy_from_slice(&delta)
}

/// Most are the replacement of one id: two sizes, two copies and an insert.
type Delta = SmallVec<[u8; 128]>;

/// Replaces ranges of an object from front to back.
pub(super) struct Splicer<'a> {
    base: &'a [u8],
    /// As much of `base` has been dealt with.
    done: usize,
    bytes: Vec<u8>,
    instructions: Delta,
    /// A range of `base` that is to be copied once it cannot grow any more.
    copy: Range<usize>,
    /// New bytes behind it.
    insert: Vec<u8>,
}

impl<'a> Splicer<'a> {
    pub(super) fn new(base: &'a [u8]) -> Splicer<'a> {
        Splicer {
            base,
            done: 0,
            bytes: Vec::with_capacity(base.len() + base.len() / 8),
            instructions: Delta::new(),
            copy: 0..0,
            insert: Vec::new(),
        }
    }

    /// Replaces `range`, which is not before one that was replaced earlier.
    pub(super) fn replace(&mut self, range: Range<usize>, new: &[u8]) {
        self.keep_until(range.start);
        self.bytes.extend_from_slice(new);
        self.insert.extend_from_slice(new);
        self.done = range.end;
    }

    /// The object as it is now, and the delta that makes it.
    pub(super) fn finish(mut self) -> (Vec<u8>, Bytes) {
        self.keep_until(self.base.len());
        self.flush();
        let mut delta = Delta::new();
        put_size(&mut delta, self.base.len());
        put_size(&mut delta, self.bytes.len());
        delta.extend_from_slice(&self.instructions);
        (self.bytes, Bytes::copy_from_slice(&delta))
    }

    fn keep_until(&mut self, end: usize) {
        let range = self.done..end;
        if range.is_empty() {
            return;
        }
        self.bytes.extend_from_slice(&self.base[range.clone()]);
        if self.insert.is_empty() && self.copy.end == range.start {
            self.copy.end = range.end;
        } else {
            self.flush();
            self.copy = range;
        }
        self.done = end;
    }

    fn flush(&mut self) {
        put_copy(&mut self.instructions, self.copy.clone());
        put_insert(&mut self.instructions, &self.insert);
        self.copy = 0..0;
        self.insert.clear();
    }
}

/// A size as deltas have it: seven bits a byte, lowest first.
fn put_size(delta: &mut Delta, mut size: usize) {
    while size >= 0x80 {
        delta.push(size as u8 | 0x80);
        size >>= 7;
    }
    delta.push(size as u8);
}

fn put_copy(delta: &mut Delta, mut range: Range<usize>) {
    while !range.is_empty() {
        let size = range.len().min(COPY_BYTES_MAX);
        let at = delta.len();
        delta.push(0x80);
        for (bit, byte) in (range.start as u32).to_le_bytes().into_iter().enumerate() {
            if byte != 0 {
                delta.push(byte);
                delta[at] |= 1 << bit;
            }
        }
        // A size of 0x10000 is written as none at all.
        if size != 0x1_0000 {
            for (bit, byte) in (size as u32).to_le_bytes()[..3].iter().enumerate() {
                if *byte != 0 {
                    delta.push(*byte);
                    delta[at] |= 0x10 << bit;
                }
            }
        }
        range.start += size;
    }
}

fn put_insert(delta: &mut Delta, new: &[u8]) {
    for part in new.chunks(INSERT_BYTES_MAX) {
        delta.push(part.len() as u8);
        delta.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Applies a delta the plain way.
    fn apply(base: &[u8], delta: &[u8]) -> Vec<u8> {
        let mut at = 0;
        let mut size = || {
            let (mut size, mut shift) = (0usize, 0);
            loop {
                let byte = delta[at];
                at += 1;
                size |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    return size;
                }
            }
        };
        let (base_size, result_size) = (size(), size());
        assert_eq!(base_size, base.len());
        let mut result = Vec::new();
        while at < delta.len() {
            let op = delta[at];
            at += 1;
            if op & 0x80 == 0 {
                result.extend_from_slice(&delta[at..at + usize::from(op)]);
                at += usize::from(op);
                continue;
            }
            let mut field = |bits: std::ops::Range<u32>| {
                let mut value = 0usize;
                for (shift, bit) in bits.enumerate() {
                    if op & (1 << bit) != 0 {
                        value |= usize::from(delta[at]) << (8 * shift);
                        at += 1;
                    }
                }
                value
            };
            let (offset, size) = (field(0..4), field(4..7));
            let size = if size == 0 { 0x1_0000 } else { size };
            result.extend_from_slice(&base[offset..offset + size]);
        }
        assert_eq!(result.len(), result_size);
        result
    }

    proptest! {
        #[test]
        fn the_delta_makes_what_the_splices_made(
            length in prop_oneof![0usize..400, 65_500usize..65_600, Just(131_072)],
            cuts in prop::collection::vec((0usize..140_000, 0usize..300, 0usize..300), 0..6),
        ) {
            let base: Vec<u8> = (0..length).map(|n| (n * 7 + n / 251) as u8).collect();
            let mut cuts: Vec<_> = cuts
                .into_iter()
                .map(|(at, gone, new)| (at.min(length), gone, vec![at as u8; new]))
                .collect();
            cuts.sort_by_key(|cut| cut.0);
            let mut splicer = Splicer::new(&base);
            let mut expected = Vec::new();
            let mut done = 0;
            for (at, gone, new) in cuts {
                let range = at.max(done)..(at + gone).clamp(done, length).max(at.max(done));
                expected.extend_from_slice(&base[done..range.start]);
                expected.extend_from_slice(&new);
                done = range.end;
                let mut alone = base.clone();
                let delta = splice(&mut alone, range.clone(), &new);
                prop_assert_eq!(apply(&base, &delta), alone);
                splicer.replace(range, &new);
            }
            expected.extend_from_slice(&base[done..]);
            let (bytes, delta) = splicer.finish();
            prop_assert_eq!(&bytes, &expected);
            prop_assert_eq!(apply(&base, &delta), expected);
        }
    }
}
