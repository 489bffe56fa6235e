//! Who means no good, or goes away: nothing is half done, and memory stays bounded.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use govc_tests::{EMPTY_PACK, Git, Options, TestServer, push_by_hand};
use serde_json::json;

const NULL: &str = "0000000000000000000000000000000000000000";

/// Small on the wire, and a gigabyte when it is inflated.
#[test]
fn a_bomb_is_refused_within_bounded_memory() {
    let server = TestServer::with(Options {
        config: Some("limits:\n  object: 64MiB\n".to_owned()),
        ..Options::default()
    });
    server.create("hello");
    let git = Git::new();
    git.run("init -q ada");
    git.write("ada/zeros", vec![0; 200 << 20]);
    git.run("-C ada add -A");
    git.run("-C ada commit -q -m Zeros");
    let said = git.refused(&format!("-C ada push {} main", server.git_url("hello")));
    assert!(
        said.contains("unpacker error") || said.contains("limit"),
        "{said}"
    );
    assert_eq!(
        git.run(&format!("ls-remote {}", server.git_url("hello"))),
        ""
    );
    let peak = server.peak_memory_kib();
    assert!(peak < 300 << 10, "{peak} KiB");
}

/// Whoever was told that a push was taken finds it when the repository is restored; and whoever
/// came too late was told so.
#[test]
fn a_repository_is_deleted_under_a_push() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    let head = git.commit("ada", "a", "a\n");
    git.run("-C ada push -q origin main");
    let gone = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        let pushes = scope.spawn(|| {
            let mut taken = Vec::new();
            for n in 0.. {
                let name = format!("refs/heads/n{n}");
                let late = gone.load(Ordering::Acquire);
                let update = (NULL, &head[..], name.as_bytes());
                let report = push_by_hand(&server.http(), "hello", &[update], "", EMPTY_PACK);
                let ok = report.of(&name).is_some_and(|line| line.starts_with("ok "));
                assert!(report.answer.status < 500, "{report:?}");
                if !ok {
                    break;
                }
                assert!(!late, "{name} was taken after the deletion was answered");
                taken.push(name);
            }
            taken
        });
        server.api().delete("/repos/hello").expect(204);
        gone.store(true, Ordering::Release);
        pushes.join().expect("the pushes end")
    });
    server
        .api()
        .post("/repos/hello/restore", &json!({}))
        .expect(200);
    let there = git.run("-C ada ls-remote origin 'refs/heads/n*'");
    assert_eq!(there.lines().count(), taken.len());
    for name in taken {
        assert!(there.contains(&name), "{name} is lost");
    }
}

#[test]
fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let mut server = TestServer::with_repo("hello");
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    let head = git.commit("ada", "a", "a\n");
    let line = format!("{NULL} {head} refs/heads/main\0 report-status");
    let mut body = format!("{:04x}{line}0000PACK", line.len() + 4).into_bytes();
    body.resize(8 << 20, 7);
    for chunked in [false, true] {
        let address = server.url().replace("http://", "");
        let mut stream = TcpStream::connect(address).expect("a connection");
        let length = if chunked {
            "transfer-encoding: chunked".to_owned()
        } else {
            format!("content-length: {}", body.len() + 1)
        };
        let head = format!(
            "POST /hello.git/git-receive-pack HTTP/1.1\r\nhost: localhost\r\n\
             content-type: application/x-git-receive-pack-request\r\n{length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("a request");
        if chunked {
            let size = format!("{:x}\r\n", body.len() + 1);
            stream.write_all(size.as_bytes()).expect("a chunk");
        }
        stream.write_all(&body).expect("a body");
        stream.shutdown(Shutdown::Write).expect("it goes away");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(git.run("-C ada ls-remote origin"), "");
    git.run("-C ada push -q origin main");
    assert!(!server.log().contains("panic"), "{}", server.log());
    server.stop_well();
    let packs = server.bare("hello").join("objects/pack");
    let left: Vec<_> = std::fs::read_dir(packs)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().starts_with("tmp_"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
