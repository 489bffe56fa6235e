//! Line endings on the way into the repository: what `git add` makes of them, and on the way out of
//! it where `eol` is `crlf`.
//!
//! Follows gitattributes(5), "End-of-line conversion", with `core.autocrlf` and `core.eol` unset:
//! without attributes nothing is changed.

use std::borrow::Cow;

use crate::ignore::attributes::AttributeState;

/// What is to be done about line endings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EolAction {
    /// Nothing: it is binary, or nobody said anything.
    Nothing,
    /// CR LF becomes LF.
    Text,
    /// The same, unless the content looks binary or has CR LF in the index.
    Auto,
}

impl EolAction {
    /// What the attributes `text`, `crlf` (which is older) and `eol` of a path say.
    pub fn of(
        text: Option<&AttributeState>,
        crlf: Option<&AttributeState>,
        eol: Option<&AttributeState>,
    ) -> EolAction {
        let said = |state: Option<&AttributeState>| match state {
            Some(AttributeState::Set) => Some(EolAction::Text),
            Some(AttributeState::Unset) => Some(EolAction::Nothing),
            Some(AttributeState::Value(value)) if value == b"input" => Some(EolAction::Text),
            Some(AttributeState::Value(value)) if value == b"auto" => Some(EolAction::Auto),
            _ => None,
        };
        let eol_is_set =
            matches!(eol, Some(AttributeState::Value(v)) if v == b"lf" || v == b"crlf");
        match said(text).or_else(|| said(crlf)) {
            Some(action) => action,
            None if eol_is_set => EolAction::Text,
            None => EolAction::Nothing,
        }
    }

    /// The content as it goes into the repository. `in_index` gives what the index has of the file.
    pub fn clean<'a, E>(
        self,
        data: &'a [u8],
        in_index: impl FnOnce() -> Result<Option<bytes::Bytes>, E>,
    ) -> Result<Cow<'a, [u8]>, E> {
        if self == EolAction::Nothing || memchr::memchr(b'\r', data).is_none() {
            return Ok(Cow::Borrowed(data));
        }
        let stats = Stats::of(data);
        if stats.crlf == 0 {
            return Ok(Cow::Borrowed(data));
        }
        if self == EolAction::Auto {
            if stats.is_binary() {
                return Ok(Cow::Borrowed(data));
            }
            if let Some(there) = in_index()? {
                let stats = Stats::of(&there);
                if stats.crlf > 0 && !stats.is_binary() {
                    return Ok(Cow::Borrowed(data));
                }
            }
        }
        let mut out = Vec::with_capacity(data.len());
        for (at, byte) in data.iter().enumerate() {
            if *byte != b'\r' || data.get(at + 1) != Some(&b'\n') {
                out.push(*byte);
            }
        }
        Ok(Cow::Owned(out))
    }

    /// The content as it leaves the repository where lines are to end with CR LF.
    pub fn with_crlf(self, data: &[u8]) -> Cow<'_, [u8]> {
        if self == EolAction::Nothing || memchr::memchr(b'\n', data).is_none() {
            return Cow::Borrowed(data);
        }
        if self == EolAction::Auto {
            let stats = Stats::of(data);
            if stats.lone_cr > 0 || stats.crlf > 0 || stats.is_binary() {
                return Cow::Borrowed(data);
            }
        }
        let mut out = Vec::with_capacity(data.len() + data.len() / 16);
        for (at, byte) in data.iter().enumerate() {
            if *byte == b'\n' && (at == 0 || data[at - 1] != b'\r') {
                out.push(b'\r');
            }
            out.push(*byte);
        }
        Cow::Owned(out)
    }
}

/// What a content is made of.
#[derive(Debug, Default)]
struct Stats {
    nul: usize,
    lone_cr: usize,
    crlf: usize,
    printable: usize,
    nonprintable: usize,
}

impl Stats {
    fn of(data: &[u8]) -> Stats {
        let mut stats = Stats::default();
        let mut at = 0;
        while let Some(byte) = data.get(at) {
            at += 1;
            match byte {
                b'\r' if data.get(at) == Some(&b'\n') => {
                    stats.crlf += 1;
                    at += 1;
                }
                b'\r' => stats.lone_cr += 1,
                b'\n' => {}
                127 => stats.nonprintable += 1,
                // BS, HT, ESC, FF
                8 | 9 | 27 | 12 => stats.printable += 1,
                0 => {
                    stats.nul += 1;
                    stats.nonprintable += 1;
                }
                1..32 => stats.nonprintable += 1,
                _ => stats.printable += 1,
            }
        }
        // The end of a file as of CP/M is no sign of binary content.
        if data.last() == Some(&26) {
            stats.nonprintable -= 1;
        }
        stats
    }

    /// The heuristic of Git.
    fn is_binary(&self) -> bool {
        self.lone_cr > 0 || self.nul > 0 || (self.printable >> 7) < self.nonprintable
    }
}
