//! What Git could not take, or would take and regret.

use serde_json::{Value, json};

use crate::kit::{Server, commit, put};

const COMMITS: &str = "/api/v1/repos/hello/commits";

/// The field that a body is refused for.
async fn refused(server: &Server, path: &str, body: Value) -> String {
    let answer = server.post(path, body).await;
    assert_eq!(answer.status, 400, "{answer}");
    assert_eq!(answer.code(), "BODY_INVALID");
    answer.json()["field"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_git_would_take_for_damage_is_refused() {
    let server = Server::with_commit().await;
    let mut early = commit("main", "m", json!([put("a", "")]));
    early["author"]["time"] = json!("1969-12-31T23:59:59Z");
    assert_eq!(refused(&server, COMMITS, early).await, "author.time");
    let mut first = commit("main", "m", json!([put("a", "")]));
    first["author"]["time"] = json!("1970-01-01T00:00:00+01:00");
    let first = server.post(COMMITS, first).await;
    assert_eq!(first.status, 400, "{first}");

    let nul = commit("main", "a\0b", json!([put("a", "")]));
    assert_eq!(refused(&server, COMMITS, nul).await, "message");
    let nul = json!({ "name": "v1", "message": "a\0b" });
    assert_eq!(
        refused(&server, "/api/v1/repos/hello/tags", nul).await,
        "message"
    );

    let nothing = json!([{ "op": "put", "path": "sub", "mode": "160000", "oid": "0".repeat(40) }]);
    let nothing = commit("main", "m", nothing);
    assert_eq!(refused(&server, COMMITS, nothing).await, "actions[0].oid");
    let other = json!([{ "op": "put", "path": "sub", "mode": "160000", "oid": "1".repeat(64) }]);
    let other = server.post(COMMITS, commit("main", "m", other)).await;
    assert_eq!(other.code(), "OBJECT_NOT_FOUND", "{other}");
}

#[tokio::test]
async fn ids_of_another_hash_name_nothing() {
    let server = Server::with_commit().await;
    let long = "1".repeat(64);
    let put = json!({ "oid": long });
    let put = server
        .send("PUT", "/api/v1/repos/hello/refs/heads/x", put)
        .await;
    assert_eq!(put.code(), "REF_NOT_FOUND", "{put}");
    let updates = json!({ "updates": [{ "ref": "refs/heads/x", "new": long }] });
    let batch = server.post("/api/v1/repos/hello/refs", updates).await;
    assert_eq!(batch.code(), "REF_NOT_FOUND", "{batch}");
    let read = server
        .get(&format!("/api/v1/repos/hello/commits/{long}"))
        .await;
    assert_eq!(read.code(), "REF_NOT_FOUND", "{read}");
}

#[tokio::test]
async fn a_slash_alone_is_no_folder() {
    let server = Server::with_commit().await;
    assert_eq!(server.get("/api/v1/repos/hello/tree/").await.status, 200);
    for path in ["tree//", "tree/%2F", "tree//README", "tree/a//"] {
        let answer = server.get(&format!("/api/v1/repos/hello/{path}")).await;
        assert_eq!(answer.code(), "PATH_INVALID", "{path}");
    }
}

#[tokio::test]
async fn a_file_and_what_is_below_it_are_not_written_together() {
    let server = Server::with_commit().await;
    let begun = server.post("/api/v1/repos/hello/transaction", json!({}));
    let begun = begun.await.json()["id"].as_str().unwrap().to_owned();
    let file = |path: &str| json!({ "path": path, "content": path });
    for route in ["write", "add", &format!("transaction/{begun}/add")] {
        let path = format!("/api/v1/repos/hello/{route}");
        for files in [["z", "z/y"], ["z/y", "z"], ["a/b/c", "a/b"]] {
            let files = files.map(|path| format!("{}/{path}", route.len()));
            let both = json!({ "files": [file(&files[0]), file("z!"), file(&files[1])] });
            let answer = server.post(&path, both).await;
            assert_eq!(answer.status, 422, "{route} {files:?}: {answer}");
            assert_eq!(answer.json()["with"], files[0]);
        }
        // Names that only begin alike are not in each other's way, nor is one that comes twice.
        let apart = json!({ "files": [file("x"), file("x.y/x"), file("xx"), file("x")] });
        assert_eq!(server.post(&path, apart).await.status, 200, "{route}");
    }
}

#[tokio::test]
async fn what_takes_no_body_does_not_pass_one_over() {
    let server = Server::with_commit().await;
    let begun = server.post("/api/v1/repos/hello/transaction", json!({}));
    let begun = begun.await.json()["id"].as_str().unwrap().to_owned();
    let hook = json!({ "url": "https://example.org/", "events": ["push"], "active": false });
    let hook = server.post("/api/v1/repos/hello/hooks", hook).await.json();
    let hook = hook["id"].as_str().unwrap();
    for (method, path) in [
        ("POST", format!("/transaction/{begun}/validate")),
        ("POST", format!("/transaction/{begun}/rollback")),
        ("POST", format!("/hooks/{hook}/ping")),
        ("POST", format!("/hooks/{hook}/deliveries/1/redeliver")),
        ("DELETE", format!("/hooks/{hook}")),
        ("DELETE", "/workspaces/nobodys".to_owned()),
        ("DELETE", "/remove/README".to_owned()),
        ("DELETE", "/parallel-realities/nobodys".to_owned()),
        ("DELETE", format!("/stash/{}", "1".repeat(40))),
        ("DELETE", String::new()),
    ] {
        let path = format!("/api/v1/repos/hello{path}");
        let answer = server.send(method, &path, json!({ "dry_run": true })).await;
        assert_eq!(answer.code(), "BODY_INVALID", "{method} {path}");
    }
    let path = format!("/api/v1/repos/hello/transaction/{begun}/validate");
    assert_eq!(server.post(&path, json!({})).await.status, 200);
}

#[tokio::test]
async fn a_mistake_says_where_it_is() {
    let server = Server::with_commit().await;
    let none = json!({ "operations": [{ "repo": "hello", "updates": [] }] });
    let field = refused(&server, "/api/v1/transactions", none).await;
    assert_eq!(field, "operations[0].updates");
    let events = server.get("/api/v1/repos/hello/events?types=pushes").await;
    assert_eq!(events.code(), "QUERY_INVALID", "{events}");
    server.commit("main", "m", "folder/file", "in it\n").await;
    for (path, says) in [
        ("tree/README", "\"README\" is no folder: `/read` gives it"),
        ("read/folder", "\"folder\" is a folder: `/tree` lists it"),
    ] {
        let answer = server.get(&format!("/api/v1/repos/hello/{path}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (404, "PATH_NOT_FOUND".to_owned())
        );
        assert_eq!(answer.json()["detail"], says);
    }
}

#[tokio::test]
async fn what_lives_for_longer_than_a_century_is_refused() {
    let server = Server::with_commit().await;
    let realities = "/api/v1/repos/hello/parallel-realities";
    for seconds in [0, 3_162_240_001, 114_213_205_621_976_736, u64::MAX] {
        let body = json!({ "branches": ["a"], "ttl_seconds": seconds });
        assert_eq!(refused(&server, realities, body).await, "ttl_seconds");
        let body = json!({ "id": "other", "ttl_seconds": seconds });
        assert_eq!(refused(&server, "/api/v1/repos", body).await, "ttl_seconds");
    }
    let body = json!({ "branches": ["a"], "ttl_seconds": 3_162_240_000_u64 });
    let made = server.post(realities, body).await;
    assert_eq!(made.status, 201, "{made}");
    let expires = made.json()["items"][0]["expires_at"].to_string();
    assert!(expires.starts_with("\"212"), "{expires}");
}
