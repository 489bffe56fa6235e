use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::kit::{Server, commit, put};

#[tokio::test]
async fn a_repository_is_made_shown_changed_deleted_and_brought_back() {
    let server = Server::new();
    let made = server
        .post(
            "/api/v1/repos",
            json!({ "id": "group/hello", "description": "d" }),
        )
        .await;
    assert_snapshot!(made.showing(&["location", "govc-seq"]), @r#"
    201 Created
    location: /api/v1/repos/group%2Fhello
    govc-seq: 0
    {"id":"group/hello","description":"d","default_branch":"main","storage":"memory","object_format":"sha1","head":null,"seq":0,"created_at":"2023-11-14T22:13:20.000000Z","updated_at":"2023-11-14T22:13:20.001000Z","clone_url":"http://localhost/group/hello.git"}
    "#);
    assert_snapshot!(server.get("/api/v1/repos/group%2Fhello").await, @r#"
    200 OK
    {"id":"group/hello","description":"d","default_branch":"main","storage":"memory","object_format":"sha1","head":null,"seq":0,"created_at":"2023-11-14T22:13:20.000000Z","updated_at":"2023-11-14T22:13:20.001000Z","clone_url":"http://localhost/group/hello.git"}
    "#);
    assert_snapshot!(server.post("/api/v1/repos", json!({ "id": "GROUP/hello" })).await, @r#"
    409 Conflict
    {"detail":"the repository \"GROUP/hello\" exists already","code":"REPO_EXISTS","id":"GROUP/hello"}
    "#);

    let patch = json!({
        "id": "other", "default_branch": "dev", "settings": { "quotas": { "refs": 7 } },
    });
    let patched = server
        .send("PATCH", "/api/v1/repos/group%2Fhello", patch)
        .await;
    assert_eq!(patched.json()["settings"]["quotas"]["refs"], 7);
    assert_snapshot!(patched.showing(&["govc-seq"]), @r#"
    200 OK
    govc-seq: 1
    {"id":"other","description":"d","default_branch":"dev","storage":"memory","object_format":"sha1","head":null,"seq":1,"created_at":"2023-11-14T22:13:20.000000Z","updated_at":"2023-11-14T22:13:20.002000Z","clone_url":"http://localhost/other.git"}
    "#);
    assert_snapshot!(server.get("/api/v1/repos/group%2Fhello").await, @r#"
    404 Not Found
    {"detail":"there is no repository \"group/hello\"","code":"REPO_NOT_FOUND","repo":"group/hello"}
    "#);

    let deleted = server.delete("/api/v1/repos/other").await;
    assert_snapshot!(deleted.showing(&["govc-seq"]), @r#"
    204 No Content
    govc-seq: 2
    "#);
    assert_snapshot!(server.get("/api/v1/repos/other").await, @r#"
    404 Not Found
    {"detail":"there is no repository \"other\"","code":"REPO_NOT_FOUND","repo":"other"}
    "#);
    assert_eq!(
        server
            .post("/api/v1/repos", json!({ "id": "other" }))
            .await
            .status,
        201
    );
    assert_eq!(
        server
            .post("/api/v1/repos/other/restore", json!({}))
            .await
            .code(),
        "REPO_EXISTS"
    );
    let back = server
        .post("/api/v1/repos/other/restore", json!({ "as": "back" }))
        .await;
    assert_snapshot!(back.showing(&["govc-seq"]), @r#"
    200 OK
    govc-seq: 3
    {"id":"back","description":"d","default_branch":"dev","storage":"memory","object_format":"sha1","head":null,"seq":3,"created_at":"2023-11-14T22:13:20.000000Z","updated_at":"2023-11-14T22:13:20.007000Z","clone_url":"http://localhost/back.git"}
    "#);
    assert_eq!(
        server
            .post("/api/v1/repos/none/restore", json!({}))
            .await
            .code(),
        "REPO_NOT_FOUND"
    );
}

#[tokio::test]
async fn what_cannot_be_a_repository_is_refused() {
    let server = Server::new();
    for (body, status, code) in [
        (json!({}), 400, "BODY_INVALID"),
        (json!({ "id": 5 }), 400, "BODY_INVALID"),
        (json!({ "id": "" }), 400, "BODY_INVALID"),
        (json!({ "id": "../x" }), 400, "BODY_INVALID"),
        (json!({ "id": "x.git" }), 400, "BODY_INVALID"),
        (json!({ "id": "a/b/c/d" }), 400, "BODY_INVALID"),
        (json!({ "id": "health" }), 422, "REPO_ID_RESERVED"),
        (json!({ "id": "a/nul" }), 422, "REPO_ID_RESERVED"),
        (
            json!({ "id": "a", "default_branch": "a..b" }),
            400,
            "REF_INVALID",
        ),
        (json!({ "id": "a", "storage": "tape" }), 400, "BODY_INVALID"),
        (
            json!({ "id": "a", "storage": "disk", "memory_only": true }),
            400,
            "BODY_INVALID",
        ),
        (
            json!({ "id": "a", "object_format": "md5" }),
            400,
            "BODY_INVALID",
        ),
        (json!({ "id": "a", "ttl_seconds": 0 }), 400, "BODY_INVALID"),
        (json!({ "id": "a", "nam": 1 }), 400, "BODY_INVALID"),
        // This one has no disk.
        (
            json!({ "id": "a", "storage": "hybrid" }),
            422,
            "STORAGE_UNAVAILABLE",
        ),
    ] {
        let answer = server.post("/api/v1/repos", body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{body}"
        );
    }
    assert!(server.get("/api/v1/repos").await.items("id").is_empty());
}

#[tokio::test]
async fn repositories_are_listed_in_pages() {
    let server = Server::new();
    for id in ["b", "A", "c/x", "c/y"] {
        server.post("/api/v1/repos", json!({ "id": id })).await;
    }
    let first = server.get("/api/v1/repos?limit=3").await;
    assert_eq!(first.items("id"), ["A", "b", "c/x"]);
    let link = first.header("link").to_owned();
    let next = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    // What is made meanwhile before the cursor shifts nothing.
    server.post("/api/v1/repos", json!({ "id": "aa" })).await;
    let second = server.get(next).await;
    assert_eq!(second.items("id"), ["c/y"]);
    assert!(second.json()["next_cursor"].is_null());
    assert_eq!(
        server.get("/api/v1/repos?prefix=c%2F").await.items("id"),
        ["c/x", "c/y"]
    );
}

#[tokio::test]
async fn a_fork_is_its_parent_as_it_was() {
    let server = Server::with_commit().await;
    let second = server.commit("main", "second", "README", "bye\n").await;
    let fork = json!({ "id": "fork", "at": 1 });
    let fork = server.post("/api/v1/repos/hello/fork", fork).await;
    assert_snapshot!(fork.showing(&["location", "govc-seq"]), @r#"
    201 Created
    location: /api/v1/repos/fork
    govc-seq: 0
    {"id":"fork","description":"","default_branch":"main","storage":"memory","object_format":"sha1","head":"b95302505042fda2369ccf51f21cebbbf731e1f7","seq":0,"forked_from":{"id":"hello","seq":1},"created_at":"2023-11-14T22:13:20.006000Z","updated_at":"2023-11-14T22:13:20.007000Z","clone_url":"http://localhost/fork.git"}
    "#);
    assert_eq!(
        server.get("/api/v1/repos/fork/read/README").await.json()["content"],
        "hello\n"
    );
    // What came later is not the fork's to see.
    let answer = server
        .get(&format!("/api/v1/repos/fork/commits/{second}"))
        .await;
    assert_eq!(answer.code(), "REF_NOT_FOUND");
    for (body, code) in [
        (json!({ "id": "f", "at": 99 }), "SEQ_NOT_FOUND"),
        (json!({ "id": "f", "at": "2001-01-01" }), "SEQ_NOT_FOUND"),
        (json!({ "id": "f", "at": "soon" }), "BODY_INVALID"),
        (json!({ "id": "f", "at": true }), "BODY_INVALID"),
        (json!({ "id": "hello" }), "REPO_EXISTS"),
    ] {
        let answer = server.post("/api/v1/repos/hello/fork", body.clone()).await;
        assert_eq!(answer.code(), code, "{body}");
    }
    server.delete("/api/v1/repos/hello").await;
    assert_eq!(
        server.get("/api/v1/repos/fork/read/README").await.json()["content"],
        "hello\n"
    );
}

#[tokio::test]
async fn a_repository_goes_when_its_time_is_over() {
    let server = Server::new();
    server
        .post("/api/v1/repos", json!({ "id": "brief", "ttl_seconds": 10 }))
        .await;
    server
        .post("/api/v1/repos", json!({ "id": "lasting" }))
        .await;
    server.wait(5).await;
    assert_eq!(
        server.get("/api/v1/repos").await.items("id"),
        ["brief", "lasting"]
    );
    server.wait(5).await;
    assert_eq!(server.get("/api/v1/repos").await.items("id"), ["lasting"]);
}

/// Settings of `id`: a quota of so many objects and bytes.
async fn set_quota(server: &Server, id: &str, objects: u64, bytes: u64) {
    let quotas = json!({ "settings": { "quotas": { "objects": objects, "bytes": bytes } } });
    let repo = format!("/api/v1/repos/{id}");
    assert_eq!(server.send("PATCH", &repo, quotas).await.status, 200);
}

#[tokio::test]
async fn a_quota_counts_what_the_repository_has_and_not_its_family() {
    let server = Server::with_commit().await;
    let size = |id: &str| format!("/api/v1/repos/{id}");
    let forked = server.post("/api/v1/repos/hello/fork", json!({ "id": "fork" }));
    assert_eq!(forked.await.status, 201);
    // A commit, its tree and a blob each.
    for n in 0..4 {
        server
            .commit("main", "m", &format!("f{n}"), &"x".repeat(500))
            .await;
    }
    let objects = |answer: Value| answer["size"]["objects"].as_u64().unwrap();
    assert_eq!(objects(server.get(&size("hello")).await.json()), 15);
    assert_eq!(objects(server.get(&size("fork")).await.json()), 3);

    let write = async |content: &str| {
        let body = commit("main", "m", json!([put("new", content)]));
        server.post("/api/v1/repos/fork/commits", body).await
    };
    set_quota(&server, "fork", 6, 1500).await;
    assert_eq!(write("a").await.status, 201);
    let over = write("b").await;
    assert_eq!(over.json()["setting"], "settings.quotas.objects", "{over}");
    set_quota(&server, "fork", 100, 1500).await;
    let over = write(&"y".repeat(1500)).await;
    assert_eq!(over.json()["setting"], "settings.quotas.bytes", "{over}");
    assert_eq!(write("b").await.status, 201);

    // The parent is held to what it has itself, too, and what no pack has yet counts.
    set_quota(&server, "hello", 100, 2000).await;
    let body = commit("main", "m", json!([put("new", "")]));
    let over = server.post("/api/v1/repos/hello/commits", body).await;
    assert_eq!(over.json()["setting"], "settings.quotas.bytes", "{over}");
}

#[tokio::test]
async fn a_belief_about_a_repository_is_held_against_its_newest_change() {
    for round in 0..20 {
        let server = Server::with_commit().await;
        let repo = "/api/v1/repos/hello";
        let head = server.get(repo).await.json()["head"].clone();
        let belief = format!("\"{}\"", head.as_str().unwrap());
        let belief = [("if-match", belief.as_str())];
        let commit = commit("main", "m", json!([put("f", "f")]));
        let commit = server.post("/api/v1/repos/hello/commits", commit);
        let (commit, other) = if round % 2 == 0 {
            tokio::join!(commit, server.call("DELETE", repo, &belief, ""))
        } else {
            let rename = json!({ "id": "renamed" });
            tokio::join!(commit, server.send_with("PATCH", repo, &belief, rename))
        };
        // One of them was first: a commit that was is what the other one did not know of.
        match other.status.as_u16() {
            412 => assert_eq!(commit.status, 201),
            200 => {}
            204 => assert_eq!(commit.code(), "REPO_NOT_FOUND"),
            _ => panic!("{other}"),
        }
        if commit.status == 201 && round % 2 == 0 {
            assert_eq!(other.json()["current"], commit.json()["oid"]);
        }
    }
}
