//! What is damaged on disk is told to whoever asks for it, at every start, and nobody else
//! notices.

use std::fs;
use std::path::{Path, PathBuf};

use govc_tests::{Git, History, TestServer};
use serde_json::{Value, json};

/// How a file was damaged.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// A byte in the middle is another.
    Flipped,
    /// The second half is gone.
    Halved,
    /// It is empty.
    Emptied,
    /// It is gone.
    Removed,
}

const DAMAGES: [Damage; 4] = [
    Damage::Flipped,
    Damage::Halved,
    Damage::Emptied,
    Damage::Removed,
];

impl Damage {
    fn to(self, path: &Path) {
        let mut bytes = fs::read(path).expect("a file");
        fs::remove_file(path).expect("it is removed");
        let middle = bytes.len() / 2;
        match self {
            Damage::Flipped => bytes[middle] ^= 0x55,
            Damage::Halved => bytes.truncate(middle),
            Damage::Emptied => bytes.clear(),
            Damage::Removed => return,
        }
        fs::write(path, bytes).expect("it is written");
    }
}

/// Three repositories, each with a history that was pushed and a commit by REST that holds
/// `a-rest!` and so on; and what a clone of each has to be.
struct Three {
    server: TestServer,
    git: Git,
    /// What `/history` of `b` says.
    history: Value,
    /// And `/log`.
    log: Value,
}

impl Three {
    fn make() -> Three {
        let server = TestServer::start();
        let git = Git::new();
        for (id, seed) in [("a", 31), ("b", 32), ("c", 33)] {
            server.create(id);
            let url = server.git_url(id);
            History::of(40, seed).make(&git, id);
            git.run(&format!("-C {id} push -q --mirror {url}"));
        }
        let mut three = Three {
            server,
            git,
            history: Value::Null,
            log: Value::Null,
        };
        three.commit_everywhere(1);
        three
    }

    /// One more commit by REST in each, the `n`th.
    fn commit_everywhere(&mut self, n: u32) {
        for id in ["a", "b", "c"] {
            let body = json!({
                "branch": "main", "message": "By REST",
                "actions": [{"op": "put", "path": "rest", "content": format!("{id}-rest! {n}")}],
            });
            let path = format!("/repos/{id}/commits");
            self.server.api().post(&path, &body).expect(201);
            let url = self.server.git_url(id);
            self.git
                .run(&format!("-C {id} fetch -q {url} +refs/*:refs/*"));
        }
        let history = self.server.api().get("/repos/b/history");
        self.history = history.expect(200).json();
        let log = self.server.api().get("/repos/b/log");
        self.log = log.expect(200).json();
    }

    /// `id` is served, all of it.
    fn is_whole(&self, id: &str) {
        let copy = tempfile::tempdir_in(self.git.folder()).expect("a folder");
        let copy = copy.path().join("copy").to_string_lossy().into_owned();
        let url = self.server.git_url(id);
        self.git.run(&format!("clone -q --mirror {url} {copy}"));
        assert_eq!(self.git.refs(&copy), self.git.refs(id));
        self.git.fsck(&copy);
    }

    /// What becomes of who asks for `b`. Nobody is ever given less than there was.
    fn outcome(&self) -> Outcome {
        let api = self.server.api();
        let answer = api.get("/repos/b/log");
        if answer.status != 503 {
            let log = answer.expect(200).json();
            assert_eq!(log, self.log);
            return self.whole_or_told();
        }
        let problem = answer.problem(503, "UNAVAILABLE");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|why| why.contains('b'))
        );
        let url = self.server.git_url("b");
        self.git.refused(&format!("clone -q {url} no"));
        self.git
            .refused(&format!("-C b push {url} main:refs/heads/more"));
        let body = json!({
            "branch": "main", "message": "More",
            "actions": [{"op": "put", "path": "more", "content": "more"}],
        });
        api.post("/repos/b/commits", &body).expect(503);
        api.get("/repos/b/history").expect(503);
        // Its place is not free.
        let taken = api.post("/repos", &json!({"id": "b"}));
        assert_eq!(taken.status, 409, "{}", taken.text());
        Outcome::Stopped
    }

    /// `b` is served; what of it cannot be read is said where somebody reads it.
    fn whole_or_told(&self) -> Outcome {
        let mut outcome = Outcome::Whole;
        let history = self.server.api().get("/repos/b/history");
        if history.status == 200 {
            assert_eq!(history.json(), self.history);
        } else {
            assert!(history.status >= 500, "{}", history.text());
            outcome = Outcome::Partly;
        }
        let url = self.server.git_url("b");
        let copy = tempfile::tempdir_in(self.git.folder()).expect("a folder");
        let clone = format!("clone -q --mirror {url} {}/copy", copy.path().display());
        let ran = self.git.attempt(&clone);
        if ran.status.success() {
            self.is_whole("b");
        } else {
            let said = ran.stderr;
            assert!(said.contains("cannot read this repository"), "{said}");
            outcome = Outcome::Partly;
        }
        outcome
    }

    /// Starts twice; both times the others are whole, and `b` is the same.
    fn start_twice(&mut self) -> Outcome {
        let mut outcomes = Vec::new();
        for _ in 0..2 {
            self.server.start_again();
            self.is_whole("a");
            self.is_whole("c");
            outcomes.push(self.outcome());
            self.server.stop();
        }
        assert_eq!(outcomes[0], outcomes[1], "the second start is another");
        outcomes[0]
    }
}

/// How a damaged repository is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// As if nothing was.
    Whole,
    /// Who reads what is damaged is told so.
    Partly,
    /// Whoever asks is told so.
    Stopped,
}

/// The files below `folder` whose names begin and end so.
fn files(folder: &Path, begin: &str, end: &str) -> Vec<PathBuf> {
    let Ok(listed) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = listed
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(begin) && name.ends_with(end)
        })
        .collect();
    found.sort();
    found
}

fn copy_all(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status();
    assert!(status.expect("cp runs").success());
}

#[test]
fn a_damaged_file_of_a_repository_stops_that_one_and_is_told() {
    let mut three = Three::make();
    three.server.stop_well();
    let bare = three.server.bare("b");
    // A small repository has none.
    let write = format!("-C {} commit-graph write --reachable", bare.display());
    three.git.run(&write);
    let whole = three.git.path("whole");
    copy_all(&three.server.data(), &whole);
    use Outcome::{Partly, Stopped, Whole};
    // A folder, how a file's name begins and ends, and what becomes of who asks where it is
    // flipped, halved, emptied, removed. A checkpoint that is gone is not missed: the log has
    // everything yet.
    let kinds = [
        ("govc", "checkpoint", "", [Stopped, Stopped, Stopped, Whole]),
        ("govc", "history-", "", [Partly; 4]),
        (
            "objects/pack",
            "pack-",
            ".pack",
            [Partly, Stopped, Stopped, Stopped],
        ),
        ("objects/pack", "pack-", ".idx", [Stopped; 4]),
        ("objects/info", "commit-graph", "", [Whole; 4]),
        ("", "packed-refs", "", [Whole; 4]),
        ("", "HEAD", "", [Whole; 4]),
        ("", "config", "", [Whole; 4]),
    ];
    for (folder, begin, end, expected) in kinds {
        for (damage, expected) in DAMAGES.into_iter().zip(expected) {
            let found = files(&bare.join(folder), begin, end);
            let path = found.first().unwrap_or_else(|| panic!("no {begin}…{end}"));
            damage.to(path);
            let outcome = three.start_twice();
            assert_eq!(outcome, expected, "{folder}/{begin}{end} {damage:?}");
            fs::remove_dir_all(three.server.data()).expect("it is removed");
            copy_all(&whole, &three.server.data());
        }
    }
    three.server.start_again();
    assert_eq!(three.outcome(), Outcome::Whole);
}

#[test]
fn a_damaged_log_stops_whom_it_names() {
    let mut three = Three::make();
    three.commit_everywhere(2);
    three.server.kill();
    let whole = three.git.path("whole");
    copy_all(&three.server.data(), &whole);
    let log = three.server.data().join(".govc/log");
    let segment = files(&log, "", ".log")
        .into_iter()
        .rev()
        .find(|path| find(&fs::read(path).expect("a segment"), b"b-rest!").is_some())
        .expect("the commit is in the log");
    let bytes = fs::read(&segment).expect("a segment");
    let content = find(&bytes, b"b-rest!").expect("the commit");
    let head = bytes[..content]
        .windows(4)
        .rposition(|four| four == b"gvr\x01")
        .expect("the record's head");
    for (what, at) in [("payload", content), ("head", head), ("length", head + 6)] {
        let mut bad = bytes.clone();
        bad[at] ^= 0x55;
        fs::write(&segment, bad).expect("it is written");
        assert_eq!(three.start_twice(), Outcome::Stopped, "{what}");
        fs::remove_dir_all(three.server.data()).expect("it is removed");
        copy_all(&whole, &three.server.data());
    }
    // Undamaged all is there.
    assert_eq!(three.start_twice(), Outcome::Whole);
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
