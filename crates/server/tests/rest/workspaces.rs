use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::kit::Server;

const REPO: &str = "/api/v1/repos/hello";

fn at(path: &str) -> String {
    format!("{REPO}/{path}")
}

async fn add(server: &Server, within: &str, path: &str, content: &str) {
    let body = json!({ "path": path, "content": content });
    let done = server.post(&at(&format!("add?{within}")), body).await;
    assert_eq!(done.status, 200, "{done}");
}

async fn status(server: &Server, within: &str) -> Value {
    server.get(&at(&format!("status?{within}"))).await.json()
}

fn by_ada(message: &str) -> Value {
    json!({
        "message": message,
        "author": { "name": "Ada", "email": "ada@example.org", "time": "2024-05-01T10:00:00+02:00" },
    })
}

#[tokio::test]
async fn what_is_staged_is_committed_and_seen_by_nobody_before() {
    let server = Server::with_commit().await;
    let body = json!({ "files": [
        { "path": "src/a", "content": "a\n", "mode": "100755" },
        { "path": "b", "content": "YgA=", "encoding": "base64" },
    ]});
    assert_snapshot!(server.post(&at("add"), body).await.showing(&["govc-seq"]), @r#"
    200 OK
    govc-seq: 1
    {"files":[{"path":"src/a","oid":"78981922613b2afb6025042ff6bd878ac1994e85","mode":"100755"},{"path":"b","oid":"28eacf2b08bcaecd186cfa2d9d93e8672a37d6a2","mode":"100644"}]}
    "#);
    let body = json!({ "path": "README", "content": "changed\n" });
    assert_eq!(server.post(&at("write"), body).await.status, 200);
    assert_snapshot!(server.get(&at("status")).await, @r#"
    200 OK
    {"workspace":"default","branch":"main","head":"b95302505042fda2369ccf51f21cebbbf731e1f7","behind":false,"staged":[{"path":"b","status":"added"},{"path":"src/a","status":"added"}],"unstaged":[{"path":"README","status":"modified"}],"untracked":[],"conflicts":[]}
    "#);
    // Nobody else sees it.
    assert_eq!(server.get(&at("read/src/a")).await.status, 404);
    assert_eq!(
        server.get(&at("read/README")).await.json()["content"],
        "hello\n"
    );
    let inside = server.get(&at("read/README?workspace=default")).await;
    assert_eq!(inside.json()["content"], "changed\n");
    let named = server
        .get(&at("read/README?workspace=default&ref=HEAD"))
        .await;
    assert_eq!(named.json()["content"], "hello\n");
    let tree = server.get(&at("tree?workspace=default&recursive")).await;
    assert_eq!(tree.items("path"), ["README", "b", "src", "src/a"]);
    assert_eq!(server.get(&at("history")).await.items("seq").len(), 2);

    let made = server.post(&at("commit"), by_ada("two files")).await;
    assert_eq!(made.status, 201, "{made}");
    assert_eq!(made.header("govc-seq"), "2");
    assert_eq!(made.json()["files_changed"], 2);
    assert_eq!(server.get(&at("read/src/a")).await.json()["mode"], "100755");
    let left = status(&server, "").await;
    assert_eq!(left["staged"], json!([]));
    assert_eq!(left["unstaged"][0]["path"], "README");
    assert_eq!(left["head"], made.json()["oid"]);
    let again = server.post(&at("commit"), by_ada("nothing")).await;
    assert_eq!(again.code(), "NOTHING_TO_COMMIT");
}

#[tokio::test]
async fn workspaces_are_made_listed_and_deleted() {
    let server = Server::with_commit().await;
    let made = server.post(&at("workspaces"), json!({ "name": "w" })).await;
    assert_snapshot!(made.showing(&["govc-seq", "location"]), @r#"
    201 Created
    govc-seq: 2
    location: /api/v1/repos/hello/workspaces/w
    {"name":"w","branch":"main","head":"b95302505042fda2369ccf51f21cebbbf731e1f7","behind":false,"clean":true,"created_at":"2023-11-14T22:13:20.004000Z","updated_at":"2023-11-14T22:13:20.004000Z"}
    "#);
    let again = server.post(&at("workspaces"), json!({ "name": "w" })).await;
    assert_eq!(
        (again.status.as_u16(), again.code()),
        (409, "WORKSPACE_EXISTS".to_owned())
    );
    for name in ["", "a/b", "..", "compare", "-x", "a..b"] {
        let refused = server
            .post(&at("workspaces"), json!({ "name": name }))
            .await;
        assert_eq!(refused.code(), "BODY_INVALID", "{name}");
    }
    add(&server, "workspace=w", "mine", "1\n").await;
    assert_eq!(status(&server, "").await["staged"], json!([]));
    assert_eq!(
        server.get(&at("read/mine?workspace=default")).await.status,
        404
    );
    assert_eq!(server.get(&at("read/mine?workspace=w")).await.status, 200);
    let listed = server.get(&at("workspaces")).await;
    assert_eq!(listed.items("name"), ["default", "w"]);
    assert_eq!(server.delete(&at("workspaces/w")).await.status, 204);
    assert_eq!(
        server.delete(&at("workspaces/w")).await.code(),
        "WORKSPACE_NOT_FOUND"
    );
    assert_eq!(
        server.delete(&at("workspaces/default")).await.code(),
        "DEFAULT_WORKSPACE"
    );
    assert_eq!(
        server.get(&at("status?workspace=w")).await.code(),
        "WORKSPACE_NOT_FOUND"
    );
    assert_eq!(
        server
            .get(&at("read/x?workspace=w&transaction=t"))
            .await
            .code(),
        "QUERY_INVALID"
    );
    assert_eq!(
        server
            .get(&at("read/x?workspace=default&at=1"))
            .await
            .code(),
        "QUERY_INVALID"
    );
}

#[tokio::test]
async fn a_clean_workspace_follows_its_branch_and_a_dirty_one_says_that_it_is_behind() {
    let server = Server::with_commit().await;
    server.post(&at("workspaces"), json!({ "name": "w" })).await;
    add(&server, "workspace=w", "mine", "1\n").await;
    let head = server.commit("main", "second", "README", "second\n").await;
    let followed = server.get(&at("read/README?workspace=default")).await;
    assert_eq!(followed.json()["content"], "second\n");
    let behind = status(&server, "workspace=w").await;
    assert_eq!(behind["behind"], true);
    let stayed = server.get(&at("read/README?workspace=w")).await;
    assert_eq!(stayed.json()["content"], "hello\n");
    let refused = server.post(&at("commit?workspace=w"), by_ada("mine")).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (409, "REF_MOVED".to_owned())
    );
    let mut merging = by_ada("mine");
    merging["on_conflict"] = json!("merge");
    let made = server.post(&at("commit?workspace=w"), merging).await;
    assert_eq!(made.status, 201, "{made}");
    assert_eq!(made.json()["parents"], json!([head]));
    assert_eq!(
        server.get(&at("read/README")).await.json()["content"],
        "second\n"
    );
    assert_eq!(server.get(&at("read/mine")).await.json()["content"], "1\n");
    let after = status(&server, "workspace=w").await;
    assert_eq!(
        (&after["behind"], &after["staged"]),
        (&json!(false), &json!([]))
    );
}

#[tokio::test]
async fn what_would_be_lost_refuses_a_checkout() {
    let server = Server::with_commit().await;
    let made = server
        .post(&at("checkout"), json!({ "ref": "side", "create": true }))
        .await;
    assert_eq!(made.status, 200, "{made}");
    assert_eq!(made.json()["branch"], "side");
    add(&server, "", "README", "side\n").await;
    assert_eq!(server.post(&at("commit"), by_ada("side")).await.status, 201);
    let body = json!({ "path": "README", "content": "not committed\n" });
    server.post(&at("write"), body).await;
    let refused = server.post(&at("checkout"), json!({ "ref": "main" })).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (409, "WORKSPACE_DIRTY".to_owned())
    );
    assert_eq!(refused.json()["paths"], json!(["README"]));
    let forced = json!({ "ref": "main", "force": true });
    let seq: u64 = server
        .get(&at("status"))
        .await
        .header("govc-seq")
        .parse()
        .unwrap();
    let done = server.post(&at("checkout"), forced).await;
    assert_eq!(done.header("govc-seq"), (seq + 1).to_string());
    assert_eq!(
        server
            .get(&at("read/README?workspace=default"))
            .await
            .json()["content"],
        "hello\n"
    );
    // A clone is where HEAD is.
    assert_eq!(server.get(REPO).await.json()["default_branch"], "main");
    let gone = server
        .post(&at("checkout"), json!({ "ref": "nowhere" }))
        .await;
    assert_eq!(gone.code(), "REF_NOT_FOUND");
}

#[tokio::test]
async fn a_reset_moves_the_branch() {
    let server = Server::with_commit().await;
    let first = server.get(&at("commits/main")).await.json()["oid"].clone();
    server.commit("main", "second", "README", "second\n").await;
    let done = server
        .post(&at("reset"), json!({ "target": "HEAD~1", "mode": "soft" }))
        .await;
    assert_eq!(done.status, 200, "{done}");
    assert_eq!(server.get(&at("commits/main")).await.json()["oid"], first);
    assert_eq!(status(&server, "").await["staged"][0]["path"], "README");
    server.post(&at("reset"), json!({ "mode": "hard" })).await;
    assert_eq!(status(&server, "").await["staged"], json!([]));
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_a_key_is_answered_again() {
    let server = Server::with_commit().await;
    let body = json!({ "path": "x", "content": "x\n" });
    let dry = server.post(&at("add?dry_run=true"), body.clone()).await;
    assert_eq!(
        (dry.status.as_u16(), dry.header("govc-dry-run")),
        (200, "true")
    );
    assert_eq!(status(&server, "").await["staged"], json!([]));
    let key = [("idempotency-key", "k1")];
    let first = server
        .send_with("POST", &at("add"), &key, body.clone())
        .await;
    let second = server.send_with("POST", &at("add"), &key, body).await;
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(first.body, second.body);
    let moved = json!({ "from": "x", "to": "d/y" });
    assert_snapshot!(server.post(&at("move"), moved).await, @r#"
    200 OK
    {"files":[{"path":"x","oid":null,"mode":null},{"path":"d/y","oid":"587be6b4c3f93f93c489c0111bba5596147a26cb","mode":"100644"}]}
    "#);
    assert_eq!(
        server.delete(&at("remove/d")).await.code(),
        "WORKSPACE_DIRTY"
    );
    assert_eq!(server.delete(&at("remove/d?force")).await.status, 204);
    assert_eq!(
        server.delete(&at("remove/d")).await.code(),
        "PATH_NOT_FOUND"
    );
}

#[tokio::test]
async fn what_is_stashed_comes_back() {
    let server = Server::with_commit().await;
    let empty = server.post(&at("stash"), json!({})).await;
    assert_eq!(
        (empty.status.as_u16(), empty.code()),
        (422, "NOTHING_TO_STASH".to_owned())
    );
    add(&server, "", "README", "changed\n").await;
    let loose = json!({ "path": "loose", "content": "l\n" });
    server.post(&at("write"), loose).await;
    let body = json!({ "include_untracked": true, "message": "later" });
    let made = server.post(&at("stash"), body).await;
    assert_eq!(made.status, 201, "{made}");
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.json()["message"], "On main: later");
    let newest = server.get(&at("refs/stash")).await;
    assert_eq!(newest.json()["oid"], json!(id));
    assert_eq!(
        server.get(&at("refs")).await.items("name"),
        ["refs/heads/main", "refs/stash"]
    );
    let clean = status(&server, "").await;
    assert_eq!(
        (&clean["staged"], &clean["untracked"]),
        (&json!([]), &json!([]))
    );

    add(&server, "", "README", "in the way\n").await;
    let refused = server
        .post(&at(&format!("stash/{id}/apply")), json!({}))
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (409, "MERGE_CONFLICT".to_owned())
    );
    let body = json!({ "keep_conflicts": true });
    let kept = server.post(&at(&format!("stash/{id}/apply")), body).await;
    assert_eq!(kept.status, 202, "{kept}");
    let conflicts = status(&server, "").await["conflicts"].clone();
    assert_eq!(kept.json()["conflicts"], conflicts);
    assert_eq!(conflicts[0]["path"], "README");
    assert_eq!(
        server.post(&at("commit"), by_ada("no")).await.code(),
        "MERGE_CONFLICT"
    );
    server.post(&at("reset"), json!({ "mode": "hard" })).await;
    assert_eq!(server.delete(&at("remove/loose?force")).await.status, 204);

    let body = json!({ "drop": true, "index": true });
    let done = server.post(&at(&format!("stash/{id}/apply")), body).await;
    assert_eq!(done.status, 200, "{done}");
    let back = status(&server, "").await;
    assert_eq!(back["staged"][0]["path"], "README");
    assert_eq!(back["untracked"], json!(["loose"]));
    assert_eq!(server.get(&at("stash")).await.items("id").len(), 0);
    assert_eq!(server.get(&at("refs/stash")).await.status, 404);
    assert_eq!(
        server.get(&at(&format!("stash/{id}"))).await.code(),
        "STASH_NOT_FOUND"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_never_see_each_others_work() {
    let server = std::sync::Arc::new(Server::with_commit().await);
    let mut tasks = Vec::new();
    for number in 0..9u64 {
        let server = std::sync::Arc::clone(&server);
        tasks.push(tokio::spawn(async move {
            let within = match number % 3 {
                0 => {
                    let name = format!("w{number}");
                    let body = json!({ "name": name });
                    assert_eq!(server.post(&at("workspaces"), body).await.status, 201);
                    format!("workspace={name}")
                }
                1 => {
                    let begun = server.post(&at("transaction"), json!({})).await;
                    format!("transaction={}", begun.json()["id"].as_str().unwrap())
                }
                _ => {
                    let name = format!("r{number}");
                    let body = json!({ "branches": [name] });
                    let made = server.post(&at("parallel-realities"), body).await;
                    assert_eq!(made.status, 201, "{made}");
                    // Its own workspace of that name.
                    format!("reality={name}&workspace=default")
                }
            };
            let add = match within.split_once('=') {
                Some(("transaction", id)) => at(&format!("transaction/{id}/add")),
                _ => at(&format!("add?{within}")),
            };
            let mut dice = number.wrapping_mul(6_364_136_223_846_793_005) + 1;
            for step in 0..12 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let content = format!("{number} {step}");
                let path = format!("f{}", dice >> 62);
                let body = json!({ "files": [
                    { "path": path, "content": content }, { "path": "all", "content": content },
                ]});
                let done = server.post(&add, body).await;
                assert_eq!(done.status, 200, "{done}");
                let tree = server.get(&at(&format!("tree?{within}"))).await;
                for name in tree.items("name").iter().filter(|name| *name != "README") {
                    let read = at(&format!("read/{name}?{within}"));
                    let content = server.get(&read).await.json()["content"].clone();
                    let whose = content
                        .as_str()
                        .unwrap()
                        .split(' ')
                        .next()
                        .unwrap()
                        .to_owned();
                    assert_eq!(whose, number.to_string(), "{name} of {within}");
                }
                let mine = server.get(&at(&format!("read/all?{within}"))).await;
                assert_eq!(mine.json()["content"], json!(content));
                assert_eq!(server.get(&at("read/all")).await.status, 404);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn stashes_are_dropped_where_refs_are_not_deleted() {
    let server = Server::with_commit().await;
    let settings = json!({ "settings": { "deny_deletes": true } });
    let patched = server.send("PATCH", "/api/v1/repos/hello", settings).await;
    assert_eq!(patched.status, 200, "{patched}");
    for drops in [true, false] {
        add(&server, "", "stashed", "s\n").await;
        let made = server.post("/api/v1/repos/hello/stash", json!({})).await;
        assert_eq!(made.status, 201, "{made}");
        let stash = format!(
            "/api/v1/repos/hello/stash/{}",
            made.json()["id"].as_str().unwrap()
        );
        let dropped = match drops {
            true => server.delete(&stash).await,
            false => {
                server
                    .post(&format!("{stash}/apply"), json!({ "drop": true }))
                    .await
            }
        };
        assert!(dropped.status.is_success(), "{dropped}");
        assert_eq!(server.get(&stash).await.code(), "STASH_NOT_FOUND");
    }
    let branch = json!({ "name": "kept" });
    server.post("/api/v1/repos/hello/branches", branch).await;
    let kept = server.delete("/api/v1/repos/hello/branches/kept").await;
    assert_eq!(kept.code(), "DELETE_DENIED");
}
