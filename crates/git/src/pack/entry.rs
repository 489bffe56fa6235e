//! The header of a pack's entry: what it is, how large, and for a delta where its base is.

use crate::{ObjectFormat, ObjectId, ObjectKind};

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// An object as it is.
    Whole(ObjectKind),
    /// A delta whose base is an earlier entry of the same pack.
    OfsDelta {
        /// How many bytes before this entry the base's entry begins. Never 0.
        base_distance: u64,
    },
    /// A delta whose base is named; it may be anywhere in the pack, and in a thin pack outside it.
    RefDelta {
        /// The base's id.
        base: ObjectId,
    },
}

/// An entry's header, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryHeader {
    /// What the entry holds.
    pub kind: EntryKind,
    /// How many bytes its deflated part inflates to: the object, or the delta.
    pub size: u64,
    /// How many bytes the header took; the deflated part begins there.
    pub header_len: usize,
}

/// Why bytes are not an entry's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The bytes end inside the header.
    #[error("it ends inside its header")]
    Truncated,
    /// Type 0 or 5.
    #[error("its type is not one that exists")]
    UnknownType,
    /// A size or distance that needs more than 64 bits.
    #[error("its size or its base's distance does not fit in 64 bits")]
    Overflow,
    /// The base is the entry itself.
    #[error("it is a delta of itself")]
    OwnBase,
}

impl EntryError {
    /// The error as words that live for ever.
    pub fn reason(self) -> &'static str {
        match self {
            EntryError::Truncated => "it ends inside its header",
            EntryError::UnknownType => "its type is not one that exists",
            EntryError::Overflow => "its size or its base's distance does not fit in 64 bits",
            EntryError::OwnBase => "it is a delta of itself",
        }
    }
}

const COMMIT: u8 = 1;
const TREE: u8 = 2;
const BLOB: u8 = 3;
const TAG: u8 = 4;
const OFS_DELTA: u8 = 6;
const REF_DELTA: u8 = 7;

/// Decodes the header at the front of `bytes`.
///
/// # Errors
/// [`EntryError`], for any bytes; the base's distance is not compared with where the entry is.
pub fn parse_header(bytes: &[u8], format: ObjectFormat) -> Result<EntryHeader, EntryError> {
    let (&first, mut rest) = bytes.split_first().ok_or(EntryError::Truncated)?;
    let mut size = u64::from(first & 0x0f);
    let mut shift = 4u32;
    let mut byte = first;
    while byte & 0x80 != 0 {
        let (&next, after) = rest.split_first().ok_or(EntryError::Truncated)?;
        (byte, rest) = (next, after);
        let bits = u64::from(byte & 0x7f);
        // The bits must survive being shifted: 64 - 4 is not a multiple of 7.
        if shift >= 64 || (bits << shift) >> shift != bits {
            return Err(EntryError::Overflow);
        }
        size |= bits << shift;
        shift += 7;
    }
    let kind = match (first >> 4) & 7 {
        COMMIT => EntryKind::Whole(ObjectKind::Commit),
        TREE => EntryKind::Whole(ObjectKind::Tree),
        BLOB => EntryKind::Whole(ObjectKind::Blob),
        TAG => EntryKind::Whole(ObjectKind::Tag),
        OFS_DELTA => {
            let base_distance;
            (base_distance, rest) = parse_distance(rest)?;
            if base_distance == 0 {
                return Err(EntryError::OwnBase);
            }
            EntryKind::OfsDelta { base_distance }
        }
        REF_DELTA => {
            let length = format.len_in_bytes();
            let (id, after) = rest.split_at_checked(length).ok_or(EntryError::Truncated)?;
            rest = after;
            let base = ObjectId::try_from(id).map_err(|_| EntryError::Truncated)?;
            EntryKind::RefDelta { base }
        }
        _ => return Err(EntryError::UnknownType),
    };
    Ok(EntryHeader {
        kind,
        size,
        header_len: bytes.len() - rest.len(),
    })
}

/// The "offset encoding" of gitformat-pack: 7 bits a byte, most significant first, and each
/// continued byte adds one, so that no number has two spellings.
fn parse_distance(bytes: &[u8]) -> Result<(u64, &[u8]), EntryError> {
    let (&first, mut rest) = bytes.split_first().ok_or(EntryError::Truncated)?;
    let mut value = u64::from(first & 0x7f);
    let mut byte = first;
    while byte & 0x80 != 0 {
        let (&next, after) = rest.split_first().ok_or(EntryError::Truncated)?;
        (byte, rest) = (next, after);
        // value + 1 must still have its top seven bits free.
        if value >= (u64::MAX >> 7) {
            return Err(EntryError::Overflow);
        }
        value = ((value + 1) << 7) | u64::from(byte & 0x7f);
    }
    Ok((value, rest))
}

/// Appends the header of an entry whose deflated part inflates to `size` bytes.
pub fn write_header(kind: &EntryKind, size: u64, out: &mut Vec<u8>) {
    match kind {
        EntryKind::Whole(object) => {
            let number = match object {
                ObjectKind::Commit => COMMIT,
                ObjectKind::Tree => TREE,
                ObjectKind::Blob => BLOB,
                ObjectKind::Tag => TAG,
            };
            write_type_and_size(number, size, out);
        }
        EntryKind::OfsDelta { base_distance } => {
            write_type_and_size(OFS_DELTA, size, out);
            write_distance(*base_distance, out);
        }
        EntryKind::RefDelta { base } => {
            write_type_and_size(REF_DELTA, size, out);
            out.extend_from_slice(base.as_bytes());
        }
    }
}

fn write_type_and_size(number: u8, mut size: u64, out: &mut Vec<u8>) {
    let mut byte = (number << 4) | (size & 0x0f) as u8;
    size >>= 4;
    while size != 0 {
        out.push(byte | 0x80);
        byte = (size & 0x7f) as u8;
        size >>= 7;
    }
    out.push(byte);
}

fn write_distance(mut distance: u64, out: &mut Vec<u8>) {
    let mut bytes = [0u8; 10];
    let mut at = bytes.len() - 1;
    bytes[at] = (distance & 0x7f) as u8;
    distance >>= 7;
    while distance != 0 {
        distance -= 1;
        at -= 1;
        bytes[at] = 0x80 | (distance & 0x7f) as u8;
        distance >>= 7;
    }
    out.extend_from_slice(&bytes[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: ObjectFormat = ObjectFormat::Sha1;

    #[test]
    fn what_is_written_is_read_back() {
        let base = ObjectId::from_hex(b"0123456789abcdef0123456789abcdef01234567").unwrap();
        let kinds = [
            EntryKind::Whole(ObjectKind::Commit),
            EntryKind::Whole(ObjectKind::Tag),
            EntryKind::OfsDelta { base_distance: 1 },
            EntryKind::OfsDelta { base_distance: 127 },
            EntryKind::OfsDelta { base_distance: 128 },
            EntryKind::OfsDelta {
                base_distance: 16_511,
            },
            EntryKind::OfsDelta {
                base_distance: 16_512,
            },
            EntryKind::OfsDelta {
                base_distance: u64::MAX >> 1,
            },
            EntryKind::RefDelta { base },
        ];
        for kind in kinds {
            for size in [0, 1, 15, 16, 2047, 2048, u64::from(u32::MAX), u64::MAX] {
                let mut bytes = Vec::new();
                write_header(&kind, size, &mut bytes);
                let expected = EntryHeader {
                    kind: kind.clone(),
                    size,
                    header_len: bytes.len(),
                };
                bytes.extend_from_slice(b"rest");
                assert_eq!(parse_header(&bytes, FORMAT), Ok(expected));
                for cut in 0..bytes.len() - b"rest".len() {
                    assert_eq!(
                        parse_header(&bytes[..cut], FORMAT),
                        Err(EntryError::Truncated)
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let check = |bytes: &[u8], expected| {
            assert_eq!(
                parse_header(bytes, FORMAT),
                Err(expected),
                "for {bytes:02x?}"
            );
        };
        check(&[0x00], EntryError::UnknownType);
        check(&[0x50], EntryError::UnknownType);
        check(&[0x60, 0x00], EntryError::OwnBase);
        // 4 + 9 × 7 = 67 bits of ones.
        check(
            &[[0xbf; 1].as_slice(), &[0xff; 9], &[0x00]].concat(),
            EntryError::Overflow,
        );
        check(
            &[[0xb0; 1].as_slice(), &[0x80; 20], &[0x00]].concat(),
            EntryError::Overflow,
        );
        check(
            &[[0x60; 1].as_slice(), &[0xff; 10], &[0x00]].concat(),
            EntryError::Overflow,
        );
    }
}
