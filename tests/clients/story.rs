//! One client with one capability to show: its steps, and what git has to say of the end.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use govc_tests::{Git, Ran, TestServer};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::capability::Capability;
use crate::client::Client;
use crate::fixture::{Fixture, first_words};

/// A client that has not ended after this long is killed, and has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a story is told with. Its folder is git's own.
pub struct Story<'a> {
    pub client: &'a Client,
    /// The client's program and its first arguments.
    pub program: &'a [String],
    pub git: &'a Git,
    pub server: &'a TestServer,
    pub fixture: &'a Fixture,
    pub capability: Capability,
}

impl Story<'_> {
    /// A new, empty repository on the server, of this story: where it is.
    pub fn empty(&self) -> String {
        self.create(json!({}))
    }

    /// The same in an object format.
    pub fn empty_in(&self, object_format: &str) -> String {
        self.create(json!({"object_format": object_format}))
    }

    /// The same with another branch that HEAD names, and that is not born.
    pub fn empty_on(&self, branch: &str) -> String {
        self.create(json!({"default_branch": branch}))
    }

    fn create(&self, mut order: Value) -> String {
        let named = format!("{}/{}", self.client.name, self.capability.name());
        let id = named.replace(' ', "-").replace(',', "");
        order["id"] = json!(id);
        self.server.create_as(&order);
        self.server.git_url(&id)
    }

    /// A copy of the fixture `name` to push from, called `src`, and all its refs with it.
    pub fn source(&self, name: &str) {
        let from = self.fixture.path(name);
        self.git
            .run(&format!("clone -q --bare {} src", from.display()));
    }

    /// The client does a step, however it ends.
    pub fn attempt(&self, words: &[&str]) -> Ran {
        let mut command = self.git.command(&self.program[0]);
        command.args(&self.program[1..]).args(words);
        for (name, value) in self.client.environment {
            command.env(name, value);
        }
        run(&mut command)
    }

    /// The client does a step: what it printed.
    #[track_caller]
    pub fn step(&self, words: &[&str]) -> String {
        let ran = self.attempt(words);
        let said = words.iter().take(8).copied().collect::<Vec<_>>().join(" ");
        assert!(ran.status.success(), "{said}: {ran}");
        ran.stdout
    }

    /// The client must say that a step was refused.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) {
        let ran = self.attempt(words);
        assert!(!ran.status.success(), "{words:?} was not refused: {ran}");
    }

    /// All refs at `url`, as lines of id and name.
    pub fn refs_at(&self, url: &str) -> BTreeSet<String> {
        let refs = self.git.run(&format!("ls-remote --refs {url}"));
        refs.lines().map(|line| line.replace('\t', " ")).collect()
    }

    /// The refs at `url` are these of `src`, under these names, and all that they reach is there.
    #[track_caller]
    pub fn is_there(&self, url: &str, refs: &[(&str, &str)]) {
        let expected: BTreeSet<String> = refs
            .iter()
            .map(|(from, to)| format!("{} {to}", self.git.run(&format!("-C src rev-parse {from}"))))
            .collect();
        same(&self.refs_at(url), &expected, "refs on the server");
        self.git.run(&format!("clone -q --mirror {url} there"));
        self.git.fsck("there");
        let from: Vec<&str> = refs.iter().map(|(from, _)| *from).collect();
        let from = from.join(" ");
        let (there, here) = (self.objects("there", "--all"), self.objects("src", &from));
        same(&there, &here, "objects on the server");
        std::fs::remove_dir_all(self.git.path("there")).expect("it goes");
    }

    /// The objects that `revisions` reach in the repository `tree`.
    pub fn objects(&self, tree: &str, revisions: &str) -> BTreeSet<String> {
        first_words(
            &self
                .git
                .run(&format!("-C {tree} rev-list --objects {revisions}")),
        )
    }

    /// What the repository `tree` knows of its remote's branches.
    pub fn remote_branches(&self, tree: &str) -> BTreeSet<String> {
        let line = "for-each-ref --format='%(objectname) %(refname:lstrip=3)' refs/remotes/origin";
        let refs = self.git.run(&format!("-C {tree} {line}"));
        let is_branch = |line: &&str| !line.ends_with(" HEAD");
        refs.lines().filter(is_branch).map(str::to_owned).collect()
    }

    /// The branches of the fixture `name`, in the same form.
    pub fn branches(&self, name: &str) -> BTreeSet<String> {
        let line = "for-each-ref --format='%(objectname) %(refname:lstrip=2)' refs/heads";
        let refs = self.fixture.ask(name, line);
        refs.lines().map(str::to_owned).collect()
    }

    /// The clone `tree` has all that the fixture `name` has, and its files lie there.
    #[track_caller]
    pub fn is_whole(&self, tree: &str, name: &str) {
        self.git.fsck(tree);
        same(
            &self.remote_branches(tree),
            &self.branches(name),
            "branches",
        );
        let (found, expected) = (
            self.objects(tree, "--all"),
            self.fixture.objects(name, "--all"),
        );
        same(&found, &expected, "objects");
        let head = self.git.run(&format!("-C {tree} symbolic-ref HEAD"));
        assert_eq!(head, "refs/heads/main");
        if self.client.checks_out {
            let status = self.git.run(&format!("-C {tree} status --porcelain"));
            // The folder of a submodule is not always made.
            let changed: Vec<&str> = status
                .lines()
                .filter(|line| !line.ends_with(" module"))
                .collect();
            assert!(changed.is_empty(), "files: {changed:?}");
        }
    }

    /// Where the history of `tree` is cut.
    pub fn is_cut(&self, tree: &str) -> bool {
        let file = self.git.path(tree).join(".git/shallow");
        std::fs::read_to_string(file).is_ok_and(|text| !text.trim().is_empty())
    }
}

/// Both are the same set.
///
/// # Panics
/// With some of the difference.
#[track_caller]
pub fn same(found: &BTreeSet<String>, expected: &BTreeSet<String>, what: &str) {
    let some = |of: &BTreeSet<String>, but: &BTreeSet<String>| {
        let rest: Vec<&String> = of.difference(but).collect();
        format!("{} such as {:?}", rest.len(), &rest[..rest.len().min(4)])
    };
    assert!(
        found == expected,
        "{what}: of {} that git has, missing: {}; besides: {}",
        expected.len(),
        some(expected, found),
        some(found, expected),
    );
}

/// Runs a command with an end to patience.
pub fn run(command: &mut Command) -> Ran {
    let name = Path::new(command.get_program()).to_owned();
    let child = command
        .env("LC_ALL", "C.UTF-8")
        // With all that it starts: one of them left alone would hold its output open.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", name.display()));
    let pid = Pid::from_child(&child);
    let (ended, patience) = channel::<()>();
    let guard = std::thread::spawn(move || {
        if patience.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    });
    let output = child.wait_with_output().expect("it ends");
    drop(ended);
    let _ = guard.join();
    Ran {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
