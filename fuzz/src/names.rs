//! Names of refs, paths, and patterns of paths.

use govc_git::ignore::{PatternList, Verdict};
use govc_git::path as paths;
use govc_git::refname::{self as refnames, REF_NAME_BYTES_MAX};

/// Names of refs: the narrower rules imply the wider ones, and those of git-check-ref-format(1).
pub(crate) fn refname(data: &[u8]) {
    let (full, onelevel) = (refnames::check(data), refnames::check_allow_onelevel(data));
    assert!(full.is_err() || onelevel.is_ok());
    if full.is_ok() {
        assert!(data.len() <= REF_NAME_BYTES_MAX && data.contains(&b'/'));
        assert!(!data.iter().any(|byte| *byte <= b' ' || *byte == 0x7f));
        assert!(!data.iter().any(|byte| b"~^:?*[\\".contains(byte)));
        assert!(!data.windows(2).any(|pair| pair == b".." || pair == b"@{"));
        assert!(!data.ends_with(b"."));
        for part in data.split(|byte| *byte == b'/') {
            assert!(!part.is_empty() && !part.starts_with(b".") && !part.ends_with(b".lock"));
        }
        let short = refnames::short(data);
        assert!(data.ends_with(short));
    }
    if refnames::check_push(data, false).is_ok() {
        assert_eq!(refnames::check_push(data, true), Ok(()));
        assert_eq!(full, Ok(()));
    }
    for (prefix, checked) in [
        (&b"refs/heads/"[..], refnames::check_branch(data)),
        (b"refs/tags/", refnames::check_tag(data)),
    ] {
        let name = [prefix, data].concat();
        if checked.is_ok() {
            assert_eq!(refnames::check_push(&name, false), Ok(()));
        }
    }
}

/// Paths: a path is taken when each part is, and never leads out of its root.
pub(crate) fn path(data: &[u8]) {
    let taken = paths::check(data);
    let parts = || data.split(|byte| *byte == b'/');
    if taken.is_ok() {
        for part in parts() {
            assert_eq!(paths::check_name(part), Ok(()));
            assert!(!matches!(part, b"" | b"." | b".."));
            assert!(!part.eq_ignore_ascii_case(b".git"));
        }
    }
    for part in parts() {
        assert!(paths::check_name(part).is_err() || !paths::is_dot_git(part));
        let _ = paths::is_dot_gitmodules(part);
    }
}

/// Patterns, the first line is the path: matching takes time in proportion to both.
pub(crate) fn ignore(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (path, file) = data.split_at(at);
    let Ok(list) = PatternList::parse(file) else {
        return;
    };
    let name_at = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |at| at + 1);
    let mut steps = 0;
    let folder = list.verdict(path, name_at, true, &mut steps);
    let plain = list.verdict(path, name_at, false, &mut steps);
    let most = 8 * (file.len() as u64 + 1) * (path.len() as u64 + 2);
    assert!(steps <= most, "{steps} steps, at most {most} are expected");
    // What names a file names a folder; the other way round patterns that end in a slash differ.
    let folders_only = file.split(|byte| *byte == b'\n').any(|line| {
        let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
        line.trim_ascii_end().ends_with(b"/")
    });
    assert!(folder == plain || folders_only);
}

/// Whether `pattern` matches all of `text`, as wildmatch(3) of git says, by trying everything;
/// `known` has what was tried and was in vain.
fn wildmatch(pattern: &[u8], text: &[u8], i: usize, j: usize, known: &mut [bool]) -> bool {
    let place = i * (text.len() + 1) + j;
    if known[place] {
        return false;
    }
    let matches = match pattern.get(i) {
        None => j == text.len(),
        Some(b'*') => stars(pattern, text, i, j, known),
        Some(first) => text.get(j).is_some_and(|&byte| {
            let next = match first {
                b'?' => (byte != b'/').then_some(i + 1),
                b'\\' => (pattern.get(i + 1) == Some(&byte)).then_some(i + 2),
                b'[' => bracket(pattern, i, byte),
                first => (*first == byte).then_some(i + 1),
            };
            next.is_some_and(|next| wildmatch(pattern, text, next, j + 1, known))
        }),
    };
    known[place] |= !matches;
    matches
}

fn stars(pattern: &[u8], text: &[u8], i: usize, j: usize, known: &mut [bool]) -> bool {
    let count = pattern[i..]
        .iter()
        .take_while(|byte| **byte == b'*')
        .count();
    let behind = i + count;
    let whole_part = count > 1 && (i == 0 || pattern[i - 1] == b'/');
    let rest = &pattern[behind..];
    if whole_part && rest.starts_with(b"/") && wildmatch(pattern, text, behind + 1, j, known) {
        return true;
    }
    let deep = whole_part && (rest.is_empty() || rest[0] == b'/' || rest.starts_with(b"\\/"));
    for end in j..=text.len() {
        if wildmatch(pattern, text, behind, end, known) {
            return true;
        }
        if !deep && text.get(end) == Some(&b'/') {
            return false;
        }
    }
    false
}

/// Where the set at `i` ends, if it ends and has `byte`.
fn bracket(pattern: &[u8], i: usize, byte: u8) -> Option<usize> {
    let mut at = i + 1;
    let negated = matches!(pattern.get(at), Some(b'!' | b'^'));
    at += usize::from(negated);
    let (mut found, mut before, first) = (false, 0u8, at);
    loop {
        let here = *pattern.get(at)?;
        if here == b']' && at > first {
            break;
        }
        let next = pattern.get(at + 1).copied();
        before = match here {
            b'\\' => {
                at += 1;
                found |= next? == byte;
                next?
            }
            b'-' if before != 0 && next.is_some_and(|next| next != b']') => {
                at += 1;
                let mut last = next?;
                if last == b'\\' {
                    at += 1;
                    last = *pattern.get(at)?;
                }
                found |= (before..=last).contains(&byte);
                0
            }
            b'[' if next == Some(b':') => {
                let name_at = at + 2;
                let length = pattern[name_at..].iter().position(|b| *b == b']')?;
                let name = &pattern[name_at..name_at + length];
                match name.strip_suffix(b":") {
                    Some(name) => {
                        at = name_at + length;
                        found |= is_of(name, byte)?;
                        0
                    }
                    None => {
                        found |= byte == b'[';
                        b'['
                    }
                }
            }
            here => {
                found |= here == byte;
                here
            }
        };
        at += 1;
    }
    (found != negated && byte != b'/').then_some(at + 1)
}

fn is_of(class: &[u8], byte: u8) -> Option<bool> {
    let visible = (0x21..=0x7e).contains(&byte);
    let letter = byte.is_ascii_alphabetic();
    Some(match class {
        b"alnum" => letter || byte.is_ascii_digit(),
        b"alpha" => letter,
        b"blank" => byte == b' ' || byte == b'\t',
        b"cntrl" => byte < 0x20 || byte == 0x7f,
        b"digit" => byte.is_ascii_digit(),
        b"graph" => visible,
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => visible || byte == b' ',
        b"punct" => visible && !letter && !byte.is_ascii_digit(),
        b"space" => b" \t\n\r".contains(&byte),
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

/// A pattern, and on the first line what it is held against: the matcher says what trying
/// everything says.
pub(crate) fn glob(data: &[u8]) {
    const LENGTH_MAX: usize = 100;
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (text, pattern) = (&data[..at], data.get(at + 1..).unwrap_or_default());
    let is_line = !pattern.iter().any(|byte| matches!(byte, b'\n' | 0))
        && !matches!(pattern.last(), None | Some(b' ' | b'\r' | b'/'));
    if !is_line || pattern.len() > LENGTH_MAX || text.len() > LENGTH_MAX {
        return;
    }
    let list = PatternList::parse(&[b"/", pattern].concat());
    let list = list.expect("one pattern is not too many");
    let found = list.verdict(text, 0, false, &mut 0);
    // As git does: what stands before the first special character is compared as it is.
    let special = |byte: &u8| b"*?[\\".contains(byte);
    let literal = pattern.iter().position(special).unwrap_or(pattern.len());
    let expected = text.strip_prefix(&pattern[..literal]).is_some_and(|text| {
        let rest = &pattern[literal..];
        let mut known = vec![false; (rest.len() + 1) * (text.len() + 1)];
        wildmatch(rest, text, 0, 0, &mut known)
    });
    assert_eq!(found, expected.then_some(Verdict::Matched));
}
