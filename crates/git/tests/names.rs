//! Names of refs and paths: what Git takes, and nothing else.

#![allow(
    clippy::disallowed_methods,
    reason = "tests ask git, and fail by panicking"
)]

mod ask_git;

use ask_git::{Dice, Repository};
use govc_git::{ObjectFormat, path, refname};

const PARTS: &[&str] = &[
    "refs", "heads", "main", "a", "/", "/", "/", ".", "..", "@", "{", "@{", ".lock", "lock",
    "HEAD", "-", "~", "^", ":", "?", "*", "[", "]", "\\", " ", "\t", "\x7f", "\x01", "é",
    "\u{feff}", "}", "&", "#", "\"", "'", "\n",
];

fn random_name(dice: &mut Dice) -> String {
    (0..1 + dice.below(6)).map(|_| dice.pick(PARTS)).collect()
}

#[test]
fn ref_names_are_taken_as_git_check_ref_format_takes_them() {
    const NAMES: &[&str] = &[
        "refs/heads/main",
        "main",
        "HEAD",
        "a/b",
        "refs",
        "refs/",
        "/refs/heads/a",
        "refs//a",
        "a/",
        "",
        "@",
        "a/@",
        "@/a",
        "a/@{",
        "a@b/c",
        "a/b.lock",
        "a.lock/b",
        "a/.lock",
        "a/lock",
        "a/b.lockx",
        "a/b.",
        "a./b",
        "a/.b",
        "a/b..c",
        "a/...",
        "a/b c",
        "a/b~1",
        "a/b^",
        "a/b:c",
        "a/b?",
        "a/b*",
        "a/[b",
        "a/b]",
        "a/b\\c",
        "a/\x7f",
        "a/\x1f",
        "a/é",
        "a/-",
        "-/a",
        "refs/heads/-a",
        "a/{",
        "a/b@{c",
        "refs/heads/HEAD",
        "refs/heads/@",
        "refs/@",
        "a/b\n",
    ];
    let git = Repository::new(ObjectFormat::Sha1);
    let mut dice = Dice(5);
    let random: Vec<String> = (0..400).map(|_| random_name(&mut dice)).collect();
    let names = NAMES
        .iter()
        .copied()
        .chain(random.iter().map(String::as_str));
    let takes = |arguments: &[&str]| {
        let output = git.command(arguments).output().expect("git runs");
        output.status.success()
    };
    for name in names {
        // Git would take it for an option.
        if name.starts_with('-') {
            continue;
        }
        assert_eq!(
            refname::check(name.as_bytes()).is_ok(),
            takes(&["check-ref-format", name]),
            "{name:?}: {:?}",
            refname::check(name.as_bytes())
        );
        assert_eq!(
            refname::check_allow_onelevel(name.as_bytes()).is_ok(),
            takes(&["check-ref-format", "--allow-onelevel", name]),
            "{name:?} on one level"
        );
        // Of "@{-1}" and its like git means something else.
        if !name.starts_with('@') {
            assert_eq!(
                refname::check_branch(name.as_bytes()).is_ok(),
                takes(&["check-ref-format", "--branch", name]),
                "branch {name:?}"
            );
        }
    }
}

#[test]
fn a_push_writes_below_refs_two_parts_deep_and_deletes_what_is_there() {
    let cases: &[(&str, bool, bool)] = &[
        ("refs/heads/main", true, true),
        ("refs/heads/a/b", true, true),
        ("refs/stash", false, true),
        ("refs/", false, false),
        ("HEAD", false, false),
        ("heads/main", false, false),
        ("refs/heads/a..b", false, false),
    ];
    for &(name, writes, deletes) in cases {
        assert_eq!(
            refname::check_push(name.as_bytes(), false).is_ok(),
            writes,
            "{name}"
        );
        assert_eq!(
            refname::check_push(name.as_bytes(), true).is_ok(),
            deletes,
            "{name}"
        );
    }
    let long = format!("refs/heads/{}", "x".repeat(refname::REF_NAME_BYTES_MAX));
    assert!(matches!(
        refname::check_push(long.as_bytes(), false),
        Err(refname::RefNameError::TooLong { .. })
    ));
}

#[test]
fn short_names_lose_what_says_what_they_are() {
    for (full, short) in [
        ("refs/heads/a/b", "a/b"),
        ("refs/tags/v1", "v1"),
        ("refs/remotes/origin/a", "origin/a"),
        ("refs/notes/commits", "notes/commits"),
        ("HEAD", "HEAD"),
    ] {
        assert_eq!(refname::short(full.as_bytes()), short.as_bytes());
    }
}

#[test]
fn paths_are_taken_as_git_update_index_takes_them() {
    const PATHS: &[&str] = &[
        "a",
        "a/b/c",
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/.",
        "a/..",
        "./a",
        "../a",
        "a/./b",
        "a/../b",
        "...",
        "a/...",
        ".git",
        "a/.git",
        "a/.git/b",
        ".GIT",
        ".Git/x",
        ".gitx",
        ".git.",
        ".git ",
        ".git . /x",
        "git~1",
        "GIT~1/x",
        "git~2",
        "git~1x",
        "a/git~1",
        ".git::$INDEX_ALLOCATION",
        ".git:",
        "git~1:x",
        "a\\b",
        "a\\.git",
        "a\\git~1\\b",
        "\\.git",
        ".git\\a",
        "x\\.gitx",
        "..\\a",
        ".g\u{200c}it",
        "\u{feff}.git",
        ".git\u{200d}",
        "a/.gi\u{206a}t/b",
        ".git\u{2010}",
        ".gitmodules",
        "a/.gitmodules",
        "con",
        "aux.txt",
        "a:b",
        "a b",
        "é",
        "a\nb",
    ];
    let git = Repository::new(ObjectFormat::Sha1);
    let blob = git.write(govc_git::ObjectKind::Blob, b"x");
    let mut dice = Dice(6);
    let parts: &[&str] = &[
        "a", "b", "/", "/", ".", "..", ".git", "git~1", "GIT", ".", " ", ":", "\\", "\u{200c}",
        "\u{feff}", "~", "1", "-",
    ];
    let random: Vec<String> = (0..300)
        .map(|_| (0..1 + dice.below(5)).map(|_| dice.pick(parts)).collect())
        .collect();
    for name in PATHS
        .iter()
        .copied()
        .chain(random.iter().map(String::as_str))
    {
        let info = format!("100644,{blob},{name}");
        let output = git
            .command(&[
                "-c",
                "core.protectHFS=true",
                "-c",
                "core.protectNTFS=true",
                "update-index",
                "--add",
                "--replace",
                "--cacheinfo",
                &info,
            ])
            .output()
            .expect("git runs");
        let (ours, gits) = (path::check(name), output.status.success());
        // Behind some backslashes the index lets pass what `git fsck` refuses, as we do.
        let stricter = name.contains('\\') && ours == Err(path::PathError::DotGit);
        assert!(
            ours.is_ok() == gits || stricter,
            "{name:?}: {ours:?}, {output:?}"
        );
    }
}

#[test]
fn a_path_is_bounded_and_without_nul() {
    assert_eq!(path::check("a\0b"), Err(path::PathError::Nul));
    let long = "x".repeat(path::PATH_BYTES_MAX + 1);
    assert_eq!(
        path::check(&long),
        Err(path::PathError::TooLong { length: long.len() })
    );
    assert!(path::check(&long[1..]).is_ok());
}

#[test]
fn gitmodules_is_known_in_its_disguises() {
    for name in [
        ".gitmodules",
        ".GITMODULES",
        "gitmod~1",
        "GI7EBA~1",
        ".gitmodules ",
        "x\\.gitmodules",
    ] {
        assert!(path::is_dot_gitmodules(name.as_bytes()), "{name}");
    }
    for name in ["gitmodules", ".gitmodule", "gitmod~5", ".gitmodules.x"] {
        assert!(!path::is_dot_gitmodules(name.as_bytes()), "{name}");
    }
}
