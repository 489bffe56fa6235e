//! A fork shares its parent's objects, and shows none that are not its own.

use govc_tests::{EMPTY_PACK, Git, TestServer, push_by_hand};
use serde_json::json;

const NULL: &str = "0000000000000000000000000000000000000000";

#[test]
fn a_fork_goes_its_own_way() {
    let mut server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    git.commit("ada", "a", "a\n");
    git.run("-C ada push -q origin main");
    let fork = server
        .api()
        .post("/repos/hello/fork", &json!({"id": "copy"}))
        .expect(201)
        .json();
    assert_eq!(fork["id"], "copy");
    git.run(&format!("clone -q {} bob", server.git_url("copy")));
    git.commit("bob", "b", "b\n");
    git.run("-C bob push -q origin main");
    let head = git.run("-C ada rev-parse HEAD");
    assert!(
        git.run("-C ada ls-remote origin refs/heads/main")
            .starts_with(&head)
    );

    // The parent goes, the fork stays.
    server.api().delete("/repos/hello").expect(204);
    server.kill_and_start_again();
    git.run(&format!("clone -q {} again", server.git_url("copy")));
    assert_eq!(git.read("again/a"), "a\n");
    git.fsck("again");
    server.stop_well();
    let bare = server.bare("copy").to_string_lossy().into_owned();
    git.fsck(&bare);
}

/// A parent with a secret that its fork never had.
fn secret(server: &TestServer, git: &Git) -> (String, String) {
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    git.commit("ada", "a", "a\n");
    git.run("-C ada push -q origin main");
    server
        .api()
        .post("/repos/hello/fork", &json!({"id": "copy"}))
        .expect(201);
    let commit = git.commit("ada", "secret", "the password is swordfish\n");
    git.run("-C ada push -q origin main");
    let blob = git.run("-C ada rev-parse HEAD:secret");
    (commit, blob)
}

#[test]
fn what_a_sibling_holds_cannot_be_fetched() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    let (commit, blob) = secret(&server, &git);
    git.run(&format!("clone -q {} mallory", server.git_url("copy")));
    for id in [&commit, &blob] {
        git.refused(&format!("-C mallory fetch origin {id}"));
    }
    let api = server.api();
    assert_eq!(
        api.get(&format!("/repos/copy/commits/{commit}")).status,
        404
    );
    let body = json!({"updates": [{"ref": "refs/heads/stolen", "new": commit}]});
    let answer = api.post("/repos/copy/refs", &body);
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    // The one who may see them does.
    git.run(&format!("clone -q {} eve", server.git_url("hello")));
    assert_eq!(git.read("eve/secret"), "the password is swordfish\n");
}

#[test]
fn what_a_sibling_holds_cannot_be_pushed_into_sight() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    let (commit, blob) = secret(&server, &git);

    // A ref at an object that the pool has and this repository may not see.
    let report = push_by_hand(
        &server.http(),
        "copy",
        &[(NULL, &commit, b"refs/heads/stolen")],
        "",
        EMPTY_PACK,
    );
    assert!(
        report
            .of("refs/heads/stolen")
            .is_none_or(|line| line.starts_with("ng")),
        "{report:?}"
    );

    // A tree that names it: the commit and the tree are sent, the blob is not.
    let tree = git.feed(
        "-C ada mktree",
        format!("100644 blob {blob}\tloot\n").as_bytes(),
    );
    let tree = String::from_utf8_lossy(&tree).trim_end().to_owned();
    let mine = git.run(&format!("-C ada commit-tree -m loot {tree}"));
    let pack = git.feed(
        "-C ada pack-objects --stdout -q",
        format!("{mine}\n{tree}\n").as_bytes(),
    );
    let report = push_by_hand(
        &server.http(),
        "copy",
        &[(NULL, &mine, b"refs/heads/stolen")],
        "",
        &pack,
    );
    assert!(
        report
            .of("refs/heads/stolen")
            .is_none_or(|line| line.starts_with("ng")),
        "{report:?}"
    );
    let refs = git.run(&format!("ls-remote {}", server.git_url("copy")));
    assert!(!refs.contains("stolen"), "{refs}");
}
