//! Who and when: the people in commits and tags, and Git's own way to write a time.

use std::fmt;
use std::io::Write as _;

/// A moment as Git writes it: seconds since 1970 and the writer's offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GitTime {
    /// Seconds since 1970-01-01T00:00:00Z; negative before it.
    pub seconds: i64,
    /// Minutes east of UTC: `+0130` is 90. What Git does not check need not be less than a day.
    pub offset_minutes: i32,
    /// The offset is written `-0000`, which says that it is not known.
    pub negative_zero: bool,
}

/// A person and a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    /// The name, without `<`, `>` and newlines. Git does not ask for UTF-8.
    pub name: Vec<u8>,
    /// The address, without `<`, `>` and newlines. May be empty.
    pub email: Vec<u8>,
    /// When.
    pub time: GitTime,
}

/// A person and a moment, as they stand in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignatureRef<'a> {
    /// The name. Empty when there is none.
    pub name: &'a [u8],
    /// What is between `<` and `>`. Empty when there is none.
    pub email: &'a [u8],
    /// What is behind the last `>`, without the spaces around it: `1700000000 +0200`.
    pub time_raw: &'a [u8],
}

/// A person's name is nothing but what Git strips.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a name of nothing but spaces and punctuation is not allowed")]
pub struct EmptyName;

impl GitTime {
    /// UTC, at `seconds` since 1970.
    pub fn utc(seconds: i64) -> GitTime {
        GitTime {
            seconds,
            ..GitTime::default()
        }
    }

    /// Reads `SECONDS +ZZZZ` as Git reads it from a commit: `None` unless both are there. Seconds
    /// that do not fit are 1970, UTC. Hours and minutes of the offset are taken as they stand,
    /// without a look at their range.
    pub fn parse(text: &[u8]) -> Option<GitTime> {
        let length = text.iter().take_while(|b| b.is_ascii_digit()).count();
        if length == 0 {
            return None;
        }
        let (offset_minutes, negative_zero) = parse_offset(&text[length..])?;
        let seconds = text[..length].iter().try_fold(0i64, |seconds, digit| {
            seconds
                .checked_mul(10)?
                .checked_add(i64::from(digit - b'0'))
        });
        Some(seconds.map_or_else(GitTime::default, |seconds| GitTime {
            seconds,
            offset_minutes,
            negative_zero,
        }))
    }
}

/// ` +0130` → 90 minutes, and whether it was `-0000`. What no clock can show is 0.
fn parse_offset(text: &[u8]) -> Option<(i32, bool)> {
    const OFFSET_DIGITS_MAX: usize = 9;
    let (sign, digits) = text.trim_ascii_start().split_first()?;
    let negative = match sign {
        b'+' => false,
        b'-' => true,
        _ => return None,
    };
    let length = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    if length > OFFSET_DIGITS_MAX {
        return Some((0, false));
    }
    let number = digits[..length]
        .iter()
        .fold(0i32, |n, digit| n * 10 + i32::from(digit - b'0'));
    let minutes = number / 100 * 60 + number % 100;
    Some(if negative {
        (-minutes, minutes == 0)
    } else {
        (minutes, false)
    })
}

impl fmt::Display for GitTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.offset_minutes.unsigned_abs();
        let sign = if self.offset_minutes < 0 || (minutes == 0 && self.negative_zero) {
            b'-'
        } else {
            b'+'
        };
        write!(f, "{}", self.seconds)?;
        let (hours, minutes) = (minutes / 60, minutes % 60);
        if hours > 99 {
            return write!(f, " {}{hours}{minutes:02}", char::from(sign));
        }
        // Digit by digit: every commit has two of these.
        let digits = [hours / 10, hours % 10, minutes / 10, minutes % 10];
        let mut text = [b' ', sign, b'0', b'0', b'0', b'0'];
        for (place, digit) in text[2..].iter_mut().zip(digits) {
            *place += digit as u8;
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl<'a> SignatureRef<'a> {
    /// Takes the line apart as Git does when it reads (ident.c): the address is what the first
    /// `<` and the next `>` hold, the time is behind the last `>`. Without an address nothing is
    /// taken for anything.
    pub fn parse(line: &'a [u8]) -> SignatureRef<'a> {
        Self::split(line).unwrap_or_default()
    }

    fn split(line: &'a [u8]) -> Option<SignatureRef<'a>> {
        let open = line.iter().position(|&b| b == b'<')?;
        let behind = &line[open + 1..];
        let close = behind.iter().position(|&b| b == b'>')?;
        let last = behind.iter().rposition(|&b| b == b'>')?;
        Some(SignatureRef {
            name: trim_end(&line[..open]),
            email: &behind[..close],
            time_raw: behind[last + 1..].trim_ascii(),
        })
    }

    /// The moment; `None` when it cannot be read as one.
    pub fn time(&self) -> Option<GitTime> {
        GitTime::parse(self.time_raw)
    }

    /// A copy of its own; a moment that cannot be read becomes 1970, as Git shows it.
    pub fn to_owned(&self) -> Signature {
        Signature {
            name: self.name.to_vec(),
            email: self.email.to_vec(),
            time: self.time().unwrap_or_default(),
        }
    }
}

impl Signature {
    /// A person as Git would write them: `name` and `email` go through [`clean`].
    ///
    /// # Errors
    /// [`EmptyName`] when nothing of the name is left. An address may be empty.
    pub fn new(name: &[u8], email: &[u8], time: GitTime) -> Result<Signature, EmptyName> {
        let name = clean(name);
        if name.is_empty() {
            return Err(EmptyName);
        }
        Ok(Signature {
            name,
            email: clean(email),
            time,
        })
    }

    /// Appends `NAME <EMAIL> SECONDS +ZZZZ` to `out`. What would break the line is left out.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        put_unbroken(out, &self.name);
        out.extend_from_slice(b" <");
        put_unbroken(out, &self.email);
        out.extend_from_slice(b"> ");
        // Writing into a Vec cannot fail.
        let _ = write!(out, "{}", self.time);
    }
}

/// Appends what does not break the line: mostly all of it.
fn put_unbroken(out: &mut Vec<u8>, text: &[u8]) {
    for part in text.split(|&b| breaks_line(b)) {
        out.extend_from_slice(part);
    }
}

/// Git's spaces only: not vertical tabs or form feeds.
fn trim_end(text: &[u8]) -> &[u8] {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    let length = text
        .iter()
        .rposition(|b| !is_space(b))
        .map_or(0, |at| at + 1);
    &text[..length]
}

/// A name or an address as Git writes it (ident.c): spaces, control characters and the
/// punctuation of addresses are stripped at both ends, `<`, `>` and newlines everywhere.
pub fn clean(text: &[u8]) -> Vec<u8> {
    let from = text.iter().position(|&b| !is_crud(b)).unwrap_or(text.len());
    let to = text
        .iter()
        .rposition(|&b| !is_crud(b))
        .map_or(from, |last| last + 1);
    text[from..to]
        .iter()
        .copied()
        .filter(|&b| !breaks_line(b))
        .collect()
}

fn is_crud(byte: u8) -> bool {
    byte <= b' '
        || matches!(
            byte,
            b'.' | b',' | b':' | b';' | b'<' | b'>' | b'"' | b'\\' | b'\''
        )
}

fn breaks_line(byte: u8) -> bool {
    matches!(byte, b'\n' | b'<' | b'>' | b'\0')
}
