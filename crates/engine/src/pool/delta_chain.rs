//! How hot deltas are kept: chains that stay short although a folder is edited for ever.
//!
//! A tree that is made by an edit arrives as a delta of the tree before it. Kept like that, its
//! chain would grow with every commit; kept whole now and then, memory would grow with the folder.
//! So every delta has a *version*: one more than its base's, 0 for what is whole. A version that
//! is a multiple of 8 is kept as the delta of 8 versions ago, a multiple of 64 as that of 64 ago,
//! and so on: the deltas between are composed, without making any tree. At 4,096, or when the
//! composed delta is half as large as what it makes, the object is kept whole. A chain then has at
//! most 7 deltas of each of 4 lengths: 28.

use govc_git::pack::delta::{self, Op};

/// Versions on one level.
const STEP: u16 = 8;
/// The version that is kept whole again.
pub(super) const VERSIONS: u16 = STEP * STEP * STEP * STEP;
/// More deltas than this in a chain mean that something is wrong.
pub(super) const CHAIN_MAX: usize = 64;

/// How many versions before `version` its base is.
pub(super) fn span(version: u16) -> u16 {
    let mut span = 1;
    while version.is_multiple_of(span * STEP) && span * STEP < VERSIONS {
        span *= STEP;
    }
    span
}

/// How many deltas are applied to make `version`: the digits of its number to the base 8.
pub(super) fn depth(mut version: u16) -> u32 {
    let mut depth = 0;
    while version > 0 {
        depth += u32::from(version % STEP);
        version /= STEP;
    }
    depth
}

/// The delta that does what `first` and then `second` do. `None` when they do not fit each other,
/// which is for [`delta::apply`] to say better.
pub(super) fn compose(first: &[u8], second: &[u8]) -> Option<Vec<u8>> {
    let (base_size, middle_size) = delta::sizes(first).ok()?;
    let (middle_size_too, size) = delta::sizes(second).ok()?;
    if middle_size != middle_size_too {
        return None;
    }
    // Where in the middle each instruction of `first` begins.
    let mut pieces = Vec::new();
    let mut at = 0usize;
    for op in delta::ops(first).ok()? {
        let op = op.ok()?;
        pieces.push((at, op));
        at = at.checked_add(op.len())?;
    }
    let mut out = DeltaWriter::new(base_size, size);
    for op in delta::ops(second).ok()? {
        let (mut from, mut left) = match op.ok()? {
            Op::Insert(bytes) => {
                out.insert(bytes);
                continue;
            }
            Op::Copy { offset, length } => (offset, length),
        };
        let mut next = pieces
            .partition_point(|(start, _)| *start <= from)
            .checked_sub(1)?;
        while left > 0 {
            let (start, op) = pieces.get(next)?;
            let skipped = from - start;
            let taken = op.len().checked_sub(skipped)?.min(left);
            match op {
                Op::Insert(bytes) => out.insert(bytes.get(skipped..skipped + taken)?),
                Op::Copy { offset, .. } => out.copy(offset.checked_add(skipped)?, taken),
            }
            from += taken;
            left -= taken;
            next += 1;
        }
    }
    Some(out.finish())
}

/// Writes the instructions of a delta, joining neighbours.
struct DeltaWriter {
    out: Vec<u8>,
    copy: (usize, usize),
    literal: Vec<u8>,
}

/// The longest copy that every reader of pack version 2 takes.
const COPY_MAX: usize = 0xffff;
const INSERT_MAX: usize = 0x7f;

impl DeltaWriter {
    fn new(base_size: u64, size: u64) -> DeltaWriter {
        let mut out = Vec::new();
        for mut size in [base_size, size] {
            while size >= 0x80 {
                out.push(size as u8 | 0x80);
                size >>= 7;
            }
            out.push(size as u8);
        }
        DeltaWriter {
            out,
            copy: (0, 0),
            literal: Vec::new(),
        }
    }

    fn insert(&mut self, bytes: &[u8]) {
        self.flush_copy();
        self.literal.extend_from_slice(bytes);
    }

    fn copy(&mut self, offset: usize, length: usize) {
        self.flush_literal();
        if self.copy.1 > 0 && self.copy.0 + self.copy.1 == offset {
            self.copy.1 += length;
        } else {
            self.flush_copy();
            self.copy = (offset, length);
        }
    }

    fn flush_literal(&mut self) {
        for part in self.literal.chunks(INSERT_MAX) {
            self.out.push(part.len() as u8);
            self.out.extend_from_slice(part);
        }
        self.literal.clear();
    }

    fn flush_copy(&mut self) {
        let (mut offset, mut left) = std::mem::take(&mut self.copy);
        while left > 0 {
            let length = left.min(COPY_MAX);
            let at = self.out.len();
            self.out.push(0x80);
            for byte in 0..4 {
                let value = (offset >> (8 * byte)) as u8;
                if value != 0 {
                    self.out[at] |= 1 << byte;
                    self.out.push(value);
                }
            }
            for byte in 0..2 {
                let value = (length >> (8 * byte)) as u8;
                if value != 0 {
                    self.out[at] |= 0x10 << byte;
                    self.out.push(value);
                }
            }
            offset += length;
            left -= length;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        // At most one of the two has something.
        self.flush_copy();
        self.flush_literal();
        self.out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chains_stay_short() {
        assert_eq!(span(1), 1);
        assert_eq!(span(8), 8);
        assert_eq!(span(24), 8);
        assert_eq!(span(64), 64);
        assert_eq!(span(512 * 3), 512);
        for version in 1..VERSIONS {
            let mut steps = 0;
            let mut at = version;
            while at > 0 {
                at -= span(at);
                steps += 1;
            }
            assert_eq!(steps, depth(version));
            assert!(steps <= 28);
        }
    }

    proptest! {
        #[test]
        fn a_composed_delta_does_what_both_do(
            base in prop::collection::vec(any::<u8>(), 1..300),
            edits in prop::collection::vec((any::<u16>(), 0usize..40, prop::collection::vec(any::<u8>(), 0..40)), 1..12),
        ) {
            let mut content = base.clone();
            let mut composed: Option<Vec<u8>> = None;
            for (at, removed, new) in edits {
                let from = usize::from(at) % (content.len() + 1);
                let to = (from + removed).min(content.len());
                let step = delta::splice(content.len(), from..to, &new);
                content.splice(from..to, new);
                composed = Some(match composed {
                    None => step,
                    Some(first) => compose(&first, &step).expect("they fit"),
                });
            }
            let composed = composed.expect("an edit");
            prop_assert_eq!(delta::apply(&base, &composed, 1 << 20).expect("fits"), content);
        }
    }
}
