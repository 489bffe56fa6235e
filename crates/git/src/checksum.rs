//! The checksums at the ends of packs, their indexes and commit-graphs.

use sha1::Digest;

use crate::{ObjectFormat, ObjectId};

/// Hashes a file for its checksum, with the algorithm of its object format.
///
/// A checksum guards against accidents and names nothing, so no attack on SHA-1 is looked for:
/// contents of objects are hashed by [`crate::object_id`].
#[derive(Debug, Clone)]
pub struct Checksum(State);

#[derive(Debug, Clone)]
enum State {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl Checksum {
    /// Of nothing yet.
    pub fn new(format: ObjectFormat) -> Checksum {
        Checksum(match format {
            ObjectFormat::Sha256 => State::Sha256(sha2::Sha256::new()),
            _ => State::Sha1(sha1::Sha1::new()),
        })
    }

    /// Of these bytes.
    pub fn of(format: ObjectFormat, bytes: &[u8]) -> ObjectId {
        let mut checksum = Checksum::new(format);
        checksum.update(bytes);
        checksum.finish()
    }

    /// Goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
        }
    }

    /// The checksum of all bytes so far. It has an object id's length and is written as one.
    pub fn finish(self) -> ObjectId {
        match self.0 {
            State::Sha1(state) => ObjectId::from_bytes_or_panic(&state.finalize()),
            State::Sha256(state) => ObjectId::from_bytes_or_panic(&state.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object_id::hasher;

    #[test]
    fn it_is_the_hash_of_the_format() {
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            let bytes: Vec<u8> = (0..1000u32).flat_map(u32::to_be_bytes).collect();
            let mut checksum = Checksum::new(format);
            bytes.chunks(77).for_each(|piece| checksum.update(piece));
            let mut hasher = hasher(format);
            hasher.update(&bytes);
            let expected = hasher.try_finalize().unwrap();
            assert_eq!(checksum.finish(), expected);
            assert_eq!(Checksum::of(format, &bytes), expected);
        }
    }
}
