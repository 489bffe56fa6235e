//! Which three bytes follow each other in a text, and what of that a pattern needs.
//!
//! ASCII letters count in lower case, so that one set serves searches of either kind; what
//! crosses a line's end does not count.

use std::cell::RefCell;

use regex_syntax::hir::{Hir, HirKind};

/// Three bytes.
type Trigram = u32;

/// Which trigrams a text has, as a set of their hashes: it may say that it has one that it does
/// not have, and never the reverse.
#[derive(Debug, Clone)]
pub struct Signature {
    /// A power of two of them.
    bits: Box<[u64]>,
    /// It is not text: nothing is looked for in it.
    pub is_binary: bool,
}

/// So many bits stand for a trigram: of those that a text does not have a sixth at most is taken
/// for one.
const BITS_PER_TRIGRAM: usize = 4;
/// The most bits that one text has.
const BITS_MAX: usize = 1 << 22;

thread_local! {
    /// A bit for each trigram there can be, all 0 between uses, and those that are set.
    static SEEN: RefCell<(Vec<u64>, Vec<Trigram>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

impl Signature {
    /// That of `text`.
    pub(super) fn of(text: &[u8], is_binary: bool) -> Signature {
        if is_binary {
            return Signature {
                bits: Box::default(),
                is_binary,
            };
        }
        SEEN.with_borrow_mut(|(seen, list)| {
            seen.resize(1 << 18, 0);
            let mut last: Trigram = 0;
            // How many bytes of `last` are of this line.
            let mut length = 0;
            for &byte in text {
                if byte == b'\n' {
                    length = 0;
                    continue;
                }
                last = (last << 8 | u32::from(byte.to_ascii_lowercase())) & 0xff_ffff;
                length += 1;
                if length >= 3 {
                    let word = &mut seen[last as usize >> 6];
                    let bit = 1 << (last & 63);
                    if *word & bit == 0 {
                        *word |= bit;
                        list.push(last);
                    }
                }
            }
            let bits = (list.len() * BITS_PER_TRIGRAM).next_power_of_two();
            let mut signature = Signature {
                bits: vec![0; bits.clamp(64, BITS_MAX) / 64].into(),
                is_binary,
            };
            for trigram in list.drain(..) {
                seen[trigram as usize >> 6] = 0;
                let at = signature.place(trigram);
                signature.bits[at >> 6] |= 1 << (at & 63);
            }
            signature
        })
    }

    fn place(&self, trigram: Trigram) -> usize {
        let hash = trigram.wrapping_mul(0x9e37_79b1) as usize;
        (hash >> 8 ^ hash) & (self.bits.len() * 64 - 1)
    }

    /// Whether the text may have what a pattern needs.
    pub(super) fn may_have(&self, need: &Need) -> bool {
        match need {
            Need::Nothing => true,
            Need::Trigram(trigram) => {
                let at = self.place(*trigram);
                self.bits
                    .get(at >> 6)
                    .is_some_and(|word| word >> (at & 63) & 1 == 1)
            }
            Need::All(needs) => needs.iter().all(|need| self.may_have(need)),
            Need::One(needs) => needs.iter().any(|need| self.may_have(need)),
        }
    }

    /// What it costs in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bits.len() * 8 + 96
    }
}

/// What a text must have for a pattern to match it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// It may be any text.
    Nothing,
    /// This trigram.
    Trigram(u32),
    /// All of these.
    All(Vec<Need>),
    /// One of these.
    One(Vec<Need>),
}

/// A pattern's trees are not looked into deeper than this.
const DEPTH_MAX: usize = 64;

impl Need {
    /// What `pattern` needs. With `any_case` letters that have more than two cases are not looked
    /// at.
    pub(super) fn of(pattern: &Hir, any_case: bool) -> Need {
        Need::within(pattern, any_case, 0)
    }

    fn within(pattern: &Hir, any_case: bool, depth: usize) -> Need {
        if depth > DEPTH_MAX {
            return Need::Nothing;
        }
        match pattern.kind() {
            HirKind::Literal(literal) => Need::of_literal(&literal.0, any_case),
            HirKind::Capture(capture) => Need::within(&capture.sub, any_case, depth + 1),
            HirKind::Repetition(repetition) if repetition.min > 0 => {
                Need::within(&repetition.sub, any_case, depth + 1)
            }
            HirKind::Concat(parts) => {
                let needs = parts
                    .iter()
                    .map(|part| Need::within(part, any_case, depth + 1));
                Need::all(needs)
            }
            HirKind::Alternation(parts) => {
                let needs = parts
                    .iter()
                    .map(|part| Need::within(part, any_case, depth + 1));
                let needs: Vec<Need> = needs.collect();
                match needs.contains(&Need::Nothing) {
                    true => Need::Nothing,
                    false => Need::One(needs),
                }
            }
            _ => Need::Nothing,
        }
    }

    fn all(needs: impl Iterator<Item = Need>) -> Need {
        let needs: Vec<Need> = needs.filter(|need| *need != Need::Nothing).collect();
        match needs.len() {
            0 => Need::Nothing,
            _ => Need::All(needs),
        }
    }

    fn of_literal(literal: &[u8], any_case: bool) -> Need {
        let counts = |bytes: &&[u8]| {
            // The Kelvin sign is a K, and the long s an S.
            let has_other_cases =
                |byte: &u8| !byte.is_ascii() || matches!(byte.to_ascii_lowercase(), b'k' | b's');
            let folds_elsewhere = any_case && bytes.iter().any(has_other_cases);
            !bytes.contains(&b'\n') && !folds_elsewhere
        };
        Need::all(literal.windows(3).filter(counts).map(|bytes| {
            let fold = |byte: u8| u32::from(byte.to_ascii_lowercase());
            Need::Trigram(bytes.iter().fold(0, |all, byte| all << 8 | fold(*byte)))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_has_is_always_found_in_it() {
        let text = b"fn main() {\n    PRINTLN!(\"hello\");\n}\n";
        let signature = Signature::of(text, false);
        let may = |pattern: &str| {
            let hir = regex_syntax::Parser::new().parse(pattern).unwrap();
            signature.may_have(&Need::of(&hir, false))
        };
        for has in [
            "main",
            "println",
            "hello.*;",
            "(main|other)",
            "x*",
            "a",
            "(hel){1,2}lo",
            "[a-z]+",
            "n\\(\\) \\{\\n    P",
        ] {
            assert!(may(has), "{has}");
        }
        for lacks in [
            "maim",
            "(one|other)",
            "hello world",
            "main.*goodbye",
            "(wor)+",
        ] {
            assert!(!may(lacks), "{lacks}");
        }
        let hir = regex_syntax::Parser::new().parse("kiss").unwrap();
        assert_eq!(Need::of(&hir, true), Need::Nothing);
        // The bits of one text are not left behind for the next.
        assert!(!Signature::of(b"other", false).may_have(&Need::Trigram(0x6d_6169)));
    }
}
