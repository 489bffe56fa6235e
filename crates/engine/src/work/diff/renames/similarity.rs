//! How alike two files are, as git's `diffcore-delta.c` estimates it: both are cut behind each
//! newline and after 64 bytes, the pieces are hashed, and what one has of a hash the other may
//! have had from it.

/// A hash is one of so many.
const HASHES: u32 = 107_927;
/// The longest piece, in bytes.
const PIECE_BYTES_MAX: u32 = 64;
/// Where git looks for a NUL, which text does not have.
const BINARY_SEARCH_BYTES: usize = 8000;
/// A file of more bytes is binary (`core.bigFileThreshold`).
pub const BIG_FILE_BYTES: usize = 512 << 20;

/// Whether git takes `data` for binary: it has a NUL near its start, or is very large.
pub fn is_binary(data: &[u8]) -> bool {
    data.len() > BIG_FILE_BYTES
        || memchr::memchr(0, &data[..data.len().min(BINARY_SEARCH_BYTES)]).is_some()
}

/// How many bytes of a file have which hash, by hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(Vec<(u32, u32)>);

impl Spans {
    /// Those of a file. What is behind the last newline counts only in whole pieces, and a CR
    /// before a newline of text not at all.
    pub fn of(data: &[u8]) -> Spans {
        let is_text = !is_binary(data);
        let mut pieces: Vec<(u32, u32)> = Vec::with_capacity(data.len() / 32 + 1);
        let (mut low, mut high, mut length) = (0u32, 0u32, 0u32);
        let mut bytes = data.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            if is_text && byte == b'\r' && bytes.peek() == Some(&b'\n') {
                continue;
            }
            let before = low;
            low = (low << 7) ^ (high >> 25);
            high = (high << 7) ^ (before >> 25);
            low = low.wrapping_add(u32::from(byte));
            length += 1;
            if length < PIECE_BYTES_MAX && byte != b'\n' {
                continue;
            }
            let hash = low.wrapping_add(high.wrapping_mul(0x61)) % HASHES;
            pieces.push((hash, length));
            (low, high, length) = (0, 0, 0);
            if pieces.len() >= MERGED_AT {
                merge(&mut pieces);
            }
        }
        merge(&mut pieces);
        pieces.shrink_to_fit();
        Spans(pieces)
    }

    /// How many different hashes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes of `destination` may have come from this file.
    pub fn copied_to(&self, destination: &Spans) -> u64 {
        let mut there = destination.0.iter().copied().peekable();
        let mut copied = 0;
        for &(hash, count) in &self.0 {
            while there.next_if(|&(other, _)| other < hash).is_some() {}
            if let Some((_, other)) = there.next_if(|&(other, _)| other == hash) {
                copied += u64::from(count.min(other));
            }
        }
        copied
    }
}

/// So many pieces are brought together before there are more: twice as many as there are hashes.
const MERGED_AT: usize = 4 * HASHES as usize;

/// Sorts pieces by their hashes, and makes one of those with the same.
fn merge(pieces: &mut Vec<(u32, u32)>) {
    pieces.sort_unstable_by_key(|(hash, _)| *hash);
    pieces.dedup_by(|piece, kept| {
        let same = piece.0 == kept.0;
        if same {
            kept.1 = kept.1.wrapping_add(piece.1);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_wholly_in_itself_but_for_an_unfinished_line() {
        let text = b"one\ntwo\ntwo\nrest";
        let spans = Spans::of(text);
        assert_eq!(spans.copied_to(&spans), 12);
        assert_eq!(spans.len(), 2);
        let dos = Spans::of(b"one\r\ntwo\r\ntwo\r\n");
        assert_eq!(spans.copied_to(&dos), 12);
        assert_eq!(Spans::of(b"two\nthree\n").copied_to(&spans), 4);
        assert_eq!(spans.copied_to(&Spans::default()), 0);
        assert!(Spans::of(&[b'x'; 63]).is_empty());
        assert_eq!(Spans::of(&[b'x'; 130]).len(), 1);
    }

    #[test]
    fn many_pieces_are_counted_as_few_are() {
        let lines = |count: u32| -> Vec<u8> {
            (0..count)
                .flat_map(|n| format!("{n}\n").into_bytes())
                .collect()
        };
        let (all, half) = (lines(1_000_000), lines(500_000));
        let spans = Spans::of(&all);
        assert!(spans.len() <= HASHES as usize);
        assert_eq!(spans.copied_to(&spans), all.len() as u64);
        assert_eq!(Spans::of(&half).copied_to(&spans), half.len() as u64);
    }
}
