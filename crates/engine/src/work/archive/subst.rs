//! `$Format:…$` filled in with what is known of the commit (gitattributes(5), `export-subst`;
//! git-log(1), "PRETTY FORMATS").

use bytes::Bytes;
use govc_git::ObjectId;
use govc_git::object::{CommitRef, GitTime, SignatureRef};
use memchr::memmem;

use crate::pool::Pool;

const OPEN: &[u8] = b"$Format:";
/// Formats together may make so many bytes of one file.
const BYTES_MAX: usize = 64 << 20;

/// What placeholders mean.
pub(super) struct Substitution {
    /// By name, longer names first.
    values: Vec<(&'static str, Vec<u8>)>,
}

impl Substitution {
    pub(super) fn of(pool: &Pool, id: ObjectId, commit: &CommitRef<'_>) -> Substitution {
        let short = |id: &ObjectId| abbreviated(pool, id);
        let all = |ids: &[ObjectId], name: &dyn Fn(&ObjectId) -> String| {
            ids.iter()
                .map(name)
                .collect::<Vec<_>>()
                .join(" ")
                .into_bytes()
        };
        let long = |id: &ObjectId| id.to_string();
        let body = {
            let message = commit.message;
            let end = memmem::find(message, b"\n\n").map_or(message.len(), |at| at + 2);
            let rest = &message[end..];
            let start = rest
                .iter()
                .position(|byte| *byte != b'\n')
                .unwrap_or(rest.len());
            rest[start..].to_vec()
        };
        let mut values = vec![
            ("%", b"%".to_vec()),
            ("n", b"\n".to_vec()),
            ("H", id.to_string().into_bytes()),
            ("h", short(&id).into_bytes()),
            ("T", commit.tree.to_string().into_bytes()),
            ("t", short(&commit.tree).into_bytes()),
            ("P", all(&commit.parents, &long)),
            ("p", all(&commit.parents, &short)),
            ("s", commit.summary()),
            ("b", body),
            ("B", commit.message.to_vec()),
        ];
        let names = [
            ["an", "ae", "al", "at", "ai", "aI", "ad", "aD", "as"],
            ["cn", "ce", "cl", "ct", "ci", "cI", "cd", "cD", "cs"],
        ];
        for (names, person) in names.iter().zip([&commit.author, &commit.committer]) {
            let parts = person_parts(person);
            values.extend(names.iter().copied().zip(parts));
        }
        values.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Substitution { values }
    }

    /// `content` with all of its formats filled in.
    pub(super) fn fill(&self, content: Bytes) -> Bytes {
        let Some(first) = memmem::find(&content, OPEN) else {
            return content;
        };
        let mut out = content[..first].to_vec();
        let mut rest = &content[first..];
        while let Some(at) = memmem::find(rest, OPEN) {
            let format = &rest[at + OPEN.len()..];
            let Some(end) = memchr::memchr(b'$', format) else {
                break;
            };
            out.extend_from_slice(&rest[..at]);
            if out.len() > BYTES_MAX {
                return content;
            }
            self.expand(&format[..end], &mut out);
            rest = &format[end + 1..];
        }
        out.extend_from_slice(rest);
        out.into()
    }

    fn expand(&self, format: &[u8], out: &mut Vec<u8>) {
        let mut rest = format;
        while let Some(at) = memchr::memchr(b'%', rest) {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(hex) = rest.strip_prefix(b"x").and_then(|hex| hex.get(..2))
                && let Ok(hex) = std::str::from_utf8(hex)
                && let Ok(byte) = u8::from_str_radix(hex, 16)
            {
                out.push(byte);
                rest = &rest[3..];
                continue;
            }
            let known = self
                .values
                .iter()
                .find(|(name, _)| rest.starts_with(name.as_bytes()));
            match known {
                Some((name, value)) => {
                    out.extend_from_slice(value);
                    rest = &rest[name.len()..];
                }
                // What nobody knows stays as it is.
                None => out.push(b'%'),
            }
            if out.len() > BYTES_MAX {
                return;
            }
        }
        out.extend_from_slice(rest);
    }
}

fn person_parts(person: &SignatureRef<'_>) -> [Vec<u8>; 9] {
    let local = person
        .email
        .split(|byte| *byte == b'@')
        .next()
        .unwrap_or_default();
    let time = person.time();
    let at = |format: &str| {
        let shown = time.as_ref().and_then(|time| shown(time, format));
        shown.unwrap_or_default().into_bytes()
    };
    let offset = time.as_ref().map_or_else(String::new, offset);
    let with_colon = match offset.len() {
        5 => format!("{}:{}", &offset[..3], &offset[3..]),
        _ => String::new(),
    };
    let with_offset = |mut text: Vec<u8>, offset: &str| {
        text.extend_from_slice(offset.as_bytes());
        text
    };
    [
        person.name.to_vec(),
        person.email.to_vec(),
        local.to_vec(),
        time.as_ref()
            .map_or_else(Vec::new, |time| time.seconds.to_string().into_bytes()),
        with_offset(at("%Y-%m-%d %H:%M:%S "), &offset),
        with_offset(
            at("%Y-%m-%dT%H:%M:%S"),
            if with_colon == "+00:00" {
                "Z"
            } else {
                &with_colon
            },
        ),
        with_offset(at("%a %b %-d %H:%M:%S %Y "), &offset),
        with_offset(at("%a, %-d %b %Y %H:%M:%S "), &offset),
        at("%Y-%m-%d"),
    ]
}

fn offset(time: &GitTime) -> String {
    let sign = if time.offset_minutes < 0 || time.negative_zero {
        '-'
    } else {
        '+'
    };
    let minutes = time.offset_minutes.unsigned_abs();
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

/// The moment on the clock of who wrote it.
fn shown(time: &GitTime, format: &str) -> Option<String> {
    let seconds = time
        .seconds
        .checked_add(i64::from(time.offset_minutes) * 60)?;
    let moment = jiff::Timestamp::from_second(seconds).ok()?;
    Some(moment.strftime(format).to_string())
}

/// The shortest part of an id that no other object begins with, and as many digits as git gives
/// a pool of this size.
fn abbreviated(pool: &Pool, id: &ObjectId) -> String {
    let text = id.to_string();
    let objects = pool.stats().objects.max(1);
    let bits = 64 - objects.leading_zeros() as usize;
    let mut length = bits.div_ceil(2).max(7);
    while length < text.len() && pool.candidates(&text[..length], 2).len() > 1 {
        length += 1;
    }
    text[..length.min(text.len())].to_owned()
}
