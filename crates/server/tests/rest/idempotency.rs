use govc_server::config::Config;
use http::StatusCode;
use serde_json::{Value, json};

use crate::kit::{Answer, Server, commit, put};

async fn keyed(server: &Server, key: &str, method: &str, path: &str, body: Value) -> Answer {
    server
        .send_with(method, path, &[("idempotency-key", key)], body)
        .await
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_after_a_restart_too() {
    let mut server = Server::with_commit().await;
    let first = server.get("/api/v1/repos/hello").await.json()["head"].clone();
    let writes = [
        ("POST", "/api/v1/repos", json!({ "id": "made" })),
        (
            "POST",
            "/api/v1/repos/hello/commits",
            commit("main", "m", json!([put("f", "1")])),
        ),
        (
            "POST",
            "/api/v1/repos/hello/branches",
            json!({ "name": "dev" }),
        ),
        (
            "POST",
            "/api/v1/repos/hello/tags",
            json!({ "name": "v1", "message": "one" }),
        ),
        (
            "PUT",
            "/api/v1/repos/hello/refs/heads/put",
            json!({ "oid": first }),
        ),
        (
            "POST",
            "/api/v1/repos/hello/refs",
            json!({ "updates": [{ "ref": "refs/heads/put", "new": null }] }),
        ),
        ("DELETE", "/api/v1/repos/hello/branches/dev", json!({})),
        (
            "PATCH",
            "/api/v1/repos/hello",
            json!({ "description": "d" }),
        ),
        ("POST", "/api/v1/repos/hello/fork", json!({ "id": "fork" })),
        ("DELETE", "/api/v1/repos/hello", json!({})),
        ("POST", "/api/v1/repos/hello/restore", json!({})),
    ];
    let mut answers = Vec::new();
    for (number, (method, path, body)) in writes.iter().enumerate() {
        let key = format!("key {number}");
        let answer = keyed(&server, &key, method, path, body.clone()).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer}");
        let again = keyed(&server, &key, method, path, body.clone()).await;
        check(&answer, &again);
        answers.push(answer);
    }
    server.restart();
    for (number, (method, path, body)) in writes.iter().enumerate() {
        let key = format!("key {number}");
        check(
            &answers[number],
            &keyed(&server, &key, method, path, body.clone()).await,
        );
        let other = keyed(&server, &key, method, path, json!({ "other": 1 })).await;
        assert_eq!(other.code(), "IDEMPOTENCY_KEY_REUSED", "{method} {path}");
    }
}

fn check(first: &Answer, again: &Answer) {
    let text = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(again.header("idempotency-replayed"), "true", "{again}");
    assert_eq!((first.status, text(first)), (again.status, text(again)));
    for name in ["govc-seq", "location", "content-type"] {
        assert_eq!(first.header(name), again.header(name), "{name}");
    }
}

#[tokio::test]
async fn what_logged_nothing_is_kept_while_the_server_runs() {
    let server = Server::with_commit().await;
    let path = "/api/v1/repos/hello/commits";
    let refused = commit("none", "m", json!([]));
    let first = keyed(&server, "k", "POST", path, refused.clone()).await;
    assert_eq!(
        (first.status.as_u16(), first.header("idempotency-replayed")),
        (404, "")
    );
    check(
        &first,
        &keyed(&server, "k", "POST", path, refused.clone()).await,
    );
    // Another path, query or method is another request.
    let other = keyed(
        &server,
        "k",
        "POST",
        "/api/v1/repos/hello/commits?dry_run",
        refused,
    )
    .await;
    assert_eq!(other.header("idempotency-replayed"), "");
    for wrong in ["", &"x".repeat(256)] {
        let answer = keyed(&server, wrong, "POST", path, json!({})).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::BAD_REQUEST, "QUERY_INVALID")
        );
    }
}

#[tokio::test]
async fn two_at_once_are_done_once() {
    let server = Server::with_commit().await;
    let path = "/api/v1/repos/hello/commits";
    let body = || commit("main", "once", json!([put("f", "1")]));
    let (a, b) = tokio::join!(
        keyed(&server, "k", "POST", path, body()),
        keyed(&server, "k", "POST", path, body()),
    );
    assert_eq!((a.status.as_u16(), &a.body), (201, &b.body));
    let replayed = [
        a.header("idempotency-replayed"),
        b.header("idempotency-replayed"),
    ];
    assert_eq!(replayed.iter().filter(|said| **said == "true").count(), 1);
    assert_eq!(server.get("/api/v1/repos/hello").await.json()["seq"], 2);
}

#[tokio::test]
async fn what_was_logged_is_found_again_when_memory_forgot_it() {
    let mut config: Config = crate::kit::config();
    config.limits.idempotency_keys = 1;
    let server = Server::with(config);
    let first = keyed(&server, "a", "POST", "/api/v1/repos", json!({ "id": "a" })).await;
    for id in ["b", "c"] {
        keyed(&server, id, "POST", "/api/v1/repos", json!({ "id": id })).await;
    }
    check(
        &first,
        &keyed(&server, "a", "POST", "/api/v1/repos", json!({ "id": "a" })).await,
    );
}
