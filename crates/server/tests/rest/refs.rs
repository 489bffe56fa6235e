use insta::assert_snapshot;
use serde_json::json;

use crate::kit::Server;

#[tokio::test]
async fn branches_are_made_and_deleted() {
    let server = Server::with_commit().await;
    let branches = "/api/v1/repos/hello/branches";
    let made = server.post(branches, json!({ "name": "topic/x" })).await;
    assert_snapshot!(made.showing(&["location", "govc-seq"]), @r#"
    201 Created
    location: /api/v1/repos/hello/branches/topic/x
    govc-seq: 2
    {"name":"topic/x","oid":"b95302505042fda2369ccf51f21cebbbf731e1f7"}
    "#);
    assert_snapshot!(server.get("/api/v1/repos/hello/branches/topic%2Fx").await, @r#"
    200 OK
    {"name":"topic/x","oid":"b95302505042fda2369ccf51f21cebbbf731e1f7"}
    "#);
    assert_eq!(
        server.get(branches).await.items("name"),
        ["main", "topic/x"]
    );
    assert_snapshot!(server.post(branches, json!({ "name": "topic/x" })).await, @r#"
    409 Conflict
    {"detail":"refs/heads/topic/x exists already","code":"REF_EXISTS","ref":"refs/heads/topic/x","current":"b95302505042fda2369ccf51f21cebbbf731e1f7"}
    "#);
    assert_snapshot!(server.post(branches, json!({ "name": "topic" })).await, @r#"
    409 Conflict
    {"detail":"refs/heads/topic cannot be beside refs/heads/topic/x: one of them would be a folder","code":"REF_CONFLICT","ref":"refs/heads/topic","other":"refs/heads/topic/x"}
    "#);
    assert_snapshot!(server.post(branches, json!({ "name": "a..b" })).await, @r#"
    400 Bad Request
    {"detail":"\"a..b\" is not a ref or revision: a ref name has no two dots in a row","code":"REF_INVALID","ref":"a..b","reason":"a ref name has no two dots in a row"}
    "#);
    assert_snapshot!(server.post(branches, json!({ "name": "y", "ref": "none" })).await, @r#"
    404 Not Found
    {"detail":"\"none\" names nothing in this repository","code":"REF_NOT_FOUND","ref":"none"}
    "#);
    assert_snapshot!(server.delete("/api/v1/repos/hello/branches/main").await, @r#"
    422 Unprocessable Entity
    {"detail":"refs/heads/main is the default branch and cannot be deleted","code":"DEFAULT_BRANCH","ref":"refs/heads/main"}
    "#);
    let deleted = server.delete("/api/v1/repos/hello/branches/topic/x").await;
    assert_snapshot!(deleted.showing(&["govc-seq"]), @r#"
    204 No Content
    govc-seq: 3
    "#);
    assert_snapshot!(server.delete("/api/v1/repos/hello/branches/topic/x").await, @r#"
    404 Not Found
    {"detail":"\"refs/heads/topic/x\" names nothing in this repository","code":"REF_NOT_FOUND","ref":"refs/heads/topic/x"}
    "#);
}

#[tokio::test]
async fn tags_are_light_or_annotated() {
    let server = Server::with_commit().await;
    let tags = "/api/v1/repos/hello/tags";
    assert_snapshot!(server.post(tags, json!({ "name": "light" })).await, @r#"
    201 Created
    {"name":"light","oid":"b95302505042fda2369ccf51f21cebbbf731e1f7"}
    "#);
    let annotated = json!({
        "name": "v1", "ref": "main", "message": "Version 1",
        "tagger": { "name": "Ada", "email": "a@x", "time": "2024-05-01T10:00:00-00:00" },
    });
    assert_snapshot!(server.post(tags, annotated).await, @r#"
    201 Created
    {"name":"v1","oid":"ea1bc9446b7acb76f7c51eb32e3eab9412399202","target":"b95302505042fda2369ccf51f21cebbbf731e1f7","message":"Version 1\n","tagger":{"name":"Ada","email":"a@x","time":"2024-05-01T10:00:00-00:00"}}
    "#);
    assert_snapshot!(server.get("/api/v1/repos/hello/tags/v1").await, @r#"
    200 OK
    {"name":"v1","oid":"ea1bc9446b7acb76f7c51eb32e3eab9412399202","target":"b95302505042fda2369ccf51f21cebbbf731e1f7","message":"Version 1\n","tagger":{"name":"Ada","email":"a@x","time":"2024-05-01T10:00:00-00:00"}}
    "#);
    assert_eq!(server.get(tags).await.items("name"), ["light", "v1"]);
    let lonely = json!({ "name": "v2", "tagger": { "name": "Ada", "email": "" } });
    assert_eq!(server.post(tags, lonely).await.json()["field"], "tagger");
    assert_eq!(
        server.get("/api/v1/repos/hello/commits/v1").await.status,
        200
    );
}

#[tokio::test]
async fn a_batch_of_refs_is_one_change_or_none() {
    let server = Server::with_commit().await;
    let refs = "/api/v1/repos/hello/refs";
    let first = server.get("/api/v1/repos/hello").await.json()["head"].clone();
    let second = server.commit("main", "second", "README", "2").await;
    let batch = json!({ "updates": [
        { "ref": "refs/heads/a", "new": first },
        { "ref": "refs/heads/b", "new": second, "expected": null },
    ]});
    assert_snapshot!(server.post(refs, batch).await.showing(&["govc-seq"]), @r#"
    200 OK
    govc-seq: 3
    {"ref_updates":[{"ref":"refs/heads/a","old":null,"new":"b95302505042fda2369ccf51f21cebbbf731e1f7"},{"ref":"refs/heads/b","old":null,"new":"a6ebe08948b5e101e546171d2df338f4f52c08fb"}]}
    "#);
    let half = json!({ "updates": [
        { "ref": "refs/heads/a", "new": null },
        { "ref": "refs/heads/b", "new": first, "expected": first },
    ]});
    assert_snapshot!(server.post(refs, half).await, @r#"
    409 Conflict
    {"detail":"refs/heads/b is not where it was believed to be","code":"REF_MOVED","ref":"refs/heads/b","expected":"b95302505042fda2369ccf51f21cebbbf731e1f7","current":"a6ebe08948b5e101e546171d2df338f4f52c08fb"}
    "#);
    assert_eq!(
        server
            .get("/api/v1/repos/hello/refs?prefix=heads/")
            .await
            .items("name"),
        ["refs/heads/a", "refs/heads/b", "refs/heads/main"]
    );
    for (updates, field) in [
        (json!([]), "updates"),
        (json!([{ "ref": "refs/heads/a" }]), "updates[0].new"),
        (
            json!([{ "ref": "refs/heads/a", "new": "12" }]),
            "updates[0].new",
        ),
        (
            json!([{ "ref": "refs/heads/a", "new": null, "old": null }]),
            "updates[0].old",
        ),
        (
            json!([{ "ref": "refs/heads/a", "new": null }, { "ref": "refs/heads/a", "new": null }]),
            "updates[1].ref",
        ),
    ] {
        let answer = server.post(refs, json!({ "updates": updates })).await;
        assert_eq!(answer.json()["field"], field, "{answer}");
    }
}

#[tokio::test]
async fn a_ref_is_put_where_something_is_to_be_seen() {
    let server = Server::with_commit().await;
    let put = async |name: &str, body| {
        let path = format!("/api/v1/repos/hello/refs/{name}");
        server.send("PUT", &path, body).await
    };
    let first = server.get("/api/v1/repos/hello").await.json()["head"].clone();
    assert_snapshot!(put("heads%2Fnew", json!({ "oid": first })).await.showing(&["location"]), @r#"
    201 Created
    location: /api/v1/repos/hello/refs/heads/new
    {"name":"refs/heads/new","oid":"b95302505042fda2369ccf51f21cebbbf731e1f7"}
    "#);
    assert_eq!(
        put("heads/new", json!({ "oid": first, "expected": first }))
            .await
            .status,
        200
    );
    assert_eq!(
        put("heads/new", json!({ "oid": first, "expected": null }))
            .await
            .code(),
        "REF_MOVED"
    );
    let nowhere = "1".repeat(40);
    assert_eq!(
        put("heads/new", json!({ "oid": nowhere })).await.code(),
        "REF_NOT_FOUND"
    );
    let tree = server.get("/api/v1/repos/hello/commits/main").await.json()["tree"].clone();
    assert_eq!(
        put("heads/tree", json!({ "oid": tree })).await.code(),
        "REF_WRONG_KIND"
    );
    assert_eq!(put("notes/tree", json!({ "oid": tree })).await.status, 201);
    assert_eq!(
        put("govc/x", json!({ "oid": first })).await.code(),
        "REF_INVALID"
    );
    assert_eq!(
        put("heads/a..b", json!({ "oid": first })).await.code(),
        "REF_INVALID"
    );
    // What a deleted branch had is the repository's own past.
    let lost = server.commit("main", "lost", "README", "lost").await;
    server
        .send(
            "PUT",
            "/api/v1/repos/hello/refs/heads/main",
            json!({ "oid": first }),
        )
        .await;
    assert_eq!(
        server
            .get(&format!("/api/v1/repos/hello/commits/{lost}"))
            .await
            .status,
        404
    );
    assert_eq!(put("heads/found", json!({ "oid": lost })).await.status, 201);
    assert_eq!(
        server
            .get(&format!("/api/v1/repos/hello/commits/{lost}"))
            .await
            .status,
        200
    );
    let path = format!("/api/v1/repos/hello/refs/heads/found?expected_head={nowhere}");
    assert_eq!(server.delete(&path).await.code(), "REF_MOVED");
    let path = format!("/api/v1/repos/hello/refs/heads/found?expected_head={lost}");
    assert_eq!(server.delete(&path).await.status, 204);
}
