//! Searching trees: what `git grep` finds.

use govc_engine::work::View;
use govc_engine::work::search::{self, GrepQuery, Hit, Matcher, Pathspecs, PatternOptions, Place};
use govc_git::ObjectId;

use crate::git_repo::GitRepo;
use crate::stories::Dice;

const PATHS: &[&str] = &[
    "Makefile",
    "src/a.c",
    "src/b.h",
    "src/deep/a.c",
    "src/deep/Er/x.txt",
    "doc/[x].md",
    "doc/x.md",
    "a b",
    "src.c",
    "Doc/x.md",
    "é",
];

/// Texts of a few words, some binary, one a link, two equal.
fn words(seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let words = [
        "foo", "Foo", "foobar", "bar", "_foo", "foo-bar", "x", "", "  foo", "K", "FOO.",
    ];
    let mut out = b"commit refs/heads/main\ncommitter A <a@b> 0 +0000\ndata 0\n".to_vec();
    for path in PATHS {
        let lines = dice.below(12);
        let mut text = String::new();
        for _ in 0..lines {
            for _ in 0..dice.below(4) {
                text.push_str(dice.pick(&words));
                text.push(dice.pick(&[' ', '\t', '.']));
            }
            text.push_str(dice.pick(&["\n", "\r\n", "\n", "\n"]));
        }
        text.push_str(dice.pick(&["", "end foo"]));
        if dice.percent(10) {
            text.push('\0');
        }
        let head = format!("M 644 inline \"{path}\"\ndata {}\n{text}\n", text.len());
        out.extend_from_slice(head.as_bytes());
    }
    out.extend_from_slice(b"M 120000 inline link\ndata 3\nfoo\n");
    out.extend_from_slice(b"M 160000 1111111111111111111111111111111111111111 sub\n");
    out
}

fn grep_all(view: &View, root: ObjectId, query: &GrepQuery, limit: usize) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    loop {
        let from = hits.last().map(|hit| Place {
            path: hit.path.clone(),
            line: hit.line,
        });
        let found = search::grep(&view.pool, root, query, from.as_ref(), limit);
        let found = found.unwrap().unwrap();
        hits.extend(found.hits);
        if !found.more {
            return hits;
        }
    }
}

#[test]
fn what_is_found_is_what_git_grep_finds() {
    let mut dice = Dice::new(7);
    let mut compared = 0;
    for seed in 0..8 {
        let repo = GitRepo::imported(&words(seed));
        let view = repo.view();
        let root = repo.id("main^{tree}");
        for _ in 0..40 {
            let (pattern, is_regex) = dice.pick(&[
                ("foo", false),
                ("Foo", false),
                (".", false),
                ("foo-bar", false),
                ("foo.", true),
                ("^foo", true),
                ("(foo|bar)[.]", true),
                ("o+b", true),
                ("^.$", true),
                ("k", false),
                ("r$", true),
                ("^  *f", true),
                ("x", false),
                ("no such thing", false),
            ]);
            let options = PatternOptions {
                is_regex,
                is_case_sensitive: dice.percent(60),
                is_word: dice.percent(25),
            };
            let specs: &[&str] = dice.pick(&[
                &[][..],
                &["src"],
                &["*.c"],
                &["src/*.c"],
                &[":(glob)src/*.c"],
                &[":!src"],
                &["src/", ":(exclude)*.h"],
                &[":(icase)DOC"],
                &[":(literal)doc/[x].md"],
                &["doc/[x].md"],
                &[":(glob)**/a.c"],
                &[":(glob)src/**"],
                &["./src/deep", "a b"],
                &["src/dee?"],
                &[":/Makefile"],
                &["s*c"],
                &[":(glob,icase)*/X.md"],
                &["[[:upper:]]*"],
            ]);
            let invert = dice.percent(15);
            let max_count = dice.percent(20).then_some(2);
            let query = GrepQuery {
                matcher: Matcher::new(pattern, options).unwrap(),
                paths: Pathspecs::parse(specs.iter().copied()).unwrap(),
                invert,
                before: 0,
                after: 0,
                max_count,
            };
            let mut args = vec!["grep", "-n", "-z", "--no-color", "-I"];
            args.push(if is_regex { "-E" } else { "-F" });
            args.extend((!options.is_case_sensitive).then_some("-i"));
            args.extend(options.is_word.then_some("-w"));
            args.push(if invert { "-v" } else { "--column" });
            args.extend(max_count.map(|_| "-m2"));
            args.extend(["-e", pattern, "main", "--"]);
            args.extend(specs);
            let theirs = String::from_utf8(repo.run(&args, b"").stdout).unwrap();
            let mut ours = String::new();
            for hit in grep_all(&view, root, &query, 1 + dice.below(20)) {
                let path = String::from_utf8(hit.path).unwrap();
                let text = String::from_utf8(hit.text).unwrap();
                ours.push_str(&format!("main:{path}\0{}\0", hit.line));
                if !invert {
                    ours.push_str(&format!("{}\0", hit.ranges[0].start + 1));
                }
                ours.push_str(&format!("{text}\n"));
                compared += 1;
            }
            assert_eq!(ours, theirs, "seed {seed}: git {args:?}");
        }
    }
    assert!(compared > 1000, "only {compared} lines were compared");
}

#[test]
fn lines_around_are_those_of_the_file() {
    let repo = GitRepo::imported(
        b"commit refs/heads/main\ncommitter A <a@b> 0 +0000\ndata 0\nM 644 inline f\ndata 15\n1\n2\nx\n4\n5\nx\n\n8\n",
    );
    let view = repo.view();
    let query = GrepQuery {
        matcher: Matcher::new("x", PatternOptions::default()).unwrap(),
        paths: Pathspecs::default(),
        invert: false,
        before: 2,
        after: 3,
        max_count: None,
    };
    let hits = grep_all(&view, repo.id("main^{tree}"), &query, 10);
    let text = |lines: &[Vec<u8>]| String::from_utf8(lines.join(&b'|')).unwrap();
    let shown = hits
        .iter()
        .map(|hit| (hit.line, text(&hit.before), text(&hit.after)));
    let shown: Vec<_> = shown.collect();
    let expected = [(3, "1|2", "4|5|x"), (6, "4|5", "|8")];
    let shown: Vec<_> = shown
        .iter()
        .map(|(line, a, b)| (*line, &a[..], &b[..]))
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn a_blob_is_read_again_only_where_it_may_match() {
    let repo = GitRepo::imported(&words(3));
    let view = repo.view();
    let root = repo.id("main^{tree}");
    let read = |pattern: &str| {
        let query = GrepQuery {
            matcher: Matcher::new(pattern, PatternOptions::default()).unwrap(),
            paths: Pathspecs::default(),
            invert: false,
            before: 0,
            after: 0,
            max_count: None,
        };
        let found = search::grep(&view.pool, root, &query, None, 1000).unwrap();
        found.unwrap().files_read
    };
    search::index(&view.pool, root, || true).unwrap();
    assert!(view.pool.search_index().bytes() > 0);
    assert_eq!(read("nobody has this"), 0);
    assert!(read("foo") > 3);
    view.pool.shed_caches();
    assert_eq!(view.pool.search_index().bytes(), 0);
    assert_eq!(read("nobody has this"), 0);
}

#[test]
fn what_is_no_pathspec_is_told() {
    for wrong in [
        "",
        "..",
        "a/../b",
        ":(attr:x)a",
        ":(glob,literal)a",
        ":(icase",
        ":%a",
    ] {
        assert!(Pathspecs::parse([wrong]).is_err(), "{wrong}");
    }
}
