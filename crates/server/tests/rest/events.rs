use serde_json::json;

use crate::kit::Server;

const EVENTS: &str = "/api/v1/repos/hello/events";

#[tokio::test]
async fn a_stream_tells_every_change_once_and_resumes_without_a_gap() {
    let server = Server::with_repo().await;
    let mut now = server.listen(EVENTS, &[]).await;
    let oid = server.commit("main", "first", "README", "hello\n").await;
    let (id, kind, data) = now.next().await;
    assert_eq!((id.as_str(), kind.as_str()), ("1", "commit"));
    assert_eq!(
        data,
        json!({
            "seq": 1, "repo": "hello", "type": "commit", "time": data["time"],
            "actor": "anonymous", "cause": { "via": "rest", "request_id": "test" },
            "ref_updates": [{ "ref": "refs/heads/main", "old": null, "new": oid }],
        })
    );
    for number in 0..600 {
        server
            .commit("main", "more", "README", &number.to_string())
            .await;
    }
    let mut all = server.listen(&format!("{EVENTS}?since=0"), &[]).await;
    let mut resumed = server
        .listen(&format!("{EVENTS}?since=7"), &[("last-event-id", "1")])
        .await;
    for seq in 1..=601_u64 {
        assert_eq!(all.next().await.2["seq"], seq);
        if seq > 1 {
            assert_eq!(now.next().await.2["seq"], seq);
            assert_eq!(resumed.next().await.2["seq"], seq);
        }
    }
    server
        .post("/api/v1/repos/hello/branches", json!({ "name": "dev" }))
        .await;
    for stream in [&mut now, &mut all, &mut resumed] {
        assert_eq!(stream.next().await.1, "branch.created");
    }
}

#[tokio::test]
async fn types_are_taken_by_name_and_by_family() {
    let server = Server::with_commit().await;
    server
        .post("/api/v1/repos/hello/branches", json!({ "name": "dev" }))
        .await;
    server
        .post("/api/v1/repos/hello/tags", json!({ "name": "v1" }))
        .await;
    server.delete("/api/v1/repos/hello/branches/dev").await;
    let types = format!("{EVENTS}?since=0&types=branch,tag.deleted");
    let mut some = server.listen(&types, &[]).await;
    assert_eq!(some.next().await.1, "branch.created");
    assert_eq!(some.next().await.1, "branch.deleted");
    server.delete("/api/v1/repos/hello/tags/v1").await;
    assert_eq!(some.next().await.0, "5");
}

#[tokio::test]
async fn all_repositories_are_one_stream_which_resumes_in_another_run() {
    let mut server = Server::with_repo().await;
    let mut now = server.listen("/api/v1/events", &[]).await;
    server.commit("main", "first", "a", "1\n").await;
    server
        .post("/api/v1/repos", json!({ "id": "group/other" }))
        .await;
    let (first, kind, data) = now.next().await;
    assert_eq!((kind.as_str(), &data["repo"]), ("commit", &json!("hello")));
    let (_, kind, data) = now.next().await;
    assert_eq!(
        (kind.as_str(), &data["repo"]),
        ("repo.created", &json!("group/other"))
    );
    server.commit("main", "second", "a", "2\n").await;
    let mut resumed = server
        .listen("/api/v1/events", &[("last-event-id", &first)])
        .await;
    assert_eq!(resumed.next().await.1, "repo.created");
    assert_eq!(resumed.next().await.2["seq"], 2);

    server.restart();
    server.commit("main", "third", "a", "3\n").await;
    let since = format!("/api/v1/events?since={first}&types=commit");
    let mut resumed = server.listen(&since, &[]).await;
    let mut told = Vec::new();
    // What was told before may come again; nothing is left out.
    while told.last() != Some(&json!(3)) {
        told.push(resumed.next().await.2["seq"].clone());
    }
    assert!(told.ends_with(&[json!(2), json!(3)]), "{told:?}");
    assert!(told.len() <= 3, "{told:?}");
}

#[tokio::test]
async fn who_asks_for_what_cannot_be_is_told() {
    let server = Server::with_commit().await;
    for (path, code) in [
        ("/api/v1/repos/none/events", "REPO_NOT_FOUND"),
        ("/api/v1/repos/hello/events?since=99", "SEQ_NOT_FOUND"),
        ("/api/v1/repos/hello/events?since=now", "QUERY_INVALID"),
        ("/api/v1/repos/hello/events?sinse=1", "QUERY_INVALID"),
        ("/api/v1/events?since=99", "QUERY_INVALID"),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.code(), code, "{path}: {answer}");
    }
}

const REALITIES: &str = "/api/v1/repos/hello/parallel-realities";

/// Makes the file README of a reality be `content`.
async fn write_in(server: &Server, reality: &str, content: &str) {
    let body = json!({ "message": format!("in {reality}"), "actions": [
        { "op": "put", "path": "README", "content": content }
    ] });
    let made = server
        .post(&format!("{REALITIES}/{reality}/apply"), body)
        .await;
    assert_eq!(made.status, http::StatusCode::CREATED, "{made}");
}

#[tokio::test]
async fn what_changes_in_the_matrix_of_conflicts_is_told() {
    let server = Server::with_commit().await;
    let names = json!({ "branches": ["a", "b", "c"] });
    server.post(REALITIES, names).await;
    write_in(&server, "a", "from a\n").await;
    let types = format!("{EVENTS}?types=reality.conflicts");
    let mut stream = server.listen(&types, &[]).await;

    let pair = |a: &str, b: &str, paths: &[&str]| json!({ "a": a, "b": b, "paths": paths });
    write_in(&server, "b", "from b\n").await;
    let (id, kind, data) = stream.next().await;
    assert_eq!((id.as_str(), kind.as_str()), ("", "reality.conflicts"));
    assert_eq!(data["repo"], "hello");
    assert_eq!(data["pairs"], json!([pair("a", "b", &["README"])]));
    let matrix = server.get(&format!("{REALITIES}/conflicts")).await.json();
    assert_eq!(matrix["pairs"], data["pairs"]);

    write_in(&server, "c", "from a\n").await;
    let data = stream.next().await.2;
    assert_eq!(data["pairs"], json!([pair("b", "c", &["README"])]));
    // Now all three say the same.
    write_in(&server, "b", "from a\n").await;
    let data = stream.next().await.2;
    assert_eq!(
        data["pairs"],
        json!([pair("a", "b", &[]), pair("b", "c", &[])])
    );
    write_in(&server, "c", "from c\n").await;
    let data = stream.next().await.2;
    assert_eq!(
        data["pairs"],
        json!([pair("a", "c", &["README"]), pair("b", "c", &["README"])])
    );
    // What is discarded conflicts with nobody.
    server.delete(&format!("{REALITIES}/c")).await;
    let data = stream.next().await.2;
    assert_eq!(
        data["pairs"],
        json!([pair("a", "c", &[]), pair("b", "c", &[])])
    );
}

#[tokio::test]
async fn a_reality_has_events_of_its_own_until_it_is_discarded() {
    let server = Server::with_commit().await;
    server.post(REALITIES, json!({ "branches": ["x"] })).await;
    let mut stream = server.listen(&format!("{EVENTS}?reality=x"), &[]).await;
    server.commit("main", "not in it", "other", "1\n").await;
    write_in(&server, "x", "mine\n").await;
    let (id, kind, _) = stream.next().await;
    assert_eq!((id.as_str(), kind.as_str()), ("1", "commit"));
    let mut again = server
        .listen(&format!("{EVENTS}?reality=x&since=0"), &[])
        .await;
    assert_eq!(again.next().await.0, "1");
    server.delete(&format!("{REALITIES}/x")).await;
    stream.ends().await;
    again.ends().await;
    let gone = server.get(&format!("{EVENTS}?reality=x")).await;
    assert_eq!(gone.code(), "REALITY_NOT_FOUND");
}

#[tokio::test]
async fn a_stream_of_a_repository_that_is_gone_for_good_ends() {
    let server = Server::with_commit().await;
    let mut stream = server.listen(EVENTS, &[]).await;
    server.delete("/api/v1/repos/hello").await;
    assert_eq!(stream.next().await.1, "repo.deleted");
    server.days(8).await;
    stream.ends().await;
}
