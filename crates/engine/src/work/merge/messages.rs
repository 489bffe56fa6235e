//! Messages of commits that are made for others, as git 2.39 makes them.

use govc_git::encoding::commit_in_utf8;
use govc_git::object::CommitRef;
use govc_git::{ObjectId, ObjectKind, message};

use crate::Refs;
use crate::pool::{DateWalk, Pool, PoolError};
use crate::work::short_id::short_id;

/// How a commit is called behind conflict markers: `1a2b3c4 (its subject)`.
pub(super) fn name(pool: &Pool, commit: ObjectId, text: &[u8]) -> Vec<u8> {
    let mut name = short_id(pool, &commit).into_bytes();
    name.extend_from_slice(b" (");
    name.extend_from_slice(message::first_line(text));
    name.push(b')');
    name
}

/// The message of a commit that takes `commit` back; `reversed` is the parent of a merge.
pub(super) fn revert(commit: ObjectId, text: &[u8], reversed: Option<ObjectId>) -> Vec<u8> {
    let mut made = b"Revert \"".to_vec();
    made.extend_from_slice(message::first_line(text));
    made.extend_from_slice(format!("\"\n\nThis reverts commit {commit}").as_bytes());
    if let Some(parent) = reversed {
        made.extend_from_slice(format!(", reversing\nchanges made to {parent}").as_bytes());
    }
    made.extend_from_slice(b".\n");
    made
}

/// The message of a merge of what is called `from` into the branch `into`, both as they were
/// typed: `Merge branch 'topic' into next`; of an annotated tag with what the tag says.
pub fn merge(pool: &Pool, refs: &Refs, from: &[u8], into: &[u8]) -> Vec<u8> {
    // In git's order.
    let prefixes: [&[u8]; 5] = [
        b"",
        b"refs/",
        b"refs/tags/",
        b"refs/heads/",
        b"refs/remotes/",
    ];
    let full = prefixes.iter().map(|prefix| [prefix, from].concat());
    let full = full.into_iter().find(|full| refs.resolve(full).is_some());
    let tag = full.as_deref().and_then(|full| tag_text(pool, refs, full));
    let kind = full.and_then(|full| {
        let kinds: [(&[u8], &[u8]); 3] = [
            (b"refs/tags/", b"tag"),
            (b"refs/heads/", b"branch"),
            (b"refs/remotes/", b"remote-tracking branch"),
        ];
        let found = kinds.iter().find(|(prefix, _)| full.starts_with(prefix));
        found.map(|(_, kind)| *kind)
    });
    let mut title = b"Merge ".to_vec();
    match (kind, early_part(refs, from)) {
        (Some(kind), _) => {
            title.extend_from_slice(kind);
            title.extend_from_slice(b" '");
            title.extend_from_slice(from);
            title.push(b'\'');
        }
        (None, Some((branch, is_early))) => {
            title.extend_from_slice(b"branch '");
            title.extend_from_slice(branch);
            title.push(b'\'');
            if is_early {
                title.extend_from_slice(b" (early part)");
            }
        }
        (None, None) => {
            title.extend_from_slice(b"commit '");
            title.extend_from_slice(from);
            title.push(b'\'');
        }
    }
    if into != b"main" && into != b"master" {
        title.extend_from_slice(b" into ");
        title.extend_from_slice(into);
    }
    title.push(b'\n');
    if let Some(text) = tag {
        title.push(b'\n');
        title.extend_from_slice(&text);
        return message::clean(&title);
    }
    title
}

/// What the annotated tag behind `full` says, without its signature.
fn tag_text(pool: &Pool, refs: &Refs, full: &[u8]) -> Option<Vec<u8>> {
    if !full.starts_with(b"refs/tags/") {
        return None;
    }
    let data = pool.get_kind(&refs.resolve(full)?, ObjectKind::Tag).ok()?;
    let start = memchr::memmem::find(&data, b"\n\n")? + 2;
    let text = data.get(start..)?;
    let signatures: [&[u8]; 4] = [
        b"-----BEGIN PGP SIGNATURE-----",
        b"-----BEGIN PGP MESSAGE-----",
        b"-----BEGIN SIGNED MESSAGE-----",
        b"-----BEGIN SSH SIGNATURE-----",
    ];
    let is_signature = |line: &&[u8]| signatures.iter().any(|begin| line.starts_with(begin));
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let lines: Vec<&[u8]> = lines.take_while(|line| !is_signature(line)).collect();
    Some(lines.concat()).filter(|text| !text.is_empty())
}

/// The branch of `topic~3` and `topic^^`, and whether that is not its head.
fn early_part<'f>(refs: &Refs, from: &'f [u8]) -> Option<(&'f [u8], bool)> {
    let caret = from.iter().rposition(|byte| *byte != b'^')? + 1;
    let (branch, is_early) = if caret < from.len() {
        (&from[..caret], true)
    } else {
        let tilde = memchr::memrchr(b'~', from)?;
        let digits = &from[tilde + 1..];
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let is_head = !digits.is_empty() && digits.iter().all(|digit| *digit == b'0');
        (&from[..tilde], !is_head)
    };
    let full = [b"refs/heads/", branch].concat();
    refs.resolve(&full).map(|_| (branch, is_early))
}

/// The message of a squash: all commits of `from` that `head` does not have.
pub(super) fn squash(pool: &Pool, head: ObjectId, from: ObjectId) -> Result<Vec<u8>, PoolError> {
    const COMMITS_MAX: usize = 1_000;
    let graph = pool.graph();
    let mut made = b"Squashed commit of the following:\n".to_vec();
    let (Some(tip), Some(hidden)) = (graph.number(&from), graph.number(&head)) else {
        return Ok(made);
    };
    for number in DateWalk::new(graph, &[tip], &[hidden]).take(COMMITS_MAX) {
        let id = graph.id(number);
        let data = pool.get_kind(&id, ObjectKind::Commit)?;
        let damaged = |error: govc_git::object::ParseError| PoolError::Damaged {
            id,
            pack: None,
            what: error.to_string(),
        };
        let data = commit_in_utf8(&data);
        let commit = CommitRef::parse(&data, pool.format()).map_err(damaged)?;
        made.extend_from_slice(format!("\ncommit {id}\n").as_bytes());
        if commit.parents.len() > 1 {
            made.extend_from_slice(b"Merge:");
            for parent in &commit.parents {
                made.extend_from_slice(format!(" {}", short_id(pool, parent)).as_bytes());
            }
            made.push(b'\n');
        }
        made.extend_from_slice(b"Author: ");
        made.extend_from_slice(commit.author.name);
        made.extend_from_slice(b" <");
        made.extend_from_slice(commit.author.email);
        made.extend_from_slice(b">\nDate:   ");
        let time = commit.author.time().unwrap_or_default();
        made.extend_from_slice(date(time.seconds, time.offset_minutes).as_bytes());
        made.extend_from_slice(b"\n\n");
        let text = commit.message.trim_ascii_end();
        let start = text.iter().position(|byte| *byte != b'\n').unwrap_or(0);
        for line in text[start..].split(|byte| *byte == b'\n') {
            if !line.trim_ascii_end().is_empty() {
                made.extend_from_slice(b"    ");
                made.extend_from_slice(line.trim_ascii_end());
            }
            made.push(b'\n');
        }
    }
    Ok(message::clean(&made))
}

/// A moment as git shows it: `Thu Apr 7 15:13:13 2005 -0700`.
fn date(seconds: i64, offset_minutes: i32) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let local = seconds.saturating_add(i64::from(offset_minutes) * 60);
    let (days, rest) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    // From days to a date, by Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let sign = if offset_minutes < 0 { '-' } else { '+' };
    let offset = offset_minutes.unsigned_abs();
    format!(
        "{} {} {day} {:02}:{:02}:{:02} {year} {sign}{:02}{:02}",
        DAYS[days.rem_euclid(7) as usize],
        MONTHS[month as usize],
        rest / 3_600,
        rest / 60 % 60,
        rest % 60,
        offset / 60,
        offset % 60,
    )
}

/// As [`message::clean`], and without lines that begin with `#`: what git does to a message that
/// it made of several.
pub(super) fn clean_without_comments(text: &[u8]) -> Vec<u8> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let lines: Vec<&[u8]> = lines.filter(|line| !line.starts_with(b"#")).collect();
    message::clean(&lines.concat())
}
