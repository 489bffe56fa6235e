//! Ten thousand connections that are kept: what an idle one costs, and how reads and `ls-remote`
//! over all of them fare under load.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::line;
use crate::http::{Connection, quantile};
use crate::server::Govc;
use crate::table::Table;
use crate::usage;

/// So many requests are on their way at once.
const AT_ONCE: usize = 64;
/// So often each connection is asked over, as fast as the server answers.
const ROUNDS: usize = 4;
/// How long it is asked at a rate that leaves it room.
const PACED: Duration = Duration::from_secs(5);
/// Idle connections are not closed while this runs.
const CONFIG: &str = "server:\n  read_timeout: 10m\n";
const FILES: usize = 1_000;
const COMMITS: usize = 200;

/// What is asked for, in turn.
const KINDS: [Kind; 10] = [
    Kind::File,
    Kind::File,
    Kind::Refs,
    Kind::File,
    Kind::Log,
    Kind::File,
    Kind::Folder,
    Kind::File,
    Kind::Refs,
    Kind::File,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A file's content.
    File,
    /// A page of the log.
    Log,
    /// A folder.
    Folder,
    /// What `git ls-remote` sends.
    Refs,
}

/// Opens `count` connections, and asks over all of them again and again.
pub fn run(dir: &Path, count: usize, table: &mut Table) {
    raise_descriptor_limit();
    let folder = dir.join("connections");
    std::fs::create_dir(&folder).expect("a folder");
    let config = folder.join("govc.yaml");
    std::fs::write(&config, CONFIG).expect("a configuration");
    let server = Govc::start_as(&folder.join("data"), &config, &folder.join("log"));
    create(&server);
    server.settle();
    let host: Arc<str> = server.url.strip_prefix("http://").expect("a URL").into();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    // What the first requests make once is nobody's connection.
    drop(runtime.block_on(open(&host, 100)));
    let before = usage::memory(server.pid());
    let streams = runtime.block_on(open(&host, count));
    let idle = usage::memory(server.pid()).saturating_sub(before) as f64 / count as f64;
    let text = format!("{:.1} KiB", idle / 1024.0);
    table.figure(&format!("{count} connections: memory of each"), &text, "");

    let cpu = server.cpu();
    let begun = Instant::now();
    let (streams, asked) = runtime.block_on(full_load(&host, streams));
    let rate = asked.len() as f64 / begun.elapsed().as_secs_f64();
    let each = (server.cpu() - cpu) * 1e6 / asked.len() as f64;
    let text = format!("{rate:.0} a second, {each:.0} µs CPU each");
    let what = format!("reads and ls-remotes over them, {AT_ONCE} at once");
    table.figure(&what, &text, "");
    figures(&asked, "all it can", "", table);

    // The machine is also the clients.
    let rate = rate / 4.0;
    let asked = runtime.block_on(paced(&host, streams, rate));
    let how = format!("{rate:.0} a second");
    figures(&asked, &how, "p99 < 5 ms", table);
    let text = format!("{} MiB", usage::memory(server.pid()) >> 20);
    table.figure("  memory of the server behind it", &text, "");
    drop(runtime);
    server.stop();
}

fn figures(asked: &[(Kind, f64)], how: &str, goal: &str, table: &mut Table) {
    let of = |wanted: &dyn Fn(Kind) -> bool| -> Vec<f64> {
        let wanted = asked.iter().filter(|(kind, _)| wanted(*kind));
        wanted.map(|(_, took)| *took).collect()
    };
    for (what, took) in [
        ("reads", of(&|kind| kind != Kind::Refs)),
        ("ls-remotes", of(&|kind| kind == Kind::Refs)),
    ] {
        let at = |part| quantile(took.clone(), part);
        let text = format!("{:.2} ms, {:.2} ms, {:.2} ms", at(0.5), at(0.99), at(1.0));
        table.figure(&format!("  {what}, {how}: p50, p99, worst"), &text, goal);
    }
}

/// A repository of a thousand files, some commits and branches.
fn create(server: &Govc) {
    let mut api = Connection::open(&server.url);
    api.post("/repos", &json!({"id": "hello"})).expect(201);
    let put = |file: usize, n: usize| {
        let content = format!("file {file}, {n}\n").repeat(50);
        json!({"op": "put", "path": path_of(file), "content": content})
    };
    let actions: Vec<Value> = (0..FILES).map(|file| put(file, 0)).collect();
    for n in 0..COMMITS {
        let actions = match n {
            0 => actions.clone(),
            n => vec![put(n * 7 % FILES, n)],
        };
        let body = json!({"branch": "main", "message": format!("commit {n}"), "actions": actions});
        api.post("/repos/hello/commits", &body).expect(201);
        if n % 10 == 0 {
            let body = json!({"name": format!("topic/{n}")});
            api.post("/repos/hello/branches", &body).expect(201);
        }
    }
}

fn path_of(file: usize) -> String {
    format!("d{}/e{}/f{}", file / 100, file / 10 % 10, file % 10)
}

/// The request number `n`.
fn request(host: &str, n: usize) -> (Kind, Vec<u8>) {
    let kind = KINDS[n % KINDS.len()];
    let get =
        |path: String| format!("GET /api/v1/repos/hello{path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let text = match kind {
        Kind::File => get(format!("/read/{}", path_of(n * 31 % FILES))),
        Kind::Log => get("/log?limit=20".to_owned()),
        Kind::Folder => get(format!("/tree/d{}", n % 10)),
        Kind::Refs => {
            let body =
                line("command=ls-refs\n") + "0001" + &line("peel\n") + &line("symrefs\n") + "0000";
            format!(
                "POST /hello.git/git-upload-pack HTTP/1.1\r\nhost: {host}\r\n\
                 git-protocol: version=2\r\ncontent-length: {}\r\n\
                 content-type: application/x-git-upload-pack-request\r\n\r\n{body}",
                body.len()
            )
        }
    };
    (kind, text.into_bytes())
}

async fn connect(host: &str) -> TcpStream {
    let stream = TcpStream::connect(host).await.expect("it listens");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// So many connections, over each of which one request was answered.
async fn open(host: &str, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::with_capacity(count);
    for n in 0..count {
        let mut stream = connect(host).await;
        ask(&mut stream, &request(host, n).1).await;
        streams.push(stream);
    }
    streams
}

/// Asks as fast as it answers.
async fn full_load(host: &Arc<str>, streams: Vec<TcpStream>) -> (Vec<TcpStream>, Vec<(Kind, f64)>) {
    let mut shares: Vec<Vec<TcpStream>> = (0..AT_ONCE).map(|_| Vec::new()).collect();
    for (at, stream) in streams.into_iter().enumerate() {
        shares[at % AT_ONCE].push(stream);
    }
    let askers = shares.into_iter().enumerate().map(|(number, mut share)| {
        let host = Arc::clone(host);
        tokio::spawn(async move {
            let mut asked = Vec::with_capacity(share.len() * ROUNDS);
            for round in 0..ROUNDS {
                for (at, stream) in share.iter_mut().enumerate() {
                    let (kind, request) = request(&host, number + round + at * 7);
                    let start = Instant::now();
                    ask(stream, &request).await;
                    asked.push((kind, start.elapsed().as_secs_f64() * 1e3));
                }
            }
            (share, asked)
        })
    });
    let (mut streams, mut all) = (Vec::new(), Vec::new());
    for asker in askers.collect::<Vec<_>>() {
        let (share, asked) = asker.await.expect("every request is answered");
        streams.extend(share);
        all.extend(asked);
    }
    (streams, all)
}

/// Asks so often a second, whether or not what was asked before is answered: how long each took
/// from when it was due.
async fn paced(host: &Arc<str>, streams: Vec<TcpStream>, rate: f64) -> Vec<(Kind, f64)> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let free = Arc::new(Mutex::new(std::collections::VecDeque::from(streams)));
    let begun = Instant::now();
    let mut askers = Vec::new();
    let mut n = 0;
    while begun.elapsed() < PACED {
        let due = Duration::from_secs_f64(n as f64 / rate);
        if due > begun.elapsed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let next = free.lock().expect("nobody panicked").pop_front();
        let mut stream = next.expect("not all connections wait");
        let (kind, request) = request(host, n);
        let (all, free) = (Arc::clone(&all), Arc::clone(&free));
        askers.push(tokio::spawn(async move {
            // The pace is kept to a millisecond: what is sent late because of that is not held
            // against the server.
            let start = Instant::now();
            ask(&mut stream, &request).await;
            let took = start.elapsed().as_secs_f64() * 1e3;
            free.lock().expect("nobody panicked").push_back(stream);
            all.lock().expect("nobody panicked").push((kind, took));
        }));
        n += 1;
    }
    for asker in askers {
        asker.await.expect("every request is answered");
    }
    let mut all = all.lock().expect("nobody panicked");
    std::mem::take(&mut *all)
}

/// One request and its answer, which must be a 200 that leaves the connection open.
async fn ask(stream: &mut TcpStream, request: &[u8]) {
    const PATIENCE: Duration = Duration::from_secs(60);
    let asked = async {
        stream.write_all(request).await.expect("it is taken");
        let mut answer = Vec::with_capacity(8192);
        while !is_whole(&answer) {
            let got = stream.read_buf(&mut answer).await.expect("an answer");
            let text = String::from_utf8_lossy(&answer);
            assert!(got > 0, "the connection was closed after {text:?}");
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, asked).await;
    in_time.expect("an answer within a minute");
}

/// Whether all of an answer is there, which has its length, or comes in chunks.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let body = &answer[end + 4..];
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    match length {
        Some(length) => body.len() >= length.trim().parse::<usize>().expect("a number"),
        None => body.ends_with(b"0\r\n\r\n"),
    }
}

/// This program has the other end of every connection.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!("the limit of open files stays as it is: {error}");
    }
}
