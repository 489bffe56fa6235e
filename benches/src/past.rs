//! The past of files: `blame` and `log -- path`, beside git's, which must say the same.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::fixture;
use crate::http::{Connection, ms};
use crate::server::Govc;
use crate::table::Table;
use crate::usage;

/// So many files are looked at: those that changed most often lately.
const FILES: usize = 6;
/// So many commits say which.
const LATELY: &str = "-n5000";

/// Looks at files of `history`, served as it is.
pub fn run(dir: &Path, history: &Path, table: &mut Table) {
    let data = dir.join("past");
    fs::create_dir_all(&data).expect("a folder");
    let clone = |to: &Path| {
        let mut clone = fixture::git(dir);
        clone.args(["clone", "-q", "--bare", "--single-branch", "--local"]);
        fixture::output(clone.arg(history).arg(to));
    };
    clone(&data.join("past.git"));
    let peer = dir.join("past-peer.git");
    clone(&peer);
    fixture::output(fixture::git(&peer).args(["commit-graph", "write", "--reachable"]));
    let paths = match std::env::var("GOVC_BENCH_PATHS") {
        Ok(paths) => paths.split(',').map(str::to_owned).collect(),
        Err(_) => often_changed(&peer),
    };
    let (server, _) = Govc::start(&data);
    let mut api = Connection::open(&server.url);
    api.get("/repos/past/log?limit=1").expect(200);
    // What is made in the background is not of these figures.
    server.settle();
    for path in &paths {
        blame(&server, &mut api, &peer, path, table);
    }
    let plain: Vec<f64> = paths.iter().map(|path| git_log(&peer, path).cpu).collect();
    let mut write = fixture::git(&peer);
    let changed = ["commit-graph", "write", "--reachable", "--changed-paths"];
    let bloom = usage::of_command(write.args(changed));
    let text = format!("{:.1} s CPU", bloom.cpu);
    table.figure("git makes its Bloom filters", &text, "");
    for (path, plain) in paths.iter().zip(plain) {
        log(&server, &mut api, &peer, path, plain, table);
    }
    drop(api);
    server.stop();
}

fn often_changed(repository: &Path) -> Vec<String> {
    let listed = [
        "log",
        LATELY,
        "--format=",
        "--name-only",
        "--no-merges",
        "HEAD",
    ];
    let listed = fixture::output(fixture::git(repository).args(listed));
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for path in listed.lines().filter(|line| !line.is_empty()) {
        *counts.entry(path).or_default() += 1;
    }
    let mut counts: Vec<(usize, &str)> = counts.into_iter().map(|(p, n)| (n, p)).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let there = ["ls-tree", "-r", "--name-only", "HEAD"];
    let there = fixture::output(fixture::git(repository).args(there));
    let there: std::collections::HashSet<&str> = there.lines().collect();
    let paths = counts.into_iter().map(|(_, path)| path);
    let paths = paths.filter(|path| there.contains(path)).take(FILES);
    paths.map(str::to_owned).collect()
}

fn blame(server: &Govc, api: &mut Connection, peer: &Path, path: &str, table: &mut Table) {
    let command = || {
        let mut command = fixture::git(peer);
        command.args(["blame", "--line-porcelain", "HEAD", "--", path]);
        command
    };
    let gits = commits_of_lines(&mut command());
    let url = format!("/repos/past/blame/{path}");
    let cpu = server.cpu();
    let reply = api.get(&url);
    let first = (server.cpu() - cpu, ms(reply.took));
    let answer = reply.json(200);
    let lines = answer["lines"].as_array().expect("lines");
    let ours: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["commit"].as_str())
        .collect();
    assert_eq!(ours.len(), gits.len(), "{path}");
    let other = ours.iter().zip(&gits).filter(|(a, b)| a != b).count();
    let cpu = server.cpu();
    api.get(&url).expect(200);
    let again = server.cpu() - cpu;
    let peer = usage::of_command(&mut command());
    let what = format!(
        "blame {path}: {} lines, {other} other than git's",
        ours.len()
    );
    let cold = format!(
        "  first time: {:.0} ms, {:.0} ms CPU",
        first.1,
        first.0 * 1e3
    );
    table.less_is_better(
        &format!("{what}, CPU"),
        peer.cpu * 1e3,
        again * 1e3,
        "ms",
        1.0,
    );
    table.figure(&cold, "", "");
}

/// The commit of each line.
fn commits_of_lines(command: &mut Command) -> Vec<String> {
    let output = command.output().expect("git runs");
    assert!(output.status.success());
    let mut commits = Vec::new();
    let mut is_head = true;
    for line in output.stdout.split(|byte| *byte == b'\n') {
        if is_head && !line.is_empty() {
            let id = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            commits.push(String::from_utf8_lossy(id).into_owned());
        }
        // The line itself ends what is said of it.
        is_head = line.first() == Some(&b'\t');
    }
    commits
}

fn git_log(peer: &Path, path: &str) -> usage::Cost {
    let command = ["log", "--format=%H", "HEAD", "--", path];
    usage::of_command(fixture::git(peer).args(command))
}

fn log(
    server: &Govc,
    api: &mut Connection,
    peer: &Path,
    path: &str,
    plain: f64,
    table: &mut Table,
) {
    let gits = ["log", "--format=%H", "HEAD", "--", path];
    let gits = fixture::output(fixture::git(peer).args(gits));
    let cpu = server.cpu();
    let mut ours = Vec::new();
    let all = format!("/repos/past/log?limit=1000&path={path}");
    let mut next = all.clone();
    loop {
        let page = api.get(&next).json(200);
        let items = page["items"].as_array().expect("items");
        let ids = items.iter().filter_map(|item| item["oid"].as_str());
        ours.extend(ids.map(str::to_owned));
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("{all}&cursor={cursor}"),
            None => break,
        }
    }
    let whole = server.cpu() - cpu;
    assert_eq!(ours.join("\n"), gits, "the log of {path}");
    // The first page, as people ask for it.
    let page = format!("/repos/past/log?limit=50&path={path}");
    api.get(&page).expect(200);
    let (cpu, took) = (server.cpu(), ms(api.get(&page).expect(200).took));
    let page = server.cpu() - cpu;
    let bloom = git_log(peer, path);
    let first = ["log", "-n50", "--format=raw", "HEAD", "--", path];
    let git_page = usage::of_command(fixture::git(peer).args(first));
    let what = format!("log of {path}, {} commits", ours.len());
    table.less_is_better(&format!("{what}, CPU"), plain * 1e3, whole * 1e3, "ms", 1.0);
    table.less_is_better(
        "  beside git with Bloom filters, CPU",
        bloom.cpu * 1e3,
        whole * 1e3,
        "ms",
        1.0,
    );
    table.less_is_better(
        "  the first 50, beside git with Bloom filters, CPU",
        git_page.cpu * 1e3,
        page * 1e3,
        "ms",
        1.0,
    );
    table.figure("  the first 50", &format!("{took:.1} ms"), "");
}
