//! Git itself, asked in a repository of its own where nothing of the machine's configuration
//! counts.
#![allow(dead_code)] // Each test file uses what it needs.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use govc_git::{ObjectFormat, ObjectId, ObjectKind};

pub(crate) struct Repository {
    folder: tempfile::TempDir,
    pub(crate) format: ObjectFormat,
}

impl Repository {
    pub(crate) fn new(format: ObjectFormat) -> Repository {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let repository = Repository { folder, format };
        let object_format = match format {
            ObjectFormat::Sha256 => "--object-format=sha256",
            _ => "--object-format=sha1",
        };
        repository.git(&["init", "-q", "--bare", "-b", "main", object_format, "."]);
        repository
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// What git prints; the test fails when git does.
    pub(crate) fn git(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.command(arguments).output().expect("git runs");
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        output.stdout
    }

    pub(crate) fn git_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        with_input(self.command(arguments), input)
    }

    /// Puts an object there, however malformed, as a loose one.
    pub(crate) fn write(&self, kind: ObjectKind, data: &[u8]) -> ObjectId {
        let id = govc_git::object_id::hash_object(self.format, kind, data).expect("no collision");
        let hex = id.to_string();
        let folder = self.path().join("objects").join(&hex[..2]);
        std::fs::create_dir_all(&folder).expect("a folder for objects");
        let file = folder.join(&hex[2..]);
        if !file.exists() {
            let file = std::fs::File::create(file).expect("a file for the object");
            let mut zlib = flate2::write::ZlibEncoder::new(file, flate2::Compression::fast());
            write!(zlib, "{} {}\0", kind.name(), data.len()).expect("written");
            zlib.write_all(data).expect("written");
            zlib.finish().expect("written");
        }
        id
    }
}

pub(crate) fn with_input(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("git runs");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("git ends");
    // Git may close its input before it has read all of it.
    let _ = writer.join().expect("the writer ends");
    output
}

/// What `git fsck --strict` says about each object: `error badTree: cannot be parsed as a tree`,
/// in its order; `error unparsable` where it gives up before it checks.
pub(crate) fn fsck(repository: &Repository) -> BTreeMap<String, Vec<String>> {
    let output = repository
        .command(&["fsck", "--strict", "--no-dangling"])
        .output()
        .expect("git runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let mut findings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in said.lines() {
        if let Some((id, rest)) = line
            .strip_prefix("error: ")
            .and_then(|rest| rest.split_once(": "))
            && rest.starts_with("object could not be parsed")
        {
            findings
                .entry(id.to_owned())
                .or_default()
                .push("error unparsable".to_owned());
        }
        let Some((severity, rest)) = line.split_once(" in ") else {
            continue;
        };
        if !matches!(severity, "error" | "warning") {
            continue;
        }
        let Some((_kind, rest)) = rest.split_once(' ') else {
            continue;
        };
        let Some((id, text)) = rest.split_once(": ") else {
            continue;
        };
        if text == "broken links" {
            continue;
        }
        findings
            .entry(id.to_owned())
            .or_default()
            .push(format!("{severity} {text}"));
    }
    findings
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// `text` with one to three small things wrong.
    pub(crate) fn mutate(&mut self, text: &[u8], tokens: &[&[u8]]) -> Vec<u8> {
        let mut text = text.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(text.len() + 1);
            match self.below(6) {
                0 if at < text.len() => text[at] = self.below(256) as u8,
                1 if at < text.len() => {
                    text.remove(at);
                }
                2 => {
                    let end = (at + self.below(30)).min(text.len());
                    text.drain(at..end);
                }
                3 => text.truncate(at),
                4 => {
                    let from = self.below(text.len() + 1);
                    let to = (from + self.below(60)).min(text.len());
                    let copy = text[from..to].to_vec();
                    text.splice(at..at, copy);
                }
                _ => {
                    let token = self.pick(tokens).to_vec();
                    text.splice(at..at, token);
                }
            }
        }
        text
    }
}
