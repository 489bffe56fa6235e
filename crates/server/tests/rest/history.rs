use insta::assert_snapshot;
use serde_json::json;

use crate::kit::Server;

#[tokio::test]
async fn every_change_is_one_line_of_history() {
    let server = Server::with_commit().await;
    server
        .post("/api/v1/repos/hello/branches", json!({ "name": "dev" }))
        .await;
    server
        .send(
            "PATCH",
            "/api/v1/repos/hello",
            json!({ "default_branch": "dev" }),
        )
        .await;
    // Refused and rehearsed is not done.
    server
        .post("/api/v1/repos/hello/branches", json!({ "name": "dev" }))
        .await;
    server
        .post(
            "/api/v1/repos/hello/branches?dry_run",
            json!({ "name": "dry" }),
        )
        .await;
    server.delete("/api/v1/repos/hello/branches/main").await;
    let history = server.get("/api/v1/repos/hello/history").await;
    assert_eq!(history.items("seq"), ["4", "3", "2", "1", "0"]);
    assert_eq!(
        history.items("type"),
        [
            "branch.deleted",
            "repo.updated",
            "branch.created",
            "commit",
            "repo.created"
        ]
    );
    let page = server.get("/api/v1/repos/hello/history?limit=1").await;
    assert_snapshot!(page.showing(&["link"]), @r#"
    200 OK
    link: </api/v1/repos/hello/history?limit=1&cursor=AnOX_zoAAAAAAAAABA>; rel="next"
    {"items":[{"seq":4,"type":"branch.deleted","time":"2023-11-14T22:13:20.008000Z","actor":"anonymous","cause":{"via":"rest","request_id":"test"},"ref_updates":[{"ref":"refs/heads/main","old":"b95302505042fda2369ccf51f21cebbbf731e1f7","new":null}]}],"next_cursor":"AnOX_zoAAAAAAAAABA"}
    "#);
    let next = server
        .get("/api/v1/repos/hello/history?limit=2&cursor=AnOX_zoAAAAAAAAABA")
        .await;
    assert_eq!(next.items("seq"), ["3", "2"]);
    assert_eq!(
        server
            .get("/api/v1/repos/hello/history?at=1")
            .await
            .items("seq"),
        ["1", "0"]
    );
    assert_eq!(
        server.get("/api/v1/repos/hello/history?at=9").await.code(),
        "SEQ_NOT_FOUND"
    );
    // The refs of then, HEAD included.
    assert_eq!(
        server
            .get("/api/v1/repos/hello/branches?at=1")
            .await
            .items("name"),
        ["main"]
    );
    assert_eq!(
        server
            .get("/api/v1/repos/hello/branches")
            .await
            .items("name"),
        ["dev"]
    );
}

#[tokio::test]
async fn names_that_are_not_text_are_told_exactly() {
    let server = Server::with_commit().await;
    let head = server.get("/api/v1/repos/hello").await.json()["head"].clone();
    let made = server
        .send(
            "PUT",
            "/api/v1/repos/hello/refs/heads/b%FF",
            json!({ "oid": head }),
        )
        .await;
    assert_eq!(made.status, 201, "{made}");
    let history = server.get("/api/v1/repos/hello/history?limit=1").await;
    let update = &history.json()["items"][0]["ref_updates"][0];
    assert_eq!(update["ref"], "refs/heads/b\u{fffd}");
    assert_eq!(update["ref_base64"], "cmVmcy9oZWFkcy9i/w==");
}

#[tokio::test]
async fn a_cursor_is_of_one_list() {
    let server = Server::with_commit().await;
    server.commit("main", "second", "b", "b").await;
    let page = server.get("/api/v1/repos/hello/log?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let get = async |list: &str| {
        let sign = if list.contains('?') { '&' } else { '?' };
        server.get(&format!("{list}{sign}cursor={cursor}")).await
    };
    assert_eq!(get("/api/v1/repos/hello/log").await.status, 200);
    assert_eq!(get("/api/v1/repos/hello/log?limit=7").await.status, 200);
    for other in [
        "/api/v1/repos",
        "/api/v1/repos/hello/tree",
        "/api/v1/repos/hello/refs",
        "/api/v1/repos/hello/log?first_parent",
    ] {
        let refused = get(other).await;
        assert_eq!(refused.code(), "QUERY_INVALID", "{other}");
        assert_eq!(refused.json()["parameter"], "cursor");
    }
}
