//! What is no longer kept is gone from the disk, too.

use govc_tests::{Git, Options, TestServer};
use serde_json::json;

const CONFIG: &str = "storage:\n  compaction_grace: 0s\n\
                      retention:\n  refs: 1s\n  deleted_repositories: 1s\n  in_flight: 0s\n  \
                      collect_interval: 100ms\n";

/// Asks until `done`, for as long as that may take.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let since = std::time::Instant::now();
    while !done() {
        assert!(since.elapsed().as_secs() < 60, "{what}: not after a minute");
    }
}

#[test]
fn a_secret_that_was_pushed_and_deleted_is_gone_after_retention() {
    let mut server = TestServer::with(Options {
        config: Some(CONFIG.to_owned()),
        ..Options::default()
    });
    let api = server.api();
    api.post("/repos", &json!({"id": "hello"})).expect(201);
    let git = Git::new();
    git.run(&format!("clone -q {} ada", server.git_url("hello")));
    git.commit("ada", "README", "hello\n");
    git.run("-C ada push -q origin HEAD:main");
    git.run("-C ada checkout -q -b oops");
    let secret = git.commit("ada", "password", "correct horse battery staple\n");
    git.run("-C ada push -q origin oops");
    git.run("-C ada push -q origin :oops");
    git.run("-C ada checkout -q -");
    git.commit("ada", "README", "hello again\n");
    git.run("-C ada push -q origin HEAD:main");
    until("its state is over", || {
        let then = api.get("/repos/hello/time-travel/2");
        then.status == 410
    });
    let bare = server.bare("hello").to_string_lossy().into_owned();
    let find = format!("-C {bare} cat-file -e {secret}");
    until("its objects are gone", || {
        !git.attempt(&find).status.success()
    });
    // Whoever wants it by its id gets nothing; whoever clones gets all there is.
    let url = server.git_url("hello");
    git.run("init -q eve");
    git.refused(&format!("-C eve fetch -q {url} {secret}"));
    git.run(&format!("clone -q {url} bob"));
    git.fsck("bob");
    git.fsck(&bare);
    assert_eq!(git.read("bob/README"), "hello again\n");
    let found = std::process::Command::new("grep")
        .args(["-rl", "correct horse"])
        .arg(server.data())
        .output();
    let found = String::from_utf8_lossy(&found.expect("grep runs").stdout).into_owned();
    assert_eq!(found, "", "as it came, it is in a file");
    server.kill_and_start_again();
    git.run(&format!("clone -q {url} carol"));

    // A deleted repository goes as a whole.
    let api = server.api();
    api.delete("/repos/hello").expect(204);
    until("it is gone", || {
        let restored = api.post("/repos/hello/restore?dry_run=true", &json!({}));
        restored.status == 404
    });
    let deleted = server.data().join(".govc/deleted");
    until("its directory is gone", || {
        std::fs::read_dir(&deleted).is_ok_and(|mut all| all.next().is_none())
    });
    server.stop_well();
}
