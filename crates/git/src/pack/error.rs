//! What can be wrong with a pack.

use crate::{ObjectFormat, ObjectId, ObjectKind};

use super::delta::DeltaError;

/// What is wrong with a pack, and where: offsets are bytes from the pack's beginning.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The first bytes are not a pack's.
    #[error("this is not a pack: it does not begin with PACK")]
    NotAPack,
    /// A version that nobody writes.
    #[error("pack version {version} is not supported")]
    UnsupportedVersion {
        /// What the header says.
        version: u32,
    },
    /// The pack ends before what it promises.
    #[error("the pack ends at byte {offset}, in the middle of an object or of its trailer")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// The header counts more objects than its bytes can hold, or than is allowed.
    #[error("the pack says that it has {count} objects: {reason}")]
    ObjectCount {
        /// What the header says.
        count: u32,
        /// Why that is refused.
        reason: &'static str,
    },
    /// The trailer is not the hash of what comes before it.
    #[error("the pack's checksum is {actual}, its trailer says {expected}")]
    Checksum {
        /// What the trailer says.
        expected: ObjectId,
        /// What the bytes hash to.
        actual: ObjectId,
    },
    /// There are bytes between the last object and the trailer.
    #[error("the pack has {bytes} bytes after its last object")]
    TrailingGarbage {
        /// How many.
        bytes: u64,
    },
    /// The first bytes of an entry make no sense.
    #[error("the entry at {offset} is malformed: {reason}")]
    Entry {
        /// Where the entry begins.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// An entry's deflated bytes are damaged, or inflate to another size than its header says.
    #[error("the entry at {offset} does not inflate to the {size} bytes that it says: {reason}")]
    Inflate {
        /// Where the entry begins.
        offset: u64,
        /// The size in its header.
        size: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// An object is larger than is allowed.
    #[error("the entry at {offset} makes an object of {size} bytes, and {limit} are allowed")]
    ObjectTooLarge {
        /// Where the entry begins.
        offset: u64,
        /// How large the object would be.
        size: u64,
        /// How large one may be.
        limit: u64,
    },
    /// All objects together are larger than is allowed.
    #[error("the pack's objects inflate to more than the {limit} bytes that are allowed")]
    TotalTooLarge {
        /// How large they may be.
        limit: u64,
    },
    /// A delta does not fit its base.
    #[error("the delta at {offset} is malformed: {source}")]
    Delta {
        /// Where the entry begins.
        offset: u64,
        /// What is wrong.
        source: DeltaError,
    },
    /// A delta names as its base a place where no entry begins.
    #[error("the delta at {offset} has its base {distance} bytes before it, where no entry begins")]
    NoEntryAtBase {
        /// Where the delta's entry begins.
        offset: u64,
        /// How far before it the base is said to be.
        distance: u64,
    },
    /// The bases of some deltas are not in the pack and are not known, or name each other in a circle.
    #[error(
        "the delta at {offset} needs {base}, which is neither in the pack nor known \
         ({count} deltas in all are without a base)"
    )]
    MissingBase {
        /// Where the first such delta begins.
        offset: u64,
        /// What it needs.
        base: ObjectId,
        /// How many deltas could not be resolved.
        count: u32,
    },
    /// A delta of a delta of a delta, too often.
    #[error("the delta at {offset} ends a chain of more than {limit} deltas")]
    ChainTooLong {
        /// Where the entry begins.
        offset: u64,
        /// How long a chain may be.
        limit: u32,
    },
    /// Two entries are the same object.
    #[error("the object {id} is in the pack twice")]
    DuplicateObject {
        /// Its id.
        id: ObjectId,
    },
    /// SHA-1's collision detection objects to something in the pack.
    #[error("the entry at {offset} was made to collide under SHA-1, and is refused")]
    Collision {
        /// Where the entry begins; 0 for the pack as a whole.
        offset: u64,
    },
    /// The visitor does not want an object.
    #[error("{kind} {id} is refused: {reason}", kind = .kind.name())]
    Refused {
        /// The object.
        id: ObjectId,
        /// Its kind.
        kind: ObjectKind,
        /// What the visitor said.
        reason: String,
    },
    /// The index does not belong to the pack, or names places outside it.
    #[error("the pack's index is wrong: {reason}")]
    Index {
        /// What is wrong.
        reason: &'static str,
    },
    /// Ids of one hash where the other is used.
    #[error("the pack uses {expected}, and was given an id of another hash")]
    Format {
        /// The pack's hash.
        expected: ObjectFormat,
    },
    /// A pack's writer was told to expect another number of objects.
    #[error("the pack was to have {expected} objects and was given {written}")]
    CountMismatch {
        /// The number in the header.
        expected: u32,
        /// How many were written.
        written: u32,
    },
    /// What is written to failed.
    #[error("the pack could not be written: {0}")]
    Io(#[from] std::io::Error),
}
