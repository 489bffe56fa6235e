//! The very delta that git finds between two contents, for what is compared with git's byte for byte.
//!
//! The base is cut into blocks of [`WINDOW`] bytes, known by Rabin's fingerprint (M. O. Rabin,
//! "Fingerprinting by random polynomials", 1981), which rolls over the target; where a block is met,
//! the longest common run is copied. Which of several is taken, and where literals end, is as git's
//! `diff-delta.c` was seen to choose.

use super::delta::{write_copy, write_insert, write_size};

/// Bytes of a block.
const WINDOW: usize = 16;
/// Fingerprints are remainders of polynomials by this one, of degree 31.
const POLYNOMIAL: u32 = 0xab59_b4d1;
/// The bits of a fingerprint above this are those that another byte moves out.
const TOP_SHIFT: u32 = 23;
/// So many blocks of one bucket are looked at.
const BUCKET_MAX: usize = 64;
/// What is as long as this is taken without looking for anything longer.
const GOOD_ENOUGH: usize = 4096;
/// What is shorter is no match.
const MATCH_MIN: usize = 4;
/// Bytes of the longest copy, and of the longest literal.
const COPY_MAX: usize = 0x1_0000;
const INSERT_MAX: usize = 0x7f;
/// Bases beyond this are not looked into: places are 32 bits.
const LEN_MAX: usize = 0xffff_fffe;

/// What the top eight bits of a fingerprint leave when they move out.
const MOVED_OUT: [u32; 256] = multiples(POLYNOMIAL);
/// What the oldest byte of a block adds to its fingerprint: x^120 times it.
const OLDEST: [u32; 256] = {
    let mut factor = 1u32;
    let mut power = 0;
    while power < 8 * (WINDOW - 1) {
        factor = doubled(factor);
        power += 1;
    }
    multiples(factor)
};

const fn doubled(value: u32) -> u32 {
    let moved = value << 1;
    match moved >> 31 {
        0 => moved,
        _ => moved ^ POLYNOMIAL,
    }
}

/// All products of `factor` and a byte.
const fn multiples(factor: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut term, mut bit) = (factor, 0);
        while bit < 8 {
            if (byte >> bit) & 1 == 1 {
                table[byte] ^= term;
            }
            term = doubled(term);
            bit += 1;
        }
        byte += 1;
    }
    table
}

fn fingerprint(block: &[u8]) -> u32 {
    block.iter().fold(0, |value, &byte| take_in(value, byte))
}

fn take_in(value: u32, byte: u8) -> u32 {
    let moved_out = (value >> TOP_SHIFT) & 0xff;
    ((value << 8) | u32::from(byte)) ^ MOVED_OUT[moved_out as usize]
}

/// The delta of at most `bytes_max` bytes that git would find; `None` where it finds none.
pub fn delta_as_git(base: &[u8], target: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    if base.is_empty() || base.len() > LEN_MAX {
        return None;
    }
    let blocks = Blocks::of(base);
    let mut out = Vec::with_capacity(64);
    write_size(base.len(), &mut out);
    write_size(target.len(), &mut out);
    let mut at = WINDOW.min(target.len());
    let mut literal_from = 0;
    let mut value = fingerprint(target.get(..at)?);
    let mut found = Match::default();
    while at < target.len() {
        if found.length < GOOD_ENOUGH {
            let oldest = *target.get(at - WINDOW)?;
            value = take_in(value ^ OLDEST[usize::from(oldest)], *target.get(at)?);
            found = blocks.longest(value, base, target.get(at..)?, found);
        }
        if found.length < MATCH_MIN {
            at += 1;
            if at - literal_from == INSERT_MAX {
                write_insert(target.get(literal_from..at)?, &mut out);
                literal_from = at;
            }
            found.length = 0;
        } else {
            while at > literal_from
                && found.place > 0
                && base.get(found.place - 1) == target.get(at - 1)
            {
                found.place -= 1;
                found.length += 1;
                at -= 1;
            }
            write_insert(target.get(literal_from..at)?, &mut out);
            let length = found.length.min(COPY_MAX);
            write_copy(found.place..found.place + length, &mut out);
            found.place += length;
            found.length -= length;
            at += length;
            literal_from = at;
            if found.length < GOOD_ENOUGH {
                value = fingerprint(target.get(at - WINDOW..at)?);
            }
        }
        if out.len() > bytes_max {
            return None;
        }
    }
    write_insert(target.get(literal_from..)?, &mut out);
    (out.len() <= bytes_max).then_some(out)
}

/// A run that base and target share.
#[derive(Debug, Clone, Copy, Default)]
struct Match {
    /// Where it begins in the base.
    place: usize,
    length: usize,
}

/// A block of the base.
#[derive(Debug, Clone, Copy)]
struct Block {
    value: u32,
    /// Where its last byte is.
    last: u32,
}

/// The blocks of a base, by fingerprint.
struct Blocks {
    mask: u32,
    /// Where each bucket begins in `blocks`, and where the last one ends.
    begins: Vec<usize>,
    blocks: Vec<Block>,
}

impl Blocks {
    fn of(base: &[u8]) -> Blocks {
        let count = base.len().saturating_sub(1) / WINDOW;
        // One bucket for four blocks, but not fewer than sixteen.
        let buckets = (count / 4).next_power_of_two().max(16);
        let mask = buckets as u32 - 1;
        let bucket_of = |block: &Block| (block.value & mask) as usize;

        // The first byte of the base is in no block. Of a run of equal ones the first one stays.
        let mut all: Vec<Block> = Vec::with_capacity(count);
        let bytes = base.get(1..).unwrap_or_default();
        for (number, block) in bytes.chunks_exact(WINDOW).enumerate() {
            let value = fingerprint(block);
            let last = ((number + 1) * WINDOW) as u32;
            if all.last().is_none_or(|before| before.value != value) {
                all.push(Block { value, last });
            }
        }
        let mut begins = vec![0; buckets + 1];
        for block in &all {
            begins[bucket_of(block) + 1] += 1;
        }
        for bucket in 0..buckets {
            begins[bucket + 1] += begins[bucket];
        }
        let mut ends = begins.clone();
        let mut blocks = vec![Block { value: 0, last: 0 }; all.len()];
        for block in all {
            let end = &mut ends[bucket_of(&block)];
            blocks[*end] = block;
            *end += 1;
        }
        thin_out(&mut begins, &mut blocks);
        Blocks {
            mask,
            begins,
            blocks,
        }
    }

    /// The longest run at the front of `target` that begins in a block with this fingerprint, if it
    /// is longer than `best`.
    fn longest(&self, value: u32, base: &[u8], target: &[u8], mut best: Match) -> Match {
        let bucket = (value & self.mask) as usize;
        let bounds = self.begins.get(bucket).zip(self.begins.get(bucket + 1));
        let blocks = bounds.and_then(|(&from, &to)| self.blocks.get(from..to));
        for block in blocks.unwrap_or_default() {
            if block.value != value {
                continue;
            }
            let place = block.last as usize;
            let there = base.get(place..).unwrap_or_default();
            // Those that follow have even less before the end.
            if there.len().min(target.len()) <= best.length {
                break;
            }
            let pairs = there.iter().zip(target);
            let length = pairs.take_while(|(a, b)| a == b).count();
            if length > best.length {
                best = Match { place, length };
                if length >= GOOD_ENOUGH {
                    break;
                }
            }
        }
        best
    }
}

/// Leaves [`BUCKET_MAX`] of each bucket, evenly, so that no content makes a search long.
fn thin_out(begins: &mut [usize], blocks: &mut Vec<Block>) {
    let mut kept = 0;
    let mut from = 0;
    for end in begins.iter_mut().skip(1) {
        let to = *end;
        let excess = (to - from).saturating_sub(BUCKET_MAX) as i64;
        let (mut at, mut owed) = (from, 0);
        while at < to {
            blocks[kept] = blocks[at];
            kept += 1;
            at += 1;
            owed += excess;
            // What is left out too early counts for later.
            while owed > 0 && at < to {
                at += 1;
                owed -= BUCKET_MAX as i64;
            }
        }
        from = to;
        *end = kept;
    }
    blocks.truncate(kept);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::delta::apply;
    use super::*;

    proptest! {
        #[test]
        fn a_delta_makes_the_target(
            pieces in prop::collection::vec(prop::collection::vec(0u8..4, 1..60), 1..12),
            base in prop::collection::vec(any::<prop::sample::Index>(), 1..300),
            target in prop::collection::vec(any::<prop::sample::Index>(), 0..300),
        ) {
            let of = |order: &[prop::sample::Index]| -> Vec<u8> {
                order.iter().flat_map(|index| index.get(&pieces).clone()).collect()
            };
            let (base, target) = (of(&base), of(&target));
            let delta = delta_as_git(&base, &target, usize::MAX).unwrap();
            prop_assert_eq!(apply(&base, &delta, 1 << 20).unwrap(), target);
        }
    }

    #[test]
    fn the_tables_are_of_the_polynomial() {
        assert_eq!(MOVED_OUT[..4], [0, 0xab59_b4d1, 0x56b3_69a2, 0xfdea_dd73]);
        assert_eq!(OLDEST[1], 0x7eb5_200d);
    }

    #[test]
    fn one_that_would_be_longer_is_none() {
        let noise: Vec<u8> = (0u32..4000).map(|n| ((n * n) >> 3) as u8).collect();
        let delta = delta_as_git(&noise, &noise, 100).unwrap();
        assert_eq!(apply(&noise, &delta, 1 << 20).unwrap(), noise);
        assert_eq!(
            delta_as_git(&noise, &noise, delta.len()),
            Some(delta.clone())
        );
        assert_eq!(delta_as_git(&noise, &noise, delta.len() - 1), None);
        assert_eq!(delta_as_git(b"", &noise, 1 << 20), None);
        let short = delta_as_git(b"a", b"b", 100).unwrap();
        assert_eq!(apply(b"a", &short, 10).unwrap(), b"b");
    }
}
