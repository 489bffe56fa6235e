use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::kit::{Server, commit, put};

async fn with_files() -> Server {
    let server = Server::with_repo().await;
    let actions = json!([
        put("a.txt", "one\nTwo two\nthree\n"),
        put("src/b.txt", "two\n\nfour two\n"),
        { "op": "put", "path": "bin", "content": "dHdvAA==", "encoding": "base64" },
    ]);
    let body = commit("main", "first: two files\n\nmore of it", actions);
    let made = server.post("/api/v1/repos/hello/commits", body).await;
    assert_eq!(made.status, 201, "{made}");
    server.commit("main", "second", "c.txt", "Three\n").await;
    server
}

#[tokio::test]
async fn lines_are_found_and_shown() {
    let server = with_files().await;
    let path = "/api/v1/repos/hello/search/content";
    assert_snapshot!(server.get(&format!("{path}?query=two")).await, @r#"
    200 OK
    {"items":[{"path":"a.txt","line":2,"column":5,"ranges":[{"start":4,"end":7}],"preview":"Two two"},{"path":"src/b.txt","line":1,"column":1,"ranges":[{"start":0,"end":3}],"preview":"two"},{"path":"src/b.txt","line":3,"column":6,"ranges":[{"start":5,"end":8}],"preview":"four two"}],"next_cursor":null}
    "#);
    let count = |body: Value| body["items"].as_array().unwrap().len();
    for (query, found) in [
        ("query=two&case_sensitive=false", 3),
        ("query=two&path=src", 2),
        ("query=t.o", 0),
        ("query=t.o&regex", 3),
        ("query=Three&ref=main~1", 0),
        ("query=Three&at=1", 0),
        ("query=Three", 1),
        ("query=^$&regex&path=*.txt", 1),
    ] {
        let answer = server.get(&format!("{path}?{query}")).await;
        assert_eq!(count(answer.json()), found, "{query}");
    }
    // Page by page it is the same.
    let all = server.get(&format!("{path}?query=o")).await.json();
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server
            .get(&format!("{path}?query=o&limit=1{cursor}"))
            .await
            .json();
        pages.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(Value::from(pages), all["items"]);
}

#[tokio::test]
async fn grep_has_all_options() {
    let server = with_files().await;
    let grep = |body: Value| server.post("/api/v1/repos/hello/grep", body);
    let body = json!({
        "pattern": "tw[o]", "regex": true, "case_sensitive": false, "word": true, "max_count": 1,
        "paths": ["*.txt", ":!c.txt"], "context_before": 1, "context_after": 2,
    });
    assert_snapshot!(grep(body).await, @r#"
    200 OK
    {"items":[{"path":"a.txt","line":2,"column":1,"ranges":[{"start":0,"end":3},{"start":4,"end":7}],"preview":"Two two","before":["one"],"after":["three"]},{"path":"src/b.txt","line":1,"column":1,"ranges":[{"start":0,"end":3}],"preview":"two","before":[],"after":["","four two"]}],"next_cursor":null}
    "#);
    let body = json!({ "pattern": "o", "invert": true, "ref": "main" });
    assert_eq!(grep(body).await.items("line"), ["3", "1", "2"]);
    for (wrong, code) in [
        (json!({}), "BODY_INVALID"),
        (json!({ "pattern": "" }), "BODY_INVALID"),
        (json!({ "pattern": "(", "regex": true }), "BODY_INVALID"),
        (
            json!({ "pattern": "a{99999}{99999}", "regex": true }),
            "BODY_INVALID",
        ),
        (json!({ "pattern": "a", "paths": ["../x"] }), "BODY_INVALID"),
        (
            json!({ "pattern": "a", "context_after": 1001 }),
            "BODY_INVALID",
        ),
        (json!({ "pattern": "a", "max_count": -1 }), "BODY_INVALID"),
        (json!({ "pattern": "a", "colour": true }), "BODY_INVALID"),
        (json!({ "pattern": "a", "ref": "none" }), "REF_NOT_FOUND"),
    ] {
        let answer = grep(wrong.clone()).await;
        assert_eq!(answer.code(), code, "{wrong}: {answer}");
        assert!(answer.status.is_client_error());
    }
}

#[tokio::test]
async fn files_and_commits_are_found() {
    let server = with_files().await;
    let get = |rest: &str| {
        let path = format!("/api/v1/repos/hello/search/{rest}");
        let server = &server;
        async move { server.get(&path).await }
    };
    assert_eq!(
        get("files?query=.txt").await.items("path"),
        ["a.txt", "c.txt", "src/b.txt"]
    );
    assert_eq!(
        get("files?query=^[^/]*$&regex&limit=2").await.items("path"),
        ["a.txt", "bin"]
    );
    assert_eq!(
        get("files?query=rc/B&case_sensitive=false")
            .await
            .items("mode"),
        ["100644"]
    );
    assert_eq!(
        get("commits?query=two").await.items("message"),
        ["first: two files\n\nmore of it\n"]
    );
    assert_eq!(
        get("commits?query=e&limit=1").await.items("message"),
        ["second\n"]
    );
    assert_eq!(
        get("commits?query=^more&regex&author=ada")
            .await
            .items("message")
            .len(),
        1
    );
    assert_eq!(
        get("commits?query=e&until=2001-01-01")
            .await
            .items("message")
            .len(),
        0
    );
    for rest in [
        "files",
        "files?query=",
        "content?query=a%0Ab",
        "content?query=(&regex",
        "content?query=a&path=..",
        "commits?query=a&since=soon",
        "files?query=a&limit=0",
        "files?query=a&cursor=zz",
    ] {
        assert_eq!(get(rest).await.code(), "QUERY_INVALID", "{rest}");
    }
    let empty = Server::with_repo().await;
    for rest in ["files", "content", "commits"] {
        let answer = empty
            .get(&format!("/api/v1/repos/hello/search/{rest}?query=a"))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.items("path").len()),
            (200, 0),
            "{rest}"
        );
    }
}
