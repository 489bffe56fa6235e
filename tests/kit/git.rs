//! Git, in a folder and with a configuration of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use crate::split_words;

/// When the first command runs; each one is a second later than the one before.
const CLOCK_START: u64 = 1_700_000_000;

/// Git for one story: nothing of the machine's configuration counts, its people and dates are
/// always the same, and all of it is gone at the end.
#[derive(Debug)]
pub struct Git {
    folder: TempDir,
    clock: AtomicU64,
    protocol: Option<u8>,
    /// The command that reaches servers by SSH.
    ssh: Option<String>,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Default for Git {
    fn default() -> Git {
        Git::new()
    }
}

impl Git {
    /// Git in an empty folder.
    pub fn new() -> Git {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(
            folder.path().join(".gitconfig"),
            "[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n[gc]\n\tauto = 0\n\
             [pull]\n\trebase = false\n[core]\n\tquotePath = false\n",
        )
        .expect("a configuration");
        Git {
            folder,
            clock: AtomicU64::new(CLOCK_START),
            protocol: None,
            ssh: None,
        }
    }

    /// The same, speaking protocol `version` only.
    pub fn speaking(version: u8) -> Git {
        Git {
            protocol: Some(version),
            ..Git::new()
        }
    }

    /// The same, reaching servers by `ssh`, as one line.
    pub fn by_ssh(self, ssh: String) -> Git {
        Git {
            ssh: Some(ssh),
            ..self
        }
    }

    /// The folder that commands run in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in that folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// A command of any program with git's surroundings.
    pub fn command(&self, program: &str) -> Command {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(program);
        command
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.com")
            .env("GIT_AUTHOR_DATE", format!("@{now} +0200"))
            .env("GIT_COMMITTER_NAME", "Bob")
            .env("GIT_COMMITTER_EMAIL", "bob@example.com")
            .env("GIT_COMMITTER_DATE", format!("@{now} +0000"))
            .env("LC_ALL", "C")
            .env("NO_PROXY", "*")
            .stdin(Stdio::null());
        if let Some(ssh) = &self.ssh {
            command.env("GIT_SSH_COMMAND", ssh);
        }
        if let Some(version) = self.protocol {
            command
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", "protocol.version")
                .env("GIT_CONFIG_VALUE_0", version.to_string());
        }
        command
    }

    /// `git` and the words of `line`, however it ends.
    pub fn attempt(&self, line: &str) -> Ran {
        let mut command = self.command("git");
        command.args(split_words(line));
        Ran::new(command.output().expect("git runs"))
    }

    /// `git` and the words of `line`: what it printed, without the last newline.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, line: &str) -> String {
        let ran = self.attempt(line);
        assert!(ran.status.success(), "git {line}\n{ran}");
        ran.stdout.trim_end_matches('\n').to_owned()
    }

    /// `git` and the words of `line`, which must fail: what it complained of.
    ///
    /// # Panics
    /// When it does not fail.
    pub fn refused(&self, line: &str) -> String {
        let ran = self.attempt(line);
        assert!(!ran.status.success(), "git {line} was not refused\n{ran}");
        ran.stderr
    }

    /// The same as [`Git::run`], with something to read, and whatever bytes it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn feed(&self, line: &str, input: &[u8]) -> Vec<u8> {
        let mut command = self.command("git");
        command
            .args(split_words(line))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("git runs");
        let mut stdin = child.stdin.take().expect("piped");
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().expect("git ends");
        let written = writer.join().expect("the writer ends");
        assert!(
            output.status.success() && written.is_ok(),
            "git {line}\n{}",
            Ran::new(output)
        );
        output.stdout
    }

    /// Writes a file, and the folders that it is in.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        std::fs::write(path, content).expect("a file");
    }

    /// What is in a file.
    pub fn read(&self, path: &str) -> String {
        let content = std::fs::read(self.path(path));
        let content = content.unwrap_or_else(|error| panic!("{path}: {error}"));
        String::from_utf8(content).expect("text")
    }

    /// Commits one file in the work tree `tree`: the commit's id.
    pub fn commit(&self, tree: &str, path: &str, content: impl AsRef<[u8]>) -> String {
        self.write(&format!("{tree}/{path}"), content);
        self.run(&format!("-C {tree} add -A"));
        self.run(&format!("-C {tree} commit -q -m 'Change {path}'"));
        self.run(&format!("-C {tree} rev-parse HEAD"))
    }

    /// All refs of the repository `tree`, what they name and HEAD, as lines.
    pub fn refs(&self, tree: &str) -> String {
        let refs = self.run(&format!("-C {tree} for-each-ref"));
        let head = self.attempt(&format!("-C {tree} symbolic-ref HEAD"));
        format!("{refs}\nHEAD {}", head.stdout.trim_end())
    }

    /// Puts an object, however malformed, into the repository `tree`: its id.
    pub fn object(&self, tree: &str, kind: &str, content: &[u8]) -> String {
        let line = format!("-C {tree} hash-object --literally -w --stdin -t {kind}");
        let id = self.feed(&line, content);
        String::from_utf8_lossy(&id).trim_end().to_owned()
    }

    /// Nothing is wrong with the repository `tree`, asked strictly.
    ///
    /// # Panics
    /// When git finds something.
    pub fn fsck(&self, tree: &str) {
        let ran = self.attempt(&format!("-C {tree} fsck --strict --full --no-dangling"));
        let said = format!("{}{}", ran.stdout, ran.stderr);
        let complaints: Vec<&str> = said
            .lines()
            .filter(|line| !line.starts_with("notice: "))
            .filter(|line| !line.starts_with("Checking "))
            .collect();
        assert!(
            ran.status.success() && complaints.is_empty(),
            "fsck of {tree}: {complaints:?}"
        );
    }
}

impl Ran {
    pub(crate) fn new(output: Output) -> Ran {
        Ran {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        writeln!(f, "--- stdout\n{}", self.stdout)?;
        write!(f, "--- stderr\n{}", self.stderr)
    }
}
