//! Object ids, and the hashes that make them: SHA-1 with collision detection, SHA-256.

use crate::ObjectKind;

pub use gix_hash::{Hasher, Kind as ObjectFormat, ObjectId, hasher, oid};

/// The bytes were made to collide: they carry the traces of a known attack on SHA-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content was made to collide under SHA-1, and is refused")]
pub struct Collision;

/// The id of an object: the hash of `<kind> <length>\0` and its content.
///
/// # Errors
/// [`Collision`] when SHA-1's collision detection objects to the content.
pub fn hash_object(
    format: ObjectFormat,
    kind: ObjectKind,
    data: &[u8],
) -> Result<ObjectId, Collision> {
    let header = Header::new(kind, data.len() as u64);
    let mut hasher = gix_hash::hasher(format);
    if data.len() <= SMALL_BYTES_MAX {
        // In one piece: what a hasher does for each piece is much beside so few bytes.
        let mut whole = [0; HEADER_BYTES_MAX + SMALL_BYTES_MAX];
        let (front, end) = (header.bytes(), header.bytes().len() + data.len());
        whole[..front.len()].copy_from_slice(front);
        whole[front.len()..end].copy_from_slice(data);
        hasher.update(&whole[..end]);
    } else {
        hasher.update(header.bytes());
        hasher.update(data);
    }
    hasher.try_finalize().map_err(|_| Collision)
}

/// Contents up to this size are put behind their header before they are hashed.
const SMALL_BYTES_MAX: usize = 992;
/// Twenty digits at most, and the longest word is `commit`.
const HEADER_BYTES_MAX: usize = 32;

/// A hasher that has seen the header of an object of `size` bytes and waits for its content.
pub fn object_hasher(format: ObjectFormat, kind: ObjectKind, size: u64) -> Hasher {
    let mut hasher = gix_hash::hasher(format);
    hasher.update(Header::new(kind, size).bytes());
    hasher
}

/// What is hashed before an object's content: `<kind> <length>\0`.
struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    start: usize,
}

impl Header {
    fn new(kind: ObjectKind, size: u64) -> Header {
        let mut bytes = [0u8; HEADER_BYTES_MAX];
        let mut at = bytes.len() - 1;
        let mut rest = size;
        loop {
            at -= 1;
            bytes[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        at -= 1;
        bytes[at] = b' ';
        let name = kind.name().as_bytes();
        let start = at - name.len();
        bytes[start..at].copy_from_slice(name);
        Header { bytes, start }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}
