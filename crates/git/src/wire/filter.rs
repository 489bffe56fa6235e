//! Filters of partial clones: which objects a client does without for now
//! (git-rev-list(1), `--filter`).

use super::command::shortened;
use crate::ObjectKind;

/// Which objects are sent beside those that the client names itself, which always are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterSpec {
    /// `blob:none`: no blobs.
    BlobNone,
    /// `blob:limit=<n>`: blobs that have fewer bytes.
    BlobLimit(u64),
    /// `tree:<depth>`: trees and blobs less far below a commit's root tree, which is at 0.
    TreeDepth(u64),
    /// `sparse:oid=<blob-ish>`: the blobs that a sparse checkout by the patterns in that blob
    /// would need. Holds its name as the client gave it: an id, or a revision and a path.
    SparseOid(Vec<u8>),
    /// `object:type=<type>`: objects of this kind.
    ObjectType(ObjectKind),
    /// `combine:<filter>+<filter>…`: what all of them let through.
    Combine(Vec<FilterSpec>),
}

/// Combined filters are not nested deeper.
pub const DEPTH_MAX: usize = 8;
/// A filter does not have more parts.
pub const PARTS_MAX: usize = 64;

/// Why something is no filter, in git's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It is none that anybody knows.
    #[error("invalid filter-spec '{}'", .0.escape_ascii())]
    Unknown(Vec<u8>),
    /// `tree:` without a number.
    #[error("expected 'tree:<depth>'")]
    Depth,
    /// `object:type=` without one of the four kinds.
    #[error("'{}' for 'object:type=<type>' is not a valid object type", .0.escape_ascii())]
    Kind(Vec<u8>),
    /// `sparse:path=`, which let clients read files of the server.
    #[error("sparse:path filters support has been dropped")]
    SparsePath,
    /// `combine:` alone.
    #[error("expected something after combine:")]
    CombineNothing,
    /// A part of a combined filter holds a byte that is to be percent-encoded.
    #[error("must escape char in sub-filter-spec: '{}'", [*.0].escape_ascii())]
    Unescaped(u8),
    /// It is nested deeper than this server follows.
    #[error("the filter is nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// It has more parts than this server takes.
    #[error("the filter has more than {PARTS_MAX} parts")]
    TooManyParts,
}

/// What must be percent-encoded in a part of a combined filter, beside white space, control
/// characters and what is not ASCII.
const RESERVED: &[u8] = b"~`!@#$^&*()[]{}\\;'\",<>?";

impl FilterSpec {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`FilterError`].
    pub fn parse(text: &[u8]) -> Result<FilterSpec, FilterError> {
        parse(text, 0, &mut 0)
    }

    /// The name under which git's configuration speaks of filters of this kind
    /// (`uploadpackfilter.<filter>.allow`).
    pub fn name(&self) -> &'static str {
        match self {
            FilterSpec::BlobNone => "blob:none",
            FilterSpec::BlobLimit(_) => "blob:limit",
            FilterSpec::TreeDepth(_) => "tree",
            FilterSpec::SparseOid(_) => "sparse:oid",
            FilterSpec::ObjectType(_) => "object:type",
            FilterSpec::Combine(_) => "combine",
        }
    }
}

/// The names of all filters, as settings have them.
pub const NAMES: &[&str] = &[
    "blob:none",
    "blob:limit",
    "tree",
    "sparse:oid",
    "object:type",
    "combine",
];

fn parse(text: &[u8], depth: usize, parts: &mut usize) -> Result<FilterSpec, FilterError> {
    *parts += 1;
    if *parts > PARTS_MAX {
        return Err(FilterError::TooManyParts);
    }
    let unknown = || FilterError::Unknown(shortened(text));
    if text == b"blob:none" {
        return Ok(FilterSpec::BlobNone);
    }
    if let Some(limit) = text.strip_prefix(b"blob:limit=") {
        return number(limit).map(FilterSpec::BlobLimit).ok_or_else(unknown);
    }
    if let Some(depth) = text.strip_prefix(b"tree:") {
        let depth = number(depth).ok_or(FilterError::Depth)?;
        return Ok(FilterSpec::TreeDepth(depth));
    }
    if let Some(name) = text.strip_prefix(b"sparse:oid=") {
        return Ok(FilterSpec::SparseOid(name.to_vec()));
    }
    if text.starts_with(b"sparse:path=") {
        return Err(FilterError::SparsePath);
    }
    if let Some(kind) = text.strip_prefix(b"object:type=") {
        return match kind {
            b"commit" => Ok(ObjectKind::Commit),
            b"tree" => Ok(ObjectKind::Tree),
            b"blob" => Ok(ObjectKind::Blob),
            b"tag" => Ok(ObjectKind::Tag),
            other => Err(FilterError::Kind(shortened(other))),
        }
        .map(FilterSpec::ObjectType);
    }
    if let Some(list) = text.strip_prefix(b"combine:") {
        return combine(list, depth + 1, parts);
    }
    Err(unknown())
}

fn combine(list: &[u8], depth: usize, parts: &mut usize) -> Result<FilterSpec, FilterError> {
    if depth > DEPTH_MAX {
        return Err(FilterError::TooDeep);
    }
    if list.is_empty() {
        return Err(FilterError::CombineNothing);
    }
    let mut filters = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        // A `+` separates; one that nothing follows is part of the last filter, as in git.
        let plus = rest.iter().position(|&byte| byte == b'+');
        let plus = plus.filter(|&at| at + 1 < rest.len());
        let (part, behind) = match plus {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &[][..]),
        };
        let reserved = |byte: &&u8| **byte <= b' ' || **byte >= 0x80 || RESERVED.contains(byte);
        if let Some(byte) = part.iter().find(reserved) {
            return Err(FilterError::Unescaped(*byte));
        }
        filters.push(parse(&percent_decode(part), depth, parts)?);
        rest = behind;
    }
    Ok(FilterSpec::Combine(filters))
}

/// Decodes `%XX`; what is no such thing, and `%00`, stays as it is.
fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        if let [b'%', high, low, behind @ ..] = rest
            && let (Some(high), Some(low)) = (digit(*high, 16), digit(*low, 16))
            && (high, low) != (0, 0)
        {
            out.push((high << 4 | low) as u8);
            rest = behind;
            continue;
        }
        out.push(byte);
        rest = behind;
    }
    out
}

fn digit(byte: u8, radix: u32) -> Option<u64> {
    char::from(byte).to_digit(radix).map(u64::from)
}

/// A number as git's configuration has them: decimal, octal behind `0`, hexadecimal behind `0x`,
/// and `k`, `m` or `g` for powers of 1,024.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(|b| b.is_ascii_hexdigit()) => {
            (16, rest)
        }
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let count = digits
        .iter()
        .take_while(|&&byte| digit(byte, radix).is_some())
        .count();
    let (digits, unit) = digits.split_at(count);
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in digits {
        value = value
            .checked_mul(radix.into())?
            .checked_add(digit(byte, radix)?)?;
    }
    let factor = match unit {
        b"" => 1,
        b"k" | b"K" => 1 << 10,
        b"m" | b"M" => 1 << 20,
        b"g" | b"G" => 1 << 30,
        _ => return None,
    };
    value.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<FilterSpec, String> {
        FilterSpec::parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn each_kind_is_read() {
        use FilterSpec::*;
        for (text, expected) in [
            ("blob:none", BlobNone),
            ("blob:limit=0", BlobLimit(0)),
            ("blob:limit=1k", BlobLimit(1024)),
            ("blob:limit=2M", BlobLimit(2 << 20)),
            ("blob:limit=0x10", BlobLimit(16)),
            ("blob:limit=010", BlobLimit(8)),
            ("tree:0", TreeDepth(0)),
            ("tree:3", TreeDepth(3)),
            ("sparse:oid=main:a b", SparseOid(b"main:a b".to_vec())),
            ("object:type=tag", ObjectType(ObjectKind::Tag)),
            (
                "combine:blob:none+tree:2",
                Combine(vec![BlobNone, TreeDepth(2)]),
            ),
            (
                "combine:tree:1+sparse:oid=main%3aa%20b%2B",
                Combine(vec![TreeDepth(1), SparseOid(b"main:a b+".to_vec())]),
            ),
            (
                "combine:combine:blob:none%2btree:1+object:type=commit",
                Combine(vec![
                    Combine(vec![BlobNone, TreeDepth(1)]),
                    ObjectType(ObjectKind::Commit),
                ]),
            ),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    /// What git says of each, tried with `git rev-list --filter`.
    #[test]
    fn what_is_no_filter_is_told_so_in_gits_words() {
        for (text, expected) in [
            ("", "invalid filter-spec ''"),
            ("blob", "invalid filter-spec 'blob'"),
            ("blob:limit=", "invalid filter-spec 'blob:limit='"),
            ("blob:limit=-1", "invalid filter-spec 'blob:limit=-1'"),
            ("blob:limit=1kb", "invalid filter-spec 'blob:limit=1kb'"),
            ("blob:limit=k", "invalid filter-spec 'blob:limit=k'"),
            (
                "blob:limit=99999999999g",
                "invalid filter-spec 'blob:limit=99999999999g'",
            ),
            ("tree:", "expected 'tree:<depth>'"),
            ("tree:x", "expected 'tree:<depth>'"),
            (
                "object:type=bolb",
                "'bolb' for 'object:type=<type>' is not a valid object type",
            ),
            (
                "sparse:path=x",
                "sparse:path filters support has been dropped",
            ),
            ("combine:", "expected something after combine:"),
            ("combine:+blob:none", "invalid filter-spec ''"),
            ("combine:blob:none+", "invalid filter-spec 'blob:none+'"),
            (
                "combine:tree:1+sparse:oid=a b",
                "must escape char in sub-filter-spec: ' '",
            ),
            (
                "combine:tree:1+sparse:oid=a~b",
                "must escape char in sub-filter-spec: '~'",
            ),
        ] {
            assert_eq!(parse(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn nesting_and_parts_have_an_end() {
        let nested = |depth: usize| "combine:".repeat(depth) + "blob:none";
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(
            FilterSpec::parse(nested(DEPTH_MAX + 1).as_bytes()),
            Err(FilterError::TooDeep)
        );
        let many = |parts: usize| "combine:".to_owned() + &vec!["tree:1"; parts].join("+");
        assert!(parse(&many(PARTS_MAX - 1)).is_ok());
        assert_eq!(
            FilterSpec::parse(many(PARTS_MAX).as_bytes()),
            Err(FilterError::TooManyParts)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(text in prop::collection::vec(prop_oneof![
            Just(b"combine:".to_vec()), Just(b"blob:limit=".to_vec()), Just(b"tree:".to_vec()), Just(b"%2b".to_vec()),
            Just(b"+".to_vec()), Just(b"0x".to_vec()), Just(b"9".to_vec()), prop::collection::vec(any::<u8>(), 0..4),
        ], 0..12)) {
            let _ = FilterSpec::parse(&text.concat());
        }
    }
}
