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
    let mut hasher = object_hasher(format, kind, data.len() as u64);
    hasher.update(data);
    hasher.try_finalize().map_err(|_| Collision)
}

/// A hasher that has seen the header of an object of `size` bytes and waits for its content.
pub fn object_hasher(format: ObjectFormat, kind: ObjectKind, size: u64) -> Hasher {
    // Twenty digits at most, and the longest word is `commit`.
    let mut header = [0u8; 32];
    let mut at = header.len() - 1;
    let mut rest = size;
    loop {
        at -= 1;
        header[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    at -= 1;
    header[at] = b' ';
    let name = kind.name().as_bytes();
    let start = at - name.len();
    header[start..at].copy_from_slice(name);
    let mut hasher = gix_hash::hasher(format);
    hasher.update(&header[start..]);
    hasher
}
