//! Finding a delta between two contents, in time that grows with their sizes and nothing else.
//!
//! The base is cut into blocks, whose hashes go into a table with one place for each; the target
//! is gone through byte by byte, and where a block of the base begins there, that is copied, as far
//! as both agree in both directions. This is the scheme of Karp and Rabin that xdelta and git
//! use, with a hash that is made anew at each place: of sixteen bytes that takes two loads.

use super::delta::{write_copy, write_insert, write_size};

/// Bytes of a block.
const BLOCK: usize = 16;
/// Contents beyond this are not looked into: what takes long is no gain.
const LEN_MAX: usize = 64 << 20;
/// Where nothing was found for so many places, each further so many double the step.
const PATIENCE: usize = 1 << 9;

/// A delta that makes `target` of `base`, of fewer than `bytes_max` bytes; `None` where none was
/// found. One of copies that are not worth their instructions is not looked for.
pub fn delta_between(base: &[u8], target: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    if base.len() > LEN_MAX || target.len() > LEN_MAX {
        return None;
    }
    let shorter = base.len().min(target.len());
    let front = common(base.iter().zip(target), shorter);
    let back = base.iter().rev().zip(target.iter().rev());
    let back = common(back, shorter - front);

    let mut out = Vec::with_capacity(64);
    write_size(base.len(), &mut out);
    write_size(target.len(), &mut out);
    write_copy(0..front, &mut out);
    let middle = front..target.len() - back;
    let table = Table::of(base.get(front..base.len() - back)?, front);
    let mut literal_from = front;
    let (mut at, mut misses) = (front, 0);
    while at + BLOCK <= middle.end {
        let Some(block) = target.get(at..at + BLOCK) else {
            break;
        };
        let found = table.place(block);
        let found = found.filter(|&place| base.get(place..place + BLOCK) == Some(block));
        let Some(mut place) = found else {
            misses += 1;
            at += 1 << (misses / PATIENCE).min(6);
            // What is left over would be inserted.
            if out.len() + (at - literal_from) >= bytes_max {
                return None;
            }
            continue;
        };
        misses = 0;
        while place > 0 && at > literal_from && base.get(place - 1) == target.get(at - 1) {
            place -= 1;
            at -= 1;
        }
        let (ours, theirs) = (base.get(place..)?, target.get(at..middle.end)?);
        let length = common(ours.iter().zip(theirs), ours.len().min(theirs.len()));
        write_insert(target.get(literal_from..at)?, &mut out);
        write_copy(place..place + length, &mut out);
        at += length;
        literal_from = at;
    }
    write_insert(target.get(literal_from..middle.end)?, &mut out);
    write_copy(base.len() - back..base.len(), &mut out);
    (out.len() < bytes_max).then_some(out)
}

/// How many pairs are alike, of the first `most`.
fn common<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>, most: usize) -> usize {
    pairs.take(most).take_while(|(a, b)| a == b).count()
}

/// Where blocks of a base begin.
struct Table {
    /// By hash: a place, and one more; 0 is none.
    places: Vec<u32>,
    shift: u32,
}

impl Table {
    /// Of `base`, which begins at `from` of a longer one.
    fn of(base: &[u8], from: usize) -> Table {
        let blocks = base.len() / BLOCK;
        let bits = (blocks * 2).next_power_of_two().trailing_zeros().max(4);
        let mut table = Table {
            places: vec![0; 1 << bits],
            shift: 64 - bits,
        };
        // The first of those that are alike stays: a run of zeros is copied from its beginning.
        for (number, block) in base.chunks_exact(BLOCK).enumerate().rev() {
            let slot = hash(block) >> table.shift;
            let place = (from + number * BLOCK + 1) as u32;
            if let Some(slot) = table.places.get_mut(slot as usize) {
                *slot = place;
            }
        }
        table
    }

    fn place(&self, block: &[u8]) -> Option<usize> {
        let slot = hash(block) >> self.shift;
        let place = self.places.get(slot as usize).copied()?;
        (place as usize).checked_sub(1)
    }
}

/// Of [`BLOCK`] bytes.
fn hash(block: &[u8]) -> u64 {
    let half = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (first, second) = (half(block.first_chunk()), half(block.last_chunk()));
    // Odd numbers from the digits of pi and e, so that all bits go into the upper ones.
    let mixed = first.wrapping_mul(0x243f_6a88_85a3_08d3) ^ second.rotate_left(29);
    mixed.wrapping_mul(0xb7e1_5162_8aed_2a6b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::delta::apply;
    use super::*;

    #[test]
    fn what_was_moved_is_copied() {
        let line = |n: usize| format!("line {n}, of which there is one only: {}\n", n * 7919);
        let text = |order: &mut dyn Iterator<Item = usize>| order.map(line).collect::<String>();
        let base = text(&mut (0..500));
        let target = text(&mut (250..500).chain(0..100).chain(110..250));
        let delta = delta_between(base.as_bytes(), target.as_bytes(), 200).unwrap();
        assert_eq!(
            apply(base.as_bytes(), &delta, 1 << 20).unwrap(),
            target.as_bytes()
        );
    }

    #[test]
    fn what_has_nothing_in_common_is_given_up() {
        let noise = |seed: u32| -> Vec<u8> {
            let mut state = seed;
            let next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            std::iter::repeat_with(next).take(100_000).collect()
        };
        assert_eq!(delta_between(&noise(1), &noise(2), 50_000), None);
        assert!(delta_between(&noise(1), &noise(1), 100).is_some());
        assert!(delta_between(&[0; 100_000], &[0; 90_000], 100).is_some());
        assert!(delta_between(b"", b"", 100).is_some());
    }

    proptest! {
        #[test]
        fn a_delta_makes_the_target(
            pieces in prop::collection::vec(prop::collection::vec(0u8..4, 0..60), 1..12),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            extra in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let base = pieces.concat();
            let mut target: Vec<u8> = Vec::new();
            for index in &order {
                let piece: &Vec<u8> = index.get(&pieces);
                target.extend_from_slice(piece);
            }
            let middle = target.len() / 2;
            target.splice(middle..middle, extra);
            let most = 2 * target.len() + 100;
            let delta = delta_between(&base, &target, most).unwrap();
            prop_assert_eq!(apply(&base, &delta, 1 << 20).unwrap(), target);
        }
    }
}
