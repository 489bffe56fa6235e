//! Packs are merged while everybody goes on.

use std::sync::atomic::{AtomicBool, Ordering};

use govc_tests::{Git, Options, TestServer};
use serde_json::json;

/// A checkpoint of nearly every push, and few packs allowed.
const CONFIG: &str = "storage:\n  checkpoint_interval: 50ms\n  compaction_packs: 3\n";
/// So many pushes at least, and so many at most, until packs were merged a few times.
const PUSHES: usize = 15;
const PUSHES_MAX: usize = 1000;
const COMPACTIONS: usize = 2;

#[test]
fn pushes_clones_and_other_gits_do_not_notice_a_compaction() {
    let mut server = TestServer::with(Options {
        config: Some(CONFIG.to_owned()),
        ..Options::default()
    });
    server.create("hello");
    let url = server.git_url("hello");
    let ada = Git::new();
    ada.run("init -q -b main work");
    ada.run(&format!("-C work remote add origin {url}"));
    ada.commit("work", "first", "1\n");
    ada.run("-C work push -q origin main");
    let bare = server.bare("hello").to_string_lossy().into_owned();
    let over = AtomicBool::new(false);
    let go_on = || !over.load(Ordering::Relaxed);
    let pushed = std::thread::scope(|scope| {
        let cloner = scope.spawn(|| {
            let git = Git::new();
            while go_on() {
                git.run(&format!("clone -q --bare {url} copy"));
                git.fsck("copy");
                std::fs::remove_dir_all(git.path("copy")).expect("it was cloned");
            }
        });
        let reader = scope.spawn(|| {
            let api = server.api();
            while go_on() {
                let first = api.get("/repos/hello/read/first").expect(200).json();
                assert_eq!(first["content"], json!("1\n"));
                api.get("/repos/hello/log?limit=1000").expect(200);
            }
        });
        let neighbour = scope.spawn(|| {
            let git = Git::new();
            // Its directory comes with the first checkpoint.
            while go_on() {
                if git
                    .attempt(&format!("-C {bare} rev-parse -q --verify main"))
                    .status
                    .success()
                {
                    git.run(&format!("-C {bare} log --stat main"));
                    git.fsck(&bare);
                }
            }
        });
        let mut pushed = 0;
        while pushed < PUSHES || server.log().matches("packs were merged").count() < COMPACTIONS {
            assert!(
                pushed < PUSHES_MAX,
                "packs are not merged:\n{}",
                server.log()
            );
            pushed += 1;
            ada.commit(
                "work",
                &format!("file-{}", pushed % 7),
                format!("{pushed}\n"),
            );
            ada.run("-C work push -q origin main");
        }
        over.store(true, Ordering::Relaxed);
        for thread in [cloner, reader, neighbour] {
            thread.join().expect("nobody noticed");
        }
        pushed
    });
    assert!(
        !server.log().contains("could not be merged"),
        "{}",
        server.log()
    );
    server.kill_and_start_again();
    let git = Git::new();
    git.run(&format!("clone -q --mirror {url} copy"));
    git.fsck("copy");
    assert_eq!(
        git.run("-C copy rev-list --count main"),
        (pushed + 1).to_string()
    );
    server.stop_well();
    git.fsck(&bare);
    assert_eq!(git.refs(&bare), git.refs("copy"));
}
