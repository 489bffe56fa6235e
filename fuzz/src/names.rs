//! Names of refs, paths, and patterns of paths.

use govc_git::ignore::PatternList;
use govc_git::path as paths;
use govc_git::refname::{self as refnames, REF_NAME_BYTES_MAX};

use crate::plant::plant;

/// Names of refs: the narrower rules imply the wider ones.
pub(crate) fn refname(data: &[u8]) {
    let (full, onelevel) = (refnames::check(data), refnames::check_allow_onelevel(data));
    assert!(full.is_err() || onelevel.is_ok());
    if full.is_ok() {
        assert!(data.len() <= REF_NAME_BYTES_MAX && data.contains(&b'/'));
        assert!(!data.iter().any(|byte| *byte <= b' ' || *byte == 0x7f));
        assert!(!data.windows(2).any(|pair| pair == b".."));
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
    plant("refname", || {
        full.is_ok() && data.ends_with(b"@") && data.split(|byte| *byte == b'/').count() > 3
    });
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
    plant("path", || {
        taken.is_ok() && parts().any(|part| !part.is_ascii() && paths::is_dot_gitmodules(part))
    });
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
    plant("ignore", || folder != plain && file.contains(&b'['));
}
