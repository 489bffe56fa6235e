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
