//! What the checker finds is what `git fsck --strict` finds, object by object: tables of what is
//! known to go wrong, and mutations of what is right.

#![allow(
    clippy::disallowed_methods,
    reason = "tests ask git, and fail by panicking"
)]

mod ask_git;

use std::collections::{BTreeMap, BTreeSet};

use ask_git::{Dice, Repository};
use govc_git::object::check::{Finding, Severity, SpecialFile, check_object, check_special};
use govc_git::object::tree;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

const FORMATS: [ObjectFormat; 2] = [ObjectFormat::Sha1, ObjectFormat::Sha256];
const MUTATIONS: usize = 1500;

/// Objects to be judged by both.
struct Court {
    repository: Repository,
    objects: BTreeMap<ObjectId, (ObjectKind, Vec<u8>)>,
}

impl Court {
    fn new(format: ObjectFormat) -> Court {
        Court {
            repository: Repository::new(format),
            objects: BTreeMap::new(),
        }
    }

    fn add(&mut self, kind: ObjectKind, data: impl Into<Vec<u8>>) -> ObjectId {
        let data = data.into();
        let id = self.repository.write(kind, &data);
        self.objects.insert(id, (kind, data));
        id
    }

    /// Our findings as lines, special files followed as a push follows them.
    fn ours(&self) -> BTreeMap<String, Vec<String>> {
        let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut special = BTreeSet::new();
        let line = |finding: Finding| {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warn => "warning",
            };
            let text = finding.to_string();
            // The oracle is read line by line.
            let text = text.lines().next().unwrap_or_default();
            format!("{severity} {text}")
        };
        for (id, (kind, data)) in &self.objects {
            let mut lines = Vec::new();
            check_object(
                *kind,
                data,
                self.repository.format,
                &mut |finding| lines.push(line(finding)),
                &mut |file, id| {
                    special.insert((file, id.to_owned()));
                },
            );
            if !lines.is_empty() {
                said.insert(id.to_string(), lines);
            }
        }
        for (file, id) in special {
            let lines = said.entry(id.to_string()).or_default();
            match self.objects.get(&id) {
                None => lines.push(line(file.missing())),
                Some((ObjectKind::Blob, data)) => {
                    check_special(file, data, &mut |finding| lines.push(line(finding)));
                }
                Some(_) => lines.push(line(file.not_a_blob())),
            }
            if lines.is_empty() {
                said.remove(&id.to_string());
            }
        }
        said
    }

    /// Both are heard; where git could not even read an object, ours must refuse it too.
    fn judge(&self) -> BTreeSet<String> {
        let ours = self.ours();
        let gits = ask_git::fsck(&self.repository);
        let mut disagreements = Vec::new();
        let mut names_seen = BTreeSet::new();
        let ids: BTreeSet<_> = ours.keys().chain(gits.keys()).collect();
        for id in ids {
            let none = Vec::new();
            let (our, git) = (ours.get(id).unwrap_or(&none), gits.get(id).unwrap_or(&none));
            let agreed = if git.iter().any(|line| line == "error unparsable") {
                our.iter().any(|line| line.starts_with("error "))
            } else {
                our == git
            };
            if !agreed {
                let object = self
                    .objects
                    .iter()
                    .find(|(known, _)| known.to_string() == **id)
                    .map(|(_, (kind, data))| (kind, data.escape_ascii().to_string()));
                disagreements.push(format!("{id} {object:?}\n  ours {our:?}\n  git  {git:?}"));
            }
            names_seen.extend(
                our.iter()
                    .filter_map(|line| line.split([' ', ':']).nth(1))
                    .map(str::to_owned),
            );
        }
        assert!(
            disagreements.is_empty(),
            "{} of {} objects:\n{}",
            disagreements.len(),
            self.objects.len(),
            disagreements.join("\n")
        );
        names_seen
    }
}

fn assert_all_seen(seen: &BTreeSet<String>, expected: &[&str]) {
    for name in expected {
        assert!(seen.contains(*name), "no case for {name}: {seen:?}");
    }
}

#[test]
fn commits_are_judged_as_git_judges_them() {
    const PEOPLE: &[&str] = &[
        "A U Thor <a@example.com> 1700000000 +0000",
        "<a@example.com> 1700000000 +0000",
        "A<a@example.com> 1700000000 +0000",
        " <a@example.com> 1700000000 +0000",
        "A > <a@example.com> 1700000000 +0000",
        "A a@example.com 1700000000 +0000",
        "A <a@<example.com> 1700000000 +0000",
        "A <a@example.com 1700000000 +0000",
        "A <a@example.com>1700000000 +0000",
        "A <a@example.com>",
        "A <> 0 +0000",
        "A <a@example.com> 00 +0000",
        "A <a@example.com> 01700000000 +0000",
        "A <a@example.com> 9223372036854775807 +0000",
        "A <a@example.com> 9223372036854775808 +0000",
        "A <a@example.com> 18446744073709551615 +0000",
        "A <a@example.com> 18446744073709551616 +0000",
        "A <a@example.com> 99999999999999999999999999 +0000",
        "A <a@example.com> -1 +0000",
        "A <a@example.com> -18446744073709551615 +0000",
        "A <a@example.com> -0 +0000",
        "A <a@example.com> +17 +0000",
        "A <a@example.com>  17 +0000",
        "A <a@example.com> \t17 +0000",
        "A <a@example.com> \x0b17 +0000",
        "A <a@example.com> x +0000",
        "A <a@example.com> 17",
        "A <a@example.com> 17 ",
        "A <a@example.com> 17  +0000",
        "A <a@example.com> 17\t+0000",
        "A <a@example.com> 17 0000",
        "A <a@example.com> 17 +000",
        "A <a@example.com> 17 +00000",
        "A <a@example.com> 17 -9999",
        "A <a@example.com> 17 +00a0",
        "A <a@example.com> 17 +0000 ",
        "A <a@example.com> \n 17 +0000",
        "A <a@example.com> \n17 +0000",
    ];
    const HEADERS: &[&str] = &[
        "",
        "\n",
        "tree {tree}\n",
        "tree {tree}",
        "tree {tree}\n\n",
        "tree {tree} \n{people}\nm\n",
        "tree {upper}\n{people}\nm\n",
        "tree {tree}0\n{people}\nm\n",
        "tree 12345\n{people}\nm\n",
        "tree {tree}\nparent {commit}\n{people}\nm\n",
        "tree {tree}\nparent 12\n{people}\nm\n",
        "tree {tree}\nparent {commit} \n{people}\nm\n",
        "tree {tree}\nparent {commit}\nparent {commit}\n{people}\nm\n",
        "parent {commit}\ntree {tree}\n{people}\nm\n",
        "tree {tree}\ncommitter A <a@b> 1 +0000\n\nm\n",
        "tree {tree}\nauthor A <a@b> 1 +0000\n\nm\n",
        "tree {tree}\nauthor A <a@b> 1 +0000\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nm\n",
        "tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n",
        "tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000",
        "tree {tree}\n{people}\nm\0m\n",
        "tree {tree}\nauthor A\0 <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nm\n",
        "tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\ngpgsig a\n b\n\n c\n",
        "tree {tree}\nauthor A <a@b> 1 +0000\n\ncommitter A <a@b> 1 +0000\n\nm\n",
    ];
    let tokens: &[&[u8]] = &[
        b"\n",
        b" ",
        b"<",
        b">",
        b"\0",
        b"0",
        b"-",
        b"+",
        b"tree ",
        b"parent ",
        b"author ",
        b"committer ",
        b"\n\n",
        b"\t",
        b"9999999999",
        b"\x0b",
        b"\xff",
    ];
    for format in FORMATS {
        let mut court = Court::new(format);
        let tree = court.add(ObjectKind::Tree, "").to_string();
        // Nobody has it: git would complain of a parent that it knows to be a tree.
        let commit = "c0".repeat(format.len_in_bytes());
        let people = "author A <a@b> 1 +0000\ncommitter C <c@d> 2 -0130\n";
        for headers in HEADERS {
            let text = headers
                .replace("{tree}", &tree)
                .replace("{commit}", &commit)
                .replace("{upper}", &tree.to_uppercase())
                .replace("{people}", people);
            court.add(ObjectKind::Commit, text);
        }
        for person in PEOPLE {
            court.add(
                ObjectKind::Commit,
                format!("tree {tree}\nauthor {person}\ncommitter C <c@d> 2 -0130\n\nm\n"),
            );
            court.add(
                ObjectKind::Commit,
                format!("tree {tree}\nauthor A <a@b> 1 +0000\ncommitter {person}\n\nm\n"),
            );
        }
        let mut dice = Dice(1);
        let whole = format!("tree {tree}\nparent {commit}\n{people}encoding x\n\nmessage\n");
        for _ in 0..MUTATIONS {
            court.add(ObjectKind::Commit, dice.mutate(whole.as_bytes(), tokens));
        }
        assert_all_seen(
            &court.judge(),
            &[
                "nulInHeader",
                "unterminatedHeader",
                "missingTree",
                "badTreeSha1",
                "badParentSha1",
                "missingAuthor",
                "multipleAuthors",
                "missingCommitter",
                "missingNameBeforeEmail",
                "badName",
                "missingEmail",
                "missingSpaceBeforeEmail",
                "badEmail",
                "missingSpaceBeforeDate",
                "zeroPaddedDate",
                "badDateOverflow",
                "badDate",
                "badTimezone",
                "nulInCommit",
            ],
        );
    }
}

#[test]
fn tags_are_judged_as_git_judges_them() {
    const TAGS: &[&str] = &[
        "object {id}\ntype tree\ntag v1\ntagger A <a@b> 1 +0000\n\nm\n",
        "object {id}\ntype tree\ntag v1\ntagger A <a@b> 1 +0000\n",
        "object {id}\ntype tree\ntag v1\n\nm\n",
        "object {id}\ntype tree\ntag v1\n",
        "object {id}\ntype tree\ntag v1",
        "object {id}\ntype tree\n",
        "object {id}\ntype tree\n\ntag v1\n",
        "object {id}\ntype tree\ntag\n\nm\n",
        "object {id}\ntype tree\ntag \n\nm\n",
        "object {id}\ntype tree\ntag @\n\nm\n",
        "object {id}\ntype tree\ntag v 1\n\nm\n",
        "object {id}\ntype tree\ntag .v\n\nm\n",
        "object {id}\ntype tree\ntag a..b\ntagger A <a@b> 1 +0000\n\nm\n",
        "object {id}\ntype tree\ntag a/b\ntagger A <a@b> 1 +0000\n\nm\n",
        "object {id}\ntype tree\ntag x.lock\ntagger A <a@b> 1 +0000\n\nm\n",
        "object {id}\ntype tree\ntag v1\ntagger A <a@b> 01 +0000\n\nm\n",
        "object {id}\ntype tree\ntag v1\ntagger A <a@b> 1 +0000\nextra x\n\nm\n",
        "object {id}\ntype tree\ntag v1\nextra x\n\nm\n",
        "object {id}\ntype nonsense\ntag v1\ntagger A <a@b> 1 +0000\n\nm\n",
        "object {id}\ntype commi\ntag v1\ntagger A <a@b> 1 +0000\n\nm\n",
        "object {id}\ntype \ntag v1\ntagger A <a@b> 1 +0000\n\nm\n",
        "object {id}\ntag v1\n\nm\n",
        "object {id} \ntype tree\ntag v1\n\nm\n",
        "object 12\ntype tree\ntag v1\n\nm\n",
        "type tree\ntag v1\n\nm\n",
        "object {id}\ntype tree\ntag v\x001\n\nm\n",
        "object {id}\ntype tree\ntag v1\ntagger A <a@b> 1 +0000\n\nm\0m\n",
        "",
    ];
    let tokens: &[&[u8]] = &[
        b"\n",
        b" ",
        b"<",
        b">",
        b"\0",
        b"0",
        b"..",
        b".",
        b"/",
        b"@{",
        b"tagger ",
        b"type ",
        b"tag ",
        b"\n\n",
        b".lock\n",
        b"commit",
        b"~",
        b"\xc3\xa9",
    ];
    for format in FORMATS {
        let mut court = Court::new(format);
        let id = court.add(ObjectKind::Tree, "").to_string();
        for tag in TAGS {
            court.add(ObjectKind::Tag, tag.replace("{id}", &id));
        }
        let mut dice = Dice(2);
        let whole = TAGS[0].replace("{id}", &id);
        for _ in 0..MUTATIONS {
            court.add(ObjectKind::Tag, dice.mutate(whole.as_bytes(), tokens));
        }
        assert_all_seen(
            &court.judge(),
            &[
                "missingObject",
                "badObjectSha1",
                "missingTypeEntry",
                "badType",
                "missingTagEntry",
                "missingTaggerEntry",
                "badTagName",
            ],
        );
    }
}

/// Names that some file system takes for something else, and their neighbours that it does not.
fn nasty_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        ".",
        "..",
        "...",
        ".git",
        ".Git",
        ".GIT",
        ".gıt",
        "git",
        ".git ",
        ".git.",
        ".git . .",
        ".git::$INDEX_ALLOCATION",
        ".git:x",
        ".gitx",
        ".git\\x",
        "a\\.git",
        "a\\git~1",
        "\\.git",
        "\\",
        "a\\b",
        "git~1",
        "GIT~1",
        "git~2",
        "git~1 ",
        "git~1.",
        "git~1x",
        "git~1:",
        "git~1\\",
        ".\u{200c}git",
        "\u{200c}.git",
        ".g\u{200d}it",
        ".git\u{feff}",
        ".gi\u{202a}t",
        ".git\u{206f}",
        ".git\u{2070}",
        "\u{feff}.GIT\u{200e}",
        ".\u{2028}git",
        "a/b",
        "/",
        "a/",
        ".git/",
        ".git/config",
        "~1000000",
        "~1234567",
        "~12",
        "~a234567",
        "\u{200b}.git",
        "a\\.gitmodules",
        "a\\gitmod~1",
        "x\\.gitattributes",
        "aux",
        "con",
        "foo:bar",
    ]
    .iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.push(b".git\xff".to_vec());
    names.push(b".git\xc0\x80".to_vec());
    names.push(b".git\xef\xbf\xbe".to_vec());
    names.push(b".git\xed\xa0\x80".to_vec());
    names.push(b".git\xf4\x90\x80\x80".to_vec());
    names.push(b".git\xe2\x80".to_vec());
    names.push(b"\xff.git".to_vec());
    names.push(b".\xffgit".to_vec());
    for (name, short) in [
        ("gitmodules", "gi7eba"),
        ("gitattributes", "gi7d29"),
        ("gitignore", "gi250a"),
        ("mailmap", "maba30"),
    ] {
        let six = &name[..6];
        for name in [
            format!(".{name}"),
            format!(".{}", name.to_uppercase()),
            format!(".{name} "),
            format!(".{name}. ."),
            format!(".{name}:x"),
            format!(".{name}x"),
            format!(".{name}\\x"),
            format!("\u{200c}.{name}"),
            format!(".{name}\u{feff}"),
            name.to_owned(),
            format!("{six}~1"),
            format!("{}~4", six.to_uppercase()),
            format!("{six}~5"),
            format!("{six}~0"),
            format!("{six}~1 . "),
            format!("{six}~1x"),
            format!("{short}~1"),
            format!("{}~9", short.to_uppercase()),
            format!("{short}~0"),
            format!("{short}~1:"),
            format!("{}~10", &short[..5]),
            format!("{}~123", &short[..4]),
            format!("{}~0123", &short[..3]),
            format!("{}~12345", &short[..2]),
            format!("{}~1234567", &short[..2]),
            format!("x\\{short}~1"),
            format!("x\\.{name}"),
        ] {
            names.push(name.into_bytes());
        }
    }
    names
}

const MODES: &[&str] = &[
    "100644",
    "40000",
    "100755",
    "120000",
    "160000",
    "100664",
    "040000",
    "0100644",
    "100600",
    "644",
    "0",
    "1",
    "777777",
    "120777",
    "40755",
    "20000000100644",
    "37777777777",
    "64100644",
    "4000040000",
];

fn entry(mode: &str, name: &[u8], id: &[u8]) -> Vec<u8> {
    [mode.as_bytes(), b" ", name, b"\0", id].concat()
}

#[test]
fn trees_are_judged_as_git_judges_them() {
    for format in FORMATS {
        let mut court = Court::new(format);
        let blob = court.add(ObjectKind::Blob, "[a]\nb = c\n");
        let tree = court.add(ObjectKind::Tree, "");
        let missing = vec![7u8; format.len_in_bytes()];
        let null = vec![0u8; format.len_in_bytes()];
        let almost_null = [&null[1..], &[1]].concat();
        let ids: &[&[u8]] = &[
            blob.as_slice(),
            tree.as_slice(),
            &missing,
            &null,
            &almost_null,
        ];
        let names = nasty_names();
        for name in &names {
            for mode in MODES {
                court.add(ObjectKind::Tree, entry(mode, name, blob.as_slice()));
            }
            court.add(ObjectKind::Tree, entry("40000", name, tree.as_slice()));
            court.add(ObjectKind::Tree, entry("160000", name, &missing));
        }
        for id in ids {
            court.add(ObjectKind::Tree, entry("100644", b"a", id));
        }
        for malformed in [
            &b"1"[..],
            b"100644",
            b"100644 ",
            b"100644 a",
            b"100644 a\0",
            b" a\0",
            b"100644 \0",
            b"\0",
            b"100648 a\0",
            b"100644a\0",
        ] {
            let with_id = [malformed, blob.as_slice()].concat();
            let good = entry("100644", b"a", blob.as_slice());
            court.add(ObjectKind::Tree, malformed);
            court.add(ObjectKind::Tree, [&good, malformed].concat());
            court.add(ObjectKind::Tree, [&good[..], &with_id].concat());
            court.add(ObjectKind::Tree, [&good[..], &with_id, &good].concat());
            court.add(ObjectKind::Tree, with_id);
        }

        // Orders and duplicates, of names that share beginnings.
        let parts: &[&str] = &[
            "foo",
            "foo.bar",
            "foo.bar.baz",
            "foo-",
            "foo0",
            "fop",
            "fo",
            "foo.",
            "foo!",
            "a",
            "foo/bar",
            "g",
            "\u{e9}",
        ];
        let mut dice = Dice(3);
        for _ in 0..MUTATIONS {
            let mut lines: Vec<(&str, &str)> = (0..1 + dice.below(6))
                .map(|_| {
                    let mode =
                        dice.pick(&["100644", "100644", "40000", "40000", "120000", "160000"]);
                    (mode, dice.pick(parts))
                })
                .collect();
            if dice.below(3) > 0 {
                lines.sort_by(|a, b| {
                    tree::compare_names(
                        a.1.as_bytes(),
                        a.0 == "40000",
                        b.1.as_bytes(),
                        b.0 == "40000",
                    )
                });
            }
            let data: Vec<u8> = lines
                .iter()
                .flat_map(|(mode, name)| entry(mode, name.as_bytes(), blob.as_slice()))
                .collect();
            court.add(ObjectKind::Tree, data);
        }

        // Anything, broken anyhow.
        let tokens: &[&[u8]] = &[
            b"\0",
            b" ",
            b"/",
            b"\\",
            b".git",
            b"~1",
            b"0",
            b"100644 ",
            b"40000 x\0",
            b".",
            b"\xe2\x80\x8c",
        ];
        for _ in 0..MUTATIONS {
            let data: Vec<u8> = (0..1 + dice.below(4))
                .flat_map(|_| {
                    let mode = dice.pick(MODES);
                    let name = &names[dice.below(names.len())];
                    let name = if dice.below(2) == 0 {
                        &b"plain"[..]
                    } else {
                        name
                    };
                    entry(mode, name, dice.pick(ids))
                })
                .collect();
            let data = if dice.below(4) == 0 {
                data
            } else {
                dice.mutate(&data, tokens)
            };
            court.add(ObjectKind::Tree, data);
        }
        assert_all_seen(
            &court.judge(),
            &[
                "badTree",
                "nullSha1",
                "fullPathname",
                "hasDot",
                "hasDotdot",
                "hasDotgit",
                "zeroPaddedFilemode",
                "badFilemode",
                "duplicateEntries",
                "treeNotSorted",
                "gitmodulesSymlink",
                "gitattributesSymlink",
                "gitignoreSymlink",
                "mailmapSymlink",
                "gitmodulesMissing",
                "gitattributesMissing",
                "gitmodulesBlob",
                "gitattributesBlob",
            ],
        );
    }
}

#[test]
fn gitmodules_are_judged_as_git_judges_them() {
    const URLS: &[&str] = &[
        "https://example.com/a.git",
        "-oProxyCommand=x",
        "../a",
        "./../a",
        "../:x",
        "../../:x",
        "..//x",
        "./:x",
        ".\\..\\:x",
        "..\\:x",
        "../%0ax",
        "../%0Ax",
        "./x%00",
        "git://a/%0a",
        "git://%0a",
        "https:///a",
        "https://",
        "https://%0a/",
        "https://a%0a:80/",
        "http://a:b%0a@c/",
        "http://a%0a@c/",
        "http://a@",
        "http://a@/",
        "http://@/x",
        "http://c/%0a",
        "http://c/x:%0a",
        "http://c//%0a",
        "http://c?x/%0a",
        "http://c#@%0a",
        "ftp://x",
        "ftps://%0a",
        "http::x",
        "http::http://a",
        "https::https://%0a",
        "http:::",
        "ftp::://a",
        "ext::sh -c x",
        "ssh://%0a",
        "file:///a",
        "/a",
        "a",
        "",
        "https:a",
        "\\n../x",
        "https://a\\nb/",
        "http://a:b:c@d/x",
        "http://a:%0a",
        "HTTP://%0a",
        "http://a/b://c%0a",
        "..",
        "../",
        "./",
        "../..",
        "..//:",
        "http::a\\n://b/",
    ];
    const NAMES: &[&str] = &[
        "a",
        "",
        "..",
        "../a",
        "a/..",
        "a/../b",
        "a\\\\..\\\\b",
        "..a",
        "a..",
        "...",
        "a/..b",
        "\\\"..",
        "a.b",
        "é",
        ".",
        "/..",
        "a]",
        "a b",
    ];
    const FILES: &[&str] = &[
        "",
        "\n",
        "# x",
        "; x\n[a]",
        "[a",
        "[a]b",
        "[a] b",
        "[a]\nb\n",
        "[a]\nb=",
        "[a]\n1=2",
        "[submodule]\nurl=-x",
        "[submodule.Foo]\nurl=-x",
        "[submodule.Foo]\nURL = -x",
        "[]\nx=1",
        "[a b]",
        "[a \"b]",
        "[a \"b\"",
        "[a \"b\\",
        "[a  \"b\"]\n",
        "[a\n\"b\"]",
        "[a\t\"b\"]c=d",
        "[submodule \"..\"]\n",
        "[submodule \"..\"]\nurl",
        "[submodule \"a\"]\nurl",
        "[submodule \"a\"]\nurl # -",
        "[submodule \"a\"]\nurl = \"-x",
        "[submodule \"a\"]\nurl = \"-x\"",
        "[submodule \"a\"]\nurl = -\\\nx",
        "[submodule \"a\"]\nurl = -x ; c\npath=-",
        "[submodule \"a\"]\npath = -x\n",
        "[submodule \"a\"]\npath=\" -x\"",
        "[submodule \"a\"]\nupdate = !x\n",
        "[submodule \"a\"]\nupdate = none\n",
        "[submodule \"a\"]\nupdate =  \"!\"",
        "[submodule \"a\"] url = -x\n",
        "[submodule \"a\"]url=-x",
        "[SUBMODULE \"a\"]\nUrl=-x",
        "[submodule \"a\\\"..\"]\nurl=x",
        "\u{feff}[submodule \"a\"]\nurl=-x",
        "\u{feff}",
        "[submodule \"a\"]\r\nurl=-x\r\n",
        "[submodule \"a\"]\rurl=-x",
        "[submodule \"a\"]\nurl=-x\r",
        "[submodule \"a\"]\nurl=\\t-x",
        "[submodule \"a\"]\nurl=\\x",
        "[submodule \"a\"]\nurl=-x\nurl=-y",
        "[submodule \"a\"]\nurl=-x\n[",
        "url=-x",
        "submodule.a.url=-x",
        "[submodule \"a\"]\nurl=-x\\",
        "[submodule \"a\0b\"]\nurl=-x\0y",
        "[submodule \"a\"]\nurl-x=-x\nurl_x=-y",
        "[submodule \"a\"]\nurl\u{b}=-x",
    ];
    let mut court = Court::new(ObjectFormat::Sha1);
    let mut blobs = Vec::new();
    for file in FILES {
        blobs.push(file.as_bytes().to_vec());
    }
    for url in URLS {
        blobs.push(format!("[submodule \"a\"]\n\tpath = a\n\turl = {url}\n").into_bytes());
        blobs.push(format!("[submodule \"a\"]\n\tpath = a\n\turl = \"{url}\"\n").into_bytes());
    }
    for name in NAMES {
        blobs.push(format!("[submodule \"{name}\"]\n\turl = x\n").into_bytes());
    }
    let tokens: &[&[u8]] = &[
        b"\n", b"\"", b"\\", b"[", b"]", b"=", b"-", b"%0a", b"../", b"..", b"#", b"\r\n", b"\0",
        b"\xff", b" ", b"\t", b"!", b"\\n", b"://", b":", b"@", b"/", b"http://", b"http::",
    ];
    let mut dice = Dice(4);
    for _ in 0..MUTATIONS {
        let url = dice.pick(URLS);
        let name = dice.pick(NAMES);
        let whole = format!(
            "[submodule \"{name}\"]\n\tpath = sub\n\turl = \"{url}\"\n\tupdate = !x\n# end\n[core]\nx\n"
        );
        blobs.push(dice.mutate(whole.as_bytes(), tokens));
    }
    for blob in blobs {
        let id = court.add(ObjectKind::Blob, blob);
        court.add(
            ObjectKind::Tree,
            entry("100644", b".gitmodules", id.as_slice()),
        );
    }
    assert_all_seen(
        &court.judge(),
        &[
            "gitmodulesParse",
            "gitmodulesName",
            "gitmodulesUrl",
            "gitmodulesPath",
            "gitmodulesUpdate",
        ],
    );
}

#[test]
fn gitattributes_are_judged_as_git_judges_them() {
    let mut court = Court::new(ObjectFormat::Sha1);
    for text in [
        "x".repeat(2047),
        "x".repeat(2048),
        format!("a\n{}\nb\n", "x".repeat(2047)),
        format!("a\n{}\n{}\n", "x".repeat(2048), "y".repeat(3000)),
        format!("a\0{}\n", "x".repeat(3000)),
        format!("{}\0x\n", "x".repeat(3000)),
        String::new(),
    ] {
        let id = court.add(ObjectKind::Blob, text);
        court.add(
            ObjectKind::Tree,
            entry("100644", b".gitattributes", id.as_slice()),
        );
    }
    assert_all_seen(&court.judge(), &["gitattributesLineLength"]);
}

#[test]
fn a_special_file_that_is_never_in_memory_is_refused() {
    for file in [SpecialFile::Gitmodules, SpecialFile::Gitattributes] {
        assert_eq!(file.too_large().severity, Severity::Error);
    }
}
