//! Commits, tags, trees, people and messages: read as git reads them, written as git writes them.

#![allow(
    clippy::disallowed_methods,
    reason = "tests ask git, and fail by panicking"
)]

mod ask_git;

use std::collections::BTreeMap;

use ask_git::{Dice, Repository, with_input};
use govc_git::object::{
    CommitRef, GitTime, NewCommit, NewTag, Signature, SignatureRef, TagRef, commit, tree,
};
use govc_git::object_id::hash_object;
use govc_git::{ObjectFormat, ObjectId, ObjectKind, message};
use proptest::prelude::*;

const FORMATS: [ObjectFormat; 2] = [ObjectFormat::Sha1, ObjectFormat::Sha256];

#[test]
fn messages_are_cleaned_as_git_stripspace_cleans_them() {
    let git = Repository::new(ObjectFormat::Sha1);
    let check = |text: &[u8]| {
        let output = git.git_with_input(&["stripspace"], text);
        assert_eq!(
            message::clean(text).escape_ascii().to_string(),
            output.stdout.escape_ascii().to_string(),
            "{}",
            text.escape_ascii()
        );
    };
    for text in [
        "",
        "\n",
        "\n\n\n",
        " ",
        "a",
        "a\n",
        "\n\na\n\n\nb \t\n\n",
        "a\r\nb\r\n",
        " a\n\tb",
        "# a\n",
        "a\x0b\n\x0c\nb",
        "a\n \n\t\n\r\nb",
        "a\0b \n",
    ] {
        check(text.as_bytes());
    }
    let mut dice = Dice(7);
    let parts: &[&str] = &["a", "b", "\n", "\n", " ", "\t", "\r", "\x0b", "#", "\u{a0}"];
    for _ in 0..200 {
        let text: String = (0..dice.below(20)).map(|_| dice.pick(parts)).collect();
        check(text.as_bytes());
    }
}

#[test]
fn trees_are_ordered_as_git_mktree_orders_them() {
    const NAMES: &[&str] = &[
        "a", "a.b", "a-", "a0", "ab", "a!", "a~", "b", "foo", "foo.bar", "foo0", "Foo", "é",
        "\u{ff}", "a b", "a.", "z", "0",
    ];
    for format in FORMATS {
        let git = Repository::new(format);
        let mut dice = Dice(8);
        for _ in 0..60 {
            let names: BTreeMap<&str, &str> = (0..dice.below(12))
                .map(|_| {
                    (
                        dice.pick(NAMES),
                        dice.pick(&["100644", "40000", "100755", "120000", "160000"]),
                    )
                })
                .collect();
            let mut entries: Vec<(&str, u32, ObjectId)> = names
                .iter()
                .map(|(name, mode)| {
                    let mode = u32::from_str_radix(mode, 8).expect("octal");
                    let id = hash_object(format, ObjectKind::Blob, name.as_bytes()).expect("an id");
                    (*name, mode, id)
                })
                .collect();
            let listing: String = entries
                .iter()
                .map(|(name, mode, id)| {
                    let kind = match *mode {
                        tree::MODE_TREE => "tree",
                        tree::MODE_SUBMODULE => "commit",
                        _ => "blob",
                    };
                    format!("{mode:06o} {kind} {id}\t{name}\0")
                })
                .collect();
            let output = git.git_with_input(&["mktree", "-z", "--missing"], listing.as_bytes());
            assert!(output.status.success(), "{output:?}");

            entries.sort_by(|a, b| {
                tree::compare_names(
                    a.0.as_bytes(),
                    a.1 == tree::MODE_TREE,
                    b.0.as_bytes(),
                    b.1 == tree::MODE_TREE,
                )
            });
            let mut data = Vec::new();
            for (name, mode, id) in &entries {
                tree::write_entry(&mut data, *mode, name.as_bytes(), id);
            }
            let id = hash_object(format, ObjectKind::Tree, &data).expect("an id");
            assert_eq!(output.stdout, format!("{id}\n").into_bytes(), "{entries:?}");

            // And back: git's listing, and each entry by its name.
            let listed = git.git(&["ls-tree", "-z", &id.to_string()]);
            let ours: String = tree::entries(&data, format)
                .map(|entry| entry.expect("well made"))
                .map(|entry| {
                    let name = String::from_utf8_lossy(entry.name);
                    format!(
                        "{} {} {}\t{name}\0",
                        entry.mode_text(),
                        entry.kind().name(),
                        entry.id.to_hex()
                    )
                })
                .collect();
            assert_eq!(String::from_utf8_lossy(&listed), ours);
            for name in NAMES {
                let found = tree::find_entry(&data, format, name.as_bytes()).expect("well made");
                let expected = entries.iter().find(|entry| entry.0 == *name);
                assert_eq!(found.is_some(), expected.is_some(), "{name} in {entries:?}");
                if let (Some((entry, range)), Some((_, mode, id))) = (found, expected) {
                    assert_eq!((entry.mode, entry.id), (*mode, id.as_ref()));
                    let mut alone = Vec::new();
                    tree::write_entry(&mut alone, *mode, name.as_bytes(), id);
                    assert_eq!(data[range], alone);
                }
            }
        }
    }
}

fn people() -> Vec<(String, String)> {
    let names = [
        "A U Thor",
        "",
        " ",
        ".",
        "...",
        "A. U. Thor.",
        "\"A\"",
        "'A'",
        "A <b> C",
        "<A>",
        "A\nB",
        "\tA\t",
        ",;:A:;,",
        "\\A\\",
        "é",
        "\u{a0}A",
        "A'B",
        "\x01A\x1f",
        "a<",
        "(A)",
        "-",
        "日本",
    ];
    let emails = [
        "a@example.com",
        "",
        " a@b ",
        "<a@b>",
        "a@b.",
        "a b@c",
        "a\n@b",
        "\"a\"@b",
        ">",
    ];
    names
        .iter()
        .flat_map(|name| {
            emails
                .iter()
                .map(move |email| ((*name).to_owned(), (*email).to_owned()))
        })
        .collect()
}

#[test]
fn people_are_cleaned_and_commits_written_as_git_does() {
    for format in FORMATS {
        let git = Repository::new(format);
        let tree = git.write(ObjectKind::Tree, b"");
        let parent = git.write(
            ObjectKind::Commit,
            format!("tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n")
                .as_bytes(),
        );
        // The address does not depend on the hash, so SHA-256 need not see all of them.
        let people = people();
        let step = if format == ObjectFormat::Sha1 { 1 } else { 17 };
        for (i, (name, email)) in people.iter().enumerate().step_by(step) {
            let times = [
                (1_700_000_000, 0),
                (0, 90),
                (4_102_444_800, -345),
                (17, 14 * 60),
            ];
            let (seconds, offset_minutes) = times[i % times.len()];
            let time = GitTime {
                seconds,
                offset_minutes,
                negative_zero: false,
            };
            let parents: &[ObjectId] = if i % 2 == 0 { &[] } else { &[parent] };
            let mut arguments = vec!["commit-tree".to_owned(), tree.to_string()];
            arguments.extend(
                parents
                    .iter()
                    .flat_map(|id| ["-p".to_owned(), id.to_string()]),
            );
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut command = git.command(&arguments);
            command
                .env("GIT_AUTHOR_NAME", name)
                .env("GIT_AUTHOR_EMAIL", email)
                .env("GIT_AUTHOR_DATE", format!("@{time}"))
                .env("GIT_COMMITTER_NAME", "C O Mitter")
                .env("GIT_COMMITTER_EMAIL", "c@example.com")
                .env("GIT_COMMITTER_DATE", "@1700000001 -0100");
            let output = with_input(command, b"subject\n\nbody\n");

            let author = Signature::new(name.as_bytes(), email.as_bytes(), time);
            let Ok(author) = author else {
                assert!(!output.status.success(), "git takes {name:?}");
                continue;
            };
            let committer = Signature {
                name: b"C O Mitter".to_vec(),
                email: b"c@example.com".to_vec(),
                time: GitTime {
                    seconds: 1_700_000_001,
                    offset_minutes: -60,
                    negative_zero: false,
                },
            };
            let data = NewCommit {
                tree,
                parents,
                author: &author,
                committer: &committer,
                encoding: None,
                message: b"subject\n\nbody\n",
            }
            .encode();
            let id = hash_object(format, ObjectKind::Commit, &data).expect("an id");
            assert_eq!(
                String::from_utf8_lossy(&output.stdout).trim_end(),
                id.to_string(),
                "{name:?} <{email:?}>: {output:?}\n{}",
                data.escape_ascii()
            );
            let read = CommitRef::parse(&data, format).expect("what was written is a commit");
            assert_eq!(read.author.to_owned(), author);
            assert_eq!(read.committer.to_owned(), committer);
            assert_eq!((read.tree, &read.parents[..]), (tree, parents));
            assert_eq!(read.message, b"subject\n\nbody\n");
        }
    }
}

#[test]
fn tags_are_written_as_git_tag_writes_them() {
    for format in FORMATS {
        let git = Repository::new(format);
        let tree = git.write(ObjectKind::Tree, b"");
        let mut command =
            git.command(&["tag", "-a", "-m", "why", "release/1.0", &tree.to_string()]);
        command
            .env("GIT_COMMITTER_NAME", "T Agger")
            .env("GIT_COMMITTER_EMAIL", "t@example.com")
            .env("GIT_COMMITTER_DATE", "@1700000000 +0530");
        assert!(command.status().expect("git runs").success());
        let tagger = Signature {
            name: b"T Agger".to_vec(),
            email: b"t@example.com".to_vec(),
            time: GitTime {
                seconds: 1_700_000_000,
                offset_minutes: 330,
                negative_zero: false,
            },
        };
        let tag = NewTag {
            target: tree,
            target_kind: ObjectKind::Tree,
            name: b"release/1.0",
            tagger: &tagger,
            message: b"why\n",
        };
        let data = tag.encode();
        let id = hash_object(format, ObjectKind::Tag, &data).expect("an id");
        let expected = git.git(&["rev-parse", "refs/tags/release/1.0"]);
        assert_eq!(
            String::from_utf8_lossy(&expected).trim_end(),
            id.to_string()
        );

        let read = TagRef::parse(&data, format).expect("what was written is a tag");
        assert_eq!((read.target, read.target_kind), (tree, ObjectKind::Tree));
        assert_eq!((read.name, read.message), (tag.name, tag.message));
        assert_eq!(read.tagger.map(|tagger| tagger.to_owned()), Some(tagger));
    }
}

/// What `git log` shows of commits, right and broken, is what we read in them.
#[test]
fn commits_are_read_as_git_log_reads_them() {
    let git = Repository::new(ObjectFormat::Sha1);
    let tree = git.write(ObjectKind::Tree, b"");
    let whole = "author A U Thor <a@example.com> 1700000000 +0130\n\
        committer C O Mitter <c@example.com> 1700000001 -0800\n\
        \nsubject line\nand more\n\nbody\n";
    let tokens: &[&[u8]] = &[
        b"<",
        b">",
        b" ",
        b"\t",
        b"-",
        b"+",
        b"9",
        b"00000000",
        b"\n",
        b"\n\n",
        b"\r",
        b"\x0b",
        b"author ",
        b"x",
        b"99999999999999",
    ];
    let mut dice = Dice(9);
    let mut commits: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for i in 0..1200 {
        let text = if i == 0 {
            whole.as_bytes().to_vec()
        } else {
            dice.mutate(whole.as_bytes(), tokens)
        };
        // Git keeps commits in C strings and shows them recoded; that is not the question here,
        // and 1 and 2 part the fields below.
        if text.iter().any(|b| *b < 3) || std::str::from_utf8(&text).is_err() {
            continue;
        }
        let data = [format!("tree {tree}\n").as_bytes(), &text].concat();
        let id = git.write(ObjectKind::Commit, &data);
        if CommitRef::parse(&data, ObjectFormat::Sha1).is_err() {
            let shown = git.command(&["log", "-1", &id.to_string()]).output();
            let shown = shown.expect("git runs");
            assert!(!shown.status.success(), "git reads {}", data.escape_ascii());
            continue;
        }
        commits.insert(id.to_string(), data);
    }
    let ids: String = commits.keys().map(|id| format!("{id}\n")).collect();
    let output = git.git_with_input(
        &[
            "log",
            "--no-walk=unsorted",
            "--stdin",
            "--date=raw",
            "--encoding=UTF-8",
            "--format=%x01%H%x02%an%x02%ae%x02%ad%x02%cn%x02%ce%x02%cd%x02%s%x02",
        ],
        ids.as_bytes(),
    );
    let shown = String::from_utf8(output.stdout).expect("text");
    let mut compared = 0;
    for record in shown.split('\x01').skip(1) {
        let fields: Vec<&str> = record.split('\x02').collect();
        let data = &commits[fields[0]];
        let commit = CommitRef::parse(data, ObjectFormat::Sha1).expect("git reads it");
        let person = |signature: SignatureRef<'_>| {
            let time = signature.time().map(|time| GitTime {
                negative_zero: false,
                ..time
            });
            [
                String::from_utf8_lossy(signature.name).into_owned(),
                String::from_utf8_lossy(signature.email).into_owned(),
                time.map_or(String::new(), |time| time.to_string()),
            ]
        };
        let ours = [person(commit.author), person(commit.committer)].concat();
        // Git shows an offset of nonsense as it stands; ours is normalized to minutes.
        let is_sane = |date: &str| {
            date.rsplit(['+', '-']).next().is_none_or(|zone| {
                zone.len() == 4 && zone[2..].parse::<u32>().is_ok_and(|minutes| minutes < 60)
            })
        };
        if is_sane(fields[3]) && is_sane(fields[6]) {
            assert_eq!(ours, fields[1..7], "{}", data.escape_ascii());
            compared += 1;
        }
        assert_eq!(
            String::from_utf8_lossy(&commit.summary()),
            fields[7],
            "{}",
            data.escape_ascii()
        );
    }
    assert!(
        compared > 300,
        "{compared} of {}: {}",
        commits.len(),
        String::from_utf8_lossy(&output.stderr)
    );

    // And the time that history is sorted by.
    let output = git.git_with_input(
        &["rev-list", "--no-walk=unsorted", "--timestamp", "--stdin"],
        ids.as_bytes(),
    );
    let listed = String::from_utf8(output.stdout).expect("text");
    for line in listed.lines() {
        let (time, id) = line.split_once(' ').expect("two words");
        let facts = commit::facts(&commits[id], ObjectFormat::Sha1).expect("git reads it");
        let time: u64 = time.parse().expect("a number");
        assert_eq!(
            facts.committer_time,
            i64::try_from(time).unwrap_or(i64::MAX),
            "{}",
            commits[id].escape_ascii()
        );
        assert_eq!(facts.tree, tree);
    }
}

#[test]
fn headers_that_we_do_not_know_are_kept() {
    let id = "a".repeat(40);
    let text = format!(
        "tree {id}\nparent {id}\nauthor A <a@b> 1 -0000\ncommitter C <c@d> 2 +0000\n\
         encoding ISO-8859-1\ngpgsig -----BEGIN\n \n line\n -----END\nempty\nx y z\n\nbody\nencoding no\n"
    );
    let commit = CommitRef::parse(text.as_bytes(), ObjectFormat::Sha1).expect("a commit");
    assert_eq!(commit.encoding, Some(&b"ISO-8859-1"[..]));
    let headers: Vec<(String, String)> = commit
        .extra_headers
        .iter()
        .map(|(key, value)| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(key), text(value))
        })
        .collect();
    let expected = [
        ("gpgsig", "-----BEGIN\n\nline\n-----END"),
        ("empty", ""),
        ("x", "y z"),
    ];
    assert_eq!(headers, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert_eq!(commit.message, b"body\nencoding no\n");
    let time = commit.author.time().expect("a time");
    assert_eq!(time.to_string(), "1 -0000");
}

#[test]
fn what_is_no_commit_and_no_tag_says_where() {
    let id = "a".repeat(40);
    let format = ObjectFormat::Sha1;
    let error = CommitRef::parse(b"parent x", format).expect_err("no tree");
    assert_eq!(
        error.to_string(),
        "malformed commit at byte 0: expected \"tree \", an object id and a newline"
    );
    let text = format!("tree {id}\nparent 12\n");
    let error = CommitRef::parse(text.as_bytes(), format).expect_err("a bad parent");
    assert_eq!(error.offset, 46);
    // An id of the other hash is none.
    let text = format!("tree {}\n", "a".repeat(64));
    assert!(CommitRef::parse(text.as_bytes(), format).is_err());
    assert!(CommitRef::parse(text.as_bytes(), ObjectFormat::Sha256).is_err());
    let text = format!("{text}\n");
    assert!(CommitRef::parse(text.as_bytes(), ObjectFormat::Sha256).is_ok());
    let text = format!("object {id}\ntype thing\ntag x\n");
    let error = TagRef::parse(text.as_bytes(), format).expect_err("a bad type");
    assert_eq!(error.offset, 48);
}

proptest! {
    /// No reader panics, whatever it is given.
    #[test]
    fn any_bytes_are_an_answer(
        data in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(b"\0 \n<>-+019/\\.~gGi:@{*[".to_vec())], 0..300),
        head in prop::sample::select(vec![
            &b""[..], b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n", b"100644 a", b"40000 ",
            b"object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype tree\ntag ", b"[submodule \"a\"]\nurl = ",
            b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b> ", b".git",
        ]),
    ) {
        use govc_git::object::check::{SpecialFile, check_object, check_special};
        let data = [head, &data].concat();
        for format in FORMATS {
            for kind in [ObjectKind::Commit, ObjectKind::Tree, ObjectKind::Blob, ObjectKind::Tag] {
                check_object(kind, &data, format, &mut |_| {}, &mut |_, _| {});
            }
            let _ = CommitRef::parse(&data, format).map(|commit| commit.summary());
            let _ = commit::facts(&data, format);
            let _ = TagRef::parse(&data, format);
            let read: usize = tree::entries(&data, format).filter(Result::is_ok).count();
            prop_assert!(read <= data.len());
            let _ = tree::find_entry(&data, format, b"a");
        }
        check_special(SpecialFile::Gitmodules, &data, &mut |_| {});
        check_special(SpecialFile::Gitattributes, &data, &mut |_| {});
        let signature = SignatureRef::parse(&data).to_owned();
        let _ = signature.time.to_string();
        let _ = GitTime::parse(&data);
        let _ = govc_git::path::check(&data);
        let _ = govc_git::path::is_dot_gitmodules(&data);
        let _ = govc_git::refname::check_push(&data, true);
        let _ = message::clean(&data);
    }

    /// What is written is read again.
    #[test]
    fn times_come_back(seconds in 0i64.., offset_minutes in -1440i32..1440, unknown in any::<bool>()) {
        let time = GitTime { seconds, offset_minutes, negative_zero: unknown && offset_minutes == 0 };
        prop_assert_eq!(GitTime::parse(time.to_string().as_bytes()), Some(time));
    }
}
