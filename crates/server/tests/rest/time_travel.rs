use http::StatusCode;
use serde_json::json;

use crate::kit::{Server, commit, put};

const REPO: &str = "/api/v1/repos/hello";

#[tokio::test]
async fn the_past_is_a_path() {
    let server = Server::with_commit().await;
    let old = server.get(&format!("{REPO}/branches/main")).await.json()["oid"].clone();
    server.commit("main", "second", "src/a b", "later\n").await;
    server
        .post(&format!("{REPO}/branches"), json!({ "name": "dev" }))
        .await;

    let then = server.get(&format!("{REPO}/time-travel/1")).await;
    assert_eq!(then.items("name"), ["refs/heads/main"]);
    assert_eq!(then.json()["items"][0]["oid"], old);
    let now = server
        .get(&format!("{REPO}/time-travel/3?prefix=heads/d"))
        .await;
    assert_eq!(now.items("name"), ["refs/heads/dev"]);
    assert_eq!(
        server.get(&format!("{REPO}/time-travel/0")).await.json()["items"],
        json!([])
    );
    let time = server.get(&format!("{REPO}/history")).await.json()["items"][1]["time"].clone();
    let time = time.as_str().unwrap();
    let file = format!("{REPO}/time-travel/{time}/read/src%2Fa%20b");
    assert_eq!(server.get(&file).await.json()["content"], "later\n");
    let file = format!("{REPO}/time-travel/2/tree/src");
    assert_eq!(server.get(&file).await.items("name"), ["a b"]);
    for root in ["tree", "tree/"] {
        let root = server.get(&format!("{REPO}/time-travel/1/{root}")).await;
        assert_eq!(root.items("path"), ["README"]);
    }
    let missing = server
        .get(&format!("{REPO}/time-travel/1/read/src/a%20b"))
        .await;
    assert_eq!(missing.code(), "PATH_NOT_FOUND");
    for (wrong, code) in [
        ("99", "SEQ_NOT_FOUND"),
        ("yesterday", "QUERY_INVALID"),
        ("1999-01-01", "SEQ_NOT_FOUND"),
        ("1?at=1", "QUERY_INVALID"),
    ] {
        let answer = server.get(&format!("{REPO}/time-travel/{wrong}")).await;
        assert_eq!(answer.code(), code, "{wrong}: {answer}");
    }
}

#[tokio::test]
async fn a_change_is_undone_by_another() {
    let server = Server::with_commit().await;
    let first = server.get(&format!("{REPO}/branches/main")).await.json()["oid"].clone();
    let second = server.commit("main", "second", "a", "2\n").await;
    server.delete(&format!("{REPO}/branches/none")).await;
    server
        .post(&format!("{REPO}/branches"), json!({ "name": "dev" }))
        .await;
    server.delete(&format!("{REPO}/branches/dev")).await;

    let rehearsed = server
        .post(&format!("{REPO}/undo?dry_run"), json!({ "seq": 4 }))
        .await;
    assert_eq!(rehearsed.header("govc-dry-run"), "true");
    assert_eq!(rehearsed.header("govc-seq"), "4");
    let back = server
        .post(&format!("{REPO}/undo"), json!({ "seq": 4 }))
        .await;
    assert_eq!(back.json(), rehearsed.json());
    assert_eq!(back.header("govc-seq"), "5");
    assert_eq!(
        back.json(),
        json!({ "ref_updates": [{ "ref": "refs/heads/dev", "old": null, "new": second }] })
    );
    let undone = server
        .post(&format!("{REPO}/undo"), json!({ "seq": 2 }))
        .await;
    assert_eq!(undone.json()["ref_updates"][0]["new"], first);
    // It has another value now, and undoing it twice is not what was asked.
    let again = server
        .post(&format!("{REPO}/undo"), json!({ "seq": 2 }))
        .await;
    assert_eq!(
        (again.status, again.code()),
        (StatusCode::CONFLICT, "REF_MOVED".to_owned())
    );
    assert_eq!(again.json()["current"], first);
    // Undoing the undoing is one more change.
    let redone = server
        .post(&format!("{REPO}/undo"), json!({ "seq": 6 }))
        .await;
    assert_eq!(redone.json()["ref_updates"][0]["new"], json!(second));
    let history = server.get(&format!("{REPO}/history?limit=3")).await;
    assert_eq!(history.items("type"), ["undo", "undo", "undo"]);

    for (body, code) in [
        (json!({ "seq": 0 }), "NOTHING_TO_UNDO"),
        (json!({ "seq": 99 }), "SEQ_NOT_FOUND"),
        (json!({ "seq": -1 }), "BODY_INVALID"),
        (json!({}), "BODY_INVALID"),
        (json!({ "seq": 1, "why": "" }), "BODY_INVALID"),
    ] {
        let answer = server.post(&format!("{REPO}/undo"), body).await;
        assert_eq!(answer.code(), code, "{answer}");
    }
}

#[tokio::test]
async fn all_refs_go_back_together() {
    let server = Server::with_commit().await;
    let first = server.get(&format!("{REPO}/branches/main")).await.json()["oid"].clone();
    server
        .post(&format!("{REPO}/tags"), json!({ "name": "v1" }))
        .await;
    server.commit("main", "second", "a", "2\n").await;
    server.delete(&format!("{REPO}/tags/v1")).await;
    let body = commit("dev", "third", json!([put("b", "3\n")]));
    let mut body = body;
    body["create_from"] = json!("main");
    server.post(&format!("{REPO}/commits"), body).await;

    let back = server
        .post(&format!("{REPO}/rewind"), json!({ "to": 2 }))
        .await;
    let updates = back.json()["ref_updates"].clone();
    let names: Vec<_> = updates
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["ref"].clone())
        .collect();
    assert_eq!(
        names,
        ["refs/heads/dev", "refs/heads/main", "refs/tags/v1"],
        "{back}"
    );
    let refs = server.get(&format!("{REPO}/refs")).await;
    assert_eq!(refs.items("name"), ["refs/heads/main", "refs/tags/v1"]);
    assert_eq!(
        refs.items("oid"),
        [first.as_str().unwrap(), first.as_str().unwrap()]
    );
    // It is as it was already.
    let still = server
        .post(&format!("{REPO}/rewind"), json!({ "to": 2 }))
        .await;
    assert_eq!(
        (
            still.header("govc-seq"),
            still.json()["ref_updates"].clone()
        ),
        ("6", json!([]))
    );
    // Back to when nothing was there: HEAD's branch is unborn again.
    let empty = server
        .post(&format!("{REPO}/rewind"), json!({ "to": 0 }))
        .await;
    assert_eq!(empty.status, StatusCode::OK, "{empty}");
    assert_eq!(
        server.get(&format!("{REPO}/refs")).await.json()["items"],
        json!([])
    );
    let time = server
        .get(&format!("{REPO}/history?at=5&limit=1"))
        .await
        .json();
    let time = time["items"][0]["time"].clone();
    server
        .post(&format!("{REPO}/rewind"), json!({ "to": time }))
        .await;
    assert_eq!(
        server.get(&format!("{REPO}/refs")).await.items("name"),
        ["refs/heads/dev", "refs/heads/main"]
    );
    for (body, code) in [
        (json!({ "to": 99 }), "SEQ_NOT_FOUND"),
        (json!({ "to": "1999-01-01" }), "SEQ_NOT_FOUND"),
        (json!({ "to": "yesterday" }), "BODY_INVALID"),
        (json!({ "to": true }), "BODY_INVALID"),
    ] {
        let answer = server.post(&format!("{REPO}/rewind"), body).await;
        assert_eq!(answer.code(), code, "{answer}");
    }
}

#[tokio::test]
async fn what_is_older_than_retention_is_gone_and_says_so() {
    let server = Server::on_disk();
    server.post("/api/v1/repos", json!({ "id": "hello" })).await;
    let first = server.commit("main", "first", "README", "one\n").await;
    let branch = json!({ "name": "topic" });
    server.post(&format!("{REPO}/branches"), branch).await;
    let lost = server.commit("topic", "lost", "secret", "hunter2\n").await;
    server.delete(&format!("{REPO}/branches/topic")).await;
    server.commit("main", "second", "README", "two\n").await;
    let time = server.get(&format!("{REPO}/history")).await.json()["items"][2]["time"].clone();
    let time = time.as_str().unwrap();
    server.days(89).await;
    assert_eq!(
        server.get(&format!("{REPO}/time-travel/1")).await.status,
        200
    );
    server.commit("main", "third", "README", "three\n").await;
    server.days(2).await;

    let expired = |answer: crate::kit::Answer| {
        let body = answer.json();
        assert_eq!(answer.status, StatusCode::GONE, "{answer}");
        assert_eq!(body["code"], "HISTORY_EXPIRED");
        assert_eq!(body["oldest"], 5);
    };
    for path in [
        "time-travel/4".to_owned(),
        format!("time-travel/{time}"),
        "time-travel/3/read/secret?ref=topic".to_owned(),
        "time-travel/2/tree".to_owned(),
        "read/README?at=1".to_owned(),
        "log?at=3".to_owned(),
        "history?at=4".to_owned(),
        "events?since=4".to_owned(),
    ] {
        expired(server.get(&format!("{REPO}/{path}")).await);
    }
    let resumed = [("last-event-id", "2")];
    let events = format!("{REPO}/events");
    expired(server.get_with(&events, &resumed).await);
    for (path, body) in [
        ("undo", json!({ "seq": 4 })),
        // What it did was to replace a state that is gone.
        ("undo", json!({ "seq": 5 })),
        ("rewind", json!({ "to": 3 })),
        ("fork", json!({ "id": "copy", "at": 4 })),
        ("parallel-realities", json!({ "branches": ["x"], "at": 2 })),
    ] {
        expired(server.post(&format!("{REPO}/{path}"), body).await);
    }

    // The state with which the ninety days began is there as a whole, and so is all since.
    let file = server
        .get(&format!("{REPO}/time-travel/5/read/README"))
        .await;
    assert_eq!(file.json()["content"], "two\n");
    let newest = server.get(&format!("{REPO}/history")).await;
    assert_eq!(newest.items("seq"), ["6"]);
    let shown = server.get(&format!("{REPO}/commits/{first}")).await;
    assert_eq!(shown.status, StatusCode::OK);
    let shown = server.get(&format!("{REPO}/commits/{lost}")).await;
    assert_eq!(shown.code(), "REF_NOT_FOUND");
    let back = json!({ "oid": lost });
    let back = server
        .send("PUT", &format!("{REPO}/refs/heads/back"), back)
        .await;
    assert_eq!(back.code(), "REF_NOT_FOUND", "{back}");
    let undone = server
        .post(&format!("{REPO}/undo"), json!({ "seq": 6 }))
        .await;
    assert_eq!(undone.status, StatusCode::OK, "{undone}");
    let mut listening = server.listen(&format!("{events}?since=5"), &[]).await;
    assert_eq!(listening.next().await.0, "6");
}

#[tokio::test]
async fn an_owner_says_how_long_the_past_is_kept() {
    let server = Server::on_disk();
    server.post("/api/v1/repos", json!({ "id": "hello" })).await;
    server.commit("main", "first", "README", "one\n").await;
    let retention = json!({ "refs_seconds": 0, "deleted_seconds": 86_400 });
    let patch = json!({ "settings": { "retention": retention } });
    let patched = server.send("PATCH", REPO, patch).await;
    assert_eq!(
        patched.json()["settings"]["retention"],
        json!({
            "refs_seconds": 0,
            "discarded_realities_seconds": null,
            "deleted_seconds": 86_400
        })
    );
    server.commit("main", "second", "README", "two\n").await;
    server.days(1000).await;
    let then = server.get(&format!("{REPO}/time-travel/1")).await;
    assert_eq!(then.status, StatusCode::OK, "for ever: {then}");
    let patch = json!({ "settings": { "retention": { "refs_seconds": 3600 } } });
    server.send("PATCH", REPO, patch).await;
    server.days(1).await;
    let then = server.get(&format!("{REPO}/time-travel/3")).await;
    assert_eq!(then.json()["oldest"], 4, "{then}");

    server.delete(REPO).await;
    server.days(0).await;
    let restore = format!("{REPO}/restore");
    let restored = server.post(&restore, json!({})).await;
    assert_eq!(restored.status, StatusCode::OK, "{restored}");
    server.delete(REPO).await;
    server.days(1).await;
    let restored = server.post(&restore, json!({})).await;
    assert_eq!(restored.code(), "REPO_NOT_FOUND");
    let again = server.post("/api/v1/repos", json!({ "id": "hello" })).await;
    assert_eq!(again.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_reality_goes_back_by_itself_and_is_forked() {
    let server = Server::with_commit().await;
    let realities = format!("{REPO}/parallel-realities");
    let order = json!({ "branches": ["x"] });
    server.post(&realities, order).await;
    let order = json!({ "branches": ["memory"], "durability": "memory" });
    server.post(&realities, order).await;
    let main = server.get(&format!("{REPO}/branches/main")).await.json()["oid"].clone();
    let write = |n: u32| {
        let body = commit("main", "in it", json!([put("own", &format!("{n}\n"))]));
        server.post("/api/v1/repos/hello/commits?reality=x", body)
    };
    let first = write(1).await.json()["oid"].clone();
    let second = write(2).await.json()["oid"].clone();

    let undone = server
        .post(&format!("{REPO}/undo?reality=x"), json!({ "seq": 2 }))
        .await;
    assert_eq!(
        undone.json()["ref_updates"],
        json!([{ "ref": "refs/heads/main", "old": second, "new": first }])
    );
    let back = server
        .post(&format!("{REPO}/rewind?reality=x"), json!({ "to": 0 }))
        .await;
    assert_eq!(back.json()["ref_updates"][0]["new"], main, "{back}");
    let again = server
        .post(&format!("{REPO}/rewind?reality=x"), json!({ "to": 2 }))
        .await;
    assert_eq!(again.json()["ref_updates"][0]["new"], second);
    let there = server.get(&format!("{REPO}/branches/main")).await;
    assert_eq!(there.json()["oid"], main, "the parent did not move");
    assert_eq!(
        server.get(&format!("{REPO}/history")).await.items("type"),
        [
            "reality.created",
            "reality.created",
            "commit",
            "repo.created"
        ]
    );

    let fork = |id: &str, at: Option<u64>| {
        let body = json!({ "id": id, "at": at });
        server.post("/api/v1/repos/hello/fork?reality=x", body)
    };
    let made = fork("copy", None).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made}");
    let made = fork("older", Some(1)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made}");
    server.delete(&format!("{realities}/x")).await;
    for (id, content) in [("copy", "2\n"), ("older", "1\n")] {
        let file = server.get(&format!("/api/v1/repos/{id}/read/own")).await;
        assert_eq!(file.json()["content"], content, "{id}");
    }
}

#[tokio::test]
async fn stashes_do_not_go_back() {
    let server = Server::with_commit().await;
    let file = json!({ "path": "README", "content": "changed\n" });
    server.post(&format!("{REPO}/write"), file).await;
    let stashed = server.post(&format!("{REPO}/stash"), json!({})).await;
    assert_eq!(stashed.status, StatusCode::CREATED, "{stashed}");
    server.commit("main", "second", "other", "2\n").await;
    let stash = server.get(&format!("{REPO}/refs/stash")).await.json()["oid"].clone();
    assert_ne!(stash, json!(null));
    let undone = server
        .post(&format!("{REPO}/undo"), json!({ "seq": 2 }))
        .await;
    assert_eq!(undone.code(), "NOTHING_TO_UNDO");
    let back = server
        .post(&format!("{REPO}/rewind"), json!({ "to": 1 }))
        .await;
    assert_eq!(back.json()["ref_updates"].as_array().map(Vec::len), Some(1));
    let there = server.get(&format!("{REPO}/refs/stash")).await.json()["oid"].clone();
    assert_eq!(there, stash);
    assert_eq!(
        server.get(&format!("{REPO}/stash")).await.json()["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn the_name_of_a_reality_is_free_when_its_time_is_over() {
    let server = Server::with_commit().await;
    let realities = "/api/v1/repos/hello/parallel-realities";
    let brief = json!({ "branches": ["brief"], "ttl_seconds": 10 });
    let made = server.post(realities, brief.clone()).await;
    assert_eq!(made.status, 201, "{made}");
    assert_eq!(server.post(realities, brief.clone()).await.status, 409);
    server.wait(10).await;
    let gone = server.get(&format!("{realities}/brief")).await;
    assert_eq!(gone.status, 404, "{gone}");
    let again = server.post(realities, brief.clone()).await;
    assert_eq!(again.status, 201, "{again}");
    assert_eq!(server.post(realities, brief).await.status, 409);
}
