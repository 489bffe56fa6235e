//! The lines before the blank one, in commits and tags.

use std::borrow::Cow;

use memchr::memchr;

use crate::{ObjectFormat, ObjectId, ObjectKind};

use super::ParseError;

/// Takes the headers of a commit or a tag one after the other.
pub(super) struct Headers<'a> {
    kind: ObjectKind,
    data: &'a [u8],
    offset: usize,
}

impl<'a> Headers<'a> {
    pub(super) fn new(kind: ObjectKind, data: &'a [u8]) -> Headers<'a> {
        Headers {
            kind,
            data,
            offset: 0,
        }
    }

    /// What has not been taken yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.data.get(self.offset..).unwrap_or_default()
    }

    pub(super) fn error(&self, expected: &'static str) -> ParseError {
        ParseError {
            kind: self.kind,
            offset: self.offset,
            expected,
        }
    }

    /// The value of the next line, if its key is `key` (with its space). A last line without its
    /// newline counts.
    pub(super) fn value(&mut self, key: &[u8]) -> Option<&'a [u8]> {
        let value = self.rest().strip_prefix(key)?;
        let end = memchr(b'\n', value).unwrap_or(value.len());
        self.offset = (self.offset + key.len() + end + 1).min(self.data.len());
        Some(&value[..end])
    }

    /// The id in the next line, if its key is `key`: `None` when it is another line.
    pub(super) fn id(
        &mut self,
        key: &[u8],
        format: ObjectFormat,
        expected: &'static str,
    ) -> Result<Option<ObjectId>, ParseError> {
        let Some(value) = self.rest().strip_prefix(key) else {
            return Ok(None);
        };
        let digits = format.len_in_hex();
        let id = value
            .get(..digits)
            .filter(|_| value.get(digits) == Some(&b'\n'))
            .and_then(|hex| ObjectId::from_hex(hex).ok())
            .ok_or_else(|| self.error(expected))?;
        self.offset += key.len() + digits + 1;
        Ok(Some(id))
    }

    /// The next header, whatever its key is, with its continuation lines joined by newlines;
    /// `None` at the blank line or the end.
    pub(super) fn any(&mut self) -> Option<(&'a [u8], Cow<'a, [u8]>)> {
        if matches!(self.rest().first(), None | Some(b'\n')) {
            return None;
        }
        let line = self.value(b"")?;
        let (key, value) = match line.iter().position(|&b| b == b' ') {
            Some(space) => (&line[..space], &line[space + 1..]),
            None => (line, &line[line.len()..]),
        };
        let mut value = Cow::Borrowed(value);
        while let Some(more) = self.value(b" ") {
            let whole = value.to_mut();
            whole.push(b'\n');
            whole.extend_from_slice(more);
        }
        Some((key, value))
    }

    /// What comes after the blank line: the message. Headers that are left are passed over.
    pub(super) fn message(mut self) -> &'a [u8] {
        while self.any().is_some() {}
        self.rest().strip_prefix(b"\n").unwrap_or_default()
    }
}

/// A number as C's `strtoumax` reads it, which is what decides what Git takes for a date: spaces
/// (newlines too) and a sign before it, negative numbers wrapped around, the largest number where
/// it does not fit. And how many bytes that took: none without a digit.
pub(super) fn c_number(text: &[u8]) -> (u64, usize) {
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let is_space = |b: u8| matches!(b, b' ' | b'\t'..=b'\r');
    let mut length = text.iter().take_while(|b| is_space(**b)).count();
    let negative = byte(length) == b'-';
    if matches!(byte(length), b'-' | b'+') {
        length += 1;
    }
    let first_digit = length;
    let mut number = Some(0u64);
    while byte(length).is_ascii_digit() {
        let digit = u64::from(byte(length) - b'0');
        number = number
            .and_then(|n| n.checked_mul(10))
            .and_then(|n| n.checked_add(digit));
        length += 1;
    }
    if length == first_digit {
        return (0, 0);
    }
    let number = match number {
        None => u64::MAX,
        Some(n) if negative => n.wrapping_neg(),
        Some(n) => n,
    };
    (number, length)
}
