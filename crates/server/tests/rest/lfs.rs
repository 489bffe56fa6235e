//! Git LFS: what is answered to whom, and to what cannot be.

use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};

use crate::kit::{Answer, Server, config};

/// The SHA-256 of `hello\n`.
const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
const LFS: &str = "application/vnd.git-lfs+json";

async fn ask(server: &Server, path: &str, body: Value) -> Answer {
    let headers = [("content-type", LFS), ("accept", LFS)];
    let path = format!("/hello.git/info/lfs/{path}");
    server.call("POST", &path, &headers, body.to_string()).await
}

async fn batch(server: &Server, operation: &str, oid: &str, size: i64) -> Value {
    let objects = json!([{ "oid": oid, "size": size }]);
    let body = json!({ "operation": operation, "objects": objects });
    let answer = ask(server, "objects/batch", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer}");
    assert_eq!(answer.header("content-type"), LFS);
    answer.json()["objects"][0].clone()
}

async fn put(server: &Server, oid: &str, content: &'static str) -> Answer {
    let path = format!("/hello.git/info/lfs/objects/{oid}");
    server.call("PUT", &path, &[], content).await
}

async fn with_hello() -> Server {
    let server = Server::with_repo().await;
    let answer = put(&server, HELLO, "hello\n").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer}");
    server
}

#[tokio::test]
async fn a_file_is_brought_verified_and_given_out() {
    let server = Server::with_repo().await;
    insta::assert_snapshot!(batch(&server, "upload", HELLO, 6).await, @r#"{"oid":"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03","size":6,"authenticated":true,"actions":{"upload":{"href":"http://localhost/hello.git/info/lfs/objects/5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03?size=6"},"verify":{"href":"http://localhost/hello.git/info/lfs/verify"}}}"#);
    let object = json!({ "oid": HELLO, "size": 6 });
    let verified = ask(&server, "verify", object.clone()).await;
    assert_eq!(verified.status, StatusCode::NOT_FOUND);
    let path = format!("/hello.git/info/lfs/objects/{HELLO}?size=6");
    let answer = server.call("PUT", &path, &[], "hello\n").await;
    assert_eq!(
        (answer.status, answer.header("govc-seq")),
        (StatusCode::OK, "0")
    );
    assert_eq!(ask(&server, "verify", object).await.status, StatusCode::OK);
    let other = json!({ "oid": HELLO, "size": 7 });
    let verified = ask(&server, "verify", other).await;
    assert_eq!(verified.status, StatusCode::UNPROCESSABLE_ENTITY);

    insta::assert_snapshot!(batch(&server, "upload", HELLO, 6).await, @r#"{"oid":"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03","size":6}"#);
    insta::assert_snapshot!(batch(&server, "download", HELLO, 6).await, @r#"{"oid":"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03","size":6,"authenticated":true,"actions":{"download":{"href":"http://localhost/hello.git/info/lfs/objects/5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"}}}"#);
    insta::assert_snapshot!(batch(&server, "download", HELLO, 7).await, @r#"{"oid":"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03","size":7,"error":{"code":422,"message":"the object has 6 bytes, not 7"}}"#);
    let answer = server
        .get(&format!("/hello/info/lfs/objects/{HELLO}"))
        .await;
    assert_eq!(answer.body, b"hello\n");
    assert_eq!(answer.header("etag"), format!("\"{HELLO}\""));
    assert_eq!(answer.header("content-type"), "application/octet-stream");
}

#[tokio::test]
async fn what_is_not_what_it_is_called_is_not_kept() {
    let server = Server::with_repo().await;
    let path = format!("/hello.git/info/lfs/objects/{HELLO}");
    for (query, headers, content, status) in [
        ("", &[][..], "jello\n", 422),
        ("", &[], "hello\nhello\n", 422),
        ("?size=6", &[], "hello", 422),
        ("?size=6", &[], "hello\nmore", 422),
        ("?size=6", &[("content-length", "7")], "hello\n", 422),
        ("?size=x", &[], "hello\n", 422),
        ("", &[("content-encoding", "gzip")], "hello\n", 415),
    ] {
        let path = format!("{path}{query}");
        let answer = server.call("PUT", &path, headers, content).await;
        assert_eq!(answer.status, status, "{query} {headers:?} {answer}");
        assert!(answer.json()["message"].is_string(), "{answer}");
        assert_eq!(server.get(&path).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn hostile_names_lead_nowhere() {
    let server = with_hello().await;
    let upper = HELLO.to_uppercase();
    for name in [
        "../../../etc/passwd",
        "..%2f..%2fkey",
        "%00",
        "5891",
        &upper,
        &format!("{HELLO}0"),
        &format!("{HELLO}/x"),
        &format!("./{HELLO}"),
        "é",
    ] {
        let path = format!("/hello.git/info/lfs/objects/{name}");
        for method in ["GET", "HEAD", "PUT"] {
            let answer = server.call(method, &path, &[], Body::empty()).await;
            assert_eq!(answer.status, 422, "{method} {name} {answer}");
        }
        let judged = batch(&server, "upload", name, 6).await;
        assert_eq!(judged["error"]["code"], 422, "{judged}");
    }
    for size in [-1, i64::MIN, i64::MAX] {
        let judged = batch(&server, "upload", &HELLO.replace('5', "6"), size).await;
        assert_eq!(judged["error"]["code"], 422, "{judged}");
    }
}

#[tokio::test]
async fn requests_that_cannot_be_are_told_so() {
    let server = with_hello().await;
    let status = async |body: Value| ask(&server, "objects/batch", body).await.status.as_u16();
    let objects = json!([]);
    assert_eq!(
        status(json!({ "operation": "download", "objects": objects })).await,
        200
    );
    assert_eq!(status(json!({ "operation": "download" })).await, 422);
    assert_eq!(
        status(json!({ "operation": "steal", "objects": objects })).await,
        422
    );
    assert_eq!(status(json!([])).await, 422);
    let wanted = json!({ "operation": "download", "objects": objects, "hash_algo": "sha512" });
    assert_eq!(status(wanted).await, 409);
    let wanted = json!({ "operation": "download", "objects": objects, "hash_algo": "sha256",
        "transfers": ["lfs-standalone-file", "basic"], "ref": { "name": "refs/heads/main" } });
    assert_eq!(status(wanted).await, 200);
    let wanted = json!({ "operation": "download", "objects": objects, "transfers": ["tus"] });
    assert_eq!(status(wanted).await, 422);
    let object = json!({ "oid": HELLO, "size": 6 });
    let many = vec![object; 1001];
    assert_eq!(
        status(json!({ "operation": "download", "objects": many })).await,
        413
    );

    let path = "/hello.git/info/lfs/objects/batch";
    let body = json!({ "operation": "download", "objects": [] }).to_string();
    let call = async |headers: &[(&str, &str)]| {
        let answer = server.call("POST", path, headers, body.clone()).await;
        answer.status.as_u16()
    };
    assert_eq!(
        call(&[("content-type", LFS), ("accept", "text/html")]).await,
        406
    );
    assert_eq!(
        call(&[("content-type", "text/plain"), ("accept", LFS)]).await,
        415
    );
    let charset = format!("{LFS}; charset=utf-8");
    assert_eq!(
        call(&[("content-type", &charset), ("accept", &charset)]).await,
        200
    );
    let answer = server.get(path).await.showing(&["allow"]);
    assert_eq!(
        (answer.status.as_u16(), answer.header("allow")),
        (405, "POST, OPTIONS")
    );
    let answer = server
        .call("DELETE", "/hello.git/info/lfs/locks", &[], "")
        .await;
    assert_eq!(answer.status, 405);
    let nowhere = format!("/nowhere.git/info/lfs/objects/{HELLO}");
    let answer = server.get(&nowhere).await;
    assert_eq!(answer.status, 404);
    insta::assert_snapshot!(answer, @r#"
    404 Not Found
    {"message":"there is no repository \"nowhere\"","documentation_url":"https://github.com/git-lfs/git-lfs/tree/main/docs/api","request_id":"test"}
    "#);
}

#[tokio::test]
async fn limits_hold() {
    let mut config = config();
    config.lfs.object = govc_server::config::units::Bytes(5);
    config.lfs.locks = 1;
    let server = Server::with(config.clone());
    server.post("/api/v1/repos", json!({ "id": "hello" })).await;
    let judged = batch(&server, "upload", HELLO, 6).await;
    assert_eq!(judged["error"]["code"], 422, "{judged}");
    assert_eq!(put(&server, HELLO, "hello\n").await.status, 413);
    assert_eq!(
        ask(&server, "locks", json!({ "path": "a" })).await.status,
        201
    );
    let full = ask(&server, "locks", json!({ "path": "b" })).await;
    assert_eq!(full.status, 422, "{full}");

    config.lfs.enabled = false;
    let server = Server::with(config);
    server.post("/api/v1/repos", json!({ "id": "hello" })).await;
    assert_eq!(put(&server, HELLO, "hello\n").await.status, 501);
    assert_eq!(server.get("/hello.git/info/lfs/locks").await.status, 501);

    // A repository's quota counts them.
    let server = Server::with_repo().await;
    let quota = json!({ "settings": { "quotas": { "bytes": 10 } } });
    let patched = server.send("PATCH", "/api/v1/repos/hello", quota).await;
    assert_eq!(patched.status, StatusCode::OK, "{patched}");
    assert_eq!(put(&server, HELLO, "hello\n").await.status, 200);
    // It has it: nothing is added.
    assert_eq!(put(&server, HELLO, "hello\n").await.status, 200);
    let (oid, content) = (
        "cba5243834a58801d5f3460c1d21fe28c33b1e1c1bb8ce7513e1948eed3a19e4",
        "hello\nhello\n",
    );
    let judged = batch(&server, "upload", oid, 12).await;
    assert_eq!(judged["error"]["code"], 422, "{judged}");
    let refused = put(&server, oid, content).await;
    assert_eq!(refused.status, 422, "{refused}");
    let missing = server
        .get(&format!("/hello.git/info/lfs/objects/{oid}"))
        .await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn locks_are_listed_in_pages_and_belong_to_somebody() {
    let server = Server::with_repo().await;
    for path in ["c", "a", "b/é"] {
        let locked = ask(&server, "locks", json!({ "path": path })).await;
        assert_eq!(locked.status, StatusCode::CREATED, "{locked}");
    }
    let again = ask(&server, "locks", json!({ "path": "a" })).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.json()["lock"]["owner"]["name"], "anonymous");
    assert_eq!(again.json()["message"], "a is locked by anonymous");
    let paths = |answer: &Answer, of: &str| -> Vec<String> {
        let body = answer.json();
        let locks = body[of].as_array().unwrap();
        let path = |lock: &Value| lock["path"].as_str().unwrap().to_owned();
        locks.iter().map(path).collect()
    };
    let list = "/hello.git/info/lfs/locks";
    let first = server.get(&format!("{list}?limit=2")).await;
    assert_eq!(paths(&first, "locks"), ["a", "b/é"]);
    let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
    let rest = server.get(&format!("{list}?limit=2&cursor={cursor}")).await;
    assert_eq!(paths(&rest, "locks"), ["c"]);
    assert_eq!(rest.json().get("next_cursor"), None);
    let one = server
        .get(&format!("{list}?path=b%2F%C3%A9&refspec=x"))
        .await;
    assert_eq!(paths(&one, "locks"), ["b/é"]);
    let id = one.json()["locks"][0]["id"].as_str().unwrap().to_owned();
    let one = server.get(&format!("{list}?id={id}")).await;
    assert_eq!(paths(&one, "locks"), ["b/é"]);
    for bad in ["cursor=%FF", "cursor=!!", "limit=-1", "limit=x"] {
        let answer = server.get(&format!("{list}?{bad}")).await;
        assert_eq!(answer.status, 422, "{bad}");
    }
    for bad in ["", "/etc", "../x", "a//b", ".git/config", "a\0b"] {
        let answer = ask(&server, "locks", json!({ "path": bad })).await;
        assert_eq!(answer.status, 422, "{bad:?}");
    }
    let verified = ask(&server, "locks/verify", json!({ "limit": 0, "cursor": "" })).await;
    assert_eq!(paths(&verified, "ours").len(), 3);
    assert!(paths(&verified, "theirs").is_empty());

    // Ada, who is somebody else.
    let ada = [
        ("content-type", LFS),
        ("authorization", "Basic YWRhOng="), // ada:x
    ];
    let path = format!("{list}/{id}/unlock");
    let refused = server.call("POST", &path, &ada, "{}").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused}");
    let theirs = server
        .call("POST", &format!("{list}/verify"), &ada, "{}")
        .await;
    assert_eq!(paths(&theirs, "theirs").len(), 3);
    let forced = server.call("POST", &path, &ada, r#"{"force":true}"#).await;
    assert_eq!(
        (forced.status, forced.header("govc-seq")),
        (StatusCode::OK, "4")
    );
    assert_eq!(forced.json()["lock"]["path"], "b/é");
    let gone = server.call("POST", &path, &ada, "{}").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let history = server.get("/api/v1/repos/hello/history").await;
    assert_eq!(
        history.items("type"),
        [
            "lfs.unlocked",
            "lfs.locked",
            "lfs.locked",
            "lfs.locked",
            "repo.created"
        ]
    );
}

#[tokio::test]
async fn links_lead_where_the_server_is_known_and_show_what_was_shown() {
    let mut config = config();
    config.server.public_url = "https://git.example.org/x/".to_owned();
    config.auth.token = "s3cret".into();
    let server = Server::with(config);
    let token = ("authorization", "Basic Z2l0OnMzY3JldA=="); // git:s3cret
    let body = json!({ "id": "a/b" });
    let made = server
        .send_with("POST", "/api/v1/repos", &[token], body)
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made}");
    let body = json!({ "operation": "upload", "objects": [{ "oid": HELLO, "size": 6 }] });
    let path = "/a/b.git/info/lfs/objects/batch";
    let headers = [("content-type", LFS), token];
    let answer = server.call("POST", path, &headers, body.to_string()).await;
    let upload = &answer.json()["objects"][0]["actions"]["upload"];
    assert_eq!(
        upload["href"],
        format!("https://git.example.org/x/a/b.git/info/lfs/objects/{HELLO}?size=6")
    );
    assert_eq!(upload["header"]["Authorization"], token.1);
    let stranger = server
        .call("POST", path, &headers[..1], body.to_string())
        .await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    assert!(stranger.header("lfs-authenticate").starts_with("Basic"));
    let path = format!("/a/b.git/info/lfs/objects/{HELLO}");
    assert_eq!(server.call("PUT", &path, &[], "hello\n").await.status, 401);
    assert_eq!(
        server.call("PUT", &path, &[token], "hello\n").await.status,
        200
    );
    assert_eq!(server.get(&path).await.status, 401);
}
