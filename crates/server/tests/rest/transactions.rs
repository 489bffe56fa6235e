use serde_json::{Value, json};

use crate::kit::{Server, put};

const REPO: &str = "/api/v1/repos/hello";

fn at(path: &str) -> String {
    format!("{REPO}/{path}")
}

async fn begin(server: &Server, body: Value) -> String {
    let begun = server.post(&at("transaction"), body).await;
    assert_eq!(begun.status, 201, "{begun}");
    begun.json()["id"].as_str().unwrap().to_owned()
}

async fn add(server: &Server, tx: &str, path: &str, content: &str) {
    let body = json!({ "path": path, "content": content });
    let done = server
        .post(&at(&format!("transaction/{tx}/add")), body)
        .await;
    assert_eq!(done.status, 200, "{done}");
}

fn message(text: &str) -> Value {
    json!({ "message": text })
}

#[tokio::test]
async fn it_reads_its_base_whatever_happens_and_is_committed_if_nothing_did() {
    let server = Server::with_commit().await;
    let tx = begin(&server, json!({})).await;
    add(&server, &tx, "new", "1\n").await;
    let moved = json!({ "from": "README", "to": "docs/README" });
    let done = server
        .post(&at(&format!("transaction/{tx}/move")), moved)
        .await;
    assert_eq!(done.status, 200, "{done}");
    let seen = |path: &str| at(&format!("read/{path}?transaction={tx}"));
    assert_eq!(server.get(&at("read/new")).await.status, 404);
    assert_eq!(server.get(&seen("new")).await.json()["content"], "1\n");
    assert_eq!(server.get(&seen("README")).await.status, 404);
    // Others go on; it does not see that, by whatever name.
    let body = json!({ "name": "late" });
    assert_eq!(server.post(&at("branches"), body).await.status, 201);
    server.commit("late", "late", "README", "late\n").await;
    assert_eq!(
        server
            .get(&at(&format!("read/README?transaction={tx}&ref=late")))
            .await
            .status,
        404
    );
    let shown = server.get(&at(&format!("transaction/{tx}"))).await;
    assert_eq!(
        shown.json()["diff"]["files"].as_array().unwrap().len(),
        2,
        "{shown}"
    );
    let valid = server
        .post(&at(&format!("transaction/{tx}/validate")), json!({}))
        .await;
    assert_eq!(valid.json()["valid"], true, "{valid}");
    let changes = server.get(&at("history")).await.items("seq").len();
    let made = server
        .post(
            &at(&format!("transaction/{tx}/commit")),
            message("all of it"),
        )
        .await;
    assert_eq!(made.status, 201, "{made}");
    assert_eq!(
        server.get(&at("history")).await.items("seq").len(),
        changes + 1
    );
    let tree = server.get(&at("tree?recursive")).await;
    assert_eq!(tree.items("path"), ["docs", "docs/README", "new"]);
    let over = server.get(&seen("new")).await;
    assert_eq!(
        (over.status.as_u16(), over.code()),
        (409, "TRANSACTION_OVER".to_owned())
    );
    assert_eq!(
        server.get(&at(&format!("transaction/{tx}"))).await.json()["state"],
        "committed"
    );
}

#[tokio::test]
async fn a_branch_that_moved_refuses_it_or_takes_it_in() {
    let server = Server::with_commit().await;
    let (a, b) = (
        begin(&server, json!({})).await,
        begin(&server, json!({})).await,
    );
    add(&server, &a, "a", "a\n").await;
    add(&server, &b, "README", "b\n").await;
    let head = server
        .commit("main", "meanwhile", "README", "meanwhile\n")
        .await;
    let refused = server
        .post(&at(&format!("transaction/{a}/commit")), message("a"))
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (409, "REF_MOVED".to_owned())
    );
    let merging = json!({ "message": "a", "on_conflict": "merge" });
    let made = server
        .post(&at(&format!("transaction/{a}/commit")), merging.clone())
        .await;
    assert_eq!(made.status, 201, "{made}");
    assert_eq!(made.json()["parents"], json!([head]));
    let checked = server
        .post(&at(&format!("transaction/{b}/validate")), json!({}))
        .await;
    assert_eq!(checked.json()["valid"], false);
    assert_eq!(checked.json()["conflicts"][0]["path"], "README");
    let refused = server
        .post(&at(&format!("transaction/{b}/commit")), merging)
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (409, "MERGE_CONFLICT".to_owned())
    );
    let back = server
        .post(&at(&format!("transaction/{b}/rollback")), json!({}))
        .await;
    assert_eq!(back.json()["state"], "rolled_back");
    let body = json!({ "path": "x", "content": "" });
    let late = server
        .post(&at(&format!("transaction/{b}/add")), body)
        .await;
    assert_eq!(late.code(), "TRANSACTION_OVER");
}

#[tokio::test]
async fn its_time_ends() {
    let server = Server::with_commit().await;
    let tx = begin(&server, json!({ "ttl_seconds": 1 })).await;
    let open = begin(&server, json!({ "ttl_seconds": 600_000 })).await;
    server.wait(2).await;
    let gone = server.get(&at(&format!("transaction/{tx}"))).await;
    assert_eq!(
        (gone.status.as_u16(), gone.code()),
        (410, "TRANSACTION_EXPIRED".to_owned())
    );
    let refused = server
        .get(&at(&format!("read/README?transaction={tx}")))
        .await;
    assert_eq!(refused.status, 410);
    assert_eq!(
        server.get(&at(&format!("transaction/{open}"))).await.status,
        200
    );
    let refused = server
        .post(&at("transaction"), json!({ "ttl_seconds": 0 }))
        .await;
    assert_eq!(refused.code(), "BODY_INVALID");
}

async fn repo(server: &Server, id: &str) {
    let made = server.post("/api/v1/repos", json!({ "id": id })).await;
    assert_eq!(made.status, 201, "{made}");
}

fn commit_in(repo: &str, path: &str, expected: Value) -> Value {
    json!({
        "repo": repo, "branch": "main", "message": "together", "expected_head": expected,
        "actions": [put(path, "together\n")],
    })
}

#[tokio::test]
async fn several_repositories_change_together_or_not_at_all() {
    let server = Server::with_commit().await;
    repo(&server, "a").await;
    repo(&server, "b").await;
    let head = server.get(&at("commits/main")).await.json()["oid"].clone();
    let operations = json!({ "operations": [
        commit_in("b", "x", Value::Null),
        commit_in("a", "y", Value::Null),
        { "repo": "hello", "updates": [{ "ref": "refs/heads/copy", "new": head }] },
    ]});
    let dry = server
        .post("/api/v1/transactions?dry_run=true", operations.clone())
        .await;
    assert_eq!(dry.status, 200, "{dry}");
    assert_eq!(server.get("/api/v1/repos/a/read/y").await.status, 404);
    let done = server
        .post("/api/v1/transactions", operations.clone())
        .await;
    assert_eq!(done.status, 200, "{done}");
    let results = done.json()["results"].clone();
    assert_eq!(results[0]["repo"], "b");
    assert_eq!(
        (&results[0]["seq"], &results[2]["seq"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(server.get("/api/v1/repos/a/read/y").await.status, 200);
    assert_eq!(server.get("/api/v1/repos/b/read/x").await.status, 200);
    assert_eq!(server.get(&at("branches/copy")).await.json()["oid"], head);
    // `a` is not what it was: nothing happens to `b`.
    let again = json!({ "operations": [
        { "repo": "b", "branch": "main", "message": "m", "actions": [put("z", "z")] },
        commit_in("a", "y2", Value::Null),
    ]});
    let refused = server.post("/api/v1/transactions", again).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (409, "REF_MOVED".to_owned())
    );
    assert_eq!(server.get("/api/v1/repos/b/read/z").await.status, 404);
    // And it goes on by itself afterwards.
    let body = json!({ "branch": "main", "message": "alone", "actions": [put("z", "z")] });
    let alone = server.post("/api/v1/repos/b/commits", body).await;
    assert_eq!(alone.header("govc-seq"), "2");
}

#[tokio::test]
async fn what_would_not_be_taken_is_said_before() {
    let server = Server::with_commit().await;
    let tx = begin(&server, json!({})).await;
    add(&server, &tx, "new", "1\n").await;
    let quotas = json!({ "settings": { "quotas": { "bytes": 10 } } });
    server.send("PATCH", REPO, quotas).await;
    let validate = at(&format!("transaction/{tx}/validate"));
    let seq = server.get(REPO).await.json()["seq"].clone();
    let valid = server.post(&validate, json!({})).await;
    assert_eq!(valid.json()["valid"], false, "{valid}");
    let problem = valid.json()["problems"][0].as_str().unwrap().to_owned();
    assert!(problem.contains("bytes"), "{problem}");
    let none = json!({ "settings": { "quotas": { "bytes": null } } });
    server.send("PATCH", REPO, none).await;
    let valid = server.post(&validate, json!({})).await;
    assert_eq!(valid.json()["valid"], true, "{valid}");
    let after = server.get(REPO).await.json()["seq"].clone();
    assert_eq!(
        after.as_u64(),
        seq.as_u64().map(|seq| seq + 1),
        "nothing was made"
    );
}
