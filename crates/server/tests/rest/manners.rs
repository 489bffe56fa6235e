use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;

use crate::kit::{Server, commit, config, put};

#[tokio::test]
async fn problems_are_documents() {
    let server = Server::new();
    let answer = server.get("/api/v1/repos/none").await;
    assert_snapshot!(String::from_utf8_lossy(&answer.body), @r#"{"type":"urn:govc:problem:REPO_NOT_FOUND","title":"No such repository","status":404,"detail":"there is no repository \"none\"","instance":"/api/v1/repos/none","code":"REPO_NOT_FOUND","request_id":"test","repo":"none"}"#);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("x-request-id"), "test");
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_there_says_how() {
    let server = Server::with_commit().await;
    for path in [
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/repos",
        "/api/v1/repos/",
        "/api/v1/repos/hello/",
        "/api/v1/repos/hello/nothing",
        "/api/v1/repos/hello/workspaces/w/nothing",
        "/none",
        "/a/b/c/d/e",
    ] {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            let answer = server.call(method, path, &[], "").await;
            assert_eq!(answer.status, 404, "{method} {path}: {answer}");
        }
    }
    for (path, allow) in [
        ("/", "GET, HEAD, OPTIONS"),
        ("/health", "GET, HEAD, OPTIONS"),
        ("/version", "GET, HEAD, OPTIONS"),
        ("/api/v1/repos", "GET, HEAD, POST, OPTIONS"),
        ("/api/v1/repos/hello", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("/api/v1/repos/hello/commits", "POST, OPTIONS"),
        ("/api/v1/repos/hello/read/README", "GET, HEAD, OPTIONS"),
        ("/api/v1/repos/hello/tree", "GET, HEAD, OPTIONS"),
        (
            "/api/v1/repos/hello/refs/heads/main",
            "GET, HEAD, PUT, DELETE, OPTIONS",
        ),
    ] {
        let options = server.call("OPTIONS", path, &[], "").await;
        assert_eq!(
            (options.status.as_u16(), options.header("allow")),
            (204, allow),
            "{path}"
        );
        let wrong = server.call("BREW", path, &[], "").await;
        assert_eq!(
            (wrong.status.as_u16(), wrong.header("allow")),
            (405, allow),
            "{path}"
        );
        assert_eq!(wrong.code(), "METHOD_NOT_ALLOWED");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = Server::with_commit().await;
    for path in [
        "/",
        "/health",
        "/api/v1/repos",
        "/api/v1/repos/hello/read/README",
        "/api/v1/repos/hello/log",
        "/api/v1/repos/none",
    ] {
        let get = server.get(path).await;
        let head = server.call("HEAD", path, &[], "").await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(
            head.header("content-length"),
            get.body.len().to_string(),
            "{path}"
        );
        assert_eq!(head.header("etag"), get.header("etag"), "{path}");
    }
}

#[tokio::test]
async fn bodies_are_json_and_not_too_large() {
    let mut config = config();
    config.limits.json_body = govc_server::config::units::Bytes(4096);
    config.limits.file = govc_server::config::units::Bytes(8);
    let server = Server::with(config);
    let repos = "/api/v1/repos";
    for (kind, body, status, code) in [
        ("application/json", "{\"id\":\"a\"}", 201, ""),
        ("application/json; charset=utf-8", "{\"id\":\"b\"}", 201, ""),
        (
            "application/json",
            "{\"id\":\"a\",\"id\":\"b\"}",
            400,
            "BODY_INVALID",
        ),
        ("application/json", "{\"id\":\"c\"} x", 400, "BODY_INVALID"),
        (
            "application/json",
            "{\"id\":\"\u{0}\"}",
            400,
            "BODY_INVALID",
        ),
        (
            "application/json",
            "{\"id\":\"\\ud800\"}",
            400,
            "BODY_INVALID",
        ),
        ("application/json", "", 400, "BODY_INVALID"),
        (
            "text/plain",
            "{\"id\":\"c\"}",
            415,
            "MEDIA_TYPE_UNSUPPORTED",
        ),
        (
            "application/json; charset=latin1",
            "{\"id\":\"c\"}",
            415,
            "MEDIA_TYPE_UNSUPPORTED",
        ),
    ] {
        let answer = server
            .call("POST", repos, &[("content-type", kind)], body)
            .await;
        assert_eq!(answer.status, status, "{kind} {body}: {answer}");
        assert!(
            status == 201 || answer.code() == code,
            "{kind} {body}: {answer}"
        );
    }
    let large = server.post(repos, json!({ "id": "x".repeat(5000) })).await;
    assert_snapshot!(large, @r#"
    413 Payload Too Large
    {"detail":"the body is over the limit of 4096 (limits.json_body)","code":"TOO_LARGE","limit":4096,"setting":"limits.json_body"}
    "#);
    let content = commit("main", "m", json!([put("f", "123456789")]));
    assert_snapshot!(server.post("/api/v1/repos/a/commits", content).await, @r#"
    413 Payload Too Large
    {"detail":"the content of \"f\" is over the limit of 8 (limits.file)","code":"TOO_LARGE","limit":8,"setting":"limits.file"}
    "#);
}

#[tokio::test]
async fn who_has_no_token_is_asked_for_it() {
    let mut config = config();
    config.auth.token = "s3cret".into();
    let server = Server::with(config);
    let nobody = server.get("/api/v1/repos").await;
    assert_snapshot!(nobody, @r#"
    401 Unauthorized
    {"detail":"this server wants a token: send it as `Authorization: Bearer`, or as Git's password","code":"UNAUTHENTICATED"}
    "#);
    let asked: Vec<_> = nobody.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(
        asked,
        [
            "Bearer realm=\"govc\"",
            "Basic realm=\"govc\", charset=\"UTF-8\""
        ]
    );
    for path in [
        "/api/v1/repos/x",
        "/api/v1/none",
        "/x",
        "/x.git/info/refs?service=git-upload-pack",
    ] {
        assert_eq!(server.get(path).await.status, 401, "{path}");
    }
    for path in ["/", "/health", "/health/live", "/health/ready", "/version"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    for value in ["Bearer s3cret", "Basic Z2l0OnMzY3JldA=="] {
        assert_eq!(
            server
                .get_with("/api/v1/repos", &[("authorization", value)])
                .await
                .status,
            200
        );
    }
    assert_eq!(
        server
            .get_with("/api/v1/repos", &[("authorization", "Bearer x")])
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn heads_names_and_queries_have_limits() {
    let server = Server::with_commit().await;
    let long = "x".repeat(70_000);
    assert_snapshot!(server.get_with("/health", &[("x-long", &long)]).await, @r#"
    431 Request Header Fields Too Large
    {"detail":"the request's line and headers are over 65536 bytes (limits.request_head)","code":"HEAD_TOO_LARGE","limit":65536,"setting":"limits.request_head"}
    "#);
    assert_snapshot!(server.get_with("/health", &[("host", "evil.example")]).await, @r#"
    421 Misdirected Request
    {"detail":"this server does not answer to the name \"evil.example\"; see server.allowed_hosts","code":"HOST_NOT_SERVED","host":"evil.example"}
    "#);
    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=1&limit=2",
        "cursor=x",
        "x=1",
        "workspace=w&transaction=t",
        "at=1&workspace=w",
        "%FF=1",
    ] {
        let answer = server
            .get(&format!("/api/v1/repos/hello/refs?{query}"))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "QUERY_INVALID"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn answers_are_compressed_when_asked() {
    let server = Server::with_commit().await;
    for n in 0..10 {
        server
            .commit("main", &format!("number {n}"), "README", &n.to_string())
            .await;
    }
    for coding in ["gzip", "zstd"] {
        let answer = server
            .get_with("/api/v1/repos/hello/log", &[("accept-encoding", coding)])
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-encoding")),
            (200, coding)
        );
    }
    let plain = server.get("/api/v1/repos/hello/log").await;
    assert_eq!(plain.header("content-encoding"), "");
}

#[tokio::test]
async fn other_origins_see_nothing_unless_they_may() {
    let origin = ("origin", "https://app.example");
    let allowed = "access-control-allow-origin";
    let closed = Server::new();
    assert_eq!(
        closed
            .get_with("/api/v1/repos", &[origin])
            .await
            .header(allowed),
        ""
    );
    let mut config = config();
    config.server.cors_origins = vec!["https://app.example".to_owned()];
    let open = Server::with(config);
    assert_eq!(
        open.get_with("/api/v1/repos", &[origin])
            .await
            .header(allowed),
        "https://app.example"
    );
    let other = ("origin", "https://evil.example");
    assert_eq!(
        open.get_with("/api/v1/repos", &[other])
            .await
            .header(allowed),
        ""
    );
    let preflight = [origin, ("access-control-request-method", "POST")];
    let answer = open.call("OPTIONS", "/api/v1/repos", &preflight, "").await;
    assert_snapshot!(answer.showing(&["access-control-allow-origin", "access-control-allow-methods"]), @r#"
    204 No Content
    access-control-allow-origin: https://app.example
    access-control-allow-methods: GET, HEAD, POST, OPTIONS
    "#);
}

#[tokio::test]
async fn a_read_waits_for_the_number_it_wants() {
    let server = Server::with_commit().await;
    let path = "/api/v1/repos/hello/read/new";
    let write = server.commit("main", "second", "new", "2");
    let (read, _) = tokio::join!(server.get_with(path, &[("govc-min-seq", "2")]), write);
    assert_eq!((read.status.as_u16(), read.header("govc-seq")), (200, "2"));
    assert_eq!(
        server.get_with(path, &[("govc-min-seq", "x")]).await.code(),
        "QUERY_INVALID"
    );
    // It waits ten seconds, and no longer. Here nobody has the time: it is still waiting.
    let late = server.get_with(path, &[("govc-min-seq", "3")]);
    assert!(
        tokio::time::timeout(Duration::from_millis(10), late)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn quotas_and_settings_are_kept() {
    let server = Server::with_commit().await;
    let repo = "/api/v1/repos/hello";
    let settings = json!({ "settings": { "quotas": { "refs": 2 }, "deny_deletes": true, "deny_non_fast_forwards": true } });
    assert_eq!(server.send("PATCH", repo, settings).await.status, 200);
    let branches = "/api/v1/repos/hello/branches";
    assert_eq!(
        server.post(branches, json!({ "name": "two" })).await.status,
        201
    );
    assert_snapshot!(server.post(branches, json!({ "name": "three" })).await, @r#"
    422 Unprocessable Entity
    {"detail":"the repository would go over its quota of 2 refs (settings.quotas.refs)","code":"QUOTA_EXCEEDED","limit":2,"setting":"settings.quotas.refs"}
    "#);
    assert_snapshot!(server.delete("/api/v1/repos/hello/branches/two").await, @r#"
    422 Unprocessable Entity
    {"detail":"refs/heads/two: refs are not deleted here (settings.deny_deletes)","code":"DELETE_DENIED","ref":"refs/heads/two"}
    "#);
    let first = server.get(repo).await.json()["head"].clone();
    server.commit("main", "second", "README", "2").await;
    let back = server
        .send(
            "PUT",
            "/api/v1/repos/hello/refs/heads/main",
            json!({ "oid": first }),
        )
        .await;
    assert_snapshot!(back, @r#"
    422 Unprocessable Entity
    {"detail":"refs/heads/main: branches only move forwards here (settings.deny_non_fast_forwards)","code":"NOT_FAST_FORWARD","ref":"refs/heads/main"}
    "#);
    let settings = json!({ "settings": { "quotas": { "refs": null, "objects": 1 } } });
    assert_eq!(server.send("PATCH", repo, settings).await.status, 200);
    let over = commit("main", "m", json!([put("f", "")]));
    assert_eq!(
        server
            .post("/api/v1/repos/hello/commits", over)
            .await
            .code(),
        "QUOTA_EXCEEDED"
    );
}

#[tokio::test]
async fn a_page_says_how_it_may_be_asked_for() {
    let server = Server::with_repo().await;
    let options = server.call("OPTIONS", "/hello", &[], "").await;
    assert_eq!(options.status, 204);
    assert_eq!(options.header("allow"), "GET, HEAD, OPTIONS");
    let posted = server.call("POST", "/hello.git", &[], "").await;
    assert_eq!(posted.status, 405);
    assert_eq!(posted.header("allow"), "GET, HEAD, OPTIONS");
    assert_eq!(posted.code(), "METHOD_NOT_ALLOWED");
    let nobody = server.call("POST", "/nobody", &[], "").await;
    assert_eq!(nobody.code(), "REPO_NOT_FOUND");
}

#[tokio::test]
async fn a_browser_gets_a_page() {
    let server = Server::with_repo().await;
    for (path, text) in [
        ("/", "git push"),
        ("/hello", "git clone http://localhost/hello.git"),
        ("/hello.git", "hello"),
    ] {
        let page = server.get_with(path, &[("accept", "text/html")]).await;
        assert_eq!(
            (page.status.as_u16(), page.header("content-type")),
            (200, "text/html; charset=utf-8"),
            "{path}"
        );
        assert!(String::from_utf8_lossy(&page.body).contains(text), "{path}");
    }
    let xss = json!({ "id": "x", "description": "<script>{{id}}" });
    server.post("/api/v1/repos", xss).await;
    let page = server.get("/x").await;
    assert!(!String::from_utf8_lossy(&page.body).contains("<script>"));
}

#[tokio::test]
async fn a_server_over_its_memory_budget_takes_no_objects() {
    let mut config = config();
    config.storage.memory_budget.0 = 1;
    let server = Server::with(config);
    let repo = json!({ "id": "hello" });
    assert_eq!(server.post("/api/v1/repos", repo).await.status, 201);
    let body = commit("main", "m", json!([put("f", "")]));
    for path in ["commits", "commits?dry_run=true"] {
        let path = format!("/api/v1/repos/hello/{path}");
        let key = [("idempotency-key", "again")];
        for _ in 0..2 {
            let refused = server.send_with("POST", &path, &key, body.clone()).await;
            assert_eq!(refused.status, 507, "{refused}");
            assert_eq!(refused.code(), "OUT_OF_SPACE");
            assert_eq!(refused.json()["setting"], "storage.memory_budget");
            assert_eq!(refused.json()["limit"], 1);
            // The next try may find room.
            assert_eq!(refused.header("idempotency-replayed"), "");
        }
    }
    // What brings no objects is done as ever.
    let patch = json!({ "description": "full" });
    let patched = server.send("PATCH", "/api/v1/repos/hello", patch).await;
    assert_eq!(patched.status, 200, "{patched}");
    assert_eq!(server.get("/api/v1/repos/hello/log").await.status, 200);
    assert_eq!(server.delete("/api/v1/repos/hello").await.status, 204);
}

/// `main` and `other`, which do not go together; `first` is what `main` was.
async fn torn() -> (Server, String) {
    let server = Server::with_repo().await;
    let first = server.commit("main", "first", "f", "one\n").await;
    let other = json!({ "name": "other" });
    server.post("/api/v1/repos/hello/branches", other).await;
    server.commit("main", "mine", "f", "two\n").await;
    server.commit("other", "theirs", "f", "three\n").await;
    (server, first)
}

#[tokio::test]
async fn what_is_believed_is_held_against_the_branch_before_anything_is_made_of_it() {
    let (server, first) = torn().await;
    let reality = json!({ "branches": ["there"], "from": "other" });
    let reality = server.post("/api/v1/repos/hello/parallel-realities", reality);
    assert_eq!(reality.await.status, 201);
    let begun = json!({ "branch": "main" });
    let begun = server.post("/api/v1/repos/hello/transaction", begun).await;
    let commit_begun = format!(
        "transaction/{}/commit",
        begun.json()["id"].as_str().unwrap()
    );
    let writes = [
        ("merge", json!({ "from": "other", "to": "main" })),
        (
            "merge",
            json!({ "from": "other", "to": "main", "strategy": "ff_only" }),
        ),
        (
            "cherry-pick",
            json!({ "commit": "other", "branch": "main" }),
        ),
        ("revert", json!({ "commit": "other", "branch": "main" })),
        ("rebase", json!({ "onto": "other", "branch": "main" })),
        (
            "parallel-realities/there/promote",
            json!({ "strategy": "merge", "into": "main" }),
        ),
        ("merge?workspace=default", json!({ "from": "other" })),
        (
            "cherry-pick?workspace=default",
            json!({ "commit": "other" }),
        ),
        ("rebase?workspace=default", json!({ "onto": "other" })),
        ("continue", json!({})),
        ("abort", json!({})),
        ("commit", json!({ "message": "nothing" })),
        (
            "commits",
            commit("main", "m", json!([{ "op": "delete", "path": "nothing" }])),
        ),
        (&commit_begun, json!({ "message": "nothing" })),
        ("rewind", json!({ "to": 0 })),
    ];
    for (route, body) in writes {
        let path = format!("/api/v1/repos/hello/{route}");
        let belief = format!("\"{first}\"");
        let by_header = server
            .send_with("POST", &path, &[("if-match", &belief)], body.clone())
            .await;
        assert_eq!(by_header.status, 412, "{route} {body}: {by_header}");
        assert_eq!(by_header.code(), "REF_MOVED");
        if matches!(route, "rewind") || route == commit_begun {
            continue;
        }
        let mut believing = body.clone();
        believing["expected_head"] = json!(first);
        let answer = server.post(&path, believing).await;
        let told = (answer.status.as_u16(), answer.code());
        assert_eq!(told, (409, "REF_MOVED".to_owned()), "{route} {body}");
    }
}

#[tokio::test]
async fn if_none_match_says_that_a_ref_must_not_exist() {
    let (server, first) = torn().await;
    let put = |name: &str| format!("/api/v1/repos/hello/refs/heads/{name}");
    let none = [("if-none-match", "*")];
    let body = json!({ "oid": first });
    let over = server
        .send_with("PUT", &put("other"), &none, body.clone())
        .await;
    assert_eq!(
        (over.status.as_u16(), over.code()),
        (412, "REF_MOVED".to_owned())
    );
    let new = server
        .send_with("PUT", &put("new"), &none, body.clone())
        .await;
    assert_eq!(new.status, 201, "{new}");
    for headers in [
        [("if-none-match", "\"x\""), ("x-nothing", "")],
        [("if-none-match", "*"), ("if-match", "*")],
    ] {
        let unclear = server
            .send_with("PUT", &put("new"), &headers, body.clone())
            .await;
        assert_eq!(unclear.code(), "QUERY_INVALID", "{unclear}");
    }
}

#[tokio::test]
async fn the_document_is_compressed_too() {
    let server = Server::new();
    let asked = [("accept-encoding", "gzip")];
    let document = server.get_with("/openapi.json", &asked).await;
    assert_eq!(document.header("content-encoding"), "gzip");
    assert!(document.body.len() < 200_000, "{}", document.body.len());
}
