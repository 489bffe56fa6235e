//! Many writers on one branch: whoever was told yes is in its history.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use govc_tests::{Git, Http, TestServer};
use serde_json::json;

const WRITERS: usize = 8;
const COMMITS_EACH: usize = 6;

/// One commit by REST: `None` when somebody was faster.
fn commit(api: &Http, file: &str) -> Option<String> {
    let body = json!({
        "branch": "main", "message": format!("Add {file}"),
        "actions": [{"op": "put", "path": file, "content": file}],
    });
    let answer = api.post("/repos/hello/commits", &body);
    match answer.status {
        201 => Some(answer.json()["oid"].as_str().expect("an id").to_owned()),
        409 => None,
        other => panic!("{other}: {}", answer.text()),
    }
}

/// The commits of `main`, and that its tree has a file for each.
fn check(server: &TestServer, answered: &BTreeSet<String>) {
    let git = Git::new();
    git.run(&format!("clone -q {} all", server.git_url("hello")));
    let history: BTreeSet<String> = git
        .run("-C all rev-list main")
        .lines()
        .map(str::to_owned)
        .collect();
    let lost: Vec<&String> = answered.difference(&history).collect();
    assert!(lost.is_empty(), "answered and lost: {lost:?}");
    git.fsck("all");
}

#[test]
fn eight_writers_by_rest_all_win() {
    let mut server = TestServer::with_repo("hello");
    assert!(commit(&server.api(), "first").is_some());
    let api = server.api();
    let answered: BTreeSet<String> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let api = api.clone();
                scope.spawn(move || {
                    (0..COMMITS_EACH)
                        .map(|n| {
                            let id = commit(&api, &format!("{writer}/{n}"));
                            id.expect("without a belief nobody is too late")
                        })
                        .collect::<Vec<String>>()
                })
            })
            .collect();
        writers
            .into_iter()
            .flat_map(|writer| writer.join().expect("a writer ends"))
            .collect()
    });
    assert_eq!(answered.len(), WRITERS * COMMITS_EACH);
    server.kill_and_start_again();
    check(&server, &answered);
    let git = Git::new();
    git.run(&format!("clone -q {} all", server.git_url("hello")));
    let files = git.run("-C all ls-files");
    assert_eq!(files.lines().count(), WRITERS * COMMITS_EACH + 1);
    // One line of history: each commit's parent is the one before it.
    assert_eq!(git.run("-C all rev-list --merges main"), "");
}

/// The figure called `name` that the server told its log when it stopped.
fn told(log: &str, name: &str) -> u64 {
    let line = log
        .lines()
        .rfind(|line| line.contains("changes that shared"));
    let line = line.expect("the server tells how often it synced");
    let figure = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    figure.and_then(|figure| figure.parse().ok()).expect(name)
}

/// How many changes a server that stopped has made, and how many of them shared a sync; printed.
fn told_of_sharing(server: &TestServer, sync_time: Duration) -> [u64; 2] {
    let log = server.log();
    let [changes, syncs, shared] = ["changes", "syncs", "shared"].map(|name| told(&log, name));
    // Whoever runs this test wants to see the figures.
    #[allow(clippy::print_stdout)]
    {
        println!(
            "{changes} changes, {syncs} syncs, {shared} shared one; a sync takes {sync_time:?}"
        );
    }
    [changes, shared]
}

/// How long the disk takes to make a few bytes durable, as a median.
fn sync_time(folder: &Path) -> Duration {
    let mut file = File::create(folder.join("sync-time")).expect("a file");
    let mut times: Vec<Duration> = (0..21)
        .map(|_| {
            file.write_all(&[1; 512]).expect("written");
            let begun = Instant::now();
            file.sync_data().expect("synced");
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn eight_writers_share_their_syncs() {
    const EACH: usize = 25;
    let mut server = TestServer::with_repo("hello");
    assert!(commit(&server.api(), "first").is_some());
    let api = server.api();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let api = api.clone();
            scope.spawn(move || {
                for n in 0..EACH {
                    assert!(commit(&api, &format!("{writer}/{n}")).is_some());
                }
            });
        }
    });
    let sync_time = sync_time(&server.data());
    assert!(server.stop().success());
    let [changes, shared] = told_of_sharing(&server, sync_time);
    // The repository's making, and the first commit.
    let commits = (WRITERS * EACH) as u64;
    assert_eq!(changes, commits + 2);
    // Where syncing costs next to nothing, there is nobody to wait for.
    if sync_time > Duration::from_millis(1) {
        assert!(shared * 2 >= commits, "{shared} of {commits} shared a sync");
    }
}

/// Half of the writers commit by REST, half push; the commits that were answered. A push takes
/// longer than a commit by REST: so many more of these are made while it does.
fn by_rest_and_push(server: &TestServer, round: &str) -> BTreeSet<String> {
    const PUSHES_EACH: usize = 3;
    const BY_REST_EACH: usize = 15;
    let url = server.git_url("hello");
    let api = server.api();
    let answered: BTreeSet<String> = std::thread::scope(|scope| {
        let by_rest = (0..WRITERS / 2).map(|writer| {
            let api = api.clone();
            scope.spawn(move || {
                (0..BY_REST_EACH)
                    .filter_map(|n| commit(&api, &format!("{round}/rest-{writer}/{n}")))
                    .collect::<Vec<String>>()
            })
        });
        let by_rest: Vec<_> = by_rest.collect();
        let by_push = (0..WRITERS / 2).map(|writer| {
            let url = url.clone();
            scope.spawn(move || {
                let git = Git::new();
                git.run(&format!("clone -q {url} work"));
                let mut answered = Vec::new();
                for n in 0..PUSHES_EACH {
                    git.commit("work", &format!("{round}/push-{writer}/{n}"), "x\n");
                    // Others are faster often enough; each round somebody gets through.
                    while !git.attempt("-C work push -q origin main").status.success() {
                        git.run("-C work pull -q --rebase origin main");
                    }
                    answered.push(git.run("-C work rev-parse HEAD"));
                }
                answered
            })
        });
        let by_push: Vec<_> = by_push.collect();
        by_rest
            .into_iter()
            .chain(by_push)
            .flat_map(|writer| writer.join().expect("a writer ends"))
            .collect()
    });
    assert_eq!(answered.len(), WRITERS / 2 * (PUSHES_EACH + BY_REST_EACH));
    answered
}

#[test]
fn eight_writers_by_rest_and_push_lose_nothing_and_share_their_syncs() {
    let mut server = TestServer::with_repo("hello");
    assert!(commit(&server.api(), "first").is_some());
    let mut answered = by_rest_and_push(&server, "one");
    check(&server, &answered);
    server.kill_and_start_again();
    check(&server, &answered);
    // What is counted is told when the server stops.
    let second = by_rest_and_push(&server, "two");
    let made = second.len() as u64;
    answered.extend(second);
    check(&server, &answered);
    let sync_time = sync_time(&server.data());
    assert!(server.stop().success());
    let [changes, shared] = told_of_sharing(&server, sync_time);
    assert_eq!(changes, made);
    if sync_time > Duration::from_millis(1) {
        assert!(shared * 2 >= made, "{shared} of {made} shared a sync");
    }
}

#[test]
fn eight_repositories_do_not_disturb_each_other() {
    let mut server = TestServer::start();
    let url = server.url();
    for n in 0..WRITERS {
        server.create(&format!("repo-{n}"));
    }
    std::thread::scope(|scope| {
        for n in 0..WRITERS {
            let url = format!("{url}/repo-{n}.git");
            scope.spawn(move || {
                let git = Git::new();
                git.run(&format!("clone -q {url} work"));
                for i in 0..3 {
                    git.commit("work", &format!("{i}"), format!("{n}\n"));
                    git.run("-C work push -q origin main");
                }
            });
        }
    });
    server.kill_and_start_again();
    let git = Git::new();
    for n in 0..WRITERS {
        git.run(&format!(
            "clone -q {} r{n}",
            server.git_url(&format!("repo-{n}"))
        ));
        assert_eq!(git.run(&format!("-C r{n} rev-list --count HEAD")), "3");
        assert_eq!(git.read(&format!("r{n}/2")), format!("{n}\n"));
    }
}
