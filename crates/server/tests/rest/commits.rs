use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::kit::{Server, commit, put};

const COMMITS: &str = "/api/v1/repos/hello/commits";

#[tokio::test]
async fn a_commit_is_what_git_would_have_made() {
    let server = Server::with_repo().await;
    let body = commit(
        "main",
        "  Say hello  \n\n\n\nmore\n",
        json!([put("hello.txt", "hello\n")]),
    );
    assert_snapshot!(server.post(COMMITS, body).await.showing(&["govc-seq", "location"]), @r#"
    201 Created
    govc-seq: 1
    location: /api/v1/repos/hello/commits/d1a52225aed2bfd78688f72881b19bdb7e4e7b0b
    {"oid":"d1a52225aed2bfd78688f72881b19bdb7e4e7b0b","tree":"aaa96ced2d9a1c8e72c56b253a0e2fe78393feb7","parents":[],"message":"  Say hello\n\nmore\n","author":{"name":"Ada","email":"ada@example.org","time":"2024-05-01T10:00:00+02:00"},"committer":{"name":"Ada","email":"ada@example.org","time":"2024-05-01T10:00:00+02:00"},"files_changed":1}
    "#);
    let made = server.get("/api/v1/repos/hello/commits/main").await;
    assert_eq!(made.json()["oid"], gits_own("  Say hello  \n\n\n\nmore\n"));
    assert_snapshot!(made, @r#"
    200 OK
    {"oid":"d1a52225aed2bfd78688f72881b19bdb7e4e7b0b","tree":"aaa96ced2d9a1c8e72c56b253a0e2fe78393feb7","parents":[],"message":"  Say hello\n\nmore\n","author":{"name":"Ada","email":"ada@example.org","time":"2024-05-01T10:00:00+02:00"},"committer":{"name":"Ada","email":"ada@example.org","time":"2024-05-01T10:00:00+02:00"},"files_changed":1}
    "#);
}

#[tokio::test]
async fn actions_are_applied_in_order() {
    let server = Server::with_commit().await;
    let actions = json!([
        { "op": "edit", "path": "README", "edits": [{ "old": "l", "new": "L", "count": 2 }] },
        { "op": "move", "from": "README", "path": "docs/README" },
        { "op": "put", "path": "run", "content": "ZWNobwo=", "encoding": "base64", "mode": "100755" },
        { "op": "put", "path": "link", "content": "run", "mode": "120000" },
        { "op": "put", "path": "sub", "oid": "1111111111111111111111111111111111111111", "mode": "160000" },
        { "op": "put", "path": "gone", "content": "" },
        { "op": "delete", "path": "gone" },
        { "op": "chmod", "path": "docs/README", "mode": "100755" },
    ]);
    let made = server.post(COMMITS, commit("main", "all", actions)).await;
    assert_eq!(made.status, 201, "{made}");
    assert_eq!(
        server
            .get("/api/v1/repos/hello/read/docs/README")
            .await
            .json()["content"],
        "heLLo\n"
    );
    let tree = server.get("/api/v1/repos/hello/tree?recursive").await;
    assert_eq!(
        tree.items("path"),
        ["docs", "docs/README", "link", "run", "sub"]
    );
    assert_eq!(
        tree.items("mode"),
        ["040000", "100755", "120000", "100755", "160000"]
    );
    assert_eq!(
        tree.items("type"),
        ["tree", "blob", "symlink", "blob", "commit"]
    );
}

#[tokio::test]
async fn what_cannot_be_committed_is_refused_by_name() {
    let server = Server::with_commit().await;
    let edit = |old: &str, count: u64| json!({ "op": "edit", "path": "README", "edits": [{ "old": old, "new": "", "count": count }] });
    let said = |actions: Value| {
        let server = &server;
        async move { server.post(COMMITS, commit("main", "m", actions)).await }
    };
    assert_snapshot!(said(json!([edit("l", 1)])).await, @r#"
    422 Unprocessable Entity
    {"detail":"\"README\": the text to replace occurs 2 times, not 1","code":"EDIT_NOT_FOUND","path":"README","edit":0,"expected":1,"found":2}
    "#);
    assert_snapshot!(said(json!([put("README/x", "")])).await, @r#"
    422 Unprocessable Entity
    {"detail":"\"README\" is in the way of \"README/x\": move or delete it first","code":"PATH_CONFLICT","path":"README/x","with":"README"}
    "#);
    assert_snapshot!(said(json!([put("README", "hello\n")])).await, @r#"
    422 Unprocessable Entity
    {"detail":"the actions change nothing","code":"NOTHING_TO_COMMIT"}
    "#);
    assert_snapshot!(said(json!([put("a/.Git/x", "")])).await, @r#"
    400 Bad Request
    {"detail":"\"a/.Git/x\" cannot be a path in a repository: no part of a path is \".git\", or what HFS+ or NTFS take for it","code":"PATH_INVALID","path":"a/.Git/x","reason":"no part of a path is \".git\", or what HFS+ or NTFS take for it"}
    "#);
    assert_snapshot!(said(json!([{ "op": "delete", "path": "none" }])).await, @r#"
    404 Not Found
    {"detail":"there is nothing at \"none\"","code":"PATH_NOT_FOUND","path":"none"}
    "#);
    assert_snapshot!(said(json!([put("x", ""), { "op": "put", "path": "y" }])).await, @r#"
    400 Bad Request
    {"detail":"`actions[1].content`: is missing","code":"BODY_INVALID","field":"actions[1].content"}
    "#);
    for (action, field) in [
        (json!({ "op": "zap", "path": "x" }), "actions[0].op"),
        (json!({ "op": "put", "path": 1 }), "actions[0].path"),
        (
            json!({ "op": "put", "path": "x", "content": "", "mod": "" }),
            "actions[0].mod",
        ),
        (
            json!({ "op": "put", "path": "x", "content": "", "mode": "644" }),
            "actions[0].mode",
        ),
        (
            json!({ "op": "put", "path": "x", "content": "?", "encoding": "base64" }),
            "actions[0].content",
        ),
        (
            json!({ "op": "put", "path": "x", "content": "", "encoding": "utf-16" }),
            "actions[0].encoding",
        ),
        (
            json!({ "op": "put", "path": "x", "oid": "12" }),
            "actions[0].oid",
        ),
        (
            json!({ "op": "put", "path": "x", "content": "", "from": "y" }),
            "actions[0].from",
        ),
        (
            json!({ "op": "delete", "path": "x", "content": "" }),
            "actions[0].content",
        ),
        (json!({ "op": "edit", "path": "x" }), "actions[0].edits"),
        (
            json!({ "op": "edit", "path": "x", "edits": [] }),
            "actions[0].edits",
        ),
        (
            json!({ "op": "edit", "path": "x", "edits": [{ "old": "", "new": "" }] }),
            "actions[0].edits[0].old",
        ),
        (
            json!({ "op": "edit", "path": "x", "edits": [{ "old": "a" }] }),
            "actions[0].edits[0].new",
        ),
        (json!({ "op": "move", "path": "x" }), "actions[0].from"),
        (json!({ "op": "chmod", "path": "x" }), "actions[0].mode"),
    ] {
        let answer = said(json!([action.clone()])).await;
        let body = answer.json();
        assert_eq!(
            (answer.status.as_u16(), &body["field"]),
            (400, &json!(field)),
            "{action}: {answer}"
        );
    }
    assert_eq!(
        server.get("/api/v1/repos/hello").await.json()["seq"],
        1,
        "nothing was changed"
    );
}

#[tokio::test]
async fn a_belief_that_does_not_hold_is_a_conflict() {
    let server = Server::with_commit().await;
    let first = server.get("/api/v1/repos/hello").await.json()["head"].clone();
    let second = server.commit("main", "second", "README", "bye\n").await;
    let believing = |belief: Value| {
        let mut body = commit("main", "third", json!([put("x", "")]));
        body["expected_head"] = belief;
        body
    };
    assert_snapshot!(server.post(COMMITS, believing(first.clone())).await, @r#"
    409 Conflict
    {"detail":"refs/heads/main is not where it was believed to be","code":"REF_MOVED","ref":"refs/heads/main","expected":"b95302505042fda2369ccf51f21cebbbf731e1f7","current":"b6f526cb71cd22437f2197806d3062020ed74557"}
    "#);
    assert_snapshot!(server.post(COMMITS, believing(Value::Null)).await, @r#"
    409 Conflict
    {"detail":"refs/heads/main is not where it was believed to be","code":"REF_MOVED","ref":"refs/heads/main","expected":null,"current":"b6f526cb71cd22437f2197806d3062020ed74557"}
    "#);
    let if_match = |id: &str| format!("\"{id}\"");
    let body = || commit("main", "third", json!([put("x", "")]));
    let first = if_match(first.as_str().unwrap());
    let answer = server
        .send_with("POST", COMMITS, &[("if-match", &first)], body())
        .await;
    assert_snapshot!(answer, @r#"
    412 Precondition Failed
    {"detail":"refs/heads/main is not where it was believed to be","code":"REF_MOVED","ref":"refs/heads/main","expected":"b95302505042fda2369ccf51f21cebbbf731e1f7","current":"b6f526cb71cd22437f2197806d3062020ed74557"}
    "#);
    // What does not hold is said before what is wrong otherwise.
    let nothing = commit("main", "third", json!([]));
    let answer = server
        .send_with("POST", COMMITS, &[("if-match", &first)], nothing)
        .await;
    assert_eq!(answer.status, 412);
    let second = if_match(&second);
    let answer = server
        .send_with("POST", COMMITS, &[("if-match", &second)], body())
        .await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn branches_begin_where_they_are_told_to() {
    let server = Server::with_repo().await;
    let on = |branch: &str, from: Option<Value>| {
        let mut body = commit(branch, "m", json!([put("f", branch)]));
        if let Some(from) = from {
            body["create_from"] = from;
        }
        body
    };
    let answer = async |body| {
        let answer = server.post(COMMITS, body).await;
        let parents = answer.json()["parents"].as_array().map(Vec::len);
        (answer.status.as_u16(), parents)
    };
    assert_eq!(
        answer(on("any", None)).await,
        (201, Some(0)),
        "of an empty repository"
    );
    assert_eq!(answer(on("other", None)).await, (404, None));
    assert_eq!(
        answer(on("main", None)).await,
        (201, Some(0)),
        "the unborn default branch"
    );
    assert_eq!(answer(on("dev", Some(json!("main")))).await, (201, Some(1)));
    assert_eq!(answer(on("dev", Some(json!("main")))).await, (409, None));
    assert_eq!(answer(on("alone", Some(Value::Null))).await, (201, Some(0)));
    assert_eq!(answer(on("x", Some(json!("none")))).await, (404, None));
    assert_eq!(answer(on("a..b", None)).await, (400, None));
    // Nothing was believed, so there is nothing to merge with.
    let mut merge = commit("dev", "m", json!([put("g", "new")]));
    merge["on_conflict"] = json!("merge");
    assert_eq!(answer(merge).await, (201, Some(1)));
}

#[tokio::test]
async fn a_dry_run_says_what_would_be() {
    let server = Server::with_repo().await;
    let body = || commit("main", "m", json!([put("f", "1")]));
    let dry = server
        .post("/api/v1/repos/hello/commits?dry_run=true", body())
        .await;
    assert_eq!(
        server.get("/api/v1/repos/hello").await.json()["head"],
        Value::Null
    );
    let real = server.post(COMMITS, body()).await;
    assert_eq!(dry.json(), real.json());
    assert_eq!(
        (
            dry.status,
            dry.header("govc-dry-run"),
            dry.header("govc-seq")
        ),
        (real.status, "true", "0")
    );
    assert_eq!(
        (real.header("govc-dry-run"), real.header("govc-seq")),
        ("", "1")
    );
}

#[tokio::test]
async fn the_log_goes_on_where_it_stopped_whatever_is_committed_meanwhile() {
    let server = Server::with_commit().await;
    for n in 2..=5 {
        server
            .commit("main", &format!("number {n}"), "README", &n.to_string())
            .await;
    }
    let first = server.get("/api/v1/repos/hello/log?limit=2").await;
    server.commit("main", "number 6", "README", "6").await;
    let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
    let second = server
        .get(&format!("/api/v1/repos/hello/log?limit=10&cursor={cursor}"))
        .await;
    assert_eq!(first.items("message"), ["number 5\n", "number 4\n"]);
    assert_eq!(
        second.items("message"),
        ["number 3\n", "number 2\n", "first\n"]
    );
    let log = async |query: &str| {
        server
            .get(&format!("/api/v1/repos/hello/log?{query}"))
            .await
            .items("message")
    };
    assert_eq!(log("at=2").await, ["number 2\n", "first\n"]);
    assert_eq!(log("ref=main~4").await, ["number 2\n", "first\n"]);
    assert_eq!(log("author=ADA%20%3C&limit=1").await, ["number 6\n"]);
    assert!(log("author=bob").await.is_empty());
    assert!(log("since=2025-01-01").await.is_empty());
    assert_eq!(
        log("until=2024-05-01T08:00:00Z&since=2024-05-01T10:00:00%2B02:00")
            .await
            .len(),
        6
    );
    assert_eq!(log("path=README&limit=1").await, ["number 6\n"]);
    assert!(log("path=none").await.is_empty());
    for wrong in [
        "since=soon",
        "until=",
        "author=%FF",
        "path=..",
        "all=maybe",
        "ref=a..b",
    ] {
        let answer = server
            .get(&format!("/api/v1/repos/hello/log?{wrong}"))
            .await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

/// The id of the commit that git makes of `hello.txt` with this message, by Ada at her moment.
fn gits_own(message: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello.txt"), "hello\n").unwrap();
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(arguments).current_dir(folder.path());
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada");
            command.env(format!("GIT_{who}_EMAIL"), "ada@example.org");
            command.env(format!("GIT_{who}_DATE"), "2024-05-01T10:00:00+02:00");
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "hello.txt"]);
    git(&["commit", "-q", "--cleanup=whitespace", "-m", message]);
    git(&["rev-parse", "HEAD"])
}

#[tokio::test]
async fn changed_files_are_counted() {
    let server = Server::with_commit().await;
    let put_all = |folder: &str, count: usize| -> Vec<Value> {
        (0..count)
            .map(|n| put(&format!("{folder}/{n}"), "x\n"))
            .collect()
    };
    let mut mixed = put_all("a", 2);
    mixed.push(put("README", "hello\n"));
    mixed.push(put("b", ""));
    mixed.push(json!({ "op": "delete", "path": "b" }));
    let cases = [
        (json!([put("README", "one\n")]), 1),
        (json!([put("README", "hello\n")]), 1),
        (Value::from(put_all("a", 3)), 3),
        // What becomes what it was, or goes again, is no change.
        (Value::from(mixed), 0),
        (
            json!([{ "op": "chmod", "path": "a/0", "mode": "100755" }]),
            1,
        ),
        (json!([{ "op": "move", "from": "a/0", "path": "c/0" }]), 2),
        (json!([{ "op": "move", "from": "a", "path": "d/a" }]), 4),
        (json!([{ "op": "delete", "path": "c/0" }]), 1),
        (
            json!([{ "op": "delete", "path": "d" }, put("d", "file")]),
            3,
        ),
        (json!([]), 0),
    ];
    for (actions, files) in cases {
        let mut body = commit("main", "m", actions);
        body["allow_empty"] = json!(true);
        let rehearsal = format!("{COMMITS}?dry_run=true");
        let rehearsed = server.post(&rehearsal, body.clone()).await.json();
        let key = [("idempotency-key", body.to_string())];
        let key: Vec<_> = key
            .iter()
            .map(|(k, v)| (*k, &v[..v.len().min(255)]))
            .collect();
        let made = server.send_with("POST", COMMITS, &key, body).await;
        let made = made.json();
        assert_eq!(made["files_changed"], files, "{made}");
        assert_eq!(made, rehearsed);
        let oid = made["oid"].as_str().unwrap();
        assert_eq!(server.get(&format!("{COMMITS}/{oid}")).await.json(), made);
    }
    let root = server.get(&format!("{COMMITS}/main~10")).await.json();
    assert_eq!(root["files_changed"], 1);
}
