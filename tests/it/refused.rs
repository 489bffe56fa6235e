//! What is refused is refused with a reason, and nothing of it stays.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use govc_tests::{EMPTY_PACK, Git, TestServer, push_by_hand};
use serde_json::json;

const NULL: &str = "0000000000000000000000000000000000000000";

/// A repository `hello` with one commit on `main`, and its clone `ada`: the commit.
fn begin() -> (TestServer, Git, String) {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    let head = git.commit("ada", "README.md", "hello\n");
    git.run("-C ada push -q origin main");
    (server, git, head)
}

#[test]
fn names_that_git_refuses() {
    let (server, git, head) = begin();
    let before = git.run("-C ada ls-remote origin");
    for name in [
        &b"refs/heads/a..b"[..],
        b"refs/heads/.a",
        b"refs/heads/a.lock",
        b"refs/heads/a b",
        b"refs/heads/a~1",
        b"refs/heads/",
        b"refs/heads",
        b"refs/main",
        b"main",
        b"HEAD",
        b"../../etc/passwd",
        b"refs/heads/../x",
        b"refs/heads/a\x01",
        b"refs/heads//a",
        b"/refs/heads/a",
        b"refs/heads/@{",
        b"refs/heads/a\\b",
    ] {
        let report = push_by_hand(
            &server.http(),
            "hello",
            &[(NULL, &head, name)],
            "",
            EMPTY_PACK,
        );
        let taken = report.lines.iter().any(|line| line.starts_with("ok "));
        assert!(!taken, "{}: {report:?}", name.escape_ascii());
        assert!(report.answer.status < 500, "{report:?}");
    }
    let report = push_by_hand(
        &server.http(),
        "hello",
        &[
            (NULL, &head, b"refs/heads/a..b"),
            (NULL, &head, b"refs/heads/good"),
        ],
        "",
        EMPTY_PACK,
    );
    assert_eq!(
        report.lines.first().map(String::as_str),
        Some("unpack ok"),
        "{report:?}"
    );
    assert!(
        report
            .of("refs/heads/a..b")
            .is_some_and(|line| line.starts_with("ng "))
    );
    assert_eq!(report.of("refs/heads/good"), Some("ok refs/heads/good"));
    git.run("-C ada push -q origin --delete good");
    assert_eq!(git.run("-C ada ls-remote origin"), before);
}

#[test]
fn what_is_wrong_with_a_name_is_told_to_who_pushes() {
    let (_server, git, head) = begin();
    let name = format!("refs/heads/{}end", "folder/".repeat(200));
    let said = git.refused(&format!("-C ada push -q origin {head}:{name}"));
    assert!(said.contains("remote: ") && said.contains("1024"), "{said}");
    assert!(!said.contains("bad band"), "{said}");
}

#[test]
fn an_empty_tree_need_not_be_stored() {
    let (mut server, git, head) = begin();
    let empty = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let commit = git.run(&format!("-C ada commit-tree -p {head} -m empty {empty}"));
    // A pack without it, as a client of other making sends it.
    let pack = git.feed(
        "-C ada pack-objects -q --stdout",
        format!("{commit}\n").as_bytes(),
    );
    let moved = [(&*head, &*commit, &b"refs/heads/main"[..])];
    let report = push_by_hand(&server.http(), "hello", &moved, "", &pack);
    let taken = report.lines.iter().any(|line| line == "ok refs/heads/main");
    assert!(taken, "{report:?}");
    for again in [false, true] {
        if again {
            server.stop_well();
            server.start_again();
        }
        for how in ["", "--depth=1", "--filter=blob:none", "--filter=tree:1"] {
            let name = format!("copy{again}{}", how.replace(['=', ':'], ""));
            let url = server.git_url("hello");
            git.run(&format!("clone -q {how} {url} {name}"));
            assert_eq!(git.run(&format!("-C {name} rev-parse HEAD")), commit);
            assert_eq!(git.run(&format!("-C {name} ls-files")), "");
            git.run(&format!("-C {name} fsck --strict --connectivity-only"));
        }
    }
}

#[test]
fn a_name_below_another() {
    let (_server, git, _) = begin();
    git.run("-C ada push -q origin main:refs/heads/a");
    let said = git.refused("-C ada push origin main:refs/heads/a/b");
    assert!(said.contains("refs/heads/a"), "{said}");
    git.run("-C ada push -q origin main:refs/heads/x/y");
    git.refused("-C ada push origin main:refs/heads/x");
    // Both in one push.
    let said = git.refused("-C ada push origin main:refs/heads/n main:refs/heads/n/m");
    assert!(said.contains("refs/heads/n"), "{said}");
}

#[test]
fn the_branch_that_head_names_is_not_deleted() {
    let (_server, git, head) = begin();
    let said = git.refused("-C ada push origin --delete main");
    assert!(said.contains("rejected"), "{said}");
    assert!(
        git.run("-C ada ls-remote origin refs/heads/main")
            .starts_with(&head)
    );
}

#[test]
fn a_ref_that_has_moved() {
    let (server, git, head) = begin();
    let second = git.commit("ada", "b", "b\n");
    git.run("-C ada push -q origin main");
    // Somebody who still believes in the first commit.
    let report = push_by_hand(
        &server.http(),
        "hello",
        &[(&head, &head, b"refs/heads/main")],
        "",
        EMPTY_PACK,
    );
    assert!(
        report
            .of("refs/heads/main")
            .is_some_and(|line| line.starts_with("ng ")),
        "{report:?}"
    );
    assert!(
        git.run("-C ada ls-remote origin refs/heads/main")
            .starts_with(&second)
    );
}

/// Each malformed object is refused under git's own name for what is wrong with it.
#[test]
fn objects_that_fsck_refuses() {
    let (_server, git, head) = begin();
    let raw = |id: &str| -> Vec<u8> {
        (0..id.len() / 2)
            .map(|i| u8::from_str_radix(&id[2 * i..2 * i + 2], 16).expect("hex"))
            .collect()
    };
    let blob = raw(&git.run("-C ada rev-parse HEAD:README.md"));
    let whole_tree = git.run("-C ada rev-parse HEAD^{tree}");
    let entry = |mode: &str, name: &[u8]| [mode.as_bytes(), b" ", name, b"\0", &blob].concat();
    let bad_url = git.object(
        "ada",
        "blob",
        b"[submodule \"a\"]\n\tpath = a\n\turl = -oProxyCommand=x\n",
    );
    let gitmodules = [&b"100644 .gitmodules\0"[..], &raw(&bad_url)].concat();
    let trees: &[(&str, Vec<u8>)] = &[
        ("zeroPaddedFilemode", entry("0100644", b"a")),
        ("hasDotgit", entry("100644", b".git")),
        ("hasDotgit", entry("100644", b".GIT")),
        ("hasDotgit", entry("100644", b"git~1")),
        ("hasDotgit", entry("100644", ".g\u{200c}it".as_bytes())),
        ("hasDotgit", entry("100644", b".git. .")),
        ("hasDotdot", entry("100644", b"..")),
        ("hasDot", entry("100644", b".")),
        ("fullPathname", entry("100644", b"a/b")),
        (
            "treeNotSorted",
            [entry("100644", b"b"), entry("100644", b"a")].concat(),
        ),
        (
            "duplicateEntries",
            [entry("100644", b"a"), entry("100644", b"a")].concat(),
        ),
        ("gitmodulesSymlink", entry("120000", b".gitmodules")),
        ("gitmodulesUrl", gitmodules),
    ];
    let people = "author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n";
    let commits: &[(&str, String)] = &[
        (
            "missingSpaceBeforeDate",
            format!("tree {whole_tree}\nauthor A <a@b>1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n"),
        ),
        (
            "badTimezone",
            format!("tree {whole_tree}\nauthor A <a@b> 1 +00\ncommitter A <a@b> 1 +0000\n\nx\n"),
        ),
        (
            "zeroPaddedDate",
            format!("tree {whole_tree}\nauthor A <a@b> 01 +0000\ncommitter A <a@b> 1 +0000\n\nx\n"),
        ),
        (
            "missingEmail",
            format!("tree {whole_tree}\nauthor A\ncommitter A <a@b> 1 +0000\n\nx\n"),
        ),
        (
            "multipleAuthors",
            format!("tree {whole_tree}\nauthor A <a@b> 1 +0000\n{people}\nx\n"),
        ),
    ];
    let mut cases: Vec<(&str, String)> = Vec::new();
    for (name, tree) in trees {
        let tree = git.object("ada", "tree", tree);
        let commit = format!("tree {tree}\nparent {head}\n{people}\nx\n");
        cases.push((name, git.object("ada", "commit", commit.as_bytes())));
    }
    for (name, commit) in commits {
        cases.push((name, git.object("ada", "commit", commit.as_bytes())));
    }
    let before = git.run("-C ada ls-remote origin");
    for (name, id) in &cases {
        let said = git.refused(&format!("-C ada push origin {id}:refs/heads/bad"));
        assert!(said.contains(name), "{name} is not in {said}");
    }
    assert_eq!(git.run("-C ada ls-remote origin"), before);

    // What is only a warning passes.
    let tree = git.object("ada", "tree", &entry("100664", b"a"));
    let commit = format!("tree {tree}\nparent {head}\n{people}\nx\n");
    let commit = git.object("ada", "commit", commit.as_bytes());
    git.run(&format!("-C ada push -q origin {commit}:refs/heads/odd"));
}

#[test]
fn packs_that_lack_something_or_are_none() {
    let (server, git, head) = begin();
    git.commit("ada", "b", "b\n");
    let commit = git.run("-C ada rev-parse HEAD");
    let tree = git.run("-C ada rev-parse HEAD^{tree}");
    let blob = git.run("-C ada rev-parse HEAD:b");
    let pack = |ids: &[&String]| {
        let ids: String = ids.iter().fold(String::new(), |mut all, id| {
            let _ = writeln!(all, "{id}");
            all
        });
        git.feed("-C ada pack-objects --stdout -q", ids.as_bytes())
    };
    let whole = pack(&[&commit, &tree, &blob]);
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let mut miscounted = whole.clone();
    miscounted[11] = 9;
    let cases: &[(&str, Vec<u8>)] = &[
        ("no blob", pack(&[&commit, &tree])),
        ("no tree", pack(&[&commit, &blob])),
        ("nothing", EMPTY_PACK.to_vec()),
        ("no pack at all", Vec::new()),
        ("cut short", whole[..whole.len() - 25].to_vec()),
        ("a header only", whole[..12].to_vec()),
        ("a flipped byte", flipped),
        ("a wrong count", miscounted),
        ("no pack's bytes", vec![b'x'; 500]),
    ];
    for (what, pack) in cases {
        let report = push_by_hand(
            &server.http(),
            "hello",
            &[(&head, &commit, b"refs/heads/main")],
            "",
            pack,
        );
        assert!(report.answer.status < 500, "{what}: {report:?}");
        let line = report.of("refs/heads/main");
        assert!(
            line.is_none_or(|line| line.starts_with("ng ")),
            "{what}: {report:?}"
        );
        assert!(
            git.run("-C ada ls-remote origin refs/heads/main")
                .starts_with(&head),
            "{what}"
        );
    }
    // The same push with all of it is taken.
    let report = push_by_hand(
        &server.http(),
        "hello",
        &[(&head, &commit, b"refs/heads/main")],
        "",
        &whole,
    );
    assert_eq!(
        report.of("refs/heads/main"),
        Some("ok refs/heads/main"),
        "{report:?}"
    );
}

#[test]
fn paths_in_disguise() {
    let (server, git, head) = begin();
    for path in [
        ".git/config",
        ".GIT",
        "a/.git",
        "git~1",
        "GIT~1/hooks",
        ".git ",
        ".git...",
        ".git::$INDEX_ALLOCATION",
        "\u{200c}.git",
        ".g\u{feff}it/x",
        "a\\.git",
        "../x",
        "a/../b",
        "a/./b",
        "/etc/passwd",
        "a//b",
        "a/",
        "",
        ".",
        "..",
        "a\0b",
    ] {
        let body = json!({
            "branch": "main", "message": "x",
            "actions": [{"op": "put", "path": path, "content": "x"}],
        });
        server
            .api()
            .post("/repos/hello/commits", &body)
            .problem(400, "PATH_INVALID");
    }
    assert!(
        git.run("-C ada ls-remote origin refs/heads/main")
            .starts_with(&head)
    );
}

#[test]
fn a_deleted_repository_takes_no_push() {
    let (server, git, _) = begin();
    git.commit("ada", "b", "b\n");
    server.api().delete("/repos/hello").expect(204);
    let said = git.refused("-C ada push origin main");
    assert!(said.contains("not found"), "{said}");
}

/// The content came before, as a file that nobody minds; now a tree calls it `.gitmodules`.
#[test]
fn a_gitmodules_that_was_there_under_another_name() {
    let (_server, git, _) = begin();
    git.commit(
        "ada",
        "innocent",
        "[submodule \"a\"]\n\tpath = a\n\turl = -oProxyCommand=x\n",
    );
    git.run("-C ada push -q origin main");
    git.run("-C ada mv innocent .gitmodules");
    git.run("-C ada commit -q -m Rename");
    let said = git.refused("-C ada push origin main");
    assert!(said.contains("gitmodulesUrl"), "{said}");
    // One content under both special names is checked as both.
    git.run("-C ada reset -q --hard HEAD~1");
    git.write(
        "ada/.gitattributes",
        "[submodule \"b\"]\n\turl = -oProxyCommand=y\n",
    );
    git.commit(
        "ada",
        ".gitmodules",
        "[submodule \"b\"]\n\turl = -oProxyCommand=y\n",
    );
    let said = git.refused("-C ada push origin main");
    assert!(said.contains("gitmodulesUrl"), "{said}");
    // What is a folder under that name is refused as well.
    git.run("-C ada reset -q --hard HEAD~1");
    git.commit("ada", ".gitmodules/file", "x\n");
    let said = git.refused("-C ada push origin main");
    assert!(said.contains("gitmodulesBlob"), "{said}");
}

#[test]
fn a_head_that_cannot_be_read_is_answered() {
    let server = TestServer::start();
    let address = server.url().replace("http://", "");
    let many: String = (0..300).map(|n| format!("X-{n}: x\r\n")).collect();
    let long = "x".repeat(1 << 20);
    for (head, status) in [
        ("\x16\x03\x01 what is this\r\n\r\n".to_owned(), "400"),
        ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), "400"),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
            "400",
        ),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n"), "431"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", &long[..100_000]), "414"),
    ] {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        // It may answer and close before it has read all.
        let _ = stream.write_all(head.as_bytes());
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer, format!("HTTP/1.1 {status}"), "{:?}", &head[..16]);
    }
}
