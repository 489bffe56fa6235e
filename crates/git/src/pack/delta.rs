//! Deltas: an object as copies from another one and literal bytes.

use std::ops::Range;

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

/// A delta that makes no more than this is trusted about its size before it was looked through.
const TRUSTED_BYTES: u64 = 64 << 10;

/// One copy instruction can name this many bytes.
const COPY_MAX: usize = 0xff_ffff;
/// A copy instruction without a length means this many.
const COPY_DEFAULT: usize = 0x1_0000;
/// One insert instruction can carry this many bytes.
const INSERT_MAX: usize = 0x7f;

/// What `delta` makes of `base`.
///
/// # Errors
/// [`DeltaError`]; nothing is allocated that the delta's instructions do not fill, nor more than
/// `max_size` bytes.
pub fn apply(base: &[u8], delta: &[u8], max_size: u64) -> Result<Vec<u8>, DeltaError> {
    let mut out = Vec::new();
    apply_into(base, delta, max_size, &mut out)?;
    Ok(out)
}

/// As [`apply`], into a buffer that is replaced.
///
/// # Errors
/// As [`apply`].
pub fn apply_into(
    base: &[u8],
    delta: &[u8],
    max_size: u64,
    out: &mut Vec<u8>,
) -> Result<(), DeltaError> {
    out.clear();
    let (base_size, rest) = parse_size(delta)?;
    let (result_size, instructions) = parse_size(rest)?;
    if base_size != base.len() as u64 {
        return Err(DeltaError::BaseSize {
            expected: base_size,
            actual: base.len() as u64,
        });
    }
    if result_size > max_size {
        return Err(DeltaError::TooLarge {
            size: result_size,
            limit: max_size,
        });
    }
    let wrong_size = DeltaError::ResultSize {
        expected: result_size,
    };
    if result_size > TRUSTED_BYTES && result_size > out.capacity() as u64 {
        let mut sum = 0u64;
        for op in ops_of(instructions) {
            sum = sum.saturating_add(op?.len() as u64);
        }
        if sum != result_size {
            return Err(wrong_size);
        }
    }
    let size = usize::try_from(result_size).map_err(|_| wrong_size)?;
    out.reserve_exact(size);
    for op in ops_of(instructions) {
        let bytes = match op? {
            Op::Insert(bytes) => bytes,
            Op::Copy { offset, length } => {
                // Both are far below what a usize can hold, so their sum is too.
                base.get(offset..offset + length)
                    .ok_or(DeltaError::CopyOutside {
                        offset: offset as u64,
                        length: length as u64,
                        base: base_size,
                    })?
            }
        };
        if bytes.len() > size - out.len() {
            return Err(wrong_size);
        }
        out.extend_from_slice(bytes);
    }
    if out.len() != size {
        return Err(wrong_size);
    }
    Ok(())
}

/// How long the two sizes at the front of a delta can be together.
pub(super) const SIZES_BYTES_MAX: usize = 20;

/// The sizes at the front of a delta: of its base and of what it makes.
///
/// # Errors
/// When they are cut off or too large; the first 20 bytes of a delta are always enough.
pub fn sizes(delta: &[u8]) -> Result<(u64, u64), DeltaError> {
    let (base_size, rest) = parse_size(delta)?;
    let (result_size, _) = parse_size(rest)?;
    Ok((base_size, result_size))
}

/// 7 bits a byte, least significant first.
fn parse_size(bytes: &[u8]) -> Result<(u64, &[u8]), DeltaError> {
    let mut size = 0u64;
    for (at, &byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * at as u32;
        if shift >= 64 || (bits << shift) >> shift != bits {
            return Err(DeltaError::Overflow);
        }
        size |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok((size, &bytes[at + 1..]));
        }
    }
    Err(DeltaError::Truncated)
}

pub(super) fn write_size(mut size: usize, out: &mut Vec<u8>) {
    while size >= 0x80 {
        out.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    out.push(size as u8);
}

/// One instruction of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Take bytes of the base.
    Copy {
        /// From where in the base: below 2^32.
        offset: usize,
        /// How many: below 2^24.
        length: usize,
    },
    /// Take these bytes.
    Insert(&'a [u8]),
}

impl Op<'_> {
    /// How many bytes it makes.
    // "Is it empty" is not a question that anybody has about an instruction.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match self {
            Op::Copy { length, .. } => *length,
            Op::Insert(bytes) => bytes.len(),
        }
    }
}

/// The instructions of `delta`, in order, after its sizes. They are not compared with a base.
///
/// # Errors
/// When the sizes are cut off or too large.
pub fn ops(delta: &[u8]) -> Result<Ops<'_>, DeltaError> {
    let (_, rest) = parse_size(delta)?;
    let (_, instructions) = parse_size(rest)?;
    Ok(ops_of(instructions))
}

fn ops_of(instructions: &[u8]) -> Ops<'_> {
    Ops { rest: instructions }
}

/// See [`ops`]. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Ops<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Ops<'a> {
    type Item = Result<Op<'a>, DeltaError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (&code, rest) = self.rest.split_first()?;
        let op = if code & 0x80 != 0 {
            parse_copy(code, rest)
        } else if code == 0 {
            Err(DeltaError::Reserved)
        } else {
            match rest.split_at_checked(usize::from(code)) {
                Some((bytes, rest)) => Ok((Op::Insert(bytes), rest)),
                None => Err(DeltaError::Truncated),
            }
        };
        Some(match op {
            Ok((op, rest)) => {
                self.rest = rest;
                Ok(op)
            }
            Err(error) => {
                self.rest = &[];
                Err(error)
            }
        })
    }
}

/// The bits of `code` say which bytes of offset and length are there; the others are 0.
#[inline]
fn parse_copy(code: u8, mut rest: &[u8]) -> Result<(Op<'static>, &[u8]), DeltaError> {
    let mut number = 0u64;
    for at in 0..7 {
        if code & (1 << at) != 0 {
            let (&byte, after) = rest.split_first().ok_or(DeltaError::Truncated)?;
            number |= u64::from(byte) << (8 * at);
            rest = after;
        }
    }
    let offset = (number & 0xffff_ffff) as usize;
    let length = match (number >> 32) as usize {
        0 => COPY_DEFAULT,
        length => length,
    };
    Ok((Op::Copy { offset, length }, rest))
}

/// The delta that replaces `replaced` of a base of `base_len` bytes by `new`.
///
/// # Panics
/// When `replaced` is not inside the base.
pub fn splice(base_len: usize, replaced: Range<usize>, new: &[u8]) -> Vec<u8> {
    let kept = replaced.start + (base_len - replaced.end);
    let mut out = Vec::with_capacity(32 + new.len() + new.len() / INSERT_MAX);
    write_size(base_len, &mut out);
    write_size(kept + new.len(), &mut out);
    write_copy(0..replaced.start, &mut out);
    write_insert(new, &mut out);
    write_copy(replaced.end..base_len, &mut out);
    out
}

/// A delta that makes `target` of `base`: what they have in common at both ends is copied.
pub fn between(base: &[u8], target: &[u8]) -> Vec<u8> {
    let shorter = base.len().min(target.len());
    let front = base.iter().zip(target).take_while(|(a, b)| a == b).count();
    let back = base.iter().rev().zip(target.iter().rev());
    let back = back
        .take(shorter - front)
        .take_while(|(a, b)| a == b)
        .count();
    splice(
        base.len(),
        front..base.len() - back,
        &target[front..target.len() - back],
    )
}

pub(super) fn write_insert(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.chunks(INSERT_MAX) {
        out.push(piece.len() as u8);
        out.extend_from_slice(piece);
    }
}

/// Copies of a base beyond 4 GiB cannot be said in a delta; objects end at half of that.
pub(super) fn write_copy(mut range: Range<usize>, out: &mut Vec<u8>) {
    while !range.is_empty() {
        let length = range.len().min(COPY_MAX);
        let said = if length == COPY_DEFAULT { 0 } else { length };
        let number = (range.start as u64 & 0xffff_ffff) | ((said as u64) << 32);
        let code_at = out.len();
        let mut code = 0x80;
        out.push(code);
        for (at, byte) in number.to_le_bytes().into_iter().enumerate().take(7) {
            if byte != 0 {
                code |= 1 << at;
                out.push(byte);
            }
        }
        out[code_at] = code;
        range.start += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u64 = 1 << 20;

    /// A delta by hand.
    fn delta(base: u8, result: u8, instructions: &[u8]) -> Vec<u8> {
        [&[base, result], instructions].concat()
    }

    #[test]
    fn copies_and_inserts_make_the_result() {
        let check = |delta: &[u8], expected: Result<&[u8], DeltaError>| {
            assert_eq!(
                apply(b"0123456789", delta, LIMIT).as_deref(),
                expected.as_ref().copied()
            );
        };
        check(&delta(10, 4, &[0x91, 3, 4]), Ok(b"3456"));
        check(&delta(10, 5, &[2, b'a', b'b', 0x91, 7, 3]), Ok(b"ab789"));
        check(&delta(10, 0, &[]), Ok(b""));
        check(&delta(10, 10, &[0x90, 10]), Ok(b"0123456789"));

        check(
            &delta(9, 1, &[1, b'a']),
            Err(DeltaError::BaseSize {
                expected: 9,
                actual: 10,
            }),
        );
        check(
            &delta(10, 2, &[1, b'a']),
            Err(DeltaError::ResultSize { expected: 2 }),
        );
        check(
            &delta(10, 0, &[1, b'a']),
            Err(DeltaError::ResultSize { expected: 0 }),
        );
        check(&delta(10, 1, &[0]), Err(DeltaError::Reserved));
        check(&delta(10, 9, &[9, b'a']), Err(DeltaError::Truncated));
        check(&delta(10, 9, &[0x9f, 1, 0]), Err(DeltaError::Truncated));
        check(&[], Err(DeltaError::Truncated));
        check(&[10, 0x80], Err(DeltaError::Truncated));
        check(&[0xff; 11], Err(DeltaError::Overflow));
        check(
            &delta(10, 3, &[0x91, 8, 3]),
            Err(DeltaError::CopyOutside {
                offset: 8,
                length: 3,
                base: 10,
            }),
        );
        check(
            &delta(10, 3, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Err(DeltaError::CopyOutside {
                offset: 0xffff_ffff,
                length: 0xff_ffff,
                base: 10,
            }),
        );
        // A length of 0 is one of 65,536.
        check(
            &delta(10, 3, &[0x80]),
            Err(DeltaError::CopyOutside {
                offset: 0,
                length: 0x1_0000,
                base: 10,
            }),
        );
    }

    #[test]
    fn a_large_result_is_not_believed() {
        let mut claims = vec![1];
        write_size(1 << 40, &mut claims);
        let too_large = DeltaError::TooLarge {
            size: 1 << 40,
            limit: LIMIT,
        };
        assert_eq!(apply(b"a", &claims, LIMIT), Err(too_large));
        let mut out = Vec::new();
        let lie = apply_into(b"a", &claims, 1 << 41, &mut out);
        assert_eq!(lie, Err(DeltaError::ResultSize { expected: 1 << 40 }));
        assert_eq!(out.capacity(), 0);
    }

    #[test]
    fn a_copy_is_cut_where_one_instruction_ends() {
        for length in [
            1,
            255,
            256,
            0xffff,
            0x1_0000,
            0x1_0001,
            COPY_MAX,
            COPY_MAX + 1,
            40_000_000,
        ] {
            let base = vec![b'x'; length];
            let delta = splice(length, length..length, b"!");
            let made = apply(&base, &delta, u64::MAX).unwrap();
            assert_eq!(made.len(), length + 1);
            assert!(made.starts_with(&base) && made.ends_with(b"!"));
            assert!(delta.len() < 50);
        }
    }

    proptest! {
        #[test]
        fn between_makes_the_target(
            front in proptest::collection::vec(any::<u8>(), 0..300),
            (a, b) in (proptest::collection::vec(0u8..3, 0..200), proptest::collection::vec(0u8..3, 0..200)),
            back in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let (base, target) = ([&front, &a, &back].map(|v| &v[..]).concat(), [&front, &b, &back].map(|v| &v[..]).concat());
            let delta = between(&base, &target);
            prop_assert_eq!(sizes(&delta), Ok((base.len() as u64, target.len() as u64)));
            prop_assert_eq!(apply(&base, &delta, LIMIT), Ok(target));
        }

        #[test]
        fn splice_replaces(base in proptest::collection::vec(any::<u8>(), 0..100), cut in (0usize..100, 0usize..100), new in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (x, y) = (cut.0.min(base.len()), cut.1.min(base.len()));
            let range = x.min(y)..x.max(y);
            let mut expected = base.clone();
            expected.splice(range.clone(), new.iter().copied());
            prop_assert_eq!(apply(&base, &splice(base.len(), range, &new), LIMIT), Ok(expected));
        }

        #[test]
        fn no_bytes_panic(base in proptest::collection::vec(any::<u8>(), 0..100), delta in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut with_size = Vec::new();
            write_size(base.len(), &mut with_size);
            with_size.extend_from_slice(&delta);
            for delta in [&delta, &with_size] {
                if let Ok(made) = apply(&base, delta, LIMIT) {
                    prop_assert_eq!(sizes(delta).unwrap().1, made.len() as u64);
                }
            }
        }
    }
}
