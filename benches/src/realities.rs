//! Parallel realities: making ten thousand by one call, what they cost in memory, working in one of
//! many, and what there is after a restart. Beside `git branch` and `git worktree add`.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use govc_engine::work::realities::MakeRealities;
use govc_engine::{
    CauseKind, Change, Pending, RealityBatch, RealityNames, RefName, Refusal, Repository,
};
use serde_json::{Value, json};

use crate::commits::{Files, Node, Proposer, cause};
use crate::fixture;
use crate::http::{Connection, ms, quantile};
use crate::server::Govc;
use crate::table::Table;
use crate::usage;

/// So many batches are made: with a few more they are as many as a repository may have.
const BATCHES: usize = 9;
/// Files of the tree that is worked in.
const FILES: usize = 1_000;
/// So often something is done in one of few and in one of many.
const ROUNDS: usize = 100;

/// Makes `count` realities by each call.
pub fn run(dir: &Path, count: usize, table: &mut Table) {
    let data = dir.join("realities");
    let (server, _) = Govc::start(&data);
    let mut api = Connection::open(&server.url);
    create(&mut api, "only");
    create(&mut api, "many");
    making(dir, &mut api, count, table);
    memory_of_each(dir, count, table);
    working(&server, &mut api, count, table);
    listing(&server, &mut api, count, table);
    server.stop();
    restarting(&data, "many", count * BATCHES, table);
    let fewer = dir.join("realities-fewer");
    let (server, _) = Govc::start(&fewer);
    let mut api = Connection::open(&server.url);
    create(&mut api, "many");
    make(&mut api, "many", "b1n", count);
    drop(api);
    server.stop();
    restarting(&fewer, "many", count, table);
    beside_branches(dir, &data.join("many.git"), table);
    at_once(dir, table);
}

/// A repository with a tree of a thousand files.
fn create(api: &mut Connection, id: &str) {
    api.post("/repos", &json!({ "id": id })).expect(201);
    let put = |file| json!({"op": "put", "path": path_of(file), "content": format!("{file}\n")});
    let actions: Vec<Value> = (0..FILES).map(put).collect();
    let body = json!({"branch": "main", "message": "first", "actions": actions});
    api.post(&format!("/repos/{id}/commits"), &body).expect(201);
}

fn path_of(file: usize) -> String {
    format!("d{}/e{}/f{}", file / 100, file / 10 % 10, file % 10)
}

/// Makes `prefix1` to `prefixN`; how long the answer took.
fn make(api: &mut Connection, id: &str, prefix: &str, count: usize) -> Duration {
    let body = json!({"branches": {"count": count, "prefix": prefix}});
    let reply = api.post(&format!("/repos/{id}/parallel-realities"), &body);
    let reply = reply.expect(201);
    // All of them are in the answer.
    let last = format!("\"name\":\"{prefix}{count}\"");
    let body = &reply.body;
    assert!(
        body.windows(last.len()).any(|part| part == last.as_bytes()),
        "{last} is not there"
    );
    assert!(reply.body.len() > 100 * count);
    reply.took
}

fn making(dir: &Path, api: &mut Connection, count: usize, table: &mut Table) {
    let mut took = Vec::new();
    for batch in 1..=BATCHES {
        took.push(ms(make(api, "many", &format!("b{batch}n"), count)));
    }
    let first = took[0];
    let worst = quantile(took.clone(), 1.0);
    let text = format!(
        "{:.1} ms (first {first:.1}, worst {worst:.1})",
        quantile(took, 0.5)
    );
    let what = format!("{count} realities by one call, durably, p50 of {BATCHES}");
    table.figure(&what, &text, "< 50 ms");
    let sync = format!("{:.2} ms", fdatasync(dir));
    table.figure("  fdatasync of 4 KiB on that disk, p50", &sync, "");
}

/// What realities cost in memory before they are written to: how much a server grows that has made
/// no others, and how much more by each batch that follows.
fn memory_of_each(dir: &Path, count: usize, table: &mut Table) {
    let (server, _) = Govc::start(&dir.join("realities-memory"));
    let mut api = Connection::open(&server.url);
    api.post("/repos", &json!({"id": "small"})).expect(201);
    let put = json!({"op": "put", "path": "file", "content": "hello\n"});
    let body = json!({"branch": "main", "message": "first", "actions": [put]});
    api.post("/repos/small/commits", &body).expect(201);
    let quiet = || {
        server.settle();
        usage::memory(server.pid())
    };
    let mut memory = vec![quiet()];
    for batch in 1..=BATCHES {
        make(&mut api, "small", &format!("b{batch}n"), count);
        memory.push(quiet());
    }
    let each = |from: usize, to: usize| {
        let grown = memory[to].saturating_sub(memory[from]);
        format!("{:.0} B", grown as f64 / ((to - from) * count) as f64)
    };
    table.figure(
        "  memory of each, the first batch of a new server",
        &each(0, 1),
        "< 300 B",
    );
    table.figure(
        "  memory of each, the batches behind it",
        &each(1, BATCHES),
        "< 300 B",
    );
    server.stop();
}

/// How long syncing a small write takes, in milliseconds.
fn fdatasync(dir: &Path) -> f64 {
    const SYNCS: usize = 200;
    let mut file = File::create(dir.join("synced")).expect("a file");
    // The file is as long as it becomes already: so is the log.
    file.write_all(&vec![7; SYNCS * 4096])
        .expect("room on the disk");
    file.sync_all().expect("a sync");
    file.rewind().expect("a file");
    let mut once = || {
        file.write_all(&[8; 4096]).expect("room on the disk");
        let start = Instant::now();
        file.sync_data().expect("a sync");
        ms(start.elapsed())
    };
    quantile((0..SYNCS).map(|_| once()).collect(), 0.5)
}

/// What work in one of a kind costs the server.
#[derive(Default)]
struct Work {
    read: Vec<f64>,
    commit: Vec<f64>,
    promote: Vec<f64>,
    cpu: [f64; 3],
}

/// Reads, commits and promotes, in the only reality of a repository and in one of many.
fn working(server: &Govc, api: &mut Connection, count: usize, table: &mut Table) {
    // Some of the many are in use.
    for n in 1..=(count / 10) {
        commit(api, "many", &format!("b1n{n}"), n);
    }
    server.settle();
    let (mut only, mut many) = (Work::default(), Work::default());
    for round in 0..ROUNDS {
        for (id, work) in [("only", &mut only), ("many", &mut many)] {
            make(api, id, &format!("w{round}n"), 1);
            let name = format!("w{round}n1");
            let mut cpu = server.cpu();
            let mut spent = |at: usize, work: &mut Work| {
                let now = server.cpu();
                work.cpu[at] += now - cpu;
                cpu = now;
            };
            for file in 0..10 {
                let path = path_of(file * 97);
                let path = format!("/repos/{id}/read/{path}?reality={name}");
                work.read.push(ms(api.get(&path).expect(200).took));
            }
            spent(0, work);
            work.commit.push(ms(commit(api, id, &name, round)));
            spent(1, work);
            let path = format!("/repos/{id}/parallel-realities/{name}");
            let promoted = api.post(&format!("{path}/promote"), &json!({})).expect(200);
            work.promote.push(ms(promoted.took));
            spent(2, work);
            api.delete(&path);
        }
    }
    let per = [10 * ROUNDS, ROUNDS, ROUNDS];
    let names = ["reading", "committing", "promoting"];
    let latencies = |work: Work| [work.read, work.commit, work.promote];
    let cpus = [only.cpu, many.cpu];
    let (only, many) = (latencies(only), latencies(many));
    for (at, (only, many)) in only.into_iter().zip(many).enumerate() {
        let what = format!("{} in one of many (git: in the only one)", names[at]);
        let each = |of: usize| cpus[of][at] * 1e6 / per[at] as f64;
        table.less_is_better(&format!("{what}, CPU"), each(0), each(1), "µs", 0.9);
        let p50 = |figures| quantile(figures, 0.5);
        table.less_is_better(&format!("{what}, p50"), p50(only), p50(many), "ms", 0.9);
    }
}

fn commit(api: &mut Connection, id: &str, reality: &str, number: usize) -> Duration {
    let put = json!({"op": "put", "path": path_of(number * 7 % FILES),
        "content": format!("{reality} {number}\n")});
    let body = json!({"message": "mine", "actions": [put]});
    let path = format!("/repos/{id}/parallel-realities/{reality}/apply");
    api.post(&path, &body).expect(201).took
}

/// All of them, page by page.
fn listing(server: &Govc, api: &mut Connection, count: usize, table: &mut Table) {
    let (cpu, start) = (server.cpu(), Instant::now());
    let (listed, first) = list(api, "many");
    assert!(listed >= count * BATCHES, "{listed} are listed");
    let text = format!(
        "{:.0} ms, {:.0} ms CPU (a page of 1,000: {first:.1} ms)",
        ms(start.elapsed()),
        (server.cpu() - cpu) * 1e3
    );
    table.figure(&format!("listing {listed} realities"), &text, "");
}

fn list(api: &mut Connection, id: &str) -> (usize, f64) {
    let path = format!("/repos/{id}/parallel-realities?limit=1000");
    let mut next = path.clone();
    let (mut listed, mut first) = (0, None);
    loop {
        let reply = api.get(&next);
        first.get_or_insert(ms(reply.took));
        let page = reply.json(200);
        listed += page["items"].as_array().map_or(0, Vec::len);
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return (listed, first.unwrap_or_default()),
        }
    }
}

/// Starts with what is in `data`, and asks for one of `count` that was never written to.
fn restarting(data: &Path, id: &str, count: usize, table: &mut Table) {
    let (server, took) = Govc::start(data);
    let mut api = Connection::open(&server.url);
    let first = api.get(&format!(
        "/repos/{id}/parallel-realities/b1n{}",
        count.min(9_999)
    ));
    let first = ms(first.expect(200).took);
    let text = format!(
        "{:.0} ms, {:.0} ms CPU; the first request {first:.1} ms",
        ms(took),
        server.cpu() * 1e3
    );
    table.figure(&format!("start with {count} realities"), &text, "");
    drop(api);
    server.stop();
}

/// What one more of its kind costs git.
fn beside_branches(dir: &Path, source: &Path, table: &mut Table) {
    let repository = dir.join("branches.git");
    let mut clone = fixture::git(dir);
    clone.args([
        "clone",
        "-q",
        "--bare",
        "--branch",
        "main",
        "--single-branch",
    ]);
    fixture::output(clone.arg(source).arg(&repository));
    let server_dir = dir.join("realities-beside");
    let (server, _) = Govc::start(&server_dir);
    let mut api = Connection::open(&server.url);
    create(&mut api, "r");
    let ours = |api: &mut Connection, prefix: &str, count: usize| {
        let cpu = server.cpu();
        let took = make(api, "r", prefix, count);
        (server.cpu() - cpu, took)
    };
    ours(&mut api, "warm", 10);
    let (mut cpu, mut wall) = (0.0, Duration::ZERO);
    for n in 0..20 {
        let (spent, took) = ours(&mut api, &format!("a{n}n"), 1);
        (cpu, wall) = (cpu + spent / 20.0, wall + took / 20);
    }
    let each = |command: &dyn Fn(usize) -> Vec<String>, count: usize| {
        let ((), cost) = usage::of_children(|| {
            for n in 0..count {
                fixture::output(fixture::git(&repository).args(command(n)));
            }
        });
        (
            cost.cpu * 1e3 / count as f64,
            cost.wall * 1e3 / count as f64,
        )
    };
    let branch = |n: usize| vec!["branch".to_owned(), format!("b{n}"), "main".into()];
    let folder = dir.join("worktrees");
    let worktree = |n: usize| {
        let at = folder.join(n.to_string()).display().to_string();
        let words = ["worktree", "add", "-q", "-b"].map(str::to_owned);
        [words.to_vec(), vec![format!("w{n}"), at, "main".into()]].concat()
    };
    let (branch, branch_wall) = each(&branch, 100);
    let (worktree, worktree_wall) = each(&worktree, 20);
    fs::remove_dir_all(&folder).expect("they go");
    let what = "a reality by a call of its own, beside";
    table.less_is_better(
        &format!("{what} `git branch`, CPU"),
        branch,
        cpu * 1e3,
        "ms",
        1.0,
    );
    table.less_is_better(
        &format!("{what} `git branch`"),
        branch_wall,
        ms(wall),
        "ms",
        1.0,
    );
    table.less_is_better(
        &format!("{what} `git worktree add`, CPU"),
        worktree,
        cpu * 1e3,
        "ms",
        10.0,
    );
    table.less_is_better(
        &format!("{what} `git worktree add`"),
        worktree_wall,
        ms(wall),
        "ms",
        10.0,
    );

    let many = 10_000;
    let id = fixture::output(fixture::git(&repository).args(["rev-parse", "main"]));
    let input: String = (0..many)
        .map(|n| format!("create refs/heads/u{n} {id}\n"))
        .collect();
    let ((), peer) = usage::of_children(|| {
        fixture::feed(
            fixture::git(&repository).args(["update-ref", "--stdin"]),
            &input,
        );
    });
    let (cpu, took) = ours(&mut api, "many", many);
    let what = format!("{many} realities by one call, beside `git update-ref --stdin`");
    table.less_is_better(
        &format!("{what}, CPU"),
        peer.cpu * 1e3,
        cpu * 1e3,
        "ms",
        10.0,
    );
    table.less_is_better(&what, peer.wall * 1e3, ms(took), "ms", 10.0);
    server.stop();
}

/// A thousand commit at once while one holds its turn.
fn at_once(dir: &Path, table: &mut Table) {
    const AT_ONCE: u32 = 1_000;
    let (node, store) = Node::with_threads(&dir.join("at-once"), Files::Nested, 2);
    let host = &node.repository;
    let proposal = MakeRealities {
        batch: RealityBatch {
            keys: node.engine.reality_keys(),
            names: RealityNames::Counted {
                prefix: "r".into(),
                count: AT_ONCE + 1,
            },
            parent: None,
            base: 0,
            head: RefName::branch("main"),
            tip: None,
            oid: None,
            in_memory: false,
            expires_at: None,
        },
        of_now: true,
        limit: 100_000,
        cause: cause(CauseKind::RealityCreated),
    };
    futures_executor::block_on(host.publish(proposal)).expect("they are made");
    let open = |n: u32| -> Arc<Repository> {
        let reality = node
            .engine
            .reality(host, &format!("r{n}"))
            .expect("it is there");
        node.engine
            .reality_repository(&reality, true)
            .expect("it opens")
    };
    let held = open(AT_ONCE + 1);
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let holding = std::thread::spawn(move || {
        let mut released = Some(released);
        let hold = move |_: &Pending<'_>| -> Result<Option<Change>, Refusal> {
            entered.send(()).expect("somebody waits");
            // Until somebody lets go.
            let _ = released.take().expect("once").recv();
            Ok(None)
        };
        futures_executor::block_on(held.publish(hold)).expect("nothing is changed");
    });
    has_entered.recv().expect("it has its turn");
    let realities: Vec<Arc<Repository>> = (1..=AT_ONCE).map(open).collect();
    let before = store.stats();
    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..)
            .zip(realities)
            .map(|(n, reality)| {
                tokio::spawn(async move {
                    let put = Files::Nested.put(n % FILES, n + 1);
                    let proposal = Proposer::new().propose(&reality, vec![put], n + 1);
                    reality.publish(proposal).await.expect("a commit");
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a task");
        }
    });
    let took = start.elapsed();
    let syncs = store.stats().syncs - before.syncs;
    release.send(()).expect("it waits");
    holding.join().expect("it ends");
    let text = format!("{:.0} ms, {syncs} syncs", ms(took));
    let what = format!("{AT_ONCE} realities commit at once, while one holds its turn");
    table.figure(&what, &text, "");
}
