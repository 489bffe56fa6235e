//! pkt-lines: how Git's wire protocols cut a stream of bytes into lines (gitprotocol-common(5)).
//!
//! Four hexadecimal digits say how long a line is, themselves included; 0, 1 and 2 are lines
//! without content. Nothing here assumes that anything arrives whole.

/// How many bytes say how long a line is.
pub const PREFIX_BYTES: usize = 4;
/// The longest line, its prefix included.
pub const LINE_BYTES_MAX: usize = 65_520;
/// The most content that one line holds.
pub const DATA_BYTES_MAX: usize = LINE_BYTES_MAX - PREFIX_BYTES;

/// The end of a message.
pub const FLUSH: &[u8] = b"0000";
/// The end of a section of a message, in protocol version 2.
pub const DELIMITER: &[u8] = b"0001";
/// The end of an answer, in protocol version 2 over connections without ends of their own.
pub const RESPONSE_END: &[u8] = b"0002";

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// Content, with its LF if its sender sent one.
    Data(&'a [u8]),
    /// The end of a message.
    Flush,
    /// The end of a section.
    Delimiter,
    /// The end of an answer.
    ResponseEnd,
}

impl<'a> Line<'a> {
    /// The content without at most one LF at its end; `None` for lines that have none.
    ///
    /// Clients send the same line with and without LF, some of them in one request.
    pub fn text(self) -> Option<&'a [u8]> {
        match self {
            Line::Data(data) => Some(data.strip_suffix(b"\n").unwrap_or(data)),
            Line::Flush | Line::Delimiter | Line::ResponseEnd => None,
        }
    }
}

/// What [`decode`] found at the front of the bytes it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole line, and how many bytes of input it took.
    Complete {
        /// The line.
        line: Line<'a>,
        /// Its bytes, prefix included.
        bytes_consumed: usize,
    },
    /// A line has begun. Come back with at least this many more bytes.
    Incomplete {
        /// How many.
        bytes_needed: usize,
    },
}

/// Why bytes are no pkt-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The prefix is not four hexadecimal digits.
    #[error("protocol error: bad line length character: {}", prefix.escape_ascii())]
    NotHexadecimal {
        /// What it is.
        prefix: [u8; PREFIX_BYTES],
    },
    /// A length that is neither a special line nor as long as its own prefix.
    #[error("protocol error: bad line length {claimed}")]
    TooShort {
        /// The length.
        claimed: usize,
    },
    /// A length beyond [`LINE_BYTES_MAX`].
    #[error("protocol error: bad line length {claimed}")]
    TooLong {
        /// The length.
        claimed: usize,
    },
}

/// Looks at the front of `input`.
///
/// # Errors
/// [`Error`]: these bytes will never be a line, whatever follows.
pub fn decode(input: &[u8]) -> Result<Decoded<'_>, Error> {
    let Some((prefix, rest)) = input.split_first_chunk::<PREFIX_BYTES>() else {
        return Ok(Decoded::Incomplete {
            bytes_needed: PREFIX_BYTES - input.len(),
        });
    };
    let special = |line| {
        Ok(Decoded::Complete {
            line,
            bytes_consumed: PREFIX_BYTES,
        })
    };
    match length(*prefix)? {
        0 => special(Line::Flush),
        1 => special(Line::Delimiter),
        2 => special(Line::ResponseEnd),
        claimed @ 3 => Err(Error::TooShort { claimed }),
        claimed if claimed > LINE_BYTES_MAX => Err(Error::TooLong { claimed }),
        claimed => {
            let data_bytes = claimed - PREFIX_BYTES;
            match rest.get(..data_bytes) {
                Some(data) => Ok(Decoded::Complete {
                    line: Line::Data(data),
                    bytes_consumed: claimed,
                }),
                None => Ok(Decoded::Incomplete {
                    bytes_needed: data_bytes - rest.len(),
                }),
            }
        }
    }
}

fn length(prefix: [u8; PREFIX_BYTES]) -> Result<usize, Error> {
    prefix.iter().try_fold(0, |length, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return Err(Error::NotHexadecimal { prefix }),
        };
        Ok(length << 4 | usize::from(value))
    })
}

/// Cuts lines from a stream that arrives in pieces of any size.
///
/// It keeps at most one unfinished line; a line that lies whole in a piece is not copied. What
/// follows the last line taken stays in the caller's piece: that is where a pack begins.
#[derive(Debug, Default)]
pub struct Lines {
    carry: Vec<u8>,
    /// The line in `carry` was handed out and goes at the next call.
    taken: bool,
}

impl Lines {
    /// The next line of what was carried over and `input`, which is shortened by what was taken;
    /// `None` when all of `input` was taken and a line is not whole yet.
    ///
    /// # Errors
    /// [`Error`]: the stream is no sequence of lines.
    pub fn next<'line, 'input: 'line>(
        &'line mut self,
        input: &mut &'input [u8],
    ) -> Result<Option<Line<'line>>, Error> {
        if self.taken {
            self.carry.clear();
            self.taken = false;
        }
        if self.carry.is_empty() {
            return match decode(input)? {
                Decoded::Complete {
                    line,
                    bytes_consumed,
                } => {
                    *input = &input[bytes_consumed..];
                    Ok(Some(line))
                }
                Decoded::Incomplete { .. } => {
                    self.carry.extend_from_slice(input);
                    *input = &[];
                    Ok(None)
                }
            };
        }
        while let Decoded::Incomplete { bytes_needed } = decode(&self.carry)? {
            if input.is_empty() {
                return Ok(None);
            }
            let (now, rest) = input.split_at(bytes_needed.min(input.len()));
            self.carry.extend_from_slice(now);
            *input = rest;
        }
        self.taken = true;
        match decode(&self.carry)? {
            Decoded::Complete { line, .. } => Ok(Some(line)),
            Decoded::Incomplete { .. } => Ok(None),
        }
    }

    /// Whether the stream may end here: no line has begun that is not whole.
    pub fn is_at_boundary(&self) -> bool {
        self.taken || self.carry.is_empty()
    }
}

/// The prefix of a line with `data_bytes` bytes of content, at most [`DATA_BYTES_MAX`].
pub fn prefix(data_bytes: usize) -> [u8; PREFIX_BYTES] {
    debug_assert!(data_bytes <= DATA_BYTES_MAX);
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let length = data_bytes + PREFIX_BYTES;
    [12, 8, 4, 0].map(|shift| DIGITS[length >> shift & 15])
}

/// Appends a line made of `parts`. Content beyond [`DATA_BYTES_MAX`] is cut off: callers send
/// names and messages, whose lengths they bound.
pub fn write(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = length.min(DATA_BYTES_MAX);
    out.extend_from_slice(&prefix(length));
    let end = out.len() + length;
    for part in parts {
        let room = end - out.len();
        out.extend_from_slice(&part[..part.len().min(room)]);
    }
}

/// Appends a line that tells the other side why the conversation ends.
pub fn write_error(out: &mut Vec<u8>, message: &str) {
    write(out, &[b"ERR ", message.as_bytes()]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(input: &[u8], expected: Result<Decoded<'_>, Error>) {
        assert_eq!(decode(input), expected, "for {}", input.escape_ascii());
    }

    fn complete(line: Line<'_>, bytes_consumed: usize) -> Result<Decoded<'_>, Error> {
        Ok(Decoded::Complete {
            line,
            bytes_consumed,
        })
    }

    #[test]
    fn lines_and_their_lengths() {
        check(b"0000rest", complete(Line::Flush, 4));
        check(b"0001", complete(Line::Delimiter, 4));
        check(b"0002", complete(Line::ResponseEnd, 4));
        check(b"0004", complete(Line::Data(b""), 4));
        check(b"0009done\nmore", complete(Line::Data(b"done\n"), 9));
        check(b"000Aabcdef", complete(Line::Data(b"abcdef"), 10));
        check(b"0003", Err(Error::TooShort { claimed: 3 }));
        check(b"fff1", Err(Error::TooLong { claimed: 65_521 }));
        check(b"00g0", Err(Error::NotHexadecimal { prefix: *b"00g0" }));
        check(b"+123", Err(Error::NotHexadecimal { prefix: *b"+123" }));
    }

    #[test]
    fn half_a_line_asks_for_the_other_half() {
        check(b"", Ok(Decoded::Incomplete { bytes_needed: 4 }));
        check(b"00", Ok(Decoded::Incomplete { bytes_needed: 2 }));
        check(b"0009do", Ok(Decoded::Incomplete { bytes_needed: 3 }));
        check(
            b"fff0",
            Ok(Decoded::Incomplete {
                bytes_needed: DATA_BYTES_MAX,
            }),
        );
    }

    #[test]
    fn at_most_one_lf_is_stripped() {
        assert_eq!(Line::Data(b"a\n\n").text(), Some(&b"a\n"[..]));
        assert_eq!(Line::Data(b"a").text(), Some(&b"a"[..]));
        assert_eq!(Line::Flush.text(), None);
    }

    #[test]
    fn what_is_written_is_never_longer_than_a_line() {
        let mut out = Vec::new();
        write(&mut out, &[&[b'x'; 40_000], &[b'y'; 40_000]]);
        check(
            &out,
            complete(Line::Data(&out.clone()[PREFIX_BYTES..]), LINE_BYTES_MAX),
        );
    }

    /// All lines of `pieces`, and the error that ended them.
    fn read(pieces: &[&[u8]]) -> (Vec<String>, Option<Error>) {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for piece in pieces {
            let mut input = *piece;
            loop {
                match lines.next(&mut input) {
                    Ok(Some(line)) => seen.push(format!("{line:?}")),
                    Ok(None) => break,
                    Err(error) => return (seen, Some(error)),
                }
            }
        }
        (seen, None)
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(
            contents in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            garbage in prop::collection::vec(any::<u8>(), 0..8),
            sizes in prop::collection::vec(1usize..9, 1..20),
        ) {
            let mut stream = Vec::new();
            for content in &contents {
                match content {
                    Some(data) => write(&mut stream, &[data]),
                    None => stream.extend_from_slice(FLUSH),
                }
            }
            stream.extend_from_slice(&garbage);
            let mut pieces = Vec::new();
            let (mut rest, mut turn) = (&stream[..], sizes.iter().cycle());
            while !rest.is_empty() {
                let size = turn.next().copied().unwrap_or(1).min(rest.len());
                let (now, later) = rest.split_at(size);
                pieces.push(now);
                rest = later;
            }
            let whole = read(&[&stream]);
            prop_assert!(whole.0.len() >= contents.len());
            prop_assert_eq!(whole, read(&pieces));
        }
    }
}
