//! Fetches that nobody means well: each is answered, soon, and memory stays bounded.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use govc_tests::{Answer, Git, TestServer};

/// What one of these requests may have the server hold, in KiB.
const MEMORY_KIB_MAX: u64 = 300 << 10;

/// pkt-lines: a line of four digits 000x is the mark that it is.
fn lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        if !matches!(line, "0000" | "0001") {
            out.extend_from_slice(format!("{:04x}", line.len() + 4).as_bytes());
        }
        out.extend_from_slice(line.as_bytes());
    }
    out
}

fn ask(server: &TestServer, version: u8, coding: Option<&str>, body: Vec<u8>) -> Answer {
    let http = server.http();
    let mut request = http
        .request("POST", "/hello.git/git-upload-pack")
        .header("content-type", "application/x-git-upload-pack-request")
        .header("git-protocol", format!("version={version}"));
    if let Some(coding) = coding {
        request = request.header("content-encoding", coding);
    }
    http.send(request.body(body))
}

fn fetch(server: &TestServer, arguments: &[String]) -> Answer {
    let front = ["command=fetch", "0001"];
    let arguments = arguments.iter().map(String::as_str);
    let body = lines(front.into_iter().chain(arguments).chain(["0000"]));
    ask(server, 2, None, body)
}

fn nobodys(number: usize) -> String {
    format!("{number:08x}").repeat(5)
}

/// A server with three commits in a row, oldest first.
fn with_history() -> (TestServer, Git, Vec<String>) {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    let commits = ["a", "b", "c"].map(|name| git.commit("ada", name, name));
    git.run("-C ada push -q origin main");
    (server, git, commits.to_vec())
}

fn well(server: &TestServer) {
    let peak = server.peak_memory_kib();
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
    assert!(!server.log().contains("panic"), "{}", server.log());
    let refs = Git::new().run(&format!("ls-remote {}", server.git_url("hello")));
    assert!(refs.contains("refs/heads/main"), "{refs}");
}

#[test]
fn as_many_haves_as_nobody_has() {
    let (server, _, commits) = with_history();
    let tip = &commits[2];
    let haves = (1..=65_536).map(|number| format!("have {}", nobodys(number)));
    let mut arguments = vec![format!("want {tip}")];
    arguments.extend(haves);
    let answer = fetch(&server, &arguments).expect(200);
    assert!(answer.body.ends_with(b"0008NAK\n0000"), "{}", answer.text());
    arguments.push("done".to_owned());
    let answer = fetch(&server, &arguments).expect(200);
    assert!(answer.body.windows(4).any(|window| window == b"PACK"));

    // The same in version 0.
    let wants = format!("want {tip} multi_ack_detailed side-band-64k no-done\n");
    let mut said = vec![wants, "0000".to_owned()];
    said.extend((1..=65_536).map(|number| format!("have {}\n", nobodys(number))));
    said.push("done\n".to_owned());
    let answer = ask(&server, 0, None, lines(said.iter().map(String::as_str)));
    let answer = answer.expect(200);
    assert!(answer.body.len() < 64 << 10, "{}", answer.body.len());
    assert!(answer.body.windows(4).any(|window| window == b"PACK"));
    well(&server);
}

/// Histories that are cut where they cannot be: a commit and all its parents, commits that nobody
/// has, and the same one a thousand times.
#[test]
fn grafts_that_make_no_sense() {
    let (server, _, commits) = with_history();
    let tip = &commits[2];
    for deepen in ["deepen 1", "deepen 2147483647", "deepen-since 1"] {
        let mut arguments = vec![format!("want {tip}"), deepen.to_owned()];
        arguments.push("deepen-relative".to_owned());
        for commit in &commits {
            arguments.push(format!("shallow {commit}"));
        }
        arguments.extend((0..1000).map(|_| format!("shallow {tip}")));
        arguments.extend((1..=20_000).map(|number| format!("shallow {}", nobodys(number))));
        arguments.extend(commits.iter().map(|commit| format!("have {commit}")));
        arguments.push("done".to_owned());
        let answer = fetch(&server, &arguments);
        assert!(matches!(answer.status, 200 | 400), "{}", answer.text());
        assert!(answer.body.len() < 1 << 20, "{}", answer.body.len());
    }
    for bad in [
        "deepen 0",
        "deepen -1",
        "deepen 99999999999",
        "deepen-since x",
        "shallow x",
    ] {
        let answer = fetch(&server, &[format!("want {tip}"), bad.to_owned()]);
        assert!(
            !answer.body.windows(4).any(|window| window == b"PACK"),
            "{bad}"
        );
    }
    // Later than all commits, and without all that refs reach: nothing is left to be sent.
    for nothing in ["deepen-since 99999999999", "deepen-not refs/heads/main"] {
        let answer = fetch(
            &server,
            &[format!("want {tip}"), nothing.to_owned(), "done".to_owned()],
        );
        assert!(answer.status < 500, "{nothing}: {}", answer.text());
    }
    let mut arguments = vec![format!("want {tip}"), "done".to_owned()];
    arguments.extend((0..10_000).map(|number| format!("deepen-not nobody-{number}")));
    let answer = fetch(&server, &arguments);
    assert!(answer.status < 500 && answer.body.len() < 64 << 10);
    well(&server);
}

#[test]
fn filters_that_multiply() {
    let (server, _, commits) = with_history();
    let mut nested = "tree:1".to_owned();
    for _ in 0..10 {
        nested = format!("combine:{}", nested.replace('%', "%25").replace(':', "%3A"));
    }
    let many = format!("combine:{}", vec!["blob:none"; 5000].join("+"));
    let mut doubled = "blob:none".to_owned();
    for _ in 0..4 {
        let escaped = doubled.replace('%', "%25").replace('+', "%2B");
        doubled = format!("combine:{}", vec![escaped; 3].join("+"));
    }
    for filter in [nested, many, doubled] {
        let want = format!("want {}", commits[2]);
        let answer = fetch(
            &server,
            &[want, format!("filter {filter}"), "done".to_owned()],
        );
        assert!(answer.status < 500, "{}", answer.text());
        assert!(!answer.body.windows(4).any(|window| window == b"PACK"));
        assert!(answer.body.len() < 4096, "{}", answer.body.len());
    }
    well(&server);
}

/// A few hundred KiB that inflate to as many MiB.
#[test]
fn a_request_that_inflates() {
    let (server, _, commits) = with_history();
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let front = lines(["command=fetch", "0001"]);
    packed.write_all(&front).expect("in memory");
    let mut text = String::new();
    for _ in 0..20_000 {
        let _ = write!(text, "0032have {}", commits[0]);
    }
    for _ in 0..300 {
        packed.write_all(text.as_bytes()).expect("in memory");
    }
    let packed = packed.finish().expect("in memory");
    assert!(packed.len() < 2 << 20, "{}", packed.len());
    let answer = ask(&server, 2, Some("gzip"), packed);
    assert!(answer.status < 500, "{}", answer.text());
    assert!(answer.body.len() < 4096, "{}", answer.body.len());
    well(&server);
}
