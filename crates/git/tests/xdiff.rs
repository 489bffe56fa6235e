//! Diffs and merges of texts, held against `git diff` and `git merge-file`.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and start git"
)]

use std::fmt::Write as _;
use std::process::Command;

use govc_git::xdiff::{
    Algorithm, DiffOptions, Favor, Labels, MergeOptions, Style, UnifiedOptions, XdiffError,
    diff_hunks, merge_text, unified,
};
use tempfile::TempDir;

/// A small generator of numbers; the same seed gives the same ones.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}

const LINES: &[&str] = &[
    "\n",
    "}\n",
    "{\n",
    "a\n",
    "  a\n",
    "\tb\n",
    "b\r\n",
    "c \n",
    "int main(void)\n",
    "<<<<<<< x\n",
    "=======\n",
    "\u{e9}\n",
    "  if x\n",
    "    y\n",
    " \n",
    "\r\n",
];

fn text(dice: &mut Dice, lines: usize) -> Vec<u8> {
    let mut text: Vec<u8> = (0..dice.roll(lines) + 1)
        .flat_map(|_| LINES[dice.roll(LINES.len())].bytes())
        .collect();
    if dice.roll(6) == 0 {
        text.pop();
    }
    if dice.roll(20) == 0 {
        text.insert(dice.roll(text.len() + 1), 0xff);
    }
    text
}

/// `text` with some lines changed.
fn edited(dice: &mut Dice, text: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = text
        .split_inclusive(|b| *b == b'\n')
        .map(Vec::from)
        .collect();
    for _ in 0..dice.roll(6) {
        let at = dice.roll(lines.len() + 1);
        let line = LINES[dice.roll(LINES.len())].as_bytes().to_vec();
        match dice.roll(3) {
            0 => lines.insert(at, line),
            1 if at < lines.len() => drop(lines.remove(at)),
            _ if at < lines.len() => lines[at] = line,
            _ => {}
        }
    }
    lines.concat()
}

fn git(folder: &TempDir, arguments: &[&str]) -> (Vec<u8>, i32) {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    (output.stdout, output.status.code().unwrap())
}

/// Two hundred pairs of texts, compared by git in one go with these options; the bodies, by
/// number.
fn check_diff(seed: u64, arguments: &[&str], options: DiffOptions, around: UnifiedOptions) {
    let folder = TempDir::new().unwrap();
    let mut dice = Dice(seed);
    std::fs::create_dir(folder.path().join("a")).unwrap();
    std::fs::create_dir(folder.path().join("b")).unwrap();
    let mut pairs = Vec::new();
    for number in 0..200 {
        let before = match number % 8 {
            // Long enough for common ends to be cut off.
            0 => text(&mut dice, 2_000),
            _ => text(&mut dice, 40),
        };
        let after = match number % 3 {
            0 => text(&mut dice, 40),
            _ => edited(&mut dice, &before),
        };
        std::fs::write(folder.path().join(format!("a/{number:03}")), &before).unwrap();
        std::fs::write(folder.path().join(format!("b/{number:03}")), &after).unwrap();
        pairs.push((before, after));
    }
    let mut command = vec!["diff", "--no-index", "--no-renames", "--text"];
    command.extend_from_slice(arguments);
    command.extend_from_slice(&["a", "b"]);
    let (expected, _) = git(&folder, &command);
    let mut found = Vec::new();
    let mut differ = 0;
    for (number, (before, after)) in pairs.iter().enumerate() {
        let body = unified(before, after, &options, &around).unwrap();
        if !body.is_empty() {
            let mut header = String::new();
            write!(header, "\n{number:03}\n").unwrap();
            found.extend_from_slice(header.as_bytes());
            found.extend_from_slice(&body);
            differ += 1;
        }
    }
    // git's headers, cut down to the number.
    let mut plain = Vec::new();
    for line in expected.split_inclusive(|b| *b == b'\n') {
        let is_header = [&b"index "[..], b"--- a/a/", b"+++ b/b/"];
        if line.starts_with(b"diff --git a/a/") {
            plain.extend_from_slice(b"\n");
            plain.extend_from_slice(&line[b"diff --git a/a/".len()..][..3]);
            plain.extend_from_slice(b"\n");
        } else if !is_header.iter().any(|prefix| line.starts_with(prefix)) {
            plain.extend_from_slice(line);
        }
    }
    let (found, plain) = (
        String::from_utf8_lossy(&found),
        String::from_utf8_lossy(&plain),
    );
    let first = found.lines().zip(plain.lines()).position(|(a, b)| a != b);
    let near = |text: &str| {
        let from = first.unwrap_or(0).saturating_sub(20);
        text.lines()
            .skip(from)
            .take(25)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(
        found == plain,
        "{arguments:?}: ours\n{}\ngit's\n{}",
        near(&found),
        near(&plain)
    );
    assert!(differ > 100, "only {differ} differed");
}

#[test]
fn unified_diffs_are_gits() {
    let plain = DiffOptions::default();
    let around = UnifiedOptions::default();
    check_diff(1, &[], plain, around);
    let no_indent = DiffOptions {
        indent_heuristic: false,
        ..plain
    };
    check_diff(2, &["--no-indent-heuristic"], no_indent, around);
    for (name, algorithm) in [
        ("--minimal", Algorithm::Minimal),
        ("--patience", Algorithm::Patience),
        ("--histogram", Algorithm::Histogram),
    ] {
        check_diff(3, &[name], DiffOptions { algorithm, ..plain }, around);
    }
    let context = |context| UnifiedOptions { context, ..around };
    check_diff(4, &["-U0"], plain, context(0));
    check_diff(5, &["-U1"], plain, context(1));
    check_diff(6, &["-U10"], plain, context(10));
    let joined = UnifiedOptions {
        inter_hunk_context: 4,
        ..context(1)
    };
    check_diff(7, &["-U1", "--inter-hunk-context=4"], plain, joined);
    let functions = UnifiedOptions {
        function_context: true,
        ..around
    };
    check_diff(8, &["-W"], plain, functions);
}

#[test]
fn whitespace_is_ignored_as_git_does() {
    let plain = DiffOptions::default();
    let around = UnifiedOptions::default();
    let all = DiffOptions {
        ignore_whitespace: true,
        ..plain
    };
    check_diff(11, &["-w"], all, around);
    let change = DiffOptions {
        ignore_whitespace_change: true,
        ..plain
    };
    check_diff(12, &["-b"], change, around);
    let at_eol = DiffOptions {
        ignore_whitespace_at_eol: true,
        ..plain
    };
    check_diff(13, &["--ignore-space-at-eol"], at_eol, around);
    let cr = DiffOptions {
        ignore_cr_at_eol: true,
        ..plain
    };
    check_diff(14, &["--ignore-cr-at-eol"], cr, around);
    let blank = DiffOptions {
        ignore_blank_lines: true,
        ..plain
    };
    check_diff(15, &["--ignore-blank-lines"], blank, around);
}

#[test]
fn hunks_are_those_of_a_diff_without_context() {
    let mut dice = Dice(21);
    for _ in 0..300 {
        let before = text(&mut dice, 60);
        let after = edited(&mut dice, &before);
        let options = DiffOptions::default();
        let around = UnifiedOptions {
            context: 0,
            ..UnifiedOptions::default()
        };
        let body = unified(&before, &after, &options, &around).unwrap();
        let hunks = diff_hunks(&before, &after, &options).unwrap();
        let lines = |text: &[u8]| -> Vec<Vec<u8>> {
            text.split_inclusive(|b| *b == b'\n')
                .map(Vec::from)
                .collect()
        };
        let (before, after) = (lines(&before), lines(&after));
        let mut expected = Vec::new();
        let mut put = |sign: &[u8], line: &[u8]| {
            expected.extend_from_slice(&[sign, line].concat());
            if !line.ends_with(b"\n") {
                expected.extend_from_slice(b"\n\\ No newline at end of file\n");
            }
        };
        for hunk in hunks {
            before[hunk.before].iter().for_each(|line| put(b"-", line));
            after[hunk.after].iter().for_each(|line| put(b"+", line));
        }
        let body: Vec<u8> = body
            .split_inclusive(|b| *b == b'\n')
            .filter(|line| !line.starts_with(b"@@"))
            .flatten()
            .copied()
            .collect();
        assert_eq!(
            String::from_utf8_lossy(&expected),
            String::from_utf8_lossy(&body)
        );
    }
}

#[test]
fn merged_files_are_those_of_git_merge_file() {
    let folder = TempDir::new().unwrap();
    let mut dice = Dice(31);
    let (mut clean, mut conflicted) = (0, 0);
    for number in 0..240 {
        let base = text(&mut dice, 12);
        let ours = edited(&mut dice, &base);
        let theirs = edited(&mut dice, &base);
        for (name, content) in [("base", &base), ("ours", &ours), ("theirs", &theirs)] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let mut options = MergeOptions {
            algorithm: Algorithm::Myers,
            ..MergeOptions::default()
        };
        let mut command = vec!["merge-file", "-p", "-L", "a x", "-L", "o", "-L", "b"];
        match number % 8 {
            0 => {
                options.style = Style::Diff3;
                command.push("--diff3");
            }
            1 => {
                options.style = Style::ZealousDiff3;
                command.push("--zdiff3");
            }
            2 => {
                options.favor = Favor::Ours;
                command.push("--ours");
            }
            3 => {
                options.favor = Favor::Theirs;
                command.push("--theirs");
            }
            4 => {
                options.favor = Favor::Union;
                command.push("--union");
            }
            5 => {
                options.marker_size = 11;
                command.push("--marker-size=11");
            }
            _ => {}
        }
        command.extend_from_slice(&["ours", "base", "theirs"]);
        let (expected, code) = git(&folder, &command);
        let labels = Labels {
            base: b"o",
            ours: b"a x",
            theirs: b"b",
        };
        let merged = merge_text(&base, &ours, &theirs, &labels, &options).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&merged.text),
            String::from_utf8_lossy(&expected),
            "number {number}"
        );
        // git counts what it decided in somebody's favour as well, and says 0 of it.
        if options.favor == Favor::Neither {
            assert_eq!(merged.conflicts, code as usize, "number {number}");
        }
        match merged.conflicts {
            0 => clean += 1,
            _ => conflicted += 1,
        }
    }
    println!("{clean} clean, {conflicted} conflicted");
    assert!(clean > 40 && conflicted > 40);
}

#[test]
fn deep_texts_do_not_overflow_the_stack() {
    // Each line that both have is a block of its own: the recursion goes as deep as there are.
    let count = 8_000;
    let mut texts = [String::new(), String::new(), String::new()];
    for line in 0..count {
        for (side, text) in texts.iter_mut().enumerate() {
            writeln!(text, "{line}").unwrap();
            if side > 0 {
                writeln!(text, "side {side} {line}").unwrap();
            }
        }
    }
    let [base, ours, theirs] = texts;
    let (base, ours, theirs) = (base.into_bytes(), ours.into_bytes(), theirs.into_bytes());
    let merge = || {
        let options = MergeOptions::default();
        merge_text(&base, &ours, &theirs, &Labels::default(), &options)
    };
    // A thread with next to no stack asks.
    std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(128 << 10);
        let asked = small.spawn_scoped(scope, || match merge() {
            Ok(merged) => assert!(merged.conflicts > 0),
            // A slow machine.
            Err(error) => assert_eq!(error, XdiffError::TooExpensive),
        });
        asked.unwrap().join().unwrap();
    });
}

#[test]
fn what_is_too_large_is_refused() {
    let many = vec![b'\n'; (1 << 20) + 10];
    let options = DiffOptions::default();
    let refused = diff_hunks(&many, b"", &options);
    assert!(matches!(refused, Err(XdiffError::TooLarge { lines, .. }) if lines > 1 << 20));
}
