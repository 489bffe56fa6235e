//! Git and REST see one repository.

use govc_tests::{Git, TestServer};
use serde_json::json;

#[test]
fn a_commit_by_rest_is_pulled() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    git.commit("ada", "README.md", "hello\n");
    git.run("-C ada push -q origin main");

    let commit = server
        .api()
        .post(
            "/repos/hello/commits",
            &json!({
                "branch": "main",
                "message": "Greet the world",
                "author": {"name": "Grace", "email": "grace@example.com", "time": "2024-05-01T10:00:00+02:00"},
                "actions": [
                    {"op": "edit", "path": "README.md", "edits": [{"old": "hello", "new": "hello, world"}]},
                    {"op": "put", "path": "src/bin.rs", "content": "fn main() {}\n", "mode": "100755"},
                ],
            }),
        )
        .expect(201)
        .json();
    git.run("-C ada pull -q");
    assert_eq!(
        git.run("-C ada rev-parse HEAD"),
        commit["oid"].as_str().expect("an id")
    );
    assert_eq!(git.read("ada/README.md"), "hello, world\n");
    assert_eq!(
        git.run("-C ada log -1 --format=%s|%an|%ae|%ad --date=raw"),
        "Greet the world|Grace|grace@example.com|1714550400 +0200"
    );
    assert!(git.run("-C ada ls-tree HEAD src/").starts_with("100755"));
    git.fsck("ada");
}

#[test]
fn a_push_is_read_by_rest() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    git.commit("ada", "src/a.txt", "one\n");
    let head = git.commit("ada", "src/a.txt", "two\n");
    git.run("-C ada push -q origin main");
    let api = server.api();
    let read = api.get("/repos/hello/read/src/a.txt").expect(200).json();
    assert_eq!(
        (&read["content"], &read["commit"]),
        (&json!("two\n"), &json!(head))
    );
    let before = api
        .get("/repos/hello/read/src/a.txt?ref=main~1")
        .expect(200)
        .json();
    assert_eq!(before["content"], "one\n");
    let log = api.get("/repos/hello/log").expect(200).json();
    assert_eq!(log["items"].as_array().map(Vec::len), Some(2));
    let tree = api.get("/repos/hello/tree/src").expect(200).json();
    assert_eq!(tree["items"][0]["path"], "src/a.txt", "{tree}");
}

#[test]
fn the_first_commit_by_rest_makes_the_branch() {
    let server = TestServer::with_repo("hello");
    let body = json!({
        "branch": "main", "message": "First",
        "actions": [{"op": "put", "path": "a/b/c", "content": "x"}],
    });
    server.api().post("/repos/hello/commits", &body).expect(201);
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    assert_eq!(git.read("ada/a/b/c"), "x");
    git.fsck("ada");
}

#[test]
fn who_believes_what_is_gone_is_told() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    let first = git.commit("ada", "a", "1\n");
    git.run("-C ada push -q origin main");
    let second = git.commit("ada", "a", "2\n");
    git.run("-C ada push -q origin main");
    let body = json!({
        "branch": "main", "message": "Late", "expected_head": first,
        "actions": [{"op": "put", "path": "b", "content": "x"}],
    });
    let problem = server
        .api()
        .post("/repos/hello/commits", &body)
        .problem(409, "REF_MOVED");
    assert_eq!(problem["current"], json!(second));
}
