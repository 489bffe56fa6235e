//! Real git, and repositories that it made.

// Each test program uses its own part of it.
#![allow(dead_code)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use govc_git::{Object, ObjectFormat, ObjectId, ObjectKind};
use tempfile::TempDir;

/// A bare repository that is gone when this is dropped.
pub(crate) struct Repo(TempDir);

impl Repo {
    pub(crate) fn empty(format: ObjectFormat) -> Repo {
        let repo = Repo(TempDir::new().unwrap());
        let name = match format {
            ObjectFormat::Sha1 => "sha1",
            _ => "sha256",
        };
        repo.git(
            &[
                "init",
                "-q",
                "--bare",
                "-b",
                "main",
                &format!("--object-format={name}"),
            ],
            b"",
        );
        repo
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// What `git` prints, given `input`; it must succeed.
    pub(crate) fn git(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut git = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GIT_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("git is there");
        let mut stdin = git.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // A git that refuses its input may close it: its exit status tells.
            scope.spawn(move || stdin.write_all(input).ok());
            git.wait_with_output().unwrap()
        });
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {stderr}");
        output.stdout
    }

    pub(crate) fn line(&self, arguments: &[&str], input: &[u8]) -> String {
        String::from_utf8(self.git(arguments, input))
            .unwrap()
            .trim()
            .to_owned()
    }

    pub(crate) fn head(&self) -> String {
        self.line(&["rev-parse", "HEAD"], b"")
    }

    pub(crate) fn add_blob(&self, data: &[u8]) -> ObjectId {
        let hex = self.line(&["hash-object", "-w", "--stdin"], data);
        ObjectId::from_hex(hex.as_bytes()).unwrap()
    }

    /// A pack of everything that refs reach, with deltas made anew.
    pub(crate) fn pack_all(&self, options: &[&str]) -> Vec<u8> {
        let fixed = [
            "pack-objects",
            "-q",
            "--all",
            "--no-reuse-delta",
            "--stdout",
            "--threads=1",
        ];
        self.git(&[&fixed, options].concat(), b"")
    }

    pub(crate) fn pack_revs(&self, revs: &str, options: &[&str]) -> Vec<u8> {
        let fixed = ["pack-objects", "-q", "--revs", "--stdout", "--threads=1"];
        self.git(&[&fixed, options].concat(), revs.as_bytes())
    }

    pub(crate) fn pack_ids(&self, ids: &[ObjectId], options: &[&str]) -> Vec<u8> {
        let fixed = ["pack-objects", "-q", "--stdout", "--threads=1"];
        let ids: String = ids.iter().map(|id| format!("{id}\n")).collect();
        self.git(&[&fixed, options].concat(), ids.as_bytes())
    }

    /// The index that git makes of a pack.
    pub(crate) fn index_of(&self, pack: &[u8]) -> Vec<u8> {
        let (pack_file, index_file) = (self.path().join("t.pack"), self.path().join("t.idx"));
        std::fs::write(&pack_file, pack).unwrap();
        self.git(&["index-pack", "-o", "t.idx", "t.pack"], b"");
        let index = std::fs::read(&index_file).unwrap();
        for file in [pack_file, index_file] {
            std::fs::remove_file(file).unwrap();
        }
        index
    }

    /// Git takes `pack` into this repository, checks it, and finds all of `head` in it.
    pub(crate) fn takes(&self, pack: &[u8], head: &str) {
        self.git(&["index-pack", "--stdin", "--strict"], pack);
        self.git(&["update-ref", "refs/heads/main", head], b"");
        let said = self.line(&["fsck", "--strict", "--full", "--no-dangling"], b"");
        assert_eq!(said, "");
    }

    /// Everything that git has here.
    pub(crate) fn all_objects(&self) -> Vec<(ObjectId, Object)> {
        let output = self.git(&["cat-file", "--batch", "--batch-all-objects"], b"");
        let (mut rest, mut objects) = (&output[..], Vec::new());
        while !rest.is_empty() {
            let end = rest.iter().position(|&byte| byte == b'\n').unwrap();
            let line = String::from_utf8(rest[..end].to_vec()).unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            let size: usize = words[2].parse().unwrap();
            let data = Bytes::copy_from_slice(&rest[end + 1..end + 1 + size]);
            let kind = ObjectKind::from_name(words[1].as_bytes()).unwrap();
            objects.push((
                ObjectId::from_hex(words[0].as_bytes()).unwrap(),
                Object { kind, data },
            ));
            rest = &rest[end + 2 + size..];
        }
        objects
    }
}

/// A repository with `commits` commits on a line with merges, in nested folders, files that grow,
/// a binary one, an empty one, and annotated tags.
pub(crate) fn history(format: ObjectFormat, commits: usize) -> Repo {
    let repo = Repo::empty(format);
    let mut stream = Vec::new();
    let mut text = String::new();
    for number in 1..=commits {
        let who = format!(
            "A U Thor <author@example.com> {} +0200",
            1_700_000_000 + number * 60
        );
        let message = format!("commit {number}\n\nwhy\n");
        let _ = write!(text, "line {number} says {}\n", number * number % 1009);
        let side = number % 10 == 5;
        let branch = if side {
            "refs/heads/side"
        } else {
            "refs/heads/main"
        };
        write!(
            stream,
            "commit {branch}\nmark :{number}\nauthor {who}\ncommitter {who}\ndata {}\n{message}",
            message.len()
        )
        .unwrap();
        if side && number > 1 {
            writeln!(stream, "from :{}", number - 1).unwrap();
        }
        if number % 10 == 8 && number > 3 {
            writeln!(stream, "merge :{}", number - 3).unwrap();
        }
        let mut file = |path: String, data: &[u8]| {
            write!(stream, "M 100644 inline {path}\ndata {}\n", data.len()).unwrap();
            stream.extend_from_slice(data);
            stream.push(b'\n');
        };
        file(
            format!("a/b/file{}", number % 17),
            format!("{number}\n{text}").as_bytes(),
        );
        file(
            format!("wide/{:03}.txt", number * 7 % 101),
            format!("{number}").as_bytes(),
        );
        if number % 9 == 0 {
            let noise: Vec<u8> = (0..30_000u32)
                .map(|n| {
                    (n.wrapping_mul(2_654_435_761) >> 15) as u8 ^ (n / 3000 * number as u32) as u8
                })
                .collect();
            file("noise.bin".to_owned(), &noise);
        }
        if number == 3 {
            file("empty".to_owned(), b"");
        }
        if number % 25 == 0 {
            write!(
                stream,
                "tag v{number}\nfrom :{number}\ntagger {who}\ndata 4\ntag\n\n"
            )
            .unwrap();
        }
    }
    repo.git(&["fast-import", "--quiet"], &stream);
    repo
}
