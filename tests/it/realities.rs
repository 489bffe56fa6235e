//! Parallel realities, by HTTP and with stock git.

use govc_tests::{Git, Http, Options, TestServer};
use serde_json::{Value, json};

/// A server with one repository, which has a file of ten lines.
fn server() -> TestServer {
    let server = TestServer::with_repo("hello");
    let lines: String = (0..10).map(|n| format!("{n}\n")).collect();
    let body = json!({
        "branch": "main", "message": "first",
        "actions": [{"op": "put", "path": "lines", "content": lines}],
    });
    server.api().post("/repos/hello/commits", &body).expect(201);
    server
}

const REALITIES: &str = "/repos/hello/parallel-realities";

fn make(api: &Http, body: &Value) -> Value {
    api.post(REALITIES, body).expect(201).json()
}

/// Replaces one line in a reality.
fn edit(api: &Http, reality: &str, line: usize, with: &str) -> Value {
    let body = json!({"message": format!("{reality} {line}"), "actions": [{
        "op": "edit", "path": "lines",
        "edits": [{"old": format!("{line}\n"), "new": format!("{with}\n")}],
    }]});
    let path = format!("{REALITIES}/{reality}/apply");
    api.post(&path, &body).expect(201).json()
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list");
    let name = |item: &Value| item["name"].as_str().expect("a name").to_owned();
    items.iter().map(name).collect()
}

#[test]
fn thousands_survive_kill_9() {
    let mut server = server();
    let api = server.api();
    let made = make(&api, &json!({"branches": {"count": 3000, "prefix": "x"}}));
    assert_eq!(made["count"], 3000);
    assert_eq!(made["items"][2999]["name"], "x3000");
    let heads: Vec<Value> = (1..=40)
        .map(|n| edit(&api, &format!("x{}", 70 * n), n % 10, "mine")["oid"].clone())
        .collect();
    let results = json!({"metrics": {"seconds": 1.5}, "passed": true});
    api.post(&format!("{REALITIES}/x70/results"), &results)
        .expect(204);
    api.delete(&format!("{REALITIES}/x1")).expect(204);
    let promoted = json!({"discard_siblings": false});
    api.post(&format!("{REALITIES}/x140/promote"), &promoted)
        .expect(200);
    for stop in [false, true] {
        match stop {
            false => server.kill_and_start_again(),
            true => {
                server.stop_well();
                let bare = server.bare("hello").to_string_lossy().into_owned();
                let git = Git::new();
                git.fsck(&bare);
                let refs = git.refs(&bare);
                assert!(
                    refs.contains("refs/govc/realities/x70/heads/main"),
                    "{refs}"
                );
                server.start_again();
            }
        }
        let api = server.api();
        for (n, head) in (1..=40).zip(&heads) {
            let path = format!("{REALITIES}/x{}", 70 * n);
            let there = api.get(&path).expect(200).json();
            assert_eq!(there["head"], *head, "{path}");
        }
        let never = api.get(&format!("{REALITIES}/x3000")).expect(200).json();
        assert_eq!(never["head"], never["base"]["oid"]);
        api.get(&format!("{REALITIES}/x1"))
            .problem(404, "REALITY_NOT_FOUND");
        let closed = api.get(&format!("{REALITIES}?state=closed")).expect(200);
        assert_eq!(names(&closed.json()), ["x140"]);
        let measured = api.get(&format!("{REALITIES}/x70/benchmark"));
        assert_eq!(measured.expect(200).json()["metrics"]["seconds"], 1.5);
        let log = api.get("/repos/hello/log?reality=x70").expect(200).json();
        assert_eq!(log["items"][0]["oid"], heads[0]);
        let history = api.get("/repos/hello/history?reality=x70").expect(200);
        assert_eq!(history.json()["items"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn a_reality_is_a_remote_of_stock_git() {
    let server = server();
    let api = server.api();
    make(&api, &json!({"branches": ["one", "two"]}));
    let git = Git::new();
    let url = |name: &str| server.git_url(&format!("hello/realities/{name}"));
    git.run(&format!("clone -q {} one", url("one")));
    git.run("-C one checkout -q -b topic");
    let pushed = git.commit("one", "new", "only here\n");
    git.run("-C one push -q origin topic HEAD:main");
    // Another clone of the same has it; its parent and its sibling know nothing of it.
    git.run(&format!("clone -q {} again", url("one")));
    assert_eq!(git.run("-C again rev-parse HEAD"), pushed);
    git.fsck("again");
    for other in [server.git_url("hello"), url("two")] {
        let refs = git.run(&format!("ls-remote {other}"));
        assert!(!refs.contains(&pushed) && !refs.contains("topic"), "{refs}");
        git.run("init -q empty");
        git.refused(&format!("-C empty fetch -q {other} {pushed}"));
    }
    let read = format!("/repos/hello/commits/{pushed}");
    api.get(&read).problem(404, "REF_NOT_FOUND");
    api.get(&format!("{read}?reality=one")).expect(200);
    // The parent goes on. Who builds on that in a reality sends what is new, and no more.
    git.run(&format!("clone -q {} parent", server.git_url("hello")));
    let big: String = (0..200_000).map(|n| format!("{:x}", n * 7919)).collect();
    git.commit("parent", "big", big);
    git.run("-C parent push -q origin main");
    git.commit("parent", "small", "x\n");
    let said = git.attempt(&format!(
        "-C parent push --progress {} HEAD:refs/heads/fresh",
        url("two")
    ));
    assert!(said.status.success(), "{}", said.stderr);
    let sent = said
        .stderr
        .lines()
        .find(|line| line.contains("Writing objects: 100%"));
    assert!(
        sent.is_some_and(|line| line.contains("(3/3)")),
        "{}",
        said.stderr
    );
    git.run(&format!("clone -q -b fresh {} fresh", url("two")));
    git.fsck("fresh");
    // Branches go as they come, and what does not exist is not there.
    git.run("-C one push -q origin --delete topic");
    assert!(!git.run("-C one ls-remote origin").contains("topic"));
    git.refused(&format!("clone -q {} nothing", url("three")));
    api.delete(&format!("{REALITIES}/one")).expect(204);
    git.refused("-C one fetch -q origin");
}

#[test]
fn a_fork_of_a_reality_is_a_repository_of_its_own() {
    let mut server = server();
    let api = server.api();
    make(&api, &json!({"branches": ["try"]}));
    let head = edit(&api, "try", 3, "three")["oid"].clone();
    api.post("/repos/hello/fork?reality=try", &json!({"id": "kept"}))
        .expect(201);
    api.delete(&format!("{REALITIES}/try")).expect(204);
    server.kill_and_start_again();
    let api = server.api();
    let main = api.get("/repos/kept/branches/main").expect(200).json();
    assert_eq!(main["oid"], head);
    let git = Git::new();
    git.run(&format!("clone -q {} kept", server.git_url("kept")));
    assert!(git.read("kept/lines").contains("three"));
    server.stop_well();
    git.fsck(&server.bare("kept").to_string_lossy());
    git.fsck(&server.bare("hello").to_string_lossy());
}

#[test]
fn those_of_a_repository_that_left_memory_come_back_with_it() {
    let server = TestServer::with(Options {
        config: Some("storage:\n  max_memory_repos: 1\n".to_owned()),
        ..Options::default()
    });
    let api = server.api();
    let mut heads = Vec::new();
    for repo in ["one", "two", "three"] {
        api.post("/repos", &json!({"id": repo})).expect(201);
        let body = json!({"branch": "main", "message": "first", "actions": [
            {"op": "put", "path": "lines", "content": "0\n"}]});
        api.post(&format!("/repos/{repo}/commits"), &body)
            .expect(201);
        let made = format!("/repos/{repo}/parallel-realities");
        api.post(&made, &json!({"branches": ["x", "y"]}))
            .expect(201);
        let body = json!({"message": repo, "actions": [
            {"op": "put", "path": "own", "content": repo}]});
        let applied = api.post(&format!("{made}/x/apply"), &body).expect(201);
        heads.push((repo, applied.json()["oid"].clone()));
    }
    // Asked for in turn, each comes back when the one before it has left, or soon will.
    for _ in 0..3 {
        for (repo, head) in &heads {
            let all = format!("/repos/{repo}/parallel-realities");
            let x = api.get(&format!("{all}/x")).expect(200).json();
            assert_eq!(x["head"], *head);
            let own = format!("/repos/{repo}/read/own?reality=x");
            assert_eq!(api.get(&own).expect(200).json()["content"], *repo);
            let pairs = api.get(&format!("{all}/conflicts")).expect(200).json();
            assert_eq!(pairs["pairs"], json!([]));
        }
    }
}

#[test]
fn promoting_into_a_reality_and_discarding_the_others_is_one() {
    let mut server = server();
    let api = server.api();
    make(&api, &json!({"branches": ["p"]}));
    let children = json!({"branches": ["a", "b", "c"], "from": "realities/p"});
    make(&api, &children);
    edit(&api, "a", 1, "of a");
    let of_b = edit(&api, "b", 8, "of b");
    let promote = |name: &str, body: Value| api.post(&format!("{REALITIES}/{name}/promote"), &body);
    let a = promote("a", json!({})).expect(200).json();
    // What is refused discards nobody.
    let old = "0123456789012345678901234567890123456789";
    promote("b", json!({"discard_siblings": true, "expected_head": old})).problem(409, "REF_MOVED");
    let path = format!("{REALITIES}/b/promote");
    let stale = api
        .request("POST", &path)
        .header("if-match", format!("\"{old}\""));
    let stale = stale.json(&json!({"discard_siblings": true}));
    api.send(stale).problem(412, "REF_MOVED");
    let dry = api.post(
        &format!("{path}?dry_run=true"),
        &json!({"discard_siblings": true}),
    );
    dry.expect(201);
    edit(&api, "c", 1, "of c");
    let merged = promote("b", json!({"discard_siblings": true}))
        .expect(201)
        .json();
    assert_eq!(merged["parents"], json!([a["oid"], of_b["oid"]]));
    for restarted in [false, true] {
        if restarted {
            server.kill_and_start_again();
        }
        let api = server.api();
        // One that was promoted before stays what it is.
        let all = api
            .get(&format!("{REALITIES}?state=all"))
            .expect(200)
            .json();
        assert_eq!(names(&all), ["p", "a", "b"]);
        let p = api.get(&format!("{REALITIES}/p")).expect(200).json();
        assert_eq!(p["head"], merged["oid"]);
        let gone = api.post(&format!("{REALITIES}/c/promote"), &json!({}));
        gone.problem(409, "REALITY_DISCARDED");
    }
}

#[test]
fn promoting_moves_the_parent_and_closes_the_reality() {
    let server = server();
    let api = server.api();
    make(&api, &json!({"branches": ["a", "b", "c", "d"]}));
    let first = edit(&api, "a", 1, "of a");
    edit(&api, "b", 8, "of b");
    edit(&api, "c", 1, "of c");
    let conflicts = api
        .get(&format!("{REALITIES}/conflicts"))
        .expect(200)
        .json();
    let expected = json!([{"a": "a", "b": "c", "paths": ["lines"]}]);
    assert_eq!(conflicts["pairs"], expected);
    let promote = |name: &str, body: Value| api.post(&format!("{REALITIES}/{name}/promote"), &body);
    // Nothing else moved: the branch just follows.
    let there = promote("a", json!({})).expect(200);
    assert_eq!(there.json()["oid"], first["oid"]);
    promote("a", json!({})).problem(409, "REALITY_CLOSED");
    api.post(
        &format!("{REALITIES}/a/apply"),
        &json!({"message": "m", "actions": []}),
    )
    .problem(409, "REALITY_CLOSED");
    let problem = promote("c", json!({})).problem(409, "MERGE_CONFLICT");
    assert_eq!(problem["conflicts"][0]["path"], "lines");
    promote("b", json!({"strategy": "ff_only"})).problem(422, "NOT_FAST_FORWARD");
    let old = json!({"expected_head": "0123456789012345678901234567890123456789"});
    promote("b", old).problem(409, "REF_MOVED");
    let before = api.get("/repos/hello").expect(200).json()["seq"].clone();
    let dry = api.post(&format!("{REALITIES}/b/promote?dry_run=true"), &json!({}));
    dry.expect(201);
    assert_eq!(api.get("/repos/hello").expect(200).json()["seq"], before);
    let merged = promote("b", json!({"discard_siblings": true}))
        .expect(201)
        .json();
    assert_eq!(merged["parents"][0], first["oid"]);
    assert_eq!(merged["message"], "Merge reality 'b'\n");
    // One change, which also says that the others are gone.
    let history = api.get("/repos/hello/history").expect(200).json();
    assert_eq!(history["items"][0]["type"], "reality.promoted");
    assert_eq!(history["items"][0]["ref_updates"][0]["new"], merged["oid"]);
    promote("d", json!({})).problem(409, "REALITY_DISCARDED");
    let all = api
        .get(&format!("{REALITIES}?state=all"))
        .expect(200)
        .json();
    assert_eq!(names(&all), ["a", "b"]);
    let read = api
        .get("/repos/hello/read/lines?reality=a")
        .expect(200)
        .json();
    assert!(
        read["content"]
            .as_str()
            .is_some_and(|text| text.contains("of a"))
    );
}

#[test]
fn of_two_that_discard_the_others_one_wins() {
    let server = server();
    let api = server.api();
    make(&api, &json!({"branches": {"count": 6, "prefix": "x"}}));
    for n in 1..=6 {
        edit(&api, &format!("x{n}"), n, "mine");
    }
    let answers: Vec<(u16, String)> = std::thread::scope(|scope| {
        let promotes: Vec<_> = (1..=6)
            .map(|n| {
                let api = api.clone();
                scope.spawn(move || {
                    let body = json!({"discard_siblings": true});
                    let answer = api.post(&format!("{REALITIES}/x{n}/promote"), &body);
                    let code = answer.json()["code"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned();
                    (answer.status, code)
                })
            })
            .collect();
        let ended = promotes.into_iter().map(|promote| promote.join());
        ended.map(|answer| answer.expect("it ends")).collect()
    });
    let won = answers.iter().filter(|(status, _)| *status < 300).count();
    let lost = answers
        .iter()
        .filter(|(_, code)| code == "REALITY_DISCARDED")
        .count();
    assert_eq!((won, lost), (1, 5), "{answers:?}");
}

#[test]
fn they_nest_go_by_themselves_and_may_be_in_memory_only() {
    let mut server = server();
    let api = server.api();
    make(&api, &json!({"branches": ["outer"]}));
    edit(&api, "outer", 1, "of outer");
    let made = make(
        &api,
        &json!({"branches": ["inner"], "from": "realities/outer"}),
    );
    assert_eq!(made["items"][0]["parent"], "outer");
    let head = edit(&api, "inner", 2, "of inner");
    let before = api.get("/repos/hello").expect(200).json();
    api.post(&format!("{REALITIES}/inner/promote"), &json!({}))
        .expect(200);
    let outer = api.get(&format!("{REALITIES}/outer")).expect(200).json();
    assert_eq!(outer["head"], head["oid"]);
    assert_eq!(
        api.get("/repos/hello").expect(200).json()["head"],
        before["head"]
    );
    // From the past, and from a commit.
    let past = make(&api, &json!({"branches": ["past"], "at": 0}));
    assert_eq!(past["items"][0]["head"], Value::Null);
    let tip = before["head"].as_str().expect("a head");
    let at = make(&api, &json!({"branches": ["at"], "from": tip}));
    assert_eq!(at["items"][0]["head"], before["head"]);
    // In memory only, until it is promoted.
    let memory = json!({"branches": ["scratch", "kept"], "durability": "memory"});
    make(&api, &memory);
    edit(&api, "scratch", 3, "of scratch");
    let kept = edit(&api, "kept", 4, "of kept");
    api.post(&format!("{REALITIES}/kept/promote"), &json!({}))
        .expect(200);
    server.kill_and_start_again();
    let api = server.api();
    api.get(&format!("{REALITIES}/scratch"))
        .problem(404, "REALITY_NOT_FOUND");
    let main = api.get("/repos/hello/branches/main").expect(200).json();
    assert_eq!(main["oid"], kept["oid"]);
    let git = Git::new();
    git.run(&format!("clone -q {} copy", server.git_url("hello")));
    git.fsck("copy");
    let outer = api.get(&format!("{REALITIES}/outer")).expect(200).json();
    assert_eq!(outer["head"], head["oid"]);
    // With the outer one goes the inner.
    make(
        &api,
        &json!({"branches": ["more"], "from": "realities/outer"}),
    );
    api.delete(&format!("{REALITIES}/outer")).expect(204);
    for gone in ["outer", "inner", "more"] {
        api.get(&format!("{REALITIES}/{gone}"))
            .problem(404, "REALITY_NOT_FOUND");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let server = server();
    let api = server.api();
    for (body, status, code) in [
        (json!({}), 400, "BODY_INVALID"),
        (json!({"branches": []}), 400, "BODY_INVALID"),
        (json!({"branches": ["a", "a"]}), 400, "BODY_INVALID"),
        (json!({"branches": ["a/b"]}), 400, "BODY_INVALID"),
        (json!({"branches": ["conflicts"]}), 400, "BODY_INVALID"),
        (
            json!({"branches": {"count": 0, "prefix": "x"}}),
            400,
            "BODY_INVALID",
        ),
        (
            json!({"branches": {"count": 1, "prefix": "../"}}),
            400,
            "BODY_INVALID",
        ),
        (
            json!({"branches": {"count": 100_001, "prefix": "x"}}),
            422,
            "QUOTA_EXCEEDED",
        ),
        (
            json!({"branches": ["a"], "from": "nothing"}),
            404,
            "REF_NOT_FOUND",
        ),
        (
            json!({"branches": ["a"], "from": "realities/b"}),
            404,
            "REALITY_NOT_FOUND",
        ),
        (json!({"branches": ["a"], "at": 99}), 404, "SEQ_NOT_FOUND"),
        (
            json!({"branches": ["a"], "durability": "maybe"}),
            400,
            "BODY_INVALID",
        ),
    ] {
        api.post(REALITIES, &body).problem(status, code);
    }
    api.get("/repos/hello/log?reality=nobody")
        .problem(404, "REALITY_NOT_FOUND");
    let dry = api.post(
        &format!("{REALITIES}?dry_run=true"),
        &json!({"branches": ["a"]}),
    );
    assert_eq!(dry.expect(201).json()["items"][0]["name"], "a");
    let list = api.get(REALITIES).expect(200).json();
    assert_eq!(names(&list), Vec::<String>::new());
}
