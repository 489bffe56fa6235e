//! `$Format:…$` filled in with what is known of the commit (gitattributes(5), `export-subst`;
//! git-log(1), "PRETTY FORMATS").

use bytes::Bytes;
use govc_git::object::{CommitRef, GitTime, SignatureRef, TagRef};
use govc_git::{ObjectId, ObjectKind, message};
use memchr::memmem;

use crate::pool::Pool;
use crate::work::short_id::short_id;
use crate::{Refs, Target};

const OPEN: &[u8] = b"$Format:";
/// Formats together may add so many bytes to one file; one that they would add more to stays as it is.
const ADDED_BYTES_MAX: usize = 64 << 20;

/// What placeholders mean.
pub(super) struct Substitution {
    /// By name, longer names first.
    values: Vec<(&'static str, Vec<u8>)>,
    commit: ObjectId,
    /// The refs that decorate it, once they were asked for; until then all refs.
    decoration: Decoration,
}

enum Decoration {
    Of(Refs),
    Is(Vec<u8>),
}

impl Substitution {
    pub(super) fn of(
        pool: &Pool,
        refs: &Refs,
        id: ObjectId,
        commit: &CommitRef<'_>,
    ) -> Substitution {
        let short = |id: &ObjectId| short_id(pool, id);
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
            ("e", commit.encoding.unwrap_or_default().to_vec()),
            ("f", sanitized(message::first_line(commit.message))),
            ("m", b">".to_vec()),
            ("G?", b"N".to_vec()),
            // There are no colours in a file.
            ("Cred", Vec::new()),
            ("Cgreen", Vec::new()),
            ("Cblue", Vec::new()),
            ("Creset", Vec::new()),
        ];
        let names = [
            ["an", "ae", "al", "at", "ai", "aI", "ad", "aD", "as"],
            ["cn", "ce", "cl", "ct", "ci", "cI", "cd", "cD", "cs"],
        ];
        for (names, person) in names.iter().zip([&commit.author, &commit.committer]) {
            let parts = person_parts(person);
            let mapped = match names[0] {
                "an" => ["aN", "aE", "aL"],
                _ => ["cN", "cE", "cL"],
            };
            // Nobody reads a mailmap.
            values.extend(mapped.into_iter().zip(parts[..3].iter().cloned()));
            values.extend(names.iter().copied().zip(parts));
        }
        values.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Substitution {
            values,
            commit: id,
            decoration: Decoration::Of(refs.clone()),
        }
    }

    /// `content` with all of its formats filled in.
    pub(super) fn fill(&mut self, pool: &Pool, content: Bytes) -> Bytes {
        let Some(first) = memmem::find(&content, OPEN) else {
            return content;
        };
        let names_refs = |name: &[u8]| memmem::find(&content[first..], name).is_some();
        if let Decoration::Of(refs) = &self.decoration
            && (names_refs(b"%d") || names_refs(b"%D"))
        {
            let names = decoration(pool, refs, &self.commit);
            self.decoration = Decoration::Is(names);
        }
        let bytes_max = content.len() + ADDED_BYTES_MAX;
        let mut out = content[..first].to_vec();
        let mut rest = &content[first..];
        while let Some(at) = memmem::find(rest, OPEN) {
            let format = &rest[at + OPEN.len()..];
            let Some(end) = memchr::memchr(b'$', format) else {
                break;
            };
            out.extend_from_slice(&rest[..at]);
            self.expand(&format[..end], bytes_max, &mut out);
            if out.len() > bytes_max {
                return content;
            }
            rest = &format[end + 1..];
        }
        out.extend_from_slice(rest);
        out.into()
    }

    /// Adds what `format` says; it ends in the middle where `out` has more than `bytes_max` bytes.
    fn expand(&self, format: &[u8], bytes_max: usize, out: &mut Vec<u8>) {
        let mut rest = format;
        while let Some(at) = memchr::memchr(b'%', rest) {
            if out.len() > bytes_max {
                return;
            }
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
            if let (Decoration::Is(names), [letter @ (b'd' | b'D'), ..]) = (&self.decoration, rest)
            {
                let is_wrapped = *letter == b'd' && !names.is_empty();
                let (open, close): (&[u8], &[u8]) = match is_wrapped {
                    true => (b" (", b")"),
                    false => (b"", b""),
                };
                out.extend_from_slice(&[open, names, close].concat());
                rest = &rest[1..];
                continue;
            }
            match known {
                Some((name, value)) => {
                    out.extend_from_slice(value);
                    rest = &rest[name.len()..];
                }
                // What nobody knows stays as it is.
                None => out.push(b'%'),
            }
        }
        out.extend_from_slice(rest);
    }
}

/// What points at the commit, as `%D` has it: HEAD with its branch, then the other refs from the last
/// to the first.
fn decoration(pool: &Pool, refs: &Refs, commit: &ObjectId) -> Vec<u8> {
    let is_there = |target: &Target| match target {
        Target::At(id) => peeled(pool, *id) == Some(*commit),
        _ => false,
    };
    let head = refs.head_branch().map(|branch| branch.as_bytes());
    let head = head.filter(|branch| refs.resolve(branch) == Some(*commit));
    let mut names: Vec<Vec<u8>> = Vec::new();
    for (name, target) in refs.iter() {
        let name = name.as_bytes();
        if name.starts_with(b"refs/govc/") || Some(name) == head || !is_there(target) {
            continue;
        }
        let short = |prefix: &[u8]| name.strip_prefix(prefix);
        names.push(match (short(b"refs/tags/"), short(b"refs/heads/")) {
            (Some(tag), _) => [b"tag: ", tag].concat(),
            (None, Some(branch)) => branch.to_vec(),
            (None, None) => short(b"refs/remotes/").unwrap_or(name).to_vec(),
        });
    }
    if let Some(head) = head.and_then(|head| head.strip_prefix(b"refs/heads/")) {
        names.push([b"HEAD -> ", head].concat());
    }
    names.reverse();
    names.join(&b", "[..])
}

/// The commit behind tags.
fn peeled(pool: &Pool, id: ObjectId) -> Option<ObjectId> {
    const TAGS_MAX: usize = 10;
    let mut at = id;
    for _ in 0..TAGS_MAX {
        if pool.graph().number(&at).is_some() {
            return Some(at);
        }
        let data = pool.get_kind(&at, ObjectKind::Tag).ok()?;
        at = TagRef::parse(&data, pool.format()).ok()?.target;
    }
    None
}

/// A subject as the name of a file, as `%f` has it.
fn sanitized(subject: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(subject.len());
    let mut gap = false;
    for byte in subject {
        if !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b'_') {
            gap = true;
            continue;
        }
        if gap && !out.is_empty() {
            out.push(b'-');
        }
        gap = false;
        if *byte != b'.' || out.last() != Some(&b'.') {
            out.push(*byte);
        }
    }
    let kept = out
        .iter()
        .rposition(|byte| !matches!(byte, b'.' | b'-'))
        .map_or(0, |at| at + 1);
    out.truncate(kept);
    out
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
