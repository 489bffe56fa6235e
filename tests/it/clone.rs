//! Clones: of nothing, in each version of the protocol, with either hash.

use std::io::Write;

use govc_tests::{Git, History, TestServer};
use serde_json::json;

#[test]
fn an_empty_repository_says_which_branch_is_to_come() {
    let server = TestServer::start();
    server.create_as(&json!({"id": "hello", "default_branch": "trunk"}));
    let git = Git::new();
    let ran = git.attempt(&format!("clone {} ada", server.git_url("hello")));
    assert!(ran.status.success(), "{ran}");
    assert!(ran.stderr.contains("empty repository"), "{ran}");
    assert_eq!(git.run("-C ada symbolic-ref HEAD"), "refs/heads/trunk");
    git.commit("ada", "README.md", "hello\n");
    git.run("-C ada push -q origin trunk");
    git.run(&format!("clone -q {} bob", server.git_url("hello")));
    assert_eq!(git.read("bob/README.md"), "hello\n");
}

#[test]
fn each_version_of_the_protocol_brings_the_same() {
    let server = TestServer::with_repo("hello");
    let source = Git::new();
    History::of(40, 5).make(&source, "source");
    let url = server.git_url("hello");
    source.run(&format!("-C source push -q --mirror {url}"));
    let expected = source.refs("source");
    for version in [0, 1, 2] {
        let git = Git::speaking(version);
        git.run(&format!("clone -q --mirror {url} copy"));
        assert_eq!(git.refs("copy"), expected, "protocol {version}");
        git.fsck("copy");
        // And pushes, and fetches.
        git.run(&format!("clone -q {url} work"));
        git.run("-C work checkout -q --orphan fresh");
        let commit = git.commit("work", &format!("v{version}"), "x\n");
        git.run(&format!(
            "-C work push -q origin fresh:refs/heads/from-v{version}"
        ));
        git.run("-C copy fetch -q origin");
        let fetched = git.run(&format!("-C copy rev-parse refs/heads/from-v{version}"));
        assert_eq!(fetched, commit);
        git.run(&format!("-C work push -q origin --delete from-v{version}"));
    }
}

#[test]
fn one_branch_and_one_tag_can_be_cloned_alone() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    let url = server.git_url("hello");
    History::of(60, 6).make(&git, "source");
    git.run(&format!("-C source push -q --mirror {url}"));
    git.run(&format!(
        "clone -q --single-branch --no-tags -b main {url} one"
    ));
    let count = git.run("-C source rev-list --count main");
    assert_eq!(git.run("-C one rev-list --count --all"), count);
    git.fsck("one");
    git.run(&format!("clone -q --single-branch -b v0 {url} tagged"));
    assert_eq!(
        git.run("-C tagged rev-parse HEAD"),
        git.run("-C source rev-parse v0^{commit}")
    );
}

#[test]
fn a_sha256_repository_is_pushed_and_cloned() {
    let server = TestServer::start();
    server.create_as(&json!({"id": "hello", "object_format": "sha256"}));
    let git = Git::new();
    let url = server.git_url("hello");
    let history = History {
        object_format: "sha256",
        ..History::of(50, 9)
    };
    history.make(&git, "source");
    git.run(&format!("-C source push -q --mirror {url}"));
    git.run(&format!("clone -q --mirror {url} copy"));
    assert_eq!(git.refs("copy"), git.refs("source"));
    git.fsck("copy");
    assert_eq!(git.run("-C copy rev-parse main").len(), 64);
    // The original protocol's fetch does not name the hash.
    let old = Git::speaking(0);
    old.run(&format!("clone -q --mirror {url} copy"));
    assert_eq!(old.refs("copy"), git.refs("source"));
    // Another hash is another repository.
    git.run("init -q sha1");
    git.commit("sha1", "a", "a\n");
    git.refused(&format!("-C sha1 push {url} HEAD:refs/heads/sha1"));
}

#[test]
fn a_repository_that_is_not_there_is_not_found() {
    let server = TestServer::start();
    let git = Git::new();
    let said = git.refused(&format!("clone {} x", server.git_url("nothing")));
    assert!(said.contains("not found"), "{said}");
}

#[test]
fn the_url_works_with_and_without_git_at_its_end() {
    let server = TestServer::start();
    server.create("group/project");
    let git = Git::new();
    git.run(&format!("clone -q {}/group/project.git a", server.url()));
    git.commit("a", "x", "x\n");
    git.run("-C a push -q origin main");
    git.run(&format!("clone -q {}/group/project b", server.url()));
    assert_eq!(git.read("b/x"), "x\n");
}

/// Git gzips what it asks for once that is longer than 1 KiB.
#[test]
fn questions_may_be_gzipped() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    let url = server.git_url("hello");
    History::of(400, 10).make(&git, "source");
    git.run(&format!("-C source push -q --mirror {url}"));
    git.run(&format!("clone -q {url} work"));
    // A fetch with many haves.
    git.commit("work", "local-only", "x\n");
    git.run("-C source branch extra main~3");
    git.run(&format!("-C source push -q {url} extra"));
    git.run("-C work fetch -q origin");

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let question = b"0014command=ls-refs\n0016object-format=sha100010009peel\n0000";
    gzip.write_all(question).expect("written");
    let request = server
        .http()
        .request("POST", "/hello.git/git-upload-pack")
        .header("content-type", "application/x-git-upload-pack-request")
        .header("content-encoding", "gzip")
        .header("git-protocol", "version=2")
        .body(gzip.finish().expect("written"));
    let answer = server.http().send(request).expect(200).text();
    assert!(answer.contains("refs/heads/extra"), "{answer}");
}

#[test]
fn a_clone_names_the_branch_that_head_names() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    let url = server.git_url("hello");
    git.run(&format!("clone -q {url} ada"));
    git.commit("ada", "a", "a\n");
    git.run("-C ada push -q origin main main:trunk");
    let body = json!({"default_branch": "trunk"});
    server.api().patch("/repos/hello", &body).expect(200);
    for version in [0, 1, 2] {
        let git = Git::speaking(version);
        git.run(&format!("clone -q {url} bob"));
        assert_eq!(git.run("-C bob symbolic-ref HEAD"), "refs/heads/trunk");
    }
}

#[test]
fn a_branch_from_the_same_place_is_met_there() {
    let server = TestServer::with_repo("hello");
    let git = Git::new();
    let url = server.git_url("hello");
    git.run(&format!("clone -q {url} ada"));
    git.commit("ada", "a", "a");
    git.run("-C ada branch topic");
    let main = git.commit("ada", "b", "b");
    git.run("-C ada checkout -q topic");
    let topic = git.commit("ada", "c", "c");
    git.run("-C ada push -q origin main topic");
    let line = |text: String| format!("{:04x}{text}\n", text.len() + 5);
    let [command, want, have] = [
        line("command=fetch".to_owned()),
        line(format!("want {main}")),
        line(format!("have {topic}")),
    ];
    let request = format!("{command}0001{want}{have}0000").into_bytes();
    let http = server.http();
    let ours = http
        .request("POST", "/hello.git/git-upload-pack")
        .header("content-type", "application/x-git-upload-pack-request")
        .header("git-protocol", "version=2")
        .body(request.clone());
    let ours = http.send(ours).body;
    git.write("request", &request);
    let request = std::fs::File::open(git.path("request")).expect("it was written");
    let mut theirs = git.command("git");
    theirs.env("GIT_PROTOCOL", "version=2").stdin(request);
    let theirs = theirs.args(["upload-pack", "--stateless-rpc", "ada"]);
    let theirs = theirs.output().expect("git runs").stdout;
    for answer in [ours, theirs] {
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("ready\n0001"), "{answer}");
    }
}
