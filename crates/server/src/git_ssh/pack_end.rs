//! Where a pack ends that arrives on a connection which stays open.
//!
//! Git's own client says that nothing follows its pack; others do not, and wait for the report. A
//! pack ends with the hash of all that is before it (gitformat-pack(5)), so wherever nothing more
//! has arrived it can be told whether that was all. Whether it is a good pack is another question,
//! which is asked when it is taken apart.

use govc_git::ObjectFormat;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// `PACK`, version, number of objects.
const HEADER_BYTES: u64 = 12;
/// The longest hash.
const HASH_BYTES_MAX: usize = 32;

/// The hash of a pack that arrives.
pub(crate) struct PackEnd {
    hash: Context,
    hash_bytes: usize,
    /// The last bytes that arrived, at most `hash_bytes`: they are not hashed yet.
    tail: Vec<u8>,
    hashed: u64,
}

impl PackEnd {
    /// Waits for a pack of a repository of `format`.
    pub(crate) fn new(format: ObjectFormat) -> PackEnd {
        let algorithm = match format {
            ObjectFormat::Sha256 => &SHA256,
            _ => &SHA1_FOR_LEGACY_USE_ONLY,
        };
        PackEnd {
            hash: Context::new(algorithm),
            hash_bytes: algorithm.output_len(),
            tail: Vec::with_capacity(2 * HASH_BYTES_MAX),
            hashed: 0,
        }
    }

    /// More of it has arrived.
    pub(crate) fn arrived(&mut self, piece: &[u8]) {
        // All but the last `hash_bytes` bytes of what is kept and the piece are hashed.
        let from_piece = piece.len().saturating_sub(self.hash_bytes);
        let kept = piece.len() - from_piece;
        let from_tail = (self.tail.len() + kept).saturating_sub(self.hash_bytes);
        let from_tail = from_tail.min(self.tail.len());
        self.hash.update(&self.tail[..from_tail]);
        self.hash.update(&piece[..from_piece]);
        self.hashed += (from_tail + from_piece) as u64;
        self.tail.drain(..from_tail);
        self.tail.extend_from_slice(&piece[from_piece..]);
    }

    /// Whether what has arrived ends as a pack does.
    pub(crate) fn is_whole(&self) -> bool {
        self.hashed >= HEADER_BYTES
            && self.tail.len() == self.hash_bytes
            && self.hash.clone().finish().as_ref() == &self.tail[..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_empty_pack_is_whole_at_its_last_byte() {
        let mut pack = b"PACK\0\0\0\x02\0\0\0\0".to_vec();
        pack.extend_from_slice(&[
            0x02, 0x9d, 0x08, 0x82, 0x3b, 0xd8, 0xa8, 0xea, 0xb5, 0x10, 0xad, 0x6a, 0xc7, 0x5c,
            0x82, 0x3c, 0xfd, 0x3e, 0xd3, 0x1e,
        ]);
        let mut end = PackEnd::new(ObjectFormat::Sha1);
        for (at, byte) in pack.iter().enumerate() {
            assert!(!end.is_whole(), "at {at}");
            end.arrived(&[*byte]);
        }
        assert!(end.is_whole());
        end.arrived(b"x");
        assert!(!end.is_whole());
    }

    proptest! {
        #[test]
        fn no_split_matters(
            content in prop::collection::vec(any::<u8>(), 12..200),
            size in 1usize..70,
            format in prop::sample::select(vec![ObjectFormat::Sha1, ObjectFormat::Sha256]),
        ) {
            let algorithm = match format {
                ObjectFormat::Sha256 => &SHA256,
                _ => &SHA1_FOR_LEGACY_USE_ONLY,
            };
            let hash = ring::digest::digest(algorithm, &content);
            let whole = [&content[..], hash.as_ref()].concat();
            let mut end = PackEnd::new(format);
            for piece in whole.chunks(size) {
                end.arrived(piece);
            }
            prop_assert!(end.is_whole());
        }
    }
}
