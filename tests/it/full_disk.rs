//! A full disk: writers are told, readers notice nothing, and with room it goes on.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use govc_tests::{Dice, Git, Options, TestServer};
use serde_json::{Value, json};

/// A small file system of its own, where this machine lets us have one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Option<SmallDisk> {
        fs::create_dir_all(&at).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=20m", "tmpfs"])
            .arg(&at)
            .output();
        match mounted {
            Ok(ran) if ran.status.success() => Some(SmallDisk(at)),
            _ => None,
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Leaves no room but `bytes`, if there are as many.
    fn fill_but(&self, bytes: u64) {
        let mut content = vec![0; 1 << 20];
        // The last write does not fit as a whole.
        while !content.is_empty() {
            let mut all = fs::read(self.filler()).unwrap_or_default();
            all.extend_from_slice(&content);
            if fs::write(self.filler(), &all).is_err() {
                content.truncate(content.len() / 2);
            }
        }
        let filler = fs::OpenOptions::new().write(true).open(self.filler());
        let filler = filler.expect("the filler");
        let length = filler.metadata().expect("its length").len();
        filler.set_len(length.saturating_sub(bytes)).expect("room");
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("room is made");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn commit(n: usize, content: &str) -> Value {
    json!({
        "branch": "main", "message": format!("Commit {n}"),
        "actions": [{"op": "put", "path": format!("file-{n}"), "content": content}],
    })
}

#[test]
fn writers_are_told_and_with_room_it_goes_on() {
    let mut server = TestServer::with(Options {
        config: Some("storage:\n  log_segment: 1MiB\n".to_owned()),
        ..Options::default()
    });
    server.stop_well();
    fs::remove_dir_all(server.data()).expect("it is removed");
    let Some(disk) = SmallDisk::mount(server.data()) else {
        eprintln!("skipped: no file system may be mounted here");
        return;
    };
    server.start_again();
    server.create("hello");
    server.create("other");
    let git = Git::new();
    let url = server.git_url("hello");
    git.run(&format!("clone -q {url} ada"));
    git.commit("ada", "first", "1\n");
    git.run("-C ada push -q origin main");
    disk.fill_but(1 << 20);

    // A pack that has no room.
    let mut dice = Dice(5);
    git.commit("ada", "large", dice.bytes(4 << 20));
    let before = git.run("-C ada ls-remote origin");
    let said = git.refused("-C ada push origin main");
    assert!(said.contains("room"), "{said}");
    assert_eq!(git.run("-C ada ls-remote origin"), before);

    // Commits until there is no room for one.
    disk.fill_but(0);
    let mut made = 0;
    loop {
        let content = "x".repeat(200_000);
        let answer = server
            .api()
            .post("/repos/other/commits", &commit(made, &content));
        if answer.status == 507 {
            answer.problem(507, "OUT_OF_SPACE");
            break;
        }
        answer.expect(201);
        made += 1;
        assert!(made < 200, "the disk is never full");
    }
    git.run("-C ada reset -q --hard HEAD~1");
    git.commit("ada", "medium", dice.bytes(300_000));
    let said = git.refused("-C ada push origin main");
    assert!(said.contains("remote rejected"), "{said}");
    assert_eq!(git.run("-C ada ls-remote origin"), before);
    // Who reads notices nothing.
    git.run(&format!("clone -q {url} reader"));
    server.api().get("/repos/other/log").expect(200);

    disk.make_room();
    git.run("-C ada push -q origin main");
    server
        .api()
        .post("/repos/other/commits", &commit(made, "room"))
        .expect(201);
    let refs = git.run("-C ada ls-remote origin");
    let history = server
        .api()
        .get("/repos/other/history?limit=1000")
        .expect(200)
        .json();
    // The repository's own making is the first.
    assert_eq!(history["items"].as_array().map(Vec::len), Some(made + 2));
    server.kill_and_start_again();
    assert_eq!(git.run("-C ada ls-remote origin"), refs);
    let again = server
        .api()
        .get("/repos/other/history?limit=1000")
        .expect(200)
        .json();
    assert_eq!(again, history);
    server.stop_well();
    for id in ["hello", "other"] {
        git.fsck(&server.bare(id).to_string_lossy());
    }
    let leftovers = Command::new("find")
        .arg(server.data())
        .args(["-name", "tmp_*"])
        .output()
        .expect("find runs");
    assert!(
        leftovers.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&leftovers.stdout)
    );
}

/// There is no room for the last checkpoint: the log has everything.
#[test]
fn a_stop_without_room_loses_nothing() {
    let mut server = TestServer::with(Options {
        config: Some("storage:\n  log_segment: 1MiB\n".to_owned()),
        ..Options::default()
    });
    server.stop_well();
    fs::remove_dir_all(server.data()).expect("it is removed");
    let Some(disk) = SmallDisk::mount(server.data()) else {
        eprintln!("skipped: no file system may be mounted here");
        return;
    };
    server.start_again();
    server.create("hello");
    let mut dice = Dice(6);
    for n in 0..10 {
        let content = format!("{:x?}", dice.bytes(8_000));
        server
            .api()
            .post("/repos/hello/commits", &commit(n, &content))
            .expect(201);
    }
    let git = Git::new();
    let url = server.git_url("hello");
    let refs = git.run(&format!("ls-remote {url}"));
    disk.fill_but(0);
    let stopped = server.stop();
    assert_eq!(stopped.code(), Some(1), "{}", server.log());
    assert!(server.log().contains("No space left on device"));
    disk.make_room();
    server.start_again();
    assert_eq!(git.run(&format!("ls-remote {url}")), refs);
    git.run(&format!("clone -q {url} reader"));
    git.fsck("reader");
    server
        .api()
        .post("/repos/hello/commits", &commit(10, "room"))
        .expect(201);
    server.stop_well();
    git.fsck(&server.bare("hello").to_string_lossy());
}
