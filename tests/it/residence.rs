//! Repositories leave memory and come back, and nobody can tell but by the log.

use std::collections::BTreeMap;
use std::sync::Mutex;

use govc_tests::{Dice, Git, Http, Options, TestServer};
use serde_json::{Value, json};

const REPOSITORIES: usize = 20;
const WRITERS: usize = 4;
const ROUNDS: usize = 60;

fn few_in_memory() -> TestServer {
    let config = "storage:\n  max_memory_repos: 3\n  checkpoint_interval: 100ms\nlog:\n  level: \
                  info,govc_server::app::residence=debug\n";
    TestServer::with(Options {
        config: Some(config.to_owned()),
        ..Options::default()
    })
}

fn commit(api: &Http, repo: &str, message: &str) -> String {
    let body = json!({
        "branch": "main", "message": message,
        "actions": [{"op": "put", "path": "file", "content": message}],
    });
    let done = api
        .post(&format!("/repos/{repo}/commits"), &body)
        .expect(201);
    done.json()["oid"].as_str().expect("an id").to_owned()
}

/// Asks for others until repositories have left memory `times` more.
fn until_some_left(server: &TestServer, times: usize) {
    let left = || server.log().matches("left memory").count();
    let before = left();
    let api = server.api();
    for n in 0.. {
        if left() >= before + times {
            return;
        }
        assert!(n < 100_000, "nobody leaves:\n{}", server.log());
        api.get(&format!("/repos/repo-{}/refs", n % REPOSITORIES))
            .expect(200);
    }
}

/// What the list of repositories says of each, without what only memory tells.
fn listed(api: &Http) -> Vec<Value> {
    let mut items = api.get("/repos?limit=100").expect(200).json()["items"].take();
    for item in items.as_array_mut().expect("a list") {
        item["size"]["memory_bytes"] = json!(0);
    }
    items.as_array().expect("a list").clone()
}

#[test]
fn more_repositories_than_memory_has_room_for() {
    let mut server = few_in_memory();
    let names: Vec<String> = (0..REPOSITORIES).map(|n| format!("repo-{n}")).collect();
    names.iter().for_each(|name| drop(server.create(name)));
    let heads: Mutex<BTreeMap<String, Vec<String>>> = Mutex::default();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (server, heads, names) = (&server, &heads, &names);
            scope.spawn(move || {
                let (api, git) = (server.api(), Git::new());
                let mut dice = Dice(writer as u64 + 1);
                for round in 0..ROUNDS {
                    let name = &names[dice.below(REPOSITORIES)];
                    let id = commit(&api, name, &format!("{writer}/{round}"));
                    heads
                        .lock()
                        .expect("a list")
                        .entry(name.clone())
                        .or_default()
                        .push(id.clone());
                    let other = &names[dice.below(REPOSITORIES)];
                    api.get(&format!("/repos/{other}")).expect(200);
                    if round % 8 == 0 {
                        git.run(&format!(
                            "clone -q --bare {} copy-{round}",
                            server.git_url(name)
                        ));
                        git.run(&format!("-C copy-{round} cat-file -e {id}"));
                        git.fsck(&format!("copy-{round}"));
                    }
                }
            });
        }
    });
    until_some_left(&server, 3);
    let before = listed(&server.api());
    assert_eq!(before.len(), REPOSITORIES);
    let heads = heads.into_inner().expect("a list");
    let check = |server: &TestServer| {
        let git = Git::new();
        for (name, ids) in &heads {
            let log = git.run(&format!("clone -q --bare {} {name}", server.git_url(name)));
            assert_eq!(log, "");
            let log = git.run(&format!("-C {name} rev-list main"));
            let mut all: Vec<&str> = log.lines().collect();
            let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            all.sort_unstable();
            ids.sort_unstable();
            assert_eq!(all, ids, "{name}");
        }
    };
    check(&server);
    server.kill_and_start_again();
    check(&server);
    server.stop_well();
    server.start_again();
    let after = listed(&server.api());
    let told = |items: &[Value]| -> Vec<(Value, Value, Value)> {
        let part = |item: &Value| {
            (
                item["id"].clone(),
                item["head"].clone(),
                item["seq"].clone(),
            )
        };
        items.iter().map(part).collect()
    };
    assert_eq!(told(&after), told(&before));
    // All rest after a start: it is the disk that says how large they are.
    for item in &after {
        let name = item["id"].as_str().expect("an id");
        let shown = server
            .api()
            .get(&format!("/repos/{name}"))
            .expect(200)
            .json();
        assert_eq!(shown["size"]["objects"], item["size"]["objects"], "{name}");
        assert_eq!(
            shown["size"]["packed_bytes"], item["size"]["packed_bytes"],
            "{name}"
        );
    }
}

#[test]
fn what_is_done_to_a_repository_that_is_out_is_done_to_it() {
    let server = few_in_memory();
    let api = server.api();
    for n in 0..REPOSITORIES {
        server.create(&format!("repo-{n}"));
    }
    for family in ["family", "gone", "renamed"] {
        server.create(family);
        commit(&api, family, family);
    }
    let fork = |from: &str, id: &str| {
        let made = api.post(&format!("/repos/{from}/fork"), &json!({ "id": id }));
        made.expect(201).json()
    };
    fork("family", "child");
    let on_child = commit(&api, "child", "on the child");

    until_some_left(&server, 5);
    let child = fork("child", "grandchild");
    assert_eq!(child["head"], json!(on_child));
    until_some_left(&server, 5);
    api.delete("/repos/gone").expect(204);
    let renamed = api.patch("/repos/renamed", &json!({ "id": "elsewhere/called" }));
    renamed.expect(200);
    until_some_left(&server, 5);
    api.get("/repos/gone").expect(404);
    api.get("/repos/renamed").expect(404);
    api.post("/repos/gone/restore", &json!({})).expect(200);
    let git = Git::new();
    for (name, count) in [
        ("family", "1"),
        ("child", "2"),
        ("grandchild", "2"),
        ("gone", "1"),
        ("elsewhere/called", "1"),
    ] {
        until_some_left(&server, 1);
        let folder = name.replace('/', "-");
        git.run(&format!(
            "clone -q --bare {} {folder}",
            server.git_url(name)
        ));
        assert_eq!(
            git.run(&format!("-C {folder} rev-list --count main")),
            count,
            "{name}"
        );
        git.fsck(&folder);
    }
}
