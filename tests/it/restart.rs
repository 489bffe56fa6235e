//! Whatever was answered is there after `kill -9`, and after a stop git itself reads the folder.

use govc_tests::{Git, History, TestServer};
use serde_json::json;

#[test]
fn what_was_answered_survives_kill_9() {
    let mut server = TestServer::with_repo("hello");
    let git = Git::new();
    let url = server.git_url("hello");
    History::of(80, 21).make(&git, "source");
    git.run(&format!("-C source push -q --mirror {url}"));
    server.kill_and_start_again();
    git.run(&format!("clone -q --mirror {url} copy"));
    assert_eq!(git.refs("copy"), git.refs("source"));
    git.fsck("copy");

    // A small push, a commit by REST, a deletion, and all over again.
    git.run(&format!("clone -q {url} ada"));
    git.run("-C ada checkout -q --orphan fresh");
    let pushed = git.commit("ada", "small", "x\n");
    git.run("-C ada push -q origin fresh");
    let body = json!({
        "branch": "fresh", "message": "By REST",
        "actions": [{"op": "put", "path": "rest", "content": "y\n"}],
    });
    let commit = server
        .api()
        .post("/repos/hello/commits", &body)
        .expect(201)
        .json();
    assert_eq!(commit["parents"], json!([pushed]));
    git.run("-C ada push -q origin --delete v0");
    let history = server.api().get("/repos/hello/history").expect(200).json();
    server.kill_and_start_again();
    assert_eq!(
        server.api().get("/repos/hello/history").expect(200).json(),
        history
    );
    git.run("-C ada pull -q origin fresh");
    assert_eq!(git.read("ada/rest"), "y\n");
    assert_eq!(git.run("-C ada ls-remote origin refs/tags/v0"), "");
    // And it goes on from there.
    git.commit("ada", "more", "z\n");
    git.run("-C ada push -q origin fresh");
}

#[test]
fn after_a_stop_the_folder_is_a_bare_repository() {
    let mut server = TestServer::with_repo("hello");
    let git = Git::new();
    let url = server.git_url("hello");
    History::of(80, 22).make(&git, "source");
    git.run(&format!("-C source push -q --mirror {url}"));
    let body = json!({
        "branch": "main", "message": "By REST",
        "actions": [{"op": "put", "path": "rest", "content": "y\n"}],
    });
    server.api().post("/repos/hello/commits", &body).expect(201);
    git.run(&format!("-C source fetch -q {url} +refs/*:refs/*"));
    server.stop_well();
    let bare = server.bare("hello").to_string_lossy().into_owned();
    assert_eq!(git.refs(&bare), git.refs("source"));
    git.fsck(&bare);
    server.start_again();
    git.run(&format!("clone -q --mirror {url} copy"));
    assert_eq!(git.refs("copy"), git.refs("source"));
    git.fsck("copy");
}

#[test]
fn kills_in_a_row_lose_nothing() {
    let mut server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    for n in 0..6 {
        let head = git.commit("ada", &format!("file-{n}"), format!("{n}\n"));
        git.run("-C ada push -q origin main");
        server.kill_and_start_again();
        let refs = git.run("-C ada ls-remote origin refs/heads/main");
        assert!(refs.starts_with(&head), "round {n}: {refs}");
    }
    git.run(&format!("clone -q {} bob", server.git_url("hello")));
    assert_eq!(git.run("-C bob rev-list --count HEAD"), "6");
    git.fsck("bob");
}

#[test]
fn a_sha256_repository_survives_too() {
    let mut server = TestServer::start();
    server.create_as(&json!({"id": "hello", "object_format": "sha256"}));
    let git = Git::new();
    let url = server.git_url("hello");
    let history = History {
        object_format: "sha256",
        ..History::of(30, 23)
    };
    history.make(&git, "source");
    git.run(&format!("-C source push -q --mirror {url}"));
    server.kill_and_start_again();
    assert_eq!(
        git.run(&format!("ls-remote {url} HEAD")).len(),
        64 + "\tHEAD".len()
    );
    server.stop_well();
    server.start_again();
    git.run(&format!("clone -q --mirror {url} copy"));
    assert_eq!(git.refs("copy"), git.refs("source"));
    git.fsck("copy");
}

#[test]
fn each_storage_serves_and_memory_forgets() {
    for storage in ["hybrid", "disk", "memory"] {
        let mut server = TestServer::with_storage(storage);
        server.create("hello");
        let git = Git::new();
        let url = server.git_url("hello");
        History::of(30, 24).make(&git, "source");
        git.run(&format!("-C source push -q --mirror {url}"));
        git.run(&format!("clone -q --mirror {url} copy"));
        assert_eq!(git.refs("copy"), git.refs("source"), "{storage}");
        server.stop_well();
        server.start_again();
        if storage == "memory" {
            server
                .api()
                .get("/repos/hello")
                .problem(404, "REPO_NOT_FOUND");
        } else {
            git.run(&format!("clone -q --mirror {url} again"));
            assert_eq!(git.refs("again"), git.refs("source"), "{storage}");
        }
    }
}

#[test]
fn a_deleted_repository_stays_deleted_and_can_come_back() {
    let mut server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    git.commit("ada", "a", "a\n");
    git.run("-C ada push -q origin main");
    server.api().delete("/repos/hello").expect(204);
    git.refused("-C ada fetch");
    server.kill_and_start_again();
    server
        .api()
        .get("/repos/hello")
        .problem(404, "REPO_NOT_FOUND");
    server
        .api()
        .post("/repos/hello/restore", &json!({}))
        .expect(200);
    git.run("-C ada fetch -q");
    server.kill_and_start_again();
    git.run("-C ada fetch -q");
}
