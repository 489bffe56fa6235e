//! Merges, picks, reverts and rebases that stop in a workspace.

use serde_json::{Value, json};

use crate::kit::{Answer, Server, commit, put};

const REPO: &str = "/api/v1/repos/hello";

fn at(path: &str) -> String {
    format!("{REPO}/{path}")
}

/// `main` and `dev` changed the same line of `f`; `dev` has two more commits.
async fn divided() -> Server {
    let server = Server::with_commit().await;
    commits(&server, "main", &[("f", "1\n2\n3\n")]).await;
    let made = server.post(&at("branches"), json!({ "name": "dev" })).await;
    assert_eq!(made.status, 201, "{made}");
    commits(&server, "dev", &[("f", "1\ndev\n3\n"), ("g", "new\n")]).await;
    commits(&server, "main", &[("f", "1\nmain\n3\n")]).await;
    server
}

async fn commits(server: &Server, branch: &str, files: &[(&str, &str)]) {
    for (path, content) in files {
        let mut body = commit(
            branch,
            &format!("{branch} {path}"),
            json!([put(path, content)]),
        );
        body["author"] = json!({
            "name": "Ada", "email": "ada@example.org", "time": "2024-05-01T10:00:00+02:00",
        });
        let made = server.post(&at("commits"), body).await;
        assert_eq!(made.status, 201, "{made}");
    }
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

async fn add(server: &Server, within: &str, path: &str, content: &str) {
    let body = json!({ "path": path, "content": content });
    let done = server.post(&at(&format!("add?{within}")), body).await;
    assert_eq!(done.status, 200, "{done}");
}

async fn head(server: &Server, within: &str) -> Value {
    let found = server.get(&at(&format!("branches/main?{within}"))).await;
    found.json()["oid"].clone()
}

#[tokio::test]
async fn a_merge_stops_is_solved_and_gone_on_with() {
    let mut server = divided().await;
    let before = head(&server, "").await;
    let body = json!({ "from": "dev", "to": "main", "keep_conflicts": true });
    assert_eq!(
        told(&server.post(&at("merge"), body.clone()).await),
        (422, "WORKSPACE_REQUIRED".to_owned())
    );
    let here = at("merge?workspace=default");
    let unkept = json!({ "from": "dev" });
    let refused = server.post(&here, unkept).await;
    assert_eq!(told(&refused), (409, "MERGE_CONFLICT".to_owned()));
    assert_eq!(refused.json()["conflicts"][0]["kind"], "content");
    assert_eq!(
        told(&server.post(&at("continue"), json!({})).await),
        (409, "NOTHING_IN_PROGRESS".to_owned())
    );
    assert_eq!(
        told(&server.post(&at("abort"), json!({})).await),
        (409, "NOTHING_IN_PROGRESS".to_owned())
    );

    let tried = server
        .post(&format!("{here}&dry_run=true"), body.clone())
        .await;
    assert_eq!(tried.status, 202, "{tried}");
    assert_eq!(
        server.get(&at("status")).await.json()["conflicts"],
        json!([])
    );
    let seq = tried.header("govc-seq").to_owned();
    let kept = server.post(&here, body.clone()).await;
    assert_eq!(
        (kept.status.as_u16(), kept.header("govc-seq")),
        (202, &*seq)
    );
    let status = kept.json();
    assert_eq!(status, server.get(&at("status")).await.json());
    assert_eq!(status["operation"]["kind"], "merge");
    assert_eq!(status["operation"]["message"], "Merge branch 'dev'\n");
    assert_eq!(status["conflicts"][0]["path"], "f");
    assert!(status["conflicts"][0]["base"]["oid"].is_string());
    assert_eq!(status["staged"][0]["path"], "g");
    let read = server.get(&at("read/f?workspace=default")).await.json();
    assert_eq!(
        read["content"],
        "1\n<<<<<<< HEAD\nmain\n=======\ndev\n>>>>>>> dev\n3\n"
    );
    // Nobody else sees it, and it is no change.
    assert_eq!(server.get(&at("read/g")).await.status, 404);
    assert_eq!(head(&server, "").await, before);

    server.restart();
    assert_eq!(server.get(&at("status")).await.json(), status);
    for (route, body) in [
        ("merge?workspace=default", body.clone()),
        (
            "cherry-pick?workspace=default",
            json!({ "commit": "dev", "no_commit": true }),
        ),
        ("rebase?workspace=default", json!({ "onto": "dev" })),
        ("checkout", json!({ "ref": "dev" })),
    ] {
        let refused = server.post(&at(route), body).await;
        assert_eq!(
            told(&refused),
            (409, "OPERATION_IN_PROGRESS".to_owned()),
            "{route}"
        );
        assert_eq!(refused.json()["operation"], "merge");
    }
    let unsolved = server.post(&at("continue"), json!({})).await;
    assert_eq!(told(&unsolved), (409, "MERGE_CONFLICT".to_owned()));
    assert_eq!(unsolved.json()["conflicts"], json!([{ "path": "f" }]));
    let unsolved = server.post(&at("commit"), json!({ "message": "m" })).await;
    assert_eq!(told(&unsolved), (409, "MERGE_CONFLICT".to_owned()));
    let skipped = server.post(&at("continue"), json!({ "skip": true })).await;
    assert_eq!(told(&skipped), (422, "NOTHING_TO_SKIP".to_owned()));

    add(&server, "", "f", "1\nboth\n3\n").await;
    let wrong = server
        .post(
            &at("continue"),
            json!({ "expected_head": "0123456789012345678901234567890123456789" }),
        )
        .await;
    assert_eq!(told(&wrong), (409, "REF_MOVED".to_owned()));
    let key = [("idempotency-key", "go on")];
    let done = server
        .send_with(
            "POST",
            &at("continue"),
            &key,
            json!({ "expected_head": before }),
        )
        .await;
    assert_eq!(done.status, 201, "{done}");
    let made = done.json()["commits"][0].clone();
    assert_eq!(made["message"], "Merge branch 'dev'\n");
    assert_eq!(made["parents"].as_array().unwrap().len(), 2);
    assert_eq!(made["parents"][0], before);
    assert_eq!(head(&server, "").await, done.json()["head"]);
    assert_eq!(
        server.get(&at("history")).await.json()["items"][0]["type"],
        "merge"
    );
    server.restart();
    let again = server
        .send_with(
            "POST",
            &at("continue"),
            &key,
            json!({ "expected_head": before }),
        )
        .await;
    assert_eq!(again.json(), done.json());
    assert_eq!(again.header("idempotency-replayed"), "true");
    let status = server.get(&at("status")).await.json();
    assert_eq!(status.get("operation"), None);
}

#[tokio::test]
async fn a_merge_is_taken_back_or_committed() {
    let server = divided().await;
    let before = head(&server, "").await;
    let merge = json!({ "from": "dev", "to": "main", "keep_conflicts": true });
    let here = at("merge?workspace=default");
    assert_eq!(server.post(&here, merge.clone()).await.status, 202);
    let back = server.post(&at("abort"), json!({})).await;
    assert_eq!(back.status, 200, "{back}");
    assert_eq!(
        (&back.json()["clean"], &back.json()["head"]),
        (&json!(true), &before)
    );
    assert_eq!(server.post(&here, merge).await.status, 202);
    assert_eq!(server.delete(&at("remove/f")).await.status, 204);
    // The message that is ready.
    let made = server.post(&at("commit"), json!({})).await;
    assert_eq!(made.status, 201, "{made}");
    assert_eq!(made.json()["parents"].as_array().unwrap().len(), 2);
    assert_eq!(made.json()["message"], "Merge branch 'dev'\n");
    let without = server.post(&at("commit"), json!({})).await;
    assert_eq!(told(&without), (400, "BODY_INVALID".to_owned()));
}

#[tokio::test]
async fn picks_go_on_behind_a_conflict_in_a_reality_too() {
    let server = divided().await;
    let body = json!({ "branches": ["aside"] });
    let made = server.post(&at("parallel-realities"), body).await;
    assert_eq!(made.status, 201, "{made}");
    let outside = head(&server, "").await;
    for within in ["reality=aside", ""] {
        let before = head(&server, within).await;
        let body = json!({ "commits": ["main..dev"], "keep_conflicts": true });
        let path = at(&format!("cherry-pick?workspace=default&{within}"));
        let kept = server.post(&path, body).await;
        assert_eq!(kept.status, 202, "{kept}");
        let status = kept.json();
        assert_eq!(status["operation"]["todo"].as_array().unwrap().len(), 1);
        add(&server, within, "f", "1\npicked\n3\n").await;
        let go_on = at(&format!("continue?{within}"));
        let body = json!({ "committer": { "name": "Bob", "email": "bob@example.org" } });
        let done = server.post(&go_on, body).await;
        assert_eq!(done.status, 201, "{done}");
        let commits = done.json()["commits"].clone();
        assert_eq!(commits.as_array().unwrap().len(), 2);
        for one in commits.as_array().unwrap() {
            assert_eq!(one["author"]["name"], "Ada");
            assert_eq!(one["committer"]["name"], "Bob");
        }
        assert_eq!(commits[0]["parents"][0], before);
        assert_eq!(head(&server, within).await, commits[1]["oid"]);
        if !within.is_empty() {
            assert_eq!(head(&server, "").await, outside);
        }
    }
}

#[tokio::test]
async fn a_rebase_has_its_branch_aside_until_its_end() {
    let server = divided().await;
    let body = json!({ "name": "w", "ref": "dev" });
    assert_eq!(server.post(&at("workspaces"), body).await.status, 201);
    let dev = server.get(&at("branches/dev")).await.json()["oid"].clone();
    let elsewhere = json!({ "onto": "main", "branch": "main" });
    let refused = server.post(&at("rebase?workspace=w"), elsewhere).await;
    assert_eq!(told(&refused), (422, "WORKSPACE_ELSEWHERE".to_owned()));
    let rebase = json!({ "onto": "main", "keep_conflicts": true });
    let kept = server.post(&at("rebase?workspace=w"), rebase.clone()).await;
    assert_eq!(kept.status, 202, "{kept}");
    let status = kept.json();
    assert_eq!(
        (&status["branch"], &status["operation"]["branch"]),
        (&Value::Null, &json!("dev"))
    );
    assert_eq!(status["head"], head(&server, "").await);
    let skipped = server
        .post(&at("continue?workspace=w"), json!({ "skip": true }))
        .await;
    assert_eq!(skipped.status, 201, "{skipped}");
    let status = server.get(&at("status?workspace=w")).await.json();
    assert_eq!(
        (&status["branch"], &status["head"]),
        (&json!("dev"), &skipped.json()["head"])
    );
    assert_eq!(
        server.get(&at("branches/dev")).await.json()["oid"],
        skipped.json()["head"]
    );
    let undo = json!({ "oid": dev });
    assert_eq!(
        server.send("PUT", &at("refs/heads/dev"), undo).await.status,
        200
    );
    assert_eq!(
        server.post(&at("rebase?workspace=w"), rebase).await.status,
        202
    );
    let back = server.post(&at("abort?workspace=w"), json!({})).await;
    assert_eq!(
        (&back.json()["branch"], &back.json()["head"]),
        (&json!("dev"), &dev)
    );
    let both = json!({ "onto": "main", "keep_conflicts": true, "autosquash": true });
    let refused = server.post(&at("rebase?workspace=w"), both).await;
    assert_eq!(told(&refused), (422, "AUTOSQUASH_NOT_KEPT".to_owned()));
}

#[tokio::test]
async fn what_is_not_to_be_committed_is_staged() {
    let server = divided().await;
    let body = json!({ "commit": "dev", "no_commit": true });
    let refused = server.post(&at("cherry-pick"), body.clone()).await;
    assert_eq!(told(&refused), (422, "WORKSPACE_REQUIRED".to_owned()));
    let before = head(&server, "").await;
    let here = at("cherry-pick?workspace=default");
    let staged = server.post(&here, body).await;
    assert_eq!(staged.status, 200, "{staged}");
    assert_eq!(staged.json(), json!({ "head": before, "commits": [] }));
    let status = server.get(&at("status")).await.json();
    assert_eq!(
        status["staged"],
        json!([{ "path": "g", "status": "added" }])
    );
    assert_eq!(status.get("operation"), None);
    // Another one on top of what is staged; its conflict is kept and has nothing to go on with.
    let body = json!({ "commit": "dev~1", "no_commit": true });
    let refused = server.post(&here, body).await;
    assert_eq!(told(&refused), (409, "MERGE_CONFLICT".to_owned()));
    let body = json!({ "commit": "dev~1", "no_commit": true, "keep_conflicts": true });
    let kept = server.post(&here, body).await;
    assert_eq!(kept.status, 202, "{kept}");
    assert_eq!(kept.json().get("operation"), None);
    assert_eq!(kept.json()["conflicts"][0]["path"], "f");
    server.post(&at("reset"), json!({ "mode": "hard" })).await;

    add(&server, "", "f", "staged\n").await;
    let body = json!({ "commit": "dev", "keep_conflicts": true });
    let refused = server.post(&here, body).await;
    assert_eq!(told(&refused), (409, "WORKSPACE_DIRTY".to_owned()));
    assert_eq!(refused.json()["paths"], json!(["f"]));
    server.post(&at("reset"), json!({ "mode": "hard" })).await;
    let body = json!({ "commit": "HEAD" });
    let done = server.post(&at("revert?workspace=default"), body).await;
    assert_eq!(done.status, 201, "{done}");
    let status = server.get(&at("status")).await.json();
    assert_eq!(status["head"], done.json()["head"]);
}

#[tokio::test]
async fn what_is_not_tracked_makes_way_for_nothing() {
    let server = divided().await;
    // A folder where a file comes.
    let write = |path: &'static str| json!({ "path": path, "content": "mine\n" });
    assert_eq!(server.post(&at("write"), write("g/x")).await.status, 200);
    for (route, body) in [
        ("cherry-pick", json!({ "commit": "dev", "no_commit": true })),
        ("cherry-pick", json!({ "commit": "dev" })),
        ("merge", json!({ "from": "dev", "keep_conflicts": true })),
    ] {
        let refused = server
            .post(&at(&format!("{route}?workspace=default")), body)
            .await;
        assert_eq!(told(&refused), (409, "WORKSPACE_DIRTY".to_owned()));
        assert_eq!(refused.json()["paths"], json!(["g/x"]), "{route}");
    }
    assert_eq!(server.delete(&at("remove/g?force=true")).await.status, 204);
    // And what was put away, by those that came meanwhile.
    for (away, now) in [("u", "u/x"), ("v/x", "v")] {
        assert_eq!(server.post(&at("write"), write(away)).await.status, 200);
        let body = json!({ "include_untracked": true });
        let stash = server.post(&at("stash"), body).await;
        assert_eq!(stash.status, 201, "{stash}");
        assert_eq!(server.post(&at("write"), write(now)).await.status, 200);
        let apply = at(&format!(
            "stash/{}/apply",
            stash.json()["id"].as_str().unwrap()
        ));
        let refused = server.post(&apply, json!({})).await;
        assert_eq!(told(&refused), (409, "WORKSPACE_DIRTY".to_owned()));
        assert_eq!(refused.json()["paths"], json!([now]));
        let status = server.get(&at("status")).await.json();
        assert_eq!(status["untracked"], json!([now]));
        let gone = at(&format!("remove/{now}?force=true"));
        assert_eq!(server.delete(&gone).await.status, 204);
        assert_eq!(server.post(&apply, json!({})).await.status, 200);
        let status = server.get(&at("status")).await.json();
        assert_eq!(status["untracked"], json!([away]));
        let gone = at(&format!("remove/{away}?force=true"));
        assert_eq!(server.delete(&gone).await.status, 204);
    }
}
