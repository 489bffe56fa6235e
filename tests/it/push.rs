//! What is pushed is there, for everybody, at once.

use std::io::Write;

use govc_tests::{Dice, Git, History, TestServer};
use serde_json::json;

/// A clone of an empty repository `hello`, called `ada`, with one commit on `main` in it.
fn ada(server: &TestServer, git: &Git) -> String {
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    git.commit("ada", "README.md", "hello\n")
}

#[test]
fn a_pushed_history_is_cloned_whole() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    let url = server.git_url("hello");
    History::of(120, 3).make(&git, "source");
    git.run(&format!("-C source push -q --mirror {url}"));
    git.run(&format!("clone -q --mirror {url} copy"));
    assert_eq!(git.refs("copy"), git.refs("source"));
    assert_eq!(
        git.run("-C copy rev-list --all --objects"),
        git.run("-C source rev-list --all --objects")
    );
    git.fsck("copy");
}

#[test]
fn what_is_new_is_fetched_and_nothing_else() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    ada(&server, &git);
    git.run("-C ada push -q origin main");
    git.run(&format!("clone -q {} bob", server.git_url("hello")));
    let second = git.commit("ada", "src/main.rs", "fn main() {}\n");
    git.run("-C ada push -q origin main");
    git.run("-C bob pull -q");
    assert_eq!(git.run("-C bob rev-parse HEAD"), second);
    assert_eq!(git.read("bob/src/main.rs"), "fn main() {}\n");
    git.fsck("bob");
    // Nothing is new.
    git.run("-C bob fetch -q");
    assert_eq!(
        git.attempt("-C ada push origin main").stderr,
        "Everything up-to-date\n"
    );
}

#[test]
fn a_branch_is_forced_and_its_past_is_kept() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    let first = ada(&server, &git);
    git.run("-C ada push -q origin main");
    git.run("-C ada commit -q --amend -m another");
    let said = git.refused("-C ada push origin main");
    assert!(
        said.contains("fetch first") || said.contains("non-fast-forward"),
        "{said}"
    );
    git.run("-C ada push -q --force-with-lease origin main");
    let head = git.run("-C ada rev-parse HEAD");
    let refs = git.run("-C ada ls-remote origin refs/heads/main");
    assert!(refs.starts_with(&head), "{refs}");
    let history = server.api().get("/repos/hello/history").expect(200).text();
    assert!(history.contains(&first), "{history}");
}

#[test]
fn branches_and_tags_come_and_go() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    ada(&server, &git);
    git.run("-C ada tag -a -m 'One point oh' v1.0");
    git.run("-C ada tag light");
    git.run("-C ada push -q origin main main:refs/heads/feature/a main:refs/notes/x --tags");
    let refs = git.run("-C ada ls-remote origin");
    for name in [
        "HEAD",
        "refs/heads/main",
        "refs/heads/feature/a",
        "refs/notes/x",
        "refs/tags/v1.0",
        "refs/tags/v1.0^{}",
        "refs/tags/light",
    ] {
        assert!(
            refs.lines()
                .any(|line| line.ends_with(&format!("\t{name}"))),
            "{name} in {refs}"
        );
    }
    // A clone takes the tags with it.
    git.run(&format!("clone -q {} bob", server.git_url("hello")));
    assert_eq!(git.run("-C bob tag -l"), "light\nv1.0");
    assert_eq!(git.run("-C bob cat-file -t v1.0"), "tag");

    git.run("-C ada push -q origin --delete feature/a v1.0");
    let refs = git.run("-C ada ls-remote origin");
    assert!(
        !refs.contains("feature/a") && !refs.contains("v1.0"),
        "{refs}"
    );
    // A name that is free again is free for names below it.
    git.run("-C ada push -q origin main:refs/heads/feature");
}

#[test]
fn an_atomic_push_is_all_or_nothing() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    ada(&server, &git);
    git.run("-C ada push -q origin main");
    git.commit("ada", "second", "2\n");
    git.run("-C ada push -q origin main");
    git.run(&format!("clone -q {} bob", server.git_url("hello")));
    git.commit("ada", "third", "3\n");
    git.run("-C ada push -q origin main");
    // Bob does not know of it, and his push of two refs may not move one of them.
    git.commit("bob", "other", "x\n");
    let said = git.refused("-C bob push --atomic origin main main:refs/heads/also");
    assert!(said.contains("rejected"), "{said}");
    assert!(
        !git.run("-C ada ls-remote origin")
            .contains("refs/heads/also")
    );
    // Without it, what can be moved is moved.
    git.refused("-C bob push origin main main:refs/heads/also");
    assert!(
        git.run("-C ada ls-remote origin")
            .contains("refs/heads/also")
    );
}

/// Here the server refuses, where above git's client did.
#[test]
fn an_atomic_push_with_a_conflict_of_names_moves_nothing() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    ada(&server, &git);
    git.run("-C ada push -q origin main main:refs/heads/a");
    let said = git.refused("-C ada push --atomic origin main:refs/heads/a/b main:refs/heads/c");
    assert!(
        said.contains("atomic") || said.contains("rejected"),
        "{said}"
    );
    assert!(!git.run("-C ada ls-remote origin").contains("refs/heads/c"));
}

#[test]
fn one_push_is_one_change() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    ada(&server, &git);
    let api = server.api();
    let before = api.get("/repos/hello").expect(200).json()["seq"]
        .as_u64()
        .expect("a number");
    git.run("-C ada push -q -o ci.skip -o reason=because origin main main:refs/heads/b main:refs/tags/t");
    let after = api.get("/repos/hello").expect(200).json()["seq"].as_u64();
    assert_eq!(after, Some(before + 1));
    let history = api.get("/repos/hello/history").expect(200).json();
    let newest = &history["items"][0];
    assert_eq!(newest["seq"], json!(before + 1), "{history}");
    assert_eq!(newest["type"], "push");
    assert_eq!(
        newest["ref_updates"].as_array().map(Vec::len),
        Some(3),
        "{newest}"
    );
}

#[test]
fn push_options_are_taken() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    ada(&server, &git);
    git.run("-C ada push -q -o one -o two=2 origin main");
}

/// More than git sends in one piece: it asks with a probe first, then sends chunks.
#[test]
fn a_big_push_comes_in_chunks() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    let mut dice = Dice(11);
    git.write("ada/big", dice.bytes(5 << 20));
    for n in 0..50 {
        git.write(&format!("ada/many/{n}"), dice.bytes(20_000));
    }
    git.commit("ada", "README.md", "big\n");
    git.run("-C ada push -q origin main");
    git.run(&format!("clone -q {} bob", server.git_url("hello")));
    assert_eq!(
        git.run("-C bob rev-parse HEAD^{tree}"),
        git.run("-C ada rev-parse HEAD^{tree}")
    );
    git.fsck("bob");
}

#[test]
fn two_thousand_refs_go_in_one_push() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    let head = ada(&server, &git);
    let updates: String = (0..2000)
        .map(|n| format!("create refs/heads/many/{n} {head}\n"))
        .collect();
    git.feed("-C ada update-ref --stdin", updates.as_bytes());
    git.run("-C ada push -q origin refs/heads/*:refs/heads/*");
    let refs = git.run("-C ada ls-remote --heads origin");
    assert_eq!(refs.lines().count(), 2001);
}

#[test]
fn a_delta_chain_and_its_thin_pack_arrive() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    let mut text: Vec<String> = (0..2000).map(|n| format!("line {n}")).collect();
    let mut dice = Dice(12);
    for round in 0..12 {
        let at = dice.below(text.len());
        text[at] = format!("changed in round {round}");
        git.commit("ada", "long.txt", text.join("\n"));
        git.run("-C ada push -q origin main");
    }
    git.run(&format!("clone -q {} bob", server.git_url("hello")));
    assert_eq!(git.run("-C bob rev-list --count HEAD"), "12");
    assert_eq!(git.read("bob/long.txt"), text.join("\n"));
    git.fsck("bob");
}

/// JGit gzips its pushes, pack and all.
#[test]
fn a_push_may_be_gzipped() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    let head = ada(&server, &git);
    let pack = git.feed("-C ada pack-objects --stdout -q --all", b"");
    let line = format!("{} {head} refs/heads/main\0 report-status", "0".repeat(40));
    let mut body = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    body.extend_from_slice(&pack);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&body).expect("written");
    let request = server
        .http()
        .request("POST", "/hello.git/git-receive-pack")
        .header("content-type", "application/x-git-receive-pack-request")
        .header("content-encoding", "gzip")
        .body(gzip.finish().expect("written"));
    let answer = server.http().send(request).expect(200).text();
    assert!(answer.contains("ok refs/heads/main"), "{answer}");
    git.run(&format!("clone -q {} bob", server.git_url("hello")));
    assert_eq!(git.run("-C bob rev-parse HEAD"), head);
}

/// A client that goes away in the middle leaves nothing, and disturbs nobody.
#[test]
fn half_a_push_is_none() {
    let mut server = TestServer::with_repo("hello");
    let git = Git::new();
    let head = ada(&server, &git);
    let line = format!("{} {head} refs/heads/main\0 report-status", "0".repeat(40));
    let command = format!("{:04x}{line}0000", line.len() + 4);
    let address = server.url().replace("http://", "");
    for promised in [10_000_000, command.len() + 100] {
        let mut stream = std::net::TcpStream::connect(&address).expect("it listens");
        write!(
            stream,
            "POST /hello.git/git-receive-pack HTTP/1.1\r\nhost: {address}\r\n\
             content-type: application/x-git-receive-pack-request\r\n\
             content-length: {promised}\r\n\r\n{command}PACK\0\0\0\x02\0\0\0\x03"
        )
        .expect("sent");
        drop(stream);
    }
    assert_eq!(git.run("-C ada ls-remote origin"), "");
    git.run("-C ada push -q origin main");
    server.stop_well();
}
