//! Arrays that grow without moving: readers need no lock while a writer appends.

use std::sync::OnceLock;

/// Elements in the first chunk; each next one is twice as long, up to [`CHUNK_LEN_MAX`].
const FIRST_LEN: u32 = 1 << FIRST_BITS;
const FIRST_BITS: u32 = 4;
/// No chunk is longer, so a long array wastes at most this many elements. The memory of a chunk
/// is touched when it is made: that of one this long fits the processor's caches.
const CHUNK_LEN_MAX: usize = 1 << CHUNK_BITS_MAX;
const CHUNK_BITS_MAX: u32 = 12;
const ROWS: usize = (u32::BITS - FIRST_BITS) as usize;

/// A growing array of chunks `C`, each of which holds a power of two of elements.
///
/// Row *k* covers `16 << k` elements, in one chunk or, where that would be more than 4,096, in
/// several. A small array costs one small chunk, and no element ever moves.
pub(super) struct Chunks<C> {
    rows: [OnceLock<Box<[OnceLock<C>]>>; ROWS],
}

/// Where element `n` is: row, chunk in the row, place in the chunk.
fn locate(n: u32) -> (usize, usize, usize) {
    // In 64 bits the sum cannot wrap.
    let shifted = u64::from(n) + u64::from(FIRST_LEN);
    let row = shifted.ilog2() - FIRST_BITS;
    let offset = (shifted - (u64::from(FIRST_LEN) << row)) as usize;
    (
        row as usize,
        offset >> CHUNK_BITS_MAX,
        offset & (CHUNK_LEN_MAX - 1),
    )
}

impl<C> Chunks<C> {
    /// No chunk yet.
    pub(super) fn new() -> Chunks<C> {
        Chunks {
            rows: [const { OnceLock::new() }; ROWS],
        }
    }

    /// The chunk that holds element `n` and its place there, if that chunk was made.
    #[inline]
    pub(super) fn get(&self, n: u32) -> Option<(&C, usize)> {
        let (row, chunk, place) = locate(n);
        let chunk = self.rows.get(row)?.get()?.get(chunk)?.get()?;
        Some((chunk, place))
    }

    /// As [`Chunks::get`]; a chunk that is not there is made by `make`, which is told its length.
    /// `None` only beyond the last number there can be.
    pub(super) fn get_or_make(&self, n: u32, make: impl FnOnce(usize) -> C) -> Option<(&C, usize)> {
        let (row, chunk, place) = locate(n);
        let row_len = (FIRST_LEN as usize) << row;
        let chunks = self.rows.get(row)?.get_or_init(|| {
            let count = row_len.div_ceil(CHUNK_LEN_MAX);
            (0..count).map(|_| OnceLock::new()).collect()
        });
        let chunk = chunks
            .get(chunk)?
            .get_or_init(|| make(row_len.min(CHUNK_LEN_MAX)));
        Some((chunk, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_own_place() {
        let mut expected = (0usize, 0usize, 0usize);
        for n in 0..400_000u32 {
            assert_eq!(locate(n), expected, "element {n}");
            let row_len = 16usize << expected.0;
            expected.2 += 1;
            if expected.1 * CHUNK_LEN_MAX + expected.2 == row_len {
                expected = (expected.0 + 1, 0, 0);
            } else if expected.2 == CHUNK_LEN_MAX {
                expected = (expected.0, expected.1 + 1, 0);
            }
        }
        assert!(locate(u32::MAX).0 <= ROWS);
    }

    #[test]
    fn an_element_is_there_once_its_chunk_is() {
        let chunks = Chunks::<Vec<u32>>::new();
        assert!(chunks.get(100).is_none());
        let (chunk, place) = chunks
            .get_or_make(100, |len| vec![7; len])
            .expect("in range");
        assert_eq!(chunk[place], 7);
        assert!(chunks.get(100).is_some());
        assert!(chunks.get(0).is_none());
    }
}
