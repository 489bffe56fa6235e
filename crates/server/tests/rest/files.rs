use insta::assert_snapshot;
use serde_json::json;

use crate::kit::{Server, commit, put};

const RAW: (&str, &str) = ("accept", "application/octet-stream");

#[tokio::test]
async fn a_file_is_text_when_it_is_text() {
    let server = Server::with_commit().await;
    let actions = json!([
        { "op": "put", "path": "a b/\u{e9}.bin", "content": "/wA=", "encoding": "base64" },
    ]);
    server
        .post(
            "/api/v1/repos/hello/commits",
            commit("main", "bin", actions),
        )
        .await;
    assert_snapshot!(server.get("/api/v1/repos/hello/read/README").await.showing(&["etag", "govc-head", "vary"]), @r#"
    200 OK
    etag: W/"c16c19a3b95bdeecdefb323c4fad272e6634d90d-ce013625030ba8dba906f756967f9e9ca394464a"
    govc-head: c16c19a3b95bdeecdefb323c4fad272e6634d90d
    vary: Accept, Accept-Encoding
    {"path":"README","commit":"c16c19a3b95bdeecdefb323c4fad272e6634d90d","oid":"ce013625030ba8dba906f756967f9e9ca394464a","mode":"100644","encoding":"utf-8","content":"hello\n"}
    "#);
    let binary = "/api/v1/repos/hello/read/a%20b%2F%C3%A9.bin";
    assert_snapshot!(server.get(binary).await, @r#"
    200 OK
    {"path":"a b/é.bin","commit":"c16c19a3b95bdeecdefb323c4fad272e6634d90d","oid":"5d983463ed9b1bcb008a040949025e83abf576d1","mode":"100644","encoding":"base64","content":"/wA="}
    "#);
    assert_eq!(
        server
            .get("/api/v1/repos/hello/read/a%20b/%C3%A9.bin")
            .await
            .status,
        200
    );
    for (path, status, code) in [
        ("none", 404, "PATH_NOT_FOUND"),
        ("README/x", 404, "PATH_NOT_FOUND"),
        ("a%20b", 404, "PATH_NOT_FOUND"),
        ("..%2Fx", 400, "PATH_INVALID"),
        ("/README", 400, "PATH_INVALID"),
        ("README?ref=none", 404, "REF_NOT_FOUND"),
        ("README?ref=main..dev", 400, "REF_INVALID"),
        ("README?reff=main", 400, "QUERY_INVALID"),
        ("README?workspace=w", 404, "WORKSPACE_NOT_FOUND"),
        ("README?at=0", 404, "PATH_NOT_FOUND"),
        ("README?at=99", 404, "SEQ_NOT_FOUND"),
        ("README?at=2001-01-01", 404, "SEQ_NOT_FOUND"),
        ("README?at=soon", 400, "QUERY_INVALID"),
    ] {
        let answer = server
            .get(&format!("/api/v1/repos/hello/read/{path}"))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{path}"
        );
    }
}

#[tokio::test]
async fn bytes_are_sent_whole_or_in_part() {
    let server = Server::with_commit().await;
    let path = "/api/v1/repos/hello/read/README";
    let whole = server.get_with(path, &[RAW]).await;
    assert_eq!(whole.body, b"hello\n");
    let shown = [
        "content-type",
        "content-length",
        "content-range",
        "etag",
        "cache-control",
    ];
    let part = server.get_with(path, &[RAW, ("range", "bytes=1-3")]).await;
    assert_snapshot!(part.showing(&shown), @r#"
    206 Partial Content
    content-type: application/octet-stream
    content-length: 3
    content-range: bytes 1-3/6
    etag: W/"b95302505042fda2369ccf51f21cebbbf731e1f7-ce013625030ba8dba906f756967f9e9ca394464a"
    cache-control: private, no-cache
    ell
    "#);
    let beyond = server.get_with(path, &[RAW, ("range", "bytes=6-")]).await;
    assert_snapshot!(beyond.showing(&["content-range"]), @r#"
    416 Range Not Satisfiable
    content-range: bytes */6
    {"detail":"the content has 6 bytes, and none of those that were asked for","code":"RANGE_NOT_SATISFIABLE"}
    "#);
    let head = server.call("HEAD", path, &[RAW], "").await;
    assert_snapshot!(head.showing(&shown), @r#"
    200 OK
    content-type: application/octet-stream
    content-length: 6
    content-range: 
    etag: W/"b95302505042fda2369ccf51f21cebbbf731e1f7-ce013625030ba8dba906f756967f9e9ca394464a"
    cache-control: private, no-cache
    "#);

    // By id it never changes.
    let commit = whole.header("govc-head").to_owned();
    let path = format!("{path}?ref={commit}");
    let by_id = server.get_with(&path, &[RAW]).await;
    let tag = by_id.header("etag").to_owned();
    assert_snapshot!(by_id.showing(&shown), @r#"
    200 OK
    content-type: application/octet-stream
    content-length: 6
    content-range: 
    etag: "ce013625030ba8dba906f756967f9e9ca394464a"
    cache-control: private, max-age=31536000, immutable
    hello
    "#);
    let range = [RAW, ("range", "bytes=0-0"), ("if-range", tag.as_str())];
    assert_eq!(server.get_with(&path, &range).await.body, b"h");
    let range = [RAW, ("range", "bytes=0-0"), ("if-range", "\"other\"")];
    assert_eq!(server.get_with(&path, &range).await.body, b"hello\n");
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let server = Server::with_commit().await;
    for path in [
        "/api/v1/repos",
        "/api/v1/repos/hello",
        "/api/v1/repos/hello/read/README",
        "/api/v1/repos/hello/tree",
        "/api/v1/repos/hello/log",
        "/api/v1/repos/hello/commits/main",
        "/api/v1/repos/hello/branches",
        "/api/v1/repos/hello/branches/main",
        "/api/v1/repos/hello/tags",
        "/api/v1/repos/hello/refs",
        "/api/v1/repos/hello/refs/heads/main",
        "/api/v1/repos/hello/history",
    ] {
        let first = server.get(path).await;
        assert_eq!(first.status, 200, "{path}");
        assert_eq!(first.header("vary"), "Accept, Accept-Encoding", "{path}");
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {tag}");
        let again = server.get_with(path, &[("if-none-match", &tag)]).await;
        assert_eq!(
            (again.status.as_u16(), again.header("etag")),
            (304, tag.as_str()),
            "{path}"
        );
        assert!(again.body.is_empty(), "{path}");
    }
    let tag = server
        .get("/api/v1/repos/hello/tree")
        .await
        .header("etag")
        .to_owned();
    server.commit("main", "second", "README", "bye\n").await;
    let after = server
        .get_with("/api/v1/repos/hello/tree", &[("if-none-match", &tag)])
        .await;
    assert_eq!(after.status, 200);
}

#[tokio::test]
async fn folders_are_listed_as_they_were() {
    let server = Server::with_repo().await;
    assert_snapshot!(server.get("/api/v1/repos/hello/tree").await, @r#"
    200 OK
    {"items":[],"next_cursor":null}
    "#);
    assert_eq!(
        server.get("/api/v1/repos/hello/tree?ref=main").await.code(),
        "REF_NOT_FOUND"
    );
    let first = server.commit("main", "first", "src/a", "1").await;
    let second = server.commit("main", "second", "src/b", "2").await;
    server.commit("main", "third", "README", "3").await;
    assert_snapshot!(server.get("/api/v1/repos/hello/tree/").await, @r#"
    200 OK
    {"items":[{"name":"README","path":"README","type":"blob","mode":"100644","oid":"e440e5c842586965a7fb77deda2eca68612b1f53","size":1},{"name":"src","path":"src","type":"tree","mode":"040000","oid":"922c97754b0be04f70867652da11e384c16c6832"}],"next_cursor":null}
    "#);
    let src = server.get("/api/v1/repos/hello/tree/src?last_commit").await;
    let body = src.json();
    assert_eq!(src.items("path"), ["src/a", "src/b"]);
    assert_eq!(body["items"][0]["last_commit"]["oid"], first);
    assert_eq!(body["items"][1]["last_commit"]["oid"], second);
    assert_eq!(
        server
            .get("/api/v1/repos/hello/tree/src?at=1")
            .await
            .items("path"),
        ["src/a"]
    );
    let page = server
        .get("/api/v1/repos/hello/tree?recursive&limit=2")
        .await;
    assert_eq!(page.items("path"), ["README", "src"]);
    let cursor = page.json()["next_cursor"].as_str().unwrap().to_owned();
    server
        .post(
            "/api/v1/repos/hello/commits",
            commit("main", "z", json!([put("zzz", "")])),
        )
        .await;
    let next = format!("/api/v1/repos/hello/tree?recursive&cursor={cursor}");
    assert_eq!(server.get(&next).await.items("path"), ["src/a", "src/b"]);
    assert_eq!(
        server.get("/api/v1/repos/hello/tree/README").await.code(),
        "PATH_NOT_FOUND"
    );
    assert_eq!(
        server.get("/api/v1/repos/hello/tree/a%2F%2Fb").await.code(),
        "PATH_INVALID"
    );
}
