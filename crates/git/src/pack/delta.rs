//! Deltas: an object as copies from another one and literal bytes.

/// Why a delta cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// It ends inside a number or an instruction.
    #[error("it ends in the middle of an instruction")]
    Truncated,
    /// A size that needs more than 64 bits.
    #[error("a size does not fit in 64 bits")]
    Overflow,
    /// It was made for another base.
    #[error("it is for a base of {expected} bytes, and its base has {actual}")]
    BaseSize {
        /// What the delta says.
        expected: u64,
        /// What the base has.
        actual: u64,
    },
    /// It makes more or fewer bytes than it says.
    #[error("it says that it makes {expected} bytes, and does not")]
    ResultSize {
        /// What the delta says.
        expected: u64,
    },
    /// It says that it makes more bytes than are allowed.
    #[error("it makes {size} bytes, and {limit} are allowed")]
    TooLarge {
        /// What the delta says.
        size: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// It copies from outside its base.
    #[error("it copies {length} bytes from {offset} of a base of {base} bytes")]
    CopyOutside {
        /// From where.
        offset: u64,
        /// How many.
        length: u64,
        /// How many there are.
        base: u64,
    },
    /// Instruction 0, which is reserved.
    #[error("it has an instruction that does not exist")]
    Reserved,
}

/// What `delta` makes of `base`.
///
/// # Errors
/// [`DeltaError`]; nothing is allocated that the delta's instructions do not fill, nor more than
/// `max_size` bytes.
pub fn apply(base: &[u8], delta: &[u8], max_size: u64) -> Result<Vec<u8>, DeltaError> {
    unimplemented!()
}

/// The sizes at the front of a delta: of its base and of what it makes.
///
/// # Errors
/// When they are cut off or too large; the first 20 bytes of a delta are always enough.
pub fn sizes(delta: &[u8]) -> Result<(u64, u64), DeltaError> {
    unimplemented!()
}

/// One instruction of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Take bytes of the base.
    Copy {
        /// From where in the base.
        offset: usize,
        /// How many.
        length: usize,
    },
    /// Take these bytes.
    Insert(&'a [u8]),
}

/// The instructions of `delta`, in order, after its sizes. They are not compared with a base.
pub fn ops(delta: &[u8]) -> Ops<'_> {
    Ops { rest: delta }
}

/// See [`ops`].
#[derive(Debug, Clone)]
pub struct Ops<'a> {
    rest: &'a [u8],
}

/// The delta that replaces `replaced` of a base of `base_len` bytes by `new`.
///
/// # Panics
/// When `replaced` is not inside the base.
pub fn splice(base_len: usize, replaced: std::ops::Range<usize>, new: &[u8]) -> Vec<u8> {
    unimplemented!()
}

/// A delta that makes `target` of `base`: what they have in common at both ends is copied.
pub fn between(base: &[u8], target: &[u8]) -> Vec<u8> {
    unimplemented!()
}
