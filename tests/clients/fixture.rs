//! The repositories that the clients read and push, made by git.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use govc_tests::{Dice, Git, TestServer};
use serde_json::json;

/// How many commits `main` of the plain repository has, without its side branch.
const COMMITS: usize = 24;
/// How many branches the repository of many has.
pub const MANY: usize = 2_000;
/// What does not deflate, and so is pushed in chunks.
const LARGE_BYTES: usize = 1_400_000;

/// Bare repositories in a folder of their own, and on the server those that are only read.
pub struct Fixture {
    git: Git,
}

impl Fixture {
    pub fn make(server: &TestServer) -> Fixture {
        let git = Git::new();
        for (name, format) in [("plain", "sha1"), ("plain-sha256", "sha256")] {
            init(&git, name, format);
            import(&git, name, plain().as_bytes());
            git.run(&format!("-C {name} branch -q -D side"));
        }
        for (name, besides) in [
            (
                "odd",
                &["back\\\\slash", "new\\nline", "tab\\there", "con.txt"][..],
            ),
            (
                "odd-without-backslash",
                &["new\\nline", "tab\\there", "con.txt"],
            ),
            ("odd-without-reserved", &["back\\\\slash"]),
        ] {
            init(&git, name, "sha1");
            import(&git, name, odd(besides).as_bytes());
        }
        init(&git, "large", "sha1");
        import(&git, "large", &large());

        git.run("clone -q --bare plain many");
        let head = git.run("-C many rev-parse main");
        let mut updates = String::new();
        for n in 0..MANY {
            let _ = writeln!(updates, "create refs/heads/many/{n} {head}");
        }
        git.feed("-C many update-ref --stdin", updates.as_bytes());

        let fixture = Fixture { git };
        for name in [
            "plain",
            "plain-sha256",
            "odd",
            "odd-without-backslash",
            "odd-without-reserved",
        ] {
            let format = if name.ends_with("256") {
                "sha256"
            } else {
                "sha1"
            };
            server.create_as(&json!({"id": name, "object_format": format}));
            fixture.push(name, &server.git_url(name), "--mirror");
        }
        fixture
    }

    /// Where the repository `name` is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.git.path(name)
    }

    /// What git says of the repository `name`.
    pub fn ask(&self, name: &str, line: &str) -> String {
        self.git.run(&format!("-C {name} {line}"))
    }

    /// Pushes the repository `name`, as `words` say.
    pub fn push(&self, name: &str, url: &str, words: &str) {
        let (flags, specs): (Vec<&str>, Vec<&str>) =
            words.split(' ').partition(|word| word.starts_with("--"));
        let (flags, specs) = (flags.join(" "), specs.join(" "));
        self.ask(name, &format!("push -q {flags} {url} {specs}"));
    }

    /// The objects that `revisions` of the repository `name` reach.
    pub fn objects(&self, name: &str, revisions: &str) -> BTreeSet<String> {
        first_words(&self.ask(name, &format!("rev-list --objects {revisions}")))
    }
}

/// The first word of every line.
pub fn first_words(text: &str) -> BTreeSet<String> {
    let words = text.lines().map(|line| line.split(['\t', ' ']).next());
    words.flatten().map(str::to_owned).collect()
}

fn init(git: &Git, name: &str, format: &str) {
    git.run(&format!(
        "init -q --bare -b main --object-format={format} {name}"
    ));
}

fn import(git: &Git, name: &str, stream: &[u8]) {
    git.feed(&format!("-C {name} fast-import --quiet"), stream);
}

fn commit(out: &mut String, branch: &str, mark: usize, from: &[usize]) {
    let time = 1_700_000_000 + mark * 3600;
    let _ = write!(
        out,
        "commit refs/heads/{branch}\nmark :{mark}\nauthor Ada <ada@example.com> {time} +0200\n\
         committer Bob <bob@example.com> {time} +0000\ndata <<E\nChange {mark}\nE\n"
    );
    for (at, parent) in from.iter().enumerate() {
        let _ = writeln!(out, "{} :{parent}", if at == 0 { "from" } else { "merge" });
    }
}

fn file(out: &mut String, mode: &str, path: &str, content: &str) {
    let length = content.len();
    let _ = write!(
        out,
        "M {mode} inline \"{path}\"\ndata {length}\n{content}\n"
    );
}

/// `main` with a merge, `old` as it was six commits ago, `aside` and `topic/one` beside it, a
/// light tag, an annotated one and a newer one.
fn plain() -> String {
    let mut out = String::new();
    let mut mark = 0;
    let mut head = 0;
    for n in 0..COMMITS {
        let parent: Vec<usize> = (head > 0).then_some(head).into_iter().collect();
        let mut parents = parent;
        if n == 9 {
            mark += 1;
            commit(&mut out, "side", mark, &[head]);
            file(&mut out, "100644", "side.txt", "from the side\n");
            parents.push(mark);
        }
        mark += 1;
        commit(&mut out, "main", mark, &parents);
        head = mark;
        let content = format!(
            "{}\nchange {n}\n",
            "a line that stays as it is\n".repeat(20)
        );
        file(&mut out, "100644", &format!("src/{}.txt", n % 5), &content);
        file(&mut out, "100644", "README.md", &format!("# Version {n}\n"));
        match n {
            4 => {
                let _ = write!(out, "reset refs/tags/light\nfrom :{head}\n\n");
                let _ = write!(
                    out,
                    "tag annotated\nfrom :{head}\ntagger Ada <ada@example.com> 1700000000 +0000\n\
                     data 7\nVersion\n"
                );
            }
            12 => {
                for branch in ["topic/one", "aside"] {
                    mark += 1;
                    commit(&mut out, branch, mark, &[head]);
                    file(&mut out, "100644", "topic.txt", &format!("{branch}\n"));
                }
            }
            17 => {
                let _ = write!(out, "reset refs/heads/old\nfrom :{head}\n\n");
            }
            20 => {
                let _ = write!(out, "reset refs/tags/newer\nfrom :{head}\n\n");
            }
            _ => {}
        }
    }
    out
}

/// Names that a server or a client could stumble over, and every mode that there is.
fn odd(besides: &[&str]) -> String {
    let mut out = String::new();
    commit(&mut out, "main", 1, &[]);
    let long = "l".repeat(200);
    let deep = "deep/".repeat(30);
    let mut names = vec![
        "with space/and more".to_owned(),
        "ünï/日本語.txt".to_owned(),
        "-dash".to_owned(),
        "--".to_owned(),
        "%2e%2e".to_owned(),
        "a;b&c|d".to_owned(),
        "quote\\\"d".to_owned(),
        "a/b".to_owned(),
        "a-b/c".to_owned(),
        "a.b/c".to_owned(),
        "x.lock".to_owned(),
        ".hidden".to_owned(),
        "*?[a]".to_owned(),
        "emptied".to_owned(),
        format!("{deep}down"),
        long,
    ];
    names.extend(besides.iter().map(|name| (*name).to_owned()));
    for name in &names {
        let content = if name == "emptied" { "" } else { name.as_str() };
        file(&mut out, "100644", name, content);
    }
    file(&mut out, "100755", "run.sh", "#!/bin/sh\n");
    file(&mut out, "120000", "link", "ünï/日本語.txt");
    file(&mut out, "120000", "dangling", "no/where");
    let _ = writeln!(out, "M 160000 {} module", "1".repeat(40));
    for name in ["feature/ünï#1@x", "a.b-c+d", "日本/語", "v1"] {
        let _ = write!(out, "reset refs/heads/{name}\nfrom :1\n\n");
    }
    for name in ["v1", "ümlaut/%41"] {
        let _ = write!(out, "reset refs/tags/{name}\nfrom :1\n\n");
    }
    out
}

fn large() -> Vec<u8> {
    let mut out = String::new();
    commit(&mut out, "main", 1, &[]);
    let mut out = out.into_bytes();
    for (name, seed) in [("one", 1), ("two", 2)] {
        let content = Dice(seed).bytes(LARGE_BYTES);
        out.extend(format!("M 100644 inline {name}\ndata {LARGE_BYTES}\n").bytes());
        out.extend(content);
        out.push(b'\n');
    }
    out
}
