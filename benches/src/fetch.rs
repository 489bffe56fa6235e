//! Fetches of what is new, over HTTP, beside `git http-backend` behind apache.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fixture;
use crate::push;
use crate::server::{Apache, Govc};
use crate::table::Table;

/// How far back a client is whose fetch is measured: some hundred commits.
const BEHIND: usize = 300;
/// How often each fetch is made.
const FETCHES: usize = 20;
/// Haves that a client names at first, as git's does.
const HAVES: usize = 16;

/// A fetch of a few hundred new commits into a repository with all of `history`, beside git without
/// bitmaps and with them.
pub fn incremental(dir: &Path, history: &Path, table: &mut Table) {
    let want = rev(history, "HEAD");
    let haves = haves(history, BEHIND);
    let new = fixture::output(fixture::git(history).args([
        "rev-list",
        "--count",
        &format!("{}..{want}", haves[0]),
    ]));
    let request = request(&want, &haves);
    let client = client();

    let data = dir.join("fetch-data");
    fs::create_dir_all(&data).expect("a folder");
    copy(history, &data, "history.git", false);
    let log = dir.join("fetch.log");
    let server = Govc::start_as(&data, &config(dir), &log);
    let url = format!("{}/history.git", server.url);
    // It comes into memory when somebody asks for it; its lists are made beside that.
    let cpu = server.cpu();
    let bytes = fetch(&client, &url, &request);
    let first = server.cpu() - cpu;
    let listed = Govc::lists_made(&log);
    server.settle();
    let cpu = server.cpu();
    for _ in 0..FETCHES {
        fetch(&client, &url, &request);
    }
    let ours = (server.cpu() - cpu) / FETCHES as f64;
    drop(server);

    let root = dir.join("fetch-apache");
    fs::create_dir_all(&root).expect("a folder");
    copy(history, &root, "plain.git", false);
    copy(history, &root, "bitmaps.git", true);
    let what = format!("fetch of {new} commits, server CPU");
    if let Some(apache) = Apache::start(&root) {
        for (name, beside, goal) in [("plain", "no bitmaps", 30.0), ("bitmaps", "bitmaps", 1.0)] {
            let url = format!("{}/{name}.git", apache.url);
            fetch(&client, &url, &request);
            let cpu = apache.cpu();
            for _ in 0..FETCHES {
                fetch(&client, &url, &request);
            }
            let peer = (apache.cpu() - cpu) / FETCHES as f64;
            let what = format!("{what} (git: {beside})");
            table.less_is_better(&what, peer * 1e3, ours * 1e3, "ms", goal);
        }
    } else {
        let ours = format!("{:.3} ms", ours * 1e3);
        table.figure(&format!("{what} (apache2 is not installed)"), &ours, "");
    }
    table.figure("  commits with introduced lists", &listed.to_string(), "");
    table.figure("  the first one", &format!("{:.3} ms", first * 1e3), "");
    let kilobytes = format!("{:.0} KB", bytes as f64 / 1e3);
    table.figure("  its bytes", &kilobytes, "");
}

/// Pushes of one commit, each fetched at once by a client that was there before it.
pub fn after_a_push(dir: &Path, history: &Path, pushes: usize, table: &mut Table) {
    let requests = push::requests(history, pushes);
    let (first, rest) = requests.split_at(1);
    let fetches: Vec<Vec<u8>> = (0..pushes)
        .rev()
        .map(|back| {
            let want = rev(history, &format!("HEAD~{back}"));
            request(&want, &haves(history, back + 1))
        })
        .collect();
    let client = client();

    let log = dir.join("fetch-push.log");
    let server = Govc::start_as(&dir.join("fetch-push-data"), &config(dir), &log);
    let url = server.create("one");
    push::push_all(&client, &url, first);
    let listed = Govc::lists_made(&log);
    server.settle();
    let mut ours = 0.0;
    for (push, request) in rest.iter().zip(&fetches) {
        push::push_all(&client, &url, std::slice::from_ref(push));
        let cpu = server.cpu();
        fetch(&client, &url, request);
        ours += server.cpu() - cpu;
    }
    let ours = ours / pushes as f64;
    drop(server);

    let root = dir.join("fetch-push-apache");
    fs::create_dir_all(&root).expect("a folder");
    let bare = fixture::bare(&root, "one.git");
    for setting in ["http.receivepack=true", "receive.autogc=false"] {
        let (key, value) = setting.split_once('=').expect("a setting");
        fixture::output(fixture::git(&bare).args(["config", key, value]));
    }
    let what = "fetch of one commit right after its push, server CPU";
    let Some(apache) = Apache::start(&root) else {
        table.figure(what, &format!("{:.3} ms", ours * 1e3), "");
        return;
    };
    let url = format!("{}/one.git", apache.url);
    push::push_all(&client, &url, first);
    let mut peer = 0.0;
    for (push, request) in rest.iter().zip(&fetches) {
        push::push_all(&client, &url, std::slice::from_ref(push));
        let cpu = apache.cpu();
        fetch(&client, &url, request);
        peer += apache.cpu() - cpu;
    }
    let peer = peer / pushes as f64;
    table.less_is_better(what, peer * 1e3, ours * 1e3, "ms", 30.0);
    table.figure("  commits with introduced lists", &listed.to_string(), "");
}

/// An empty configuration: the defaults.
fn config(dir: &Path) -> PathBuf {
    let path = dir.join("fetch.yaml");
    fs::write(&path, "").expect("a configuration");
    path
}

fn client() -> reqwest::blocking::Client {
    let client = reqwest::blocking::Client::builder().timeout(None);
    client.build().expect("a client")
}

fn rev(history: &Path, name: &str) -> String {
    fixture::output(fixture::git(history).args(["rev-parse", name]))
}

/// What a client names that has everything up to so many commits behind HEAD.
fn haves(history: &Path, behind: usize) -> Vec<String> {
    let count = format!("--max-count={HAVES}");
    let from = format!("HEAD~{behind}");
    let list = fixture::output(fixture::git(history).args(["rev-list", &count, &from]));
    list.lines().map(str::to_owned).collect()
}

/// A copy of what HEAD reaches, packed again, with a commit-graph.
fn copy(history: &Path, to: &Path, name: &str, bitmaps: bool) -> PathBuf {
    let from = history.display().to_string();
    let mut clone = fixture::git(to);
    clone.args(["clone", "-q", "--bare", "--single-branch", "--no-tags"]);
    fixture::output(clone.args(["--no-local", &from, name]));
    let copy = to.join(name);
    let bitmaps = if bitmaps { "-b" } else { "-q" };
    let config = format!("repack.writeBitmaps={}", bitmaps == "-b");
    fixture::output(fixture::git(&copy).args(["-c", &config, "repack", "-adq", bitmaps]));
    fixture::output(fixture::git(&copy).args(["commit-graph", "write", "--reachable"]));
    copy
}

/// A request of version 2, as git sends it.
fn request(want: &str, haves: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut line = |text: &str| out.extend(format!("{:04x}{text}\n", text.len() + 5).into_bytes());
    line("command=fetch");
    line("agent=bench");
    line("object-format=sha1");
    out.extend_from_slice(b"0001");
    let mut line = |text: &str| out.extend(format!("{:04x}{text}\n", text.len() + 5).into_bytes());
    for word in ["thin-pack", "no-progress", "ofs-delta"] {
        line(word);
    }
    line(&format!("want {want}"));
    for have in haves {
        line(&format!("have {have}"));
    }
    out.extend_from_slice(b"0000");
    out
}

/// Fetches, and throws away what comes; how many bytes those are.
fn fetch(client: &reqwest::blocking::Client, url: &str, request: &[u8]) -> usize {
    let answer = client
        .post(format!("{url}/git-upload-pack"))
        .header("content-type", "application/x-git-upload-pack-request")
        .header("git-protocol", "version=2")
        .body(request.to_vec())
        .send()
        .expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    let body = answer.bytes().expect("a pack");
    let has = |what: &[u8]| body.windows(what.len()).any(|window| window == what);
    assert!(has(b"ready") && has(b"packfile"), "one round is enough");
    assert!(body.ends_with(b"0000"), "all of it");
    body.len()
}
