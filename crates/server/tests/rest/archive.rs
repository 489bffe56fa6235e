use serde_json::json;

use crate::kit::Server;

#[tokio::test]
async fn archives_are_sent_in_three_formats() {
    let server = Server::with_commit().await;
    let branch = json!({ "name": "topic/one.zip" });
    server.post("/api/v1/repos/hello/branches", branch).await;
    let path = "/api/v1/repos/hello/archive";
    for (name, kind, file, front) in [
        (
            "main.tar.gz",
            "application/gzip",
            "hello-main.tar.gz",
            &b"\x1f\x8b"[..],
        ),
        (
            "main.tar",
            "application/x-tar",
            "hello-main.tar",
            b"pax_global_header",
        ),
        (
            "topic/one.zip.zip",
            "application/zip",
            "hello-topic-one.zip.zip",
            b"PK\x03\x04",
        ),
        (
            "topic%2Fone.zip.tgz",
            "application/gzip",
            "hello-topic-one.zip.tgz",
            b"\x1f\x8b",
        ),
    ] {
        let answer = server.get(&format!("{path}/{name}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, kind),
            "{name}"
        );
        let disposition = format!("attachment; filename=\"{file}\"");
        assert_eq!(answer.header("content-disposition"), disposition);
        assert!(answer.body.starts_with(front), "{name}");
        let tag = answer.header("etag").to_owned();
        let again = server
            .get_with(&format!("{path}/{name}"), &[("if-none-match", &tag)])
            .await;
        assert_eq!(again.status, 304, "{name}");
    }
    let tar = server.get(&format!("{path}/main.tar?at=1")).await.body;
    assert_eq!(tar.len() % 10_240, 0);
    assert!(tar.windows(6).any(|bytes| bytes == b"hello\n"));
    for (name, status, code) in [
        ("none.zip", 404, "REF_NOT_FOUND"),
        ("main.rar", 400, "REF_INVALID"),
        ("main", 400, "REF_INVALID"),
        (".zip", 400, "REF_INVALID"),
        ("main^{tree}.zip", 422, "REF_WRONG_KIND"),
        ("main.zip?prefix=x", 400, "QUERY_INVALID"),
    ] {
        let answer = server.get(&format!("{path}/{name}")).await;
        let found = (answer.status.as_u16(), answer.code());
        assert_eq!(found, (status, code.to_owned()), "{name}");
    }
}
