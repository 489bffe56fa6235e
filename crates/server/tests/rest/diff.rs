use insta::assert_snapshot;
use serde_json::json;

use crate::kit::{Server, commit, put};

const PATCH: (&str, &str) = ("accept", "text/x-diff");

/// `hello` with two commits on `main`, and `topic`, which has one more than the first.
async fn with_branches() -> Server {
    let server = Server::with_repo().await;
    let text: String = (1..=9).map(|n| format!("line {n}\n")).collect();
    server.commit("main", "first", "a.txt", &text).await;
    let branch = json!({ "name": "topic" });
    server.post("/api/v1/repos/hello/branches", branch).await;
    let actions = json!([
        { "op": "move", "from": "a.txt", "path": "dir/b.txt" },
        { "op": "edit", "path": "dir/b.txt", "edits": [{ "old": "line 5\n", "new": "line five\n" }] },
        put("new", "one\ntwo"),
        { "op": "put", "path": "bin", "content": "AAEC", "encoding": "base64" },
    ]);
    let body = commit("main", "second", actions);
    let made = server.post("/api/v1/repos/hello/commits", body).await;
    assert_eq!(made.status, 201, "{made}");
    server.commit("topic", "other", "topic", "t\n").await;
    server
}

#[tokio::test]
async fn a_diff_is_what_git_diff_prints() {
    let server = with_branches().await;
    let path = "/api/v1/repos/hello/diff";
    let patch = server.get_with(path, &[PATCH]).await;
    assert_snapshot!(patch.showing(&["content-type", "govc-head"]), @r#"
    200 OK
    content-type: text/x-diff
    govc-head: 3c619805fffb0c471b518af911981e68adf766db
    diff --git a/bin b/bin
    new file mode 100644
    index 0000000000000000000000000000000000000000..8352675d67aed6625ece79af41c27fdb4ee2e867
    GIT binary patch
    literal 3
    KcmZQzWC8#H2LJ>B

    literal 0
    HcmV?d00001

    diff --git a/a.txt b/dir/b.txt
    similarity index 84%
    rename from a.txt
    rename to dir/b.txt
    index 5578ccbff170151f4f036f240512750700ef7bd2..8d85ab6602f6e9670088618f400272d5559ff767 100644
    --- a/a.txt
    +++ b/dir/b.txt
    @@ -2,7 +2,7 @@ line 1
     line 2
     line 3
     line 4
    -line 5
    +line five
     line 6
     line 7
     line 8
    diff --git a/new b/new
    new file mode 100644
    index 0000000000000000000000000000000000000000..9ed40b44250875c2c4532588b014ab45a1799a0f
    --- /dev/null
    +++ b/new
    @@ -0,0 +1,2 @@
    +one
    +two
    \ No newline at end of file
    "#);
    assert_snapshot!(server.get(&format!("{path}?path=dir&context=0&renames=false")).await, @r#"
    200 OK
    {"from":"a3a531311b69ce53cc4ed2ee4c82c5188c9d043c","to":"3c619805fffb0c471b518af911981e68adf766db","files":[{"path":"dir/b.txt","status":"added","old_oid":null,"new_oid":"8d85ab6602f6e9670088618f400272d5559ff767","old_mode":null,"new_mode":"100644","binary":false,"additions":9,"deletions":0,"patch":"diff --git a/dir/b.txt b/dir/b.txt\nnew file mode 100644\nindex 0000000000000000000000000000000000000000..8d85ab6602f6e9670088618f400272d5559ff767\n--- /dev/null\n+++ b/dir/b.txt\n@@ -0,0 +1,9 @@\n+line 1\n+line 2\n+line 3\n+line 4\n+line five\n+line 6\n+line 7\n+line 8\n+line 9\n"}],"stats":{"files":1,"additions":9,"deletions":0}}
    "#);
    assert_snapshot!(server.get(&format!("{path}?path=dir/b.txt&from=main~1&to=main&renames=false&ignore_whitespace")).await.json()["stats"], @r#"{"files":1,"additions":9,"deletions":0}"#);
    let moved = server
        .get(&format!("{path}?from=topic&to=main&merge_base"))
        .await;
    assert_eq!(moved.json()["files"][1]["old_path"], "a.txt");
    assert_eq!(moved.json()["files"][1]["similarity"], 84);
    assert_eq!(moved.json()["stats"]["files"], 3);
    let back = server
        .get(&format!("{path}?from=topic&to=main"))
        .await
        .json();
    assert_eq!(back["stats"]["files"], 4);
    let copies = server
        .get(&format!("{path}?from=main&to=main~1&copies"))
        .await
        .json();
    assert_eq!(copies["files"][0]["status"], "renamed");
    // Nothing at all is what comes before the first.
    let first = server.get(&format!("{path}?to=main~1")).await.json();
    assert_eq!(
        (&first["from"], &first["files"][0]["status"]),
        (&json!(null), &json!("added"))
    );
}

#[tokio::test]
async fn a_comparison_says_who_is_ahead() {
    let server = with_branches().await;
    let compared = server.get("/api/v1/repos/hello/compare/main...topic").await;
    let body = compared.json();
    assert_eq!((&body["ahead"], &body["behind"]), (&json!(1), &json!(1)));
    assert_eq!(body["commits"][0]["message"], "other\n");
    assert_eq!(body["commits"][0]["oid"], body["head"]);
    assert_eq!(body["merge_base"], body["from"]);
    assert_eq!(body["files"].as_array().unwrap().len(), 1);
    assert_eq!(body["files"][0]["path"], "topic");
    let patch = server
        .get_with("/api/v1/repos/hello/compare/main...topic", &[PATCH])
        .await;
    assert!(patch.body.starts_with(b"diff --git a/topic b/topic\n"));
    // HEAD is what is left out.
    let to_head = server
        .get("/api/v1/repos/hello/compare/topic...")
        .await
        .json();
    assert_eq!(to_head["stats"]["files"], 3);
}

#[tokio::test]
async fn what_cannot_be_compared_is_told() {
    let server = with_branches().await;
    let orphan = json!({
        "branch": "orphan", "create_from": null, "message": "m", "actions": [put("o", "")],
    });
    let made = server.post("/api/v1/repos/hello/commits", orphan).await;
    assert_eq!(made.status, 201, "{made}");
    for (path, status, code) in [
        ("diff?from=none", 404, "REF_NOT_FOUND"),
        ("diff?to=main^{tree}", 422, "REF_WRONG_KIND"),
        ("diff?from=main..topic", 400, "REF_INVALID"),
        ("diff?path=../a", 400, "PATH_INVALID"),
        ("diff?context=-1", 400, "QUERY_INVALID"),
        ("diff?context=99999999999", 400, "QUERY_INVALID"),
        ("diff?renames=perhaps", 400, "QUERY_INVALID"),
        ("diff?form=main", 400, "QUERY_INVALID"),
        ("diff?at=99", 404, "SEQ_NOT_FOUND"),
        ("diff?from=main&to=orphan&merge_base", 422, "NO_MERGE_BASE"),
        ("compare/main...orphan", 422, "NO_MERGE_BASE"),
        ("compare/main..topic", 400, "REF_INVALID"),
        ("compare/main", 400, "REF_INVALID"),
        ("compare/main...topic?limit=0", 400, "QUERY_INVALID"),
        ("compare/%FF...main", 400, "REF_INVALID"),
    ] {
        let answer = server.get(&format!("/api/v1/repos/hello/{path}")).await;
        let found = (answer.status.as_u16(), answer.code());
        assert_eq!(found, (status, code.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_long_answer_leaves_the_last_patches_out() {
    let mut config = crate::kit::config();
    config.limits.diff = govc_server::config::units::Bytes(300);
    let server = Server::with(config);
    server.post("/api/v1/repos", json!({ "id": "hello" })).await;
    let actions = json!([
        put("a", "1\n"),
        put("b", &"2\n".repeat(200)),
        put("c", "3\n")
    ]);
    server
        .post("/api/v1/repos/hello/commits", commit("main", "m", actions))
        .await;
    let body = server.get("/api/v1/repos/hello/diff").await.json();
    assert_eq!(body["truncated"], true);
    assert!(body["files"][0]["patch"].is_string());
    assert_eq!(body["files"][1]["patch"], json!(null));
    assert_eq!(body["files"][2]["additions"], json!(null));
    // As text it is whole.
    let patch = server.get_with("/api/v1/repos/hello/diff", &[PATCH]).await;
    assert!(patch.body.len() > 700);
    let empty = Server::with_repo().await;
    let body = empty.get("/api/v1/repos/hello/diff").await.json();
    assert_eq!((&body["to"], &body["files"]), (&json!(null), &json!([])));
}

#[tokio::test]
async fn a_workspace_says_what_is_staged_and_what_is_not() {
    let server = with_branches().await;
    let call = |path: &'static str, body: serde_json::Value| {
        let server = &server;
        async move {
            let answer = server
                .post(&format!("/api/v1/repos/hello/{path}"), body)
                .await;
            assert!(answer.status.is_success(), "{answer}");
        }
    };
    call("add", json!({ "path": "new", "content": "staged\n" })).await;
    call("write", json!({ "path": "new", "content": "written\n" })).await;
    call("write", json!({ "path": "untracked", "content": "u\n" })).await;
    let body = server
        .get("/api/v1/repos/hello/diff?workspace=default")
        .await
        .json();
    let patch = |files: &serde_json::Value| {
        assert_eq!(files.as_array().unwrap().len(), 1, "{files}");
        let patch = files[0]["patch"].as_str().unwrap();
        let lines = patch.lines().filter(|line| line.starts_with(['+', '-']));
        lines
            .filter(|line| !line.contains("/new"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(patch(&body["files"]), "-one -two +written");
    assert_eq!(patch(&body["staged"]), "-one -two +staged");
    assert_eq!(patch(&body["unstaged"]), "-staged +written");
    assert_eq!(body["to"], json!(null));
    let text = server
        .get_with("/api/v1/repos/hello/diff?workspace=default", &[PATCH])
        .await;
    assert!(text.body.ends_with(b"+written\n"));
}
