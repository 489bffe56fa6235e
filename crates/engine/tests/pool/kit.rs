//! Repositories made by git, and pools made of them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use govc_engine::journal::{PackBytes, PackId};
use govc_engine::pool::{GraphSource, Pool, PoolLimits};
use govc_engine::{NewObject, ObjectBody};
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

/// A bare repository of git's in a folder that goes with it.
pub struct Git {
    pub folder: tempfile::TempDir,
    pub format: ObjectFormat,
}

impl Git {
    pub fn new(format: ObjectFormat) -> Git {
        let folder = tempfile::tempdir().unwrap();
        let git = Git { folder, format };
        git.run(&[
            "init",
            "-q",
            "--bare",
            &format!("--object-format={format}"),
            "-b",
            "main",
            ".",
        ]);
        git.run(&["config", "gc.auto", "0"]);
        git
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(args)
            .current_dir(self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.path())
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.com")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.com");
        command
    }

    /// What `git ARGS` prints; it must succeed.
    pub fn run(&self, args: &[&str]) -> String {
        self.run_with(args, b"")
    }

    /// As [`Git::run`], with something to read.
    pub fn run_with(&self, args: &[&str], input: &[u8]) -> String {
        String::from_utf8(self.bytes_with(args, input)).unwrap()
    }

    pub fn bytes_with(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A child that is done early closes its end.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// The ids that `git ARGS` prints, one at the front of each line.
    pub fn ids(&self, args: &[&str]) -> Vec<ObjectId> {
        let text = self.run(args);
        let words = text.lines().map(|line| line.split(' ').next().unwrap());
        words
            .map(|hex| ObjectId::from_hex(hex.as_bytes()).unwrap())
            .collect()
    }

    pub fn id(&self, rev: &str) -> ObjectId {
        self.ids(&["rev-parse", "--verify", rev])[0]
    }

    /// Replays a `git fast-import` stream.
    pub fn import(&self, stream: &str) {
        self.run_with(&["fast-import", "--quiet", "--force"], stream.as_bytes());
    }

    /// The packs that it has, by name.
    pub fn pack_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(self.path().join("objects/pack"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|file| {
                file.extension()
                    .is_some_and(|extension| extension == "pack")
            })
            .collect();
        files.sort();
        files
    }

    /// A pool with its packs; loose objects are packed before.
    pub fn pool(&self) -> Arc<Pool> {
        self.run(&["repack", "-adq"]);
        self.pool_as_is()
    }

    /// A pool with the packs that it has now.
    pub fn pool_as_is(&self) -> Arc<Pool> {
        let pool = Pool::new(self.format, PoolLimits::default());
        for file in self.pack_files() {
            let (id, bytes) = read_pack(&file);
            pool.add_pack(id, bytes, GraphSource::Scan).unwrap();
        }
        pool
    }

    /// These objects, as somebody brings them who makes them.
    pub fn new_objects(&self, ids: &[ObjectId]) -> Vec<NewObject> {
        let read = |id: &ObjectId| {
            let hex = id.to_string();
            let kind = self.run(&["cat-file", "-t", &hex]);
            let data = self.bytes_with(&["cat-file", kind.trim(), &hex], b"");
            NewObject {
                id: *id,
                kind: ObjectKind::from_name(kind.trim().as_bytes()).unwrap(),
                body: ObjectBody::Whole(data.into()),
            }
        };
        ids.iter().map(read).collect()
    }

    /// All objects, by id.
    pub fn all_objects(&self) -> Vec<ObjectId> {
        self.ids(&[
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objectname)",
        ])
    }

    /// The targets of all refs.
    pub fn ref_targets(&self) -> Vec<ObjectId> {
        self.ids(&["for-each-ref", "--format=%(objectname)"])
    }
}

pub fn read_pack(file: &Path) -> (PackId, PackBytes) {
    let pack = Bytes::from(std::fs::read(file).unwrap());
    let index = Bytes::from(std::fs::read(file.with_extension("idx")).unwrap());
    let name = file.file_stem().unwrap().to_str().unwrap();
    let id = ObjectId::from_hex(name.trim_start_matches("pack-").as_bytes()).unwrap();
    (PackId(id), PackBytes { pack, index })
}

/// Numbers that look random and are the same every time (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// A history of `commits` commits on a few branches, with merges (some of three), dates that are
/// equal or (even seeds) go back, files that change, move, come back and go, in folders three deep.
pub fn random_history(format: ObjectFormat, seed: u64, commits: u64) -> String {
    let mut dice = Dice(seed);
    let mut out = String::new();
    let mut time = 1_000_000_000u64;
    let mut heads: Vec<u64> = Vec::new();
    for mark in 1..=commits {
        // Many dates are equal; with even seeds some go back.
        match dice.roll(10) {
            0..=3 => {}
            4 if seed.is_multiple_of(2) => time -= dice.roll(5_000),
            _ => time += dice.roll(100),
        }
        let branch = dice.roll(5).min(heads.len() as u64) as usize;
        writeln!(out, "commit refs/heads/b{branch}\nmark :{mark}").unwrap();
        writeln!(out, "committer C <c@example.com> {time} +0000").unwrap();
        writeln!(out, "data <<E\ncommit {mark}\nE").unwrap();
        // Most branches begin at another one; a few have a root of their own.
        let parent = heads.get(branch).copied().or_else(|| {
            (!heads.is_empty() && dice.roll(4) > 0)
                .then(|| heads[dice.roll(heads.len() as u64) as usize])
        });
        let mut parents: Vec<u64> = parent.into_iter().collect();
        if let Some(parent) = parent {
            writeln!(out, "from :{parent}").unwrap();
            let merged = if dice.roll(6) == 0 {
                1 + dice.roll(2)
            } else {
                0
            };
            for _ in 0..merged {
                let other = heads[dice.roll(heads.len() as u64) as usize];
                if !parents.contains(&other) {
                    parents.push(other);
                    writeln!(out, "merge :{other}").unwrap();
                }
            }
        }
        for _ in 0..1 + dice.roll(3) {
            let file = format!("d{}/e{}/f{}", dice.roll(3), dice.roll(3), dice.roll(4));
            match dice.roll(12) {
                0 => writeln!(out, "D {file}").unwrap(),
                1 => {
                    let text = dice.roll(5);
                    writeln!(out, "M 100755 inline {file}\ndata <<E\ntext {text}\nE").unwrap();
                }
                2 => {
                    // A submodule's commit is not in the repository.
                    let link = if dice.roll(2) == 0 { "1" } else { "7" };
                    let link = link.repeat(format.len_in_hex());
                    writeln!(out, "M 160000 {link} sub{}", dice.roll(2)).unwrap();
                }
                _ => {
                    let lines: String = (0..20)
                        .map(|line| format!("{line} of {}\n", dice.roll(3) * dice.roll(3) * mark))
                        .collect();
                    writeln!(out, "M 100644 inline {file}\ndata <<E\n{lines}E").unwrap();
                }
            }
        }
        out.push('\n');
        match heads.get_mut(branch) {
            Some(head) => *head = mark,
            None => heads.push(mark),
        }
    }
    writeln!(
        out,
        "tag v1\nfrom :{}\ntagger T <t@example.com> {time} +0000",
        commits / 2 + 1
    )
    .unwrap();
    writeln!(out, "data <<E\none\nE").unwrap();
    out
}
