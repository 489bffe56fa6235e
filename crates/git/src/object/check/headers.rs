//! The lines before the blank one, looked at as Git's checker does: byte by byte, to a NUL that
//! stands behind the last.

use crate::object::header::c_number;
use crate::{ObjectFormat, ObjectId};

use super::Finding;

/// Where the checker is in a commit or a tag.
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Begins with what must hold of all headers: no NUL in them, and a newline at their end.
    pub(super) fn new(data: &'a [u8]) -> Result<Cursor<'a>, Finding> {
        for (at, &byte) in data.iter().enumerate() {
            match byte {
                0 => {
                    return Err(Finding::error(
                        "nulInHeader",
                        format!("unterminated header: NUL at offset {at}"),
                    ));
                }
                b'\n' if data.get(at + 1) == Some(&b'\n') => return Ok(Cursor { data, at: 0 }),
                _ => {}
            }
        }
        if data.last() == Some(&b'\n') {
            return Ok(Cursor { data, at: 0 });
        }
        Err(Finding::error("unterminatedHeader", "unterminated header"))
    }

    /// The byte that is `ahead` bytes further; 0 behind the end.
    pub(super) fn byte(&self, ahead: usize) -> u8 {
        self.data.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    /// Steps over `key`, if it is next.
    pub(super) fn skip(&mut self, key: &[u8]) -> bool {
        let found = self.rest().starts_with(key);
        if found {
            self.at += key.len();
        }
        found
    }

    /// Takes an id and the newline behind it.
    pub(super) fn id_line(&mut self, format: ObjectFormat) -> Option<ObjectId> {
        let digits = format.len_in_hex();
        let hex = self.rest().get(..digits)?;
        let id = ObjectId::from_hex(hex).ok()?;
        if self.byte(digits) != b'\n' {
            return None;
        }
        self.at += digits + 1;
        Some(id)
    }

    /// Takes the rest of the line and its newline; `None` when there is no newline.
    pub(super) fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest();
        let end = rest.iter().position(|&b| b == b'\n' || b == 0)?;
        if rest[end] != b'\n' {
            return None;
        }
        self.at += end + 1;
        Some(&rest[..end])
    }

    /// How many bytes come before one of `stops` or the end.
    fn until(&self, stops: &[u8]) -> usize {
        let rest = self.rest();
        rest.iter()
            .position(|b| *b == 0 || stops.contains(b))
            .unwrap_or(rest.len())
    }

    /// Takes the line of a person: `NAME <EMAIL> SECONDS +ZZZZ`.
    pub(super) fn person(&mut self) -> Result<(), Finding> {
        let complain = |id, what: &str| {
            Err(Finding::error(
                id,
                format!("invalid author/committer line - {what}"),
            ))
        };
        let mut p = Cursor {
            data: self.data,
            at: self.at,
        };
        self.at += self.until(b"\n");
        if self.byte(0) == b'\n' {
            self.at += 1;
        }

        if p.byte(0) == b'<' {
            return complain("missingNameBeforeEmail", "missing space before email");
        }
        p.at += p.until(b"<>\n");
        match p.byte(0) {
            b'>' => return complain("badName", "bad name"),
            b'<' => {}
            _ => return complain("missingEmail", "missing email"),
        }
        if p.at.checked_sub(1).and_then(|before| p.data.get(before)) != Some(&b' ') {
            return complain("missingSpaceBeforeEmail", "missing space before email");
        }
        p.at += 1;
        p.at += p.until(b"<>\n");
        if p.byte(0) != b'>' {
            return complain("badEmail", "bad email");
        }
        p.at += 1;
        if p.byte(0) != b' ' {
            return complain("missingSpaceBeforeDate", "missing space before date");
        }
        p.at += 1;
        if p.byte(0) == b'0' && p.byte(1) != b' ' {
            return complain("zeroPaddedDate", "zero-padded date");
        }
        let (seconds, length) = c_number(p.rest());
        if i64::try_from(seconds).is_err() {
            return complain("badDateOverflow", "date causes integer overflow");
        }
        if length == 0 || p.byte(length) != b' ' {
            return complain("badDate", "bad date");
        }
        p.at += length + 1;
        let zone_is_well_made = matches!(p.byte(0), b'+' | b'-')
            && (1..=4).all(|i| p.byte(i).is_ascii_digit())
            && p.byte(5) == b'\n';
        if !zone_is_well_made {
            return complain("badTimezone", "bad time zone");
        }
        Ok(())
    }
}
