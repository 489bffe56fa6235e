//! Pushes over HTTP: one commit at a time, and a whole history.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use crate::fixture;
use crate::server::{Apache, Govc};
use crate::table::Table;
use crate::usage;

const ZERO: &str = "0000000000000000000000000000000000000000";

/// One commit a push, beside `git http-backend` behind apache, with the same requests.
pub fn one_commit(dir: &Path, history: &Path, pushes: usize, table: &mut Table) {
    let early = pushes / 10;
    let requests = requests(history, early + pushes);
    let (first, rest) = requests.split_at(1);
    let (early, rest) = rest.split_at(early);
    let client = reqwest::blocking::Client::builder()
        .build()
        .expect("a client");

    let (server, _) = Govc::start(&dir.join("push-data"));
    let url = server.create("one");
    push_all(&client, &url, first);
    let besides_lists = || server.cpu() - server.cpu_of_lists();
    let cpu = besides_lists();
    push_all(&client, &url, early);
    let early_ours = (besides_lists() - cpu) / early.len().max(1) as f64;
    server.settle();
    let lists = server.cpu_of_lists();
    let cpu = server.cpu();
    let start = Instant::now();
    push_all(&client, &url, rest);
    let ours = (server.cpu() - cpu) / pushes as f64;
    let wall = start.elapsed().as_secs_f64() / pushes as f64;

    let root = dir.join("apache");
    fs::create_dir_all(&root).expect("a folder");
    let bare = fixture::bare(&root, "one.git");
    for setting in ["http.receivepack=true", "receive.autogc=false"] {
        let (key, value) = setting.split_once('=').expect("a setting");
        fixture::output(fixture::git(&bare).args(["config", key, value]));
    }
    if let Some(apache) = Apache::start(&root) {
        let url = format!("{}/one.git", apache.url);
        push_all(&client, &url, first);
        push_all(&client, &url, early);
        let cpu = apache.cpu();
        push_all(&client, &url, rest);
        let peer = (apache.cpu() - cpu) / pushes as f64;
        table.less_is_better(
            "push of one commit, server CPU",
            peer * 1e3,
            ours * 1e3,
            "ms",
            50.0,
        );
    } else {
        let ours = format!("{:.3} ms", ours * 1e3);
        table.figure("push of one commit (apache2 is not installed)", &ours, "");
    }
    let early_ours = format!("{:.3} ms", early_ours * 1e3);
    table.figure("  while introduced lists are made", &early_ours, "");
    let lists = format!("{lists:.2} s");
    table.figure("  their making in the background, once", &lists, "");
    table.figure("  time on the clock", &format!("{:.3} ms", wall * 1e3), "");
    table.figure(
        "  fdatasync of the disk, p50",
        &format!("{:.3} ms", fdatasync_p50(dir) * 1e3),
        "",
    );
    drop(server);
}

/// A whole history in one push, beside `git receive-pack` for the same request.
pub fn whole(dir: &Path, history: &Path, table: &mut Table) {
    let tip = fixture::output(fixture::git(history).args(["rev-parse", "HEAD"]));
    let pack = fixture::git(history)
        .args([
            "pack-objects",
            "--stdout",
            "--revs",
            "--delta-base-offset",
            "-q",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            child.stdin.take().expect("a pipe").write_all(b"HEAD\n")?;
            child.wait_with_output()
        })
        .expect("git packs")
        .stdout;
    let request = request(ZERO, &tip, &pack);
    let file = dir.join("whole.request");
    fs::write(&file, &request).expect("the request");

    let bare = fixture::bare(dir, "whole.git");
    fixture::output(fixture::git(&bare).args(["config", "receive.fsckObjects", "true"]));
    let input = fs::File::open(&file).expect("the request");
    let peer = usage::of_command(
        fixture::git(dir)
            .args([
                "-c",
                "receive.autogc=false",
                "receive-pack",
                "--stateless-rpc",
                "whole.git",
            ])
            .stdin(input),
    );
    let stored = fixture::output(fixture::git(&bare).args(["rev-parse", "main"]));
    assert_eq!(stored, tip, "git took the push");

    let (server, _) = Govc::start(&dir.join("whole-data"));
    let url = server.create("whole");
    let client = reqwest::blocking::Client::builder()
        .timeout(None)
        .build()
        .expect("a client");
    let cpu = server.cpu();
    push(&client, &url, request);
    let ours = server.cpu() - cpu;
    table.less_is_better(
        "push of a whole history, server CPU",
        peer.cpu,
        ours,
        "s",
        2.0,
    );

    // The same server then gives it out again.
    let cpu = server.cpu();
    fixture::output(fixture::git(dir).args(["clone", "-q", "--bare", &url, "whole-clone.git"]));
    table.figure(
        "  and its clone",
        &format!("{:.2} s", server.cpu() - cpu),
        "",
    );
    let size = |name: &str| -> u64 {
        let files = fs::read_dir(bare.join("objects/pack"))
            .into_iter()
            .flatten()
            .flatten();
        let wanted = files.filter(|file| file.path().extension().is_some_and(|e| e == name));
        wanted
            .filter_map(|file| file.metadata().ok())
            .map(|data| data.len())
            .sum()
    };
    let (pack, index) = (size("pack"), size("idx"));
    let mb = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    let goal = (pack + index) * 12 / 10 + (64 << 20);
    let what = format!("peak memory, pack {} + index {}", mb(pack), mb(index));
    table.figure(&what, &mb(server.peak_memory()), &format!("≤ {}", mb(goal)));
    server.stop();
}

/// The request of a first push of everything but the last commits, then one for each of them.
pub fn requests(history: &Path, pushes: usize) -> Vec<Vec<u8>> {
    let rev = |back: usize| format!("HEAD~{back}");
    let id = |back: usize| fixture::output(fixture::git(history).args(["rev-parse", &rev(back)]));
    let pack = |revs: String| {
        let mut child = fixture::git(history)
            .args([
                "pack-objects",
                "--stdout",
                "--revs",
                "--thin",
                "--delta-base-offset",
                "-q",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("git packs");
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(revs.as_bytes())
            .expect("git reads");
        child.wait_with_output().expect("git ends").stdout
    };
    let mut requests = vec![request(
        ZERO,
        &id(pushes),
        &pack(format!("{}\n", rev(pushes))),
    )];
    for back in (0..pushes).rev() {
        let revs = format!("{}\n^{}\n", rev(back), rev(back + 1));
        requests.push(request(&id(back + 1), &id(back), &pack(revs)));
    }
    requests
}

fn request(old: &str, new: &str, pack: &[u8]) -> Vec<u8> {
    let line = format!(
        "{old} {new} refs/heads/main\0 report-status side-band-64k object-format=sha1 agent=bench\n"
    );
    let mut request = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    request.extend_from_slice(pack);
    request
}

pub fn push_all(client: &reqwest::blocking::Client, url: &str, requests: &[Vec<u8>]) {
    for request in requests {
        push(client, url, request.clone());
    }
}

/// What `git push` does: the advertisement, then the pack.
fn push(client: &reqwest::blocking::Client, url: &str, request: Vec<u8>) {
    let advertisement = format!("{url}/info/refs?service=git-receive-pack");
    let answer = client
        .get(advertisement)
        .basic_auth("bench", Some(""))
        .send();
    let answer = answer.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.bytes().expect("the advertisement");
    let answer = client
        .post(format!("{url}/git-receive-pack"))
        .header("content-type", "application/x-git-receive-pack-request")
        .body(request)
        .send()
        .expect("an answer");
    let report = answer.bytes().expect("the report");
    let text = String::from_utf8_lossy(&report);
    assert!(text.contains("ok refs/heads/main"), "{text}");
}

/// What the disk takes to make one small write durable, the median of a hundred.
fn fdatasync_p50(dir: &Path) -> f64 {
    let mut file = fs::File::create(dir.join("fdatasync")).expect("a file");
    let mut times: Vec<f64> = (0..100)
        .map(|_| {
            file.write_all(&[7; 512]).expect("a write");
            let start = Instant::now();
            file.sync_data().expect("a sync");
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
