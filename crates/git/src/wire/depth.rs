//! Where a client's history is cut, and where it is to be cut
//! (gitprotocol-v2(5), "fetch"; gitprotocol-pack(5), "Packfile Negotiation").

use super::command::shortened;
use super::fetch::{OBJECTS_MAX, push_id};
use super::{ProtocolError, push_hex};
use crate::{ObjectFormat, ObjectId, oid, pktline};

/// How deep a client's history is, and how deep it is to become.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Depth {
    /// Commits whose parents the client lacks.
    pub shallow: Vec<ObjectId>,
    /// So many commits from each tip, the tip included: 1 to [`DEPTH_INFINITE`].
    pub deepen: Option<u32>,
    /// `deepen` counts from where the client's history is cut.
    pub relative: bool,
    /// Only commits that are not older, in seconds since 1970; 0 says nothing.
    pub since: Option<u64>,
    /// Only commits that these refs do not reach; names as a person gives them.
    pub not: Vec<Vec<u8>>,
}

/// With this depth no history is cut.
pub const DEPTH_INFINITE: u32 = i32::MAX as u32;

impl Depth {
    /// Whether the client's history is whole, and stays so.
    pub fn is_empty(&self) -> bool {
        self.shallow.is_empty() && !self.asks()
    }

    /// Whether the client asks for its history to be cut in another place.
    pub fn asks(&self) -> bool {
        self.deepen.is_some() || self.is_by_revisions()
    }

    /// Whether the new depth is told by commits' times or by refs, and not by a number.
    pub fn is_by_revisions(&self) -> bool {
        self.since.is_some() || !self.not.is_empty()
    }

    /// Takes one line of a request; gives whether it was about depth.
    pub(super) fn line(
        &mut self,
        text: &[u8],
        format: ObjectFormat,
    ) -> Result<bool, ProtocolError> {
        if let Some(hex) = text.strip_prefix(b"shallow ") {
            push_id(&mut self.shallow, hex, format, "shallow commits")?;
        } else if let Some(digits) = text.strip_prefix(b"deepen ") {
            let number = number(digits).and_then(|number| u32::try_from(number).ok());
            let number = number.filter(|number| (1..=DEPTH_INFINITE).contains(number));
            let invalid = || ProtocolError::InvalidDeepen(shortened(text));
            self.deepen = Some(number.ok_or_else(invalid)?);
        } else if let Some(digits) = text.strip_prefix(b"deepen-since ") {
            let invalid = || ProtocolError::InvalidDeepenSince(shortened(text));
            self.since = Some(number(digits).ok_or_else(invalid)?);
        } else if let Some(name) = text.strip_prefix(b"deepen-not ") {
            if self.not.len() == OBJECTS_MAX {
                return Err(ProtocolError::TooMany {
                    what: "refs to cut at",
                    max: OBJECTS_MAX,
                });
            }
            self.not.push(name.to_vec());
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let is_plain = digits.iter().all(u8::is_ascii_digit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_plain)?;
    digits.parse().ok()
}

/// Writes which commits lose their parents in the client's history, and which get them back.
pub fn write_shallow<'a>(
    out: &mut Vec<u8>,
    shallow: impl IntoIterator<Item = &'a ObjectId>,
    unshallow: impl IntoIterator<Item = &'a ObjectId>,
) {
    let mut line = |word: &str, id: &oid| {
        out.extend_from_slice(&pktline::prefix(word.len() + id.kind().len_in_hex()));
        out.extend_from_slice(word.as_bytes());
        push_hex(out, id);
    };
    shallow.into_iter().for_each(|id| line("shallow ", id));
    unshallow.into_iter().for_each(|id| line("unshallow ", id));
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

    fn read(lines: &[&str]) -> Result<Depth, String> {
        let mut depth = Depth::default();
        for text in lines {
            match depth.line(text.as_bytes(), ObjectFormat::Sha1) {
                Ok(true) => {}
                Ok(false) => return Err("not about depth".into()),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(depth)
    }

    #[test]
    fn each_line_has_its_place() {
        let shallow = format!("shallow {HEX}");
        let depth = read(&[
            "deepen 3",
            &shallow,
            &shallow,
            "deepen-since 0",
            "deepen-not v1",
            "deepen-not refs/heads/old one",
            "deepen 2147483647",
        ])
        .unwrap();
        assert_eq!(depth.deepen, Some(DEPTH_INFINITE));
        assert_eq!((depth.shallow.len(), depth.since), (2, Some(0)));
        assert_eq!(depth.not, [&b"v1"[..], b"refs/heads/old one"]);
        assert!(depth.asks() && depth.is_by_revisions() && !depth.is_empty());
        assert!(Depth::default().is_empty());
        assert!(!read(&[&shallow]).unwrap().asks());
    }

    #[test]
    fn what_is_no_depth_is_told_so() {
        for (line, expected) in [
            ("deepen 0", "Invalid deepen: deepen 0"),
            ("deepen -1", "Invalid deepen: deepen -1"),
            ("deepen ", "Invalid deepen: deepen "),
            ("deepen 2147483648", "Invalid deepen: deepen 2147483648"),
            ("deepen 1 ", "Invalid deepen: deepen 1 "),
            ("deepen-since x", "Invalid deepen-since: deepen-since x"),
            ("deepen-since -1", "Invalid deepen-since: deepen-since -1"),
            ("shallow 12", "invalid object id: '12'"),
            ("deepen-relative", "not about depth"),
        ] {
            assert_eq!(read(&[line]).unwrap_err(), expected, "{line}");
        }
    }

    #[test]
    fn the_new_places_are_lines_of_their_own() {
        let id = ObjectId::from_hex(HEX.as_bytes()).unwrap();
        let mut out = Vec::new();
        write_shallow(&mut out, [&id], [&id]);
        let expected = format!("0034shallow {HEX}0036unshallow {HEX}");
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
