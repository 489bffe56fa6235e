use insta::assert_snapshot;
use serde_json::json;

use crate::kit::{Server, commit};

async fn with_two_versions() -> Server {
    let server = Server::with_repo().await;
    server
        .commit("main", "first\n\nmore", "a.txt", "one\n two\nthree\n")
        .await;
    let actions = json!([
        { "op": "move", "from": "a.txt", "path": "dir/b.txt" },
        { "op": "edit", "path": "dir/b.txt", "edits": [{ "old": " two", "new": "two" }, { "old": "three", "new": "zero\nthree" }] },
    ]);
    let made = server
        .post(
            "/api/v1/repos/hello/commits",
            commit("main", "second", actions),
        )
        .await;
    assert_eq!(made.status, 201, "{made}");
    server
}

#[tokio::test]
async fn each_line_says_who_brought_it() {
    let server = with_two_versions().await;
    let path = "/api/v1/repos/hello/blame/dir/b.txt";
    assert_snapshot!(server.get(&format!("{path}?start=3&end=4")).await.showing(&["etag"]), @r#"
    200 OK
    etag: W/"56b2d801073ec08d0c7109f6f765ff88f79d2995-7d997c13d22b13f238aa2160d9ac16034d1feab3"
    {"path":"dir/b.txt","commit":"56b2d801073ec08d0c7109f6f765ff88f79d2995","oid":"7d997c13d22b13f238aa2160d9ac16034d1feab3","lines":[{"line":3,"content":"zero","orig_line":3,"commit":"56b2d801073ec08d0c7109f6f765ff88f79d2995","orig_path":"dir/b.txt","author":"Ada","email":"ada@example.org","time":"2024-05-01T10:00:00+02:00","summary":"second"},{"line":4,"content":"three","orig_line":3,"commit":"1d9ef508212853f68bf44611fa0bc0e04b955bf3","orig_path":"a.txt","author":"Ada","email":"ada@example.org","time":"2024-05-01T10:00:00+02:00","summary":"first"}]}
    "#);
    let lines = |body: serde_json::Value| -> Vec<String> {
        let lines = body["lines"].as_array().unwrap().iter();
        lines
            .map(|line| line["orig_path"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = lines(server.get(path).await.json());
    assert_eq!(all, ["a.txt", "dir/b.txt", "dir/b.txt", "a.txt"]);
    let blind = lines(
        server
            .get(&format!("{path}?ignore_whitespace"))
            .await
            .json(),
    );
    assert_eq!(blind, ["a.txt", "a.txt", "dir/b.txt", "a.txt"]);
    let end = lines(server.get(&format!("{path}?start=4&end=50")).await.json());
    assert_eq!(
        end,
        ["a.txt"],
        "a range may end behind the file, as git's may"
    );
    let before = server.get("/api/v1/repos/hello/blame/a.txt?at=1").await;
    assert_eq!(lines(before.json()).len(), 3);
}

#[tokio::test]
async fn what_has_no_blame_is_told() {
    let server = with_two_versions().await;
    for (path, status, code) in [
        ("none", 404, "PATH_NOT_FOUND"),
        ("dir", 404, "PATH_NOT_FOUND"),
        ("..%2Fx", 400, "PATH_INVALID"),
        ("dir/b.txt?ref=none", 404, "REF_NOT_FOUND"),
        ("dir/b.txt?start=0", 400, "QUERY_INVALID"),
        ("dir/b.txt?start=5&end=6", 400, "QUERY_INVALID"),
        ("dir/b.txt?end=0", 400, "QUERY_INVALID"),
        ("dir/b.txt?start=4&end=2", 400, "QUERY_INVALID"),
        ("dir/b.txt?start=18446744073709551615", 400, "QUERY_INVALID"),
        ("dir/b.txt?start=x", 400, "QUERY_INVALID"),
        ("dir/b.txt?line=1", 400, "QUERY_INVALID"),
    ] {
        let answer = server
            .get(&format!("/api/v1/repos/hello/blame/{path}"))
            .await;
        let found = (answer.status.as_u16(), answer.code());
        assert_eq!(found, (status, code.to_owned()), "{path}");
    }
}
