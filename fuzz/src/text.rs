//! Texts that are compared, merged and searched, and what says which files are meant.

use std::borrow::Cow;

use govc_engine::work::search::{Matcher, Pathspecs, PatternOptions};
use govc_git::encoding::{commit_in_utf8, made_utf8};
use govc_git::eol::EolAction;
use govc_git::ignore::attributes::{AttributeList, AttributeState};
use govc_git::xdiff::{
    Algorithm, DiffOptions, Favor, Hunk, Labels, MergeOptions, Style, UnifiedOptions, diff_hunks,
    merge_text, unified,
};

/// Commits in any encoding: what is taken over is UTF-8, as is what is made anew.
pub(crate) fn encoding(data: &[u8]) {
    if let Cow::Owned(text) = commit_in_utf8(data) {
        assert!(std::str::from_utf8(&text).is_ok());
    }
    let made = made_utf8(data.to_vec());
    let text = std::str::from_utf8(&made).expect("UTF-8");
    let is_character = |c: char| u32::from(c) & 0xfffe != 0xfffe;
    assert!(text.chars().all(is_character));
    assert_eq!(made_utf8(made.clone()), made);
    if std::str::from_utf8(data).is_ok_and(|text| text.is_ascii()) {
        assert_eq!(made, data);
    }
}

/// The parts of an input, which a NUL divides.
fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut parts = data.splitn(N, |byte| *byte == 0);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// The lines of `after`, made of those of `before`.
fn patched(before: &[u8], after: &[u8], hunks: &[Hunk]) -> Vec<u8> {
    let (before, after) = (lines(before), lines(after));
    let (mut out, mut at) = (Vec::<&[u8]>::new(), 0);
    for hunk in hunks {
        assert!(hunk.before.start >= at, "hunks are in order");
        out.extend(&before[at..hunk.before.start]);
        out.extend(&after[hunk.after.clone()]);
        at = hunk.before.end;
    }
    out.extend(&before[at..]);
    out.concat()
}

/// Diffs and merges: hunks lead from one text to the other, and who changed nothing has the
/// other's text.
pub(crate) fn xdiff(data: &[u8]) {
    let Some(([how, more], rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let [base, ours, theirs] = parts(rest);
    let algorithms = [
        Algorithm::Myers,
        Algorithm::Minimal,
        Algorithm::Patience,
        Algorithm::Histogram,
    ];
    let algorithm = algorithms[usize::from(how & 3)];
    let flag = |bit: u8| how & bit != 0;
    let exact = DiffOptions {
        algorithm,
        indent_heuristic: flag(4),
        ..DiffOptions::default()
    };
    if let Ok(hunks) = diff_hunks(base, ours, &exact) {
        assert_eq!(patched(base, ours, &hunks), ours);
        assert_eq!(hunks.is_empty(), base == ours);
    }
    let options = DiffOptions {
        ignore_whitespace: flag(8),
        ignore_whitespace_change: flag(16),
        ignore_whitespace_at_eol: flag(32),
        ignore_cr_at_eol: flag(64),
        ignore_blank_lines: flag(128),
        ..exact
    };
    let around = UnifiedOptions {
        context: u32::from(more & 7),
        inter_hunk_context: u32::from(more >> 3 & 1) * 5,
        function_context: more & 16 != 0,
    };
    if let Ok(patch) = unified(base, ours, &options, &around) {
        assert!(patch.is_empty() || patch.starts_with(b"@@ -"));
        assert!(base != ours || patch.is_empty());
    }
    let options = MergeOptions {
        algorithm,
        marker_size: u32::from(more & 31),
        favor: [Favor::Neither, Favor::Ours, Favor::Theirs, Favor::Union][usize::from(more >> 6)],
        style: [
            Style::Merge,
            Style::Diff3,
            Style::ZealousDiff3,
            Style::Merge,
        ][usize::from(more >> 4 & 3)],
    };
    let labels = Labels {
        base: b"base",
        ours: b"ours",
        theirs: if more & 32 == 0 { b"theirs" } else { b"" },
    };
    let merge = |ours, theirs| merge_text(base, ours, theirs, &labels, &options);
    if let Ok(merged) = merge(ours, theirs) {
        assert!(options.favor == Favor::Neither || merged.conflicts == 0);
        let most = base.len() + ours.len() + theirs.len();
        assert!(merged.conflicts > 0 || merged.text.len() <= most + 3);
    }
    for (ours, theirs, expected) in [(base, theirs, theirs), (ours, base, ours)] {
        if let Ok(merged) = merge(ours, theirs) {
            assert_eq!((merged.text.as_slice(), merged.conflicts), (expected, 0));
        }
    }
}

/// Files of attributes, a path and a content: what is said of a path has a line that says it, and
/// line endings are what they say.
pub(crate) fn attributes(data: &[u8]) {
    let [file, path, content] = parts(data);
    let Ok(list) = AttributeList::parse(file) else {
        return;
    };
    let name_at = path.iter().rposition(|byte| *byte == b'/');
    let name_at = name_at.map_or(0, |at| at + 1);
    let mut steps = 0;
    let mut state = |name: &[u8]| {
        let state = list.state(path, name_at, name, &mut steps);
        if let Some(AttributeState::Value(value)) = state {
            let said = [name, b"=", value].concat();
            assert!(file.windows(said.len()).any(|bytes| bytes == said));
        }
        state.cloned()
    };
    let [text, crlf, eol] = [&b"text"[..], b"crlf", b"eol"].map(&mut state);
    let binary = state(b"binary");
    assert!(binary != Some(AttributeState::Set) || text.is_some());
    assert!(steps <= (1 + file.len() as u64) * (1 + path.len() as u64) * 8);
    let action = EolAction::of(text.as_ref(), crlf.as_ref(), eol.as_ref());
    let there = bytes::Bytes::copy_from_slice(path);
    for action in [action, EolAction::Text, EolAction::Auto] {
        let clean = action.clean(content, || Ok::<_, ()>(Some(there.clone())));
        let clean = clean.expect("a content");
        if action == EolAction::Text {
            let mut expected = content.to_vec();
            let mut at = 0;
            expected.retain(|_| {
                at += 1;
                !content[at - 1..].starts_with(b"\r\n")
            });
            assert_eq!(clean.as_ref(), expected);
        }
        assert!(clean.len() == content.len() || action != EolAction::Nothing);
    }
}

/// Pathspecs, a line each, and a path behind a NUL: what is excluded is not taken, and what is
/// literal takes itself.
pub(crate) fn pathspec(data: &[u8]) {
    let [specs, path] = parts(data);
    let Ok(specs) = std::str::from_utf8(specs) else {
        return;
    };
    let paths = [path, b"a", b"src/lib/util.c", b"src/lib", b"README.md"];
    match Pathspecs::parse(specs.lines()) {
        Ok(all) => paths.iter().for_each(|path| {
            let one = |spec: &str| Pathspecs::parse([spec]).map(|spec| spec.take(path));
            let each: Vec<bool> = specs.lines().map_while(|spec| one(spec).ok()).collect();
            assert_eq!(each.len(), specs.lines().count());
            // One that excludes takes all that it does not name, and alone none wants what is left.
            if all.take(path) && !specs.is_empty() {
                assert!(each.iter().any(|takes| *takes));
            }
            if each.iter().all(|takes| *takes) {
                assert!(all.take(path));
            }
        }),
        Err(error) => assert!(error.to_string().len() < 512 + 8 * data.len()),
    }
    for path in paths
        .into_iter()
        .filter_map(|path| std::str::from_utf8(path).ok())
    {
        if let Ok(literal) = Pathspecs::parse([format!(":(literal){path}").as_str()]) {
            let clean = |part: &&str| !part.is_empty() && *part != ".";
            let named: Vec<&str> = path.split('/').filter(clean).collect();
            assert!(path.ends_with('/') || literal.take(named.join("/").as_bytes()));
            let below = [named.join("/").as_bytes(), b"/below"].concat();
            assert!(literal.take(&below));
        }
    }
}

/// Patterns, and a text behind a NUL: a text that matches has the pattern's trigrams, and a match is
/// within its line.
pub(crate) fn grep_pattern(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let [pattern, text] = parts(rest);
    let Ok(pattern) = std::str::from_utf8(pattern) else {
        return;
    };
    let options = PatternOptions {
        is_regex: how & 1 != 0,
        is_case_sensitive: how & 2 != 0,
        is_word: how & 4 != 0,
    };
    let matcher = match Matcher::new(pattern, options) {
        Ok(matcher) => matcher,
        Err(error) => {
            assert!(error.to_string().len() < 1024 + 16 * data.len());
            return;
        }
    };
    let mut found = false;
    for line in text.split(|byte| *byte == b'\n') {
        let ranges = matcher.ranges(line);
        assert!(ranges.is_sorted_by(|a, b| a.end <= b.start));
        assert!(ranges.last().is_none_or(|last| last.end <= line.len()));
        assert_eq!(matcher.matches(line), !ranges.is_empty());
        if !ranges.is_empty() && !line.is_empty() {
            found = true;
            assert!(matcher.may_match(line), "a line that matches");
        }
    }
    if found {
        assert!(matcher.may_match(text), "a text of which a line matches");
    }
    let of_lines = matcher.matches_a_line(text);
    assert!(!found || of_lines);
    let plain = !options.is_regex && !options.is_word && options.is_case_sensitive;
    if plain && !text.is_empty() {
        let has = text
            .windows(pattern.len())
            .any(|bytes| bytes == pattern.as_bytes());
        assert_eq!(of_lines, has);
    }
}
