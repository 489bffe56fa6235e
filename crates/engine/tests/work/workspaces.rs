//! A workspace beside git in a working copy: the same things are done in both, and both say the
//! same of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use govc_engine::pool::{Pool, PoolLimits};
use govc_engine::work::View;
use govc_engine::work::action::Content;
use govc_engine::work::diff::{FileDiff, Status};
use govc_engine::work::workspace::stash::{ApplyOptions, NewStash as StashToMake};
use govc_engine::work::workspace::{
    self, Changed, FileToWrite, OpenWorkspace, ResetMode, StagedCommit, WorkspaceError, stash,
};
use govc_engine::{
    DEFAULT_WORKSPACE, Hooks, Lfs, ObjectBody, Realities, RefName, Refs, RepoId, RepoKey,
    RepositoryRecord, Settings, Snapshot, Storage, Target, Time, Transactions, Workspaces,
};
use govc_git::object::{GitTime, Signature};
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use tempfile::TempDir;

/// The next number of a sequence that a seed begins (Numerical Recipes' constants).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

/// A repository with one workspace, and git's working copy.
pub(crate) struct Both {
    pub(crate) pool: Arc<Pool>,
    pub(crate) snapshot: Snapshot,
    pub(crate) dir: TempDir,
    pub(crate) seconds: i64,
    pub(crate) commits: Vec<ObjectId>,
}

impl Both {
    pub(crate) fn new() -> Both {
        let dir = tempfile::tempdir().unwrap();
        let main = (RefName::head(), Target::Symbolic(RefName::branch("main")));
        let record = RepositoryRecord {
            id: RepoId::parse("x").unwrap(),
            description: String::new(),
            storage: Storage::Memory,
            object_format: ObjectFormat::Sha1,
            family: RepoKey([0; 16]),
            forked_from: None,
            created_at: Time(0),
            deleted_at: None,
            expires_at: None,
            settings: Settings::default(),
        };
        let both = Both {
            pool: Pool::new(ObjectFormat::Sha1, PoolLimits::default()),
            snapshot: Snapshot {
                record: Arc::new(record),
                seq: 1,
                step: 0,
                time: Time(0),
                refs: Refs::from_entries([main]),
                lfs: Lfs::default(),
                workspaces: Workspaces::default(),
                transactions: Transactions::default(),
                realities: Realities::default(),
                hooks: Hooks::default(),
            },
            dir,
            seconds: 1_700_000_000,
            commits: Vec::new(),
        };
        both.git(&["init", "-q", "-b", "main", "."]);
        both
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let date = format!("{} +0100", self.seconds);
        Command::new("git")
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path().join(".git"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.org")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.org")
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .env("GIT_EDITOR", "true")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap()
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn tries(&self, args: &[&str]) -> bool {
        self.run(args).status.success()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn ada(&self) -> Signature {
        let time = GitTime {
            seconds: self.seconds,
            offset_minutes: 60,
            negative_zero: false,
        };
        Signature::new(b"Ada", b"ada@example.org", time).unwrap()
    }

    pub(crate) fn open(&self) -> OpenWorkspace {
        workspace::open(&self.snapshot, &self.pool, DEFAULT_WORKSPACE, Time(0))
            .unwrap()
            .unwrap()
    }

    pub(crate) fn take(&mut self, changed: Changed) {
        self.pool.insert(&changed.objects).unwrap();
        let open = self.open();
        let base = changed.after.base;
        let tree = workspace::state::tree_or_empty(&self.pool, base).unwrap();
        let stored = open.to_store(&self.snapshot, changed.after, &tree);
        self.snapshot
            .workspaces
            .set(&DEFAULT_WORKSPACE.into(), stored);
    }

    pub(crate) fn move_branch(&mut self, to: ObjectId) {
        if let Some(branch) = self.open().now.branch {
            self.snapshot.refs.set(branch, Target::At(to));
        }
    }

    /// Writes a file in both; nothing where a disk could not take it.
    pub(crate) fn write(&mut self, path: &str, content: &str, stage: bool) {
        let open = self.open();
        let file = FileToWrite {
            path: path.into(),
            content: Some(Content::Bytes(content.to_owned().into())),
            mode: None,
            force: false,
        };
        let view = View::of_refs(self.pool.clone(), self.snapshot.refs.clone(), 1, Time(0));
        let on_disk = self.path(path);
        let is_blocked = on_disk.is_dir() || has_file_above(self.dir.path(), path);
        match open.write(&self.pool, &view, &[file], stage) {
            Ok(changed) => {
                assert!(!is_blocked, "{path}");
                std::fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
                std::fs::write(&on_disk, content).unwrap();
                if stage {
                    // It fails for a tracked file in an ignored folder, and stages it all the same.
                    self.run(&["add", "--", path]);
                }
                self.take(changed);
            }
            Err(WorkspaceError::PathConflict { .. }) => assert!(is_blocked, "{path}"),
            Err(WorkspaceError::Ignored { .. }) => {
                assert!(self.tries(&["check-ignore", "-q", "--", path]), "{path}");
            }
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) fn add_as_it_is(&mut self, path: &str) {
        let file = FileToWrite {
            path: path.into(),
            content: None,
            mode: None,
            force: false,
        };
        let view = View::of_refs(self.pool.clone(), self.snapshot.refs.clone(), 1, Time(0));
        let done = self.open().write(&self.pool, &view, &[file], true);
        let by_git = self.run(&["add", "--", path]);
        let said = String::from_utf8_lossy(&by_git.stderr).into_owned();
        match done {
            Ok(changed) => {
                let is_staged = by_git.status.success() || said.contains("are ignored");
                assert!(is_staged, "add {path}: {said}");
                self.take(changed);
            }
            // A folder without files is something to git, which does nothing with it.
            Err(WorkspaceError::PathNotFound { .. }) if self.path(path).is_dir() => {}
            Err(error) => assert!(!by_git.status.success(), "add {path}: {error}"),
        }
    }

    pub(crate) fn remove(&mut self, path: &str) {
        let done = self.open().remove(&self.pool, path.as_bytes(), false);
        let by_git = self.run(&["rm", "-q", "-r", "--", path]);
        let said = String::from_utf8_lossy(&by_git.stderr).into_owned();
        match done {
            Ok(changed) => {
                assert!(by_git.status.success(), "rm {path}: {said}");
                self.take(changed);
            }
            Err(error) => assert!(!by_git.status.success(), "rm {path}: {error}"),
        }
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if self.path(to).is_dir() || has_file_above(self.dir.path(), to) {
            return;
        }
        let done = self
            .open()
            .rename(&self.pool, from.as_bytes(), to.as_bytes(), false);
        let is_inside = to.starts_with(&format!("{from}/"));
        if !is_inside {
            std::fs::create_dir_all(self.path(to).parent().unwrap()).unwrap();
        }
        let by_git = self.run(&["mv", "--", from, to]);
        let said = String::from_utf8_lossy(&by_git.stderr).into_owned();
        match done {
            Ok(changed) => {
                assert!(by_git.status.success(), "mv {from} {to}: {said}");
                self.take(changed);
            }
            Err(error) => assert!(!by_git.status.success(), "mv {from} {to}: {error}"),
        }
    }

    pub(crate) fn commit(&mut self, message: &str, amend: bool) {
        self.seconds += 60;
        let new = StagedCommit {
            message: Some(message.into()),
            amend,
            allow_empty: false,
            author: None,
            asking: self.ada(),
            committer: self.ada(),
        };
        let done = self.open().commit(&self.pool, &new);
        let amending: &[&str] = if amend { &["--amend"] } else { &[] };
        let args = [&["commit", "-q", "-m", message], amending].concat();
        let by_git = self.tries(&args);
        match done {
            Ok(made) => {
                assert!(by_git, "commit {message}");
                let theirs = self.git(&["cat-file", "-p", "HEAD"]);
                assert_eq!(String::from_utf8_lossy(&made.data), theirs);
                self.commits.push(made.id);
                self.take(made.changed);
                self.move_branch(made.id);
            }
            Err(error) => assert!(!by_git, "commit: {error}"),
        }
    }

    pub(crate) fn checkout(&mut self, branch: &str, force: bool) {
        let name = RefName::branch(branch);
        let open = self.open();
        let target = self.snapshot.refs.resolve(name.as_bytes());
        if let (None, Some(base)) = (target, open.now.base) {
            self.git(&["checkout", "-q", "-b", branch]);
            self.snapshot.refs.set(name.clone(), Target::At(base));
            let mut after = open.now;
            after.branch = Some(name);
            self.take(Changed::to(after));
            return;
        }
        let Some(target) = target else { return };
        let tree = workspace::state::tree_or_empty(&self.pool, Some(target)).unwrap();
        let done = match force {
            true => open.forced_to(&self.pool, &tree),
            false => open.moved_to(&self.pool, &tree),
        };
        let forcing: &[&str] = if force { &["-f"] } else { &[] };
        let by_git = self.run(&[&["checkout", "-q"], forcing, &[branch]].concat());
        let said = String::from_utf8_lossy(&by_git.stderr).into_owned();
        match done {
            Ok(mut changed) => {
                assert!(by_git.status.success(), "checkout {branch}: {said}");
                changed.after.branch = Some(name);
                changed.after.base = Some(target);
                self.take(changed);
            }
            Err(error) => assert!(!by_git.status.success(), "checkout {branch}: {error}"),
        }
    }

    pub(crate) fn reset(&mut self, commit: ObjectId, mode: ResetMode) {
        let tree = workspace::state::tree_or_empty(&self.pool, Some(commit)).unwrap();
        let changed = self.open().reset(&self.pool, commit, &tree, mode).unwrap();
        let flag = match mode {
            ResetMode::Soft => "--soft",
            ResetMode::Mixed => "--mixed",
            ResetMode::Hard => "--hard",
        };
        // Mixed says what is not staged by its status.
        self.run(&["reset", "-q", flag, &commit.to_string()]);
        self.take(changed);
        self.move_branch(commit);
    }

    fn stash(&mut self, include_untracked: bool, message: Option<&str>) {
        self.seconds += 60;
        let new = StashToMake {
            message: message.map(|message| message.as_bytes().to_vec()),
            include_untracked,
            person: self.ada(),
            packed_objects: 0,
        };
        let done = self.open().stash(&self.pool, &new);
        let mut args = vec!["stash", "push", "-q"];
        if include_untracked {
            args.push("-u");
        }
        if let Some(message) = message {
            args.extend(["-m", message]);
        }
        let before = self
            .run(&["rev-parse", "-q", "--verify", "refs/stash"])
            .stdout;
        let by_git = self.run(&args);
        let after = self
            .run(&["rev-parse", "-q", "--verify", "refs/stash"])
            .stdout;
        let said = String::from_utf8_lossy(&by_git.stderr).into_owned();
        match done {
            Ok(made) => {
                assert!(before != after, "stash: {said}");
                let theirs = String::from_utf8(after).unwrap();
                let commits: Vec<String> = made
                    .changed
                    .objects
                    .iter()
                    .filter(|object| object.kind == ObjectKind::Commit)
                    .filter_map(|object| match &object.body {
                        ObjectBody::Whole(data) => Some(String::from_utf8_lossy(data).into_owned()),
                        _ => None,
                    })
                    .collect();
                let shown = self.git(&["log", "-3", "--format=raw", "stash"]);
                assert_eq!(made.id.to_string(), theirs.trim(), "{commits:#?} {shown}");
                self.take(made.changed);
            }
            Err(error) => assert!(before == after, "stash: {error}"),
        }
    }

    /// Whether it could be done.
    fn apply_stash(&mut self, number: usize, index: bool) -> bool {
        let open = self.open();
        let stashes = open.now.stashes.len();
        let id = open.now.stashes[stashes - 1 - number];
        let found = stash::read(&self.pool, id).unwrap();
        let options = ApplyOptions {
            index,
            keep_conflicts: false,
        };
        let done = open.apply_stash(&self.pool, &found, options);
        let name = format!("stash@{{{number}}}");
        let mut args = vec!["stash", "apply", "-q", &name];
        if index {
            args.push("--index");
        }
        match done {
            Ok((changed, _)) => {
                let by_git = self.run(&args);
                let said = String::from_utf8_lossy(&by_git.stderr).into_owned();
                assert!(by_git.status.success(), "stash apply: {said}");
                self.take(changed);
                true
            }
            // Git may have done half of it by now.
            Err(_) => false,
        }
    }

    /// Both say the same.
    fn compare(&self, story: &[String]) {
        let open = self.open();
        let status = open.status(&self.pool).unwrap();
        let mut ours: BTreeSet<(String, char, char, String)> = BTreeSet::new();
        let text = |path: &[u8]| String::from_utf8(path.to_vec()).unwrap();
        for file in &status.staged {
            let unstaged = status.unstaged.iter().find(|other| other.path == file.path);
            ours.insert((
                text(&file.path),
                file.status.letter(),
                unstaged.map_or(' ', |file| file.status.letter()),
                file.old_path.as_deref().map(text).unwrap_or_default(),
            ));
        }
        let staged = |file: &FileDiff| {
            let is_there = |other: &&FileDiff| other.path == file.path;
            status.staged.iter().find(is_there).is_some()
        };
        for file in status.unstaged.iter().filter(|file| !staged(file)) {
            assert_ne!(file.status, Status::Renamed);
            let letter = file.status.letter();
            ours.insert((text(&file.path), ' ', letter, String::new()));
        }
        for path in &status.untracked {
            ours.insert((text(path), '?', '?', String::new()));
        }
        let listed = self.git(&["status", "--porcelain", "-z", "-uall"]);
        let mut fields = listed.split_terminator('\0');
        let mut theirs = BTreeSet::new();
        while let Some(field) = fields.next() {
            let mut letters = field.chars();
            let (x, y) = (letters.next().unwrap(), letters.next().unwrap());
            let old = match x {
                'R' | 'C' => fields.next().unwrap().to_owned(),
                _ => String::new(),
            };
            theirs.insert((field[3..].to_owned(), x, y, old));
        }
        assert_eq!(ours, theirs, "{story:#?}");
        let index = self.git(&["write-tree"]);
        assert_eq!(open.now.index.to_string(), index.trim(), "{story:#?}");
        let listed = self.git(&["stash", "list", "--format=%H"]);
        let stashes: Vec<String> = open
            .now
            .stashes
            .iter()
            .rev()
            .map(|s| s.to_string())
            .collect();
        assert_eq!(stashes, listed.lines().collect::<Vec<_>>(), "{story:#?}");
    }
}

/// A workspace has no folders without files.
pub(crate) fn remove_empty_folders(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() && !path.ends_with(".git") {
            remove_empty_folders(&path);
            // It fails where something is in it.
            let _ = std::fs::remove_dir(&path);
        }
    }
}

fn has_file_above(root: &Path, path: &str) -> bool {
    let mut above = Path::new(path).ancestors().skip(1);
    above.any(|folder| folder != Path::new("") && root.join(folder).is_file())
}

const PATHS: &[&str] = &[
    "a", "b", "c", "d/x", "d/y", "d/e/z", "a/q", "b/r/s", "x.log", "keep.log", "out/o", "d/x.tmp",
];
const FOLDERS: &[&str] = &["d", "d/e", "b/r", "a", "f", "out"];
const IGNORES: &[&str] = &[
    "*.log\n",
    "*.log\n!keep.log\nout/\n",
    "/out\n*.tmp\n",
    "b\n",
];

/// How many stashes were brought back.
fn random_story(seed: u64, steps: usize) -> usize {
    let mut dice = Dice(seed);
    let mut both = Both::new();
    let mut story = vec![format!("seed {seed}")];
    let mut applied = 0;
    for step in 0..steps {
        let path = dice.pick(PATHS);
        // Several lines, so that renames are found by what is alike.
        let lines: String = (0..6).map(|n| format!("{path} {n}\n")).collect();
        let content = format!("{lines}{}\n", dice.roll(4));
        let what = dice.roll(23);
        story.push(format!("{step}: {what} at {path}"));
        match what {
            0..=4 => both.write(path, &content, true),
            5..=7 => both.write(path, &content, false),
            8 => both.add_as_it_is(path),
            9 => both.add_as_it_is(dice.pick(FOLDERS)),
            10 => both.remove(path),
            11 => both.remove(dice.pick(FOLDERS)),
            12 => {
                let to = dice.pick(PATHS);
                both.rename(path, to);
            }
            13 => {
                let (from, to) = (dice.pick(FOLDERS), dice.pick(FOLDERS));
                both.rename(from, to);
            }
            14 | 15 => both.commit(&format!("commit {step}"), false),
            16 if !both.commits.is_empty() => both.commit(&format!("amended {step}"), true),
            17 => {
                let branch = dice.pick(&["main", "side", "topic/third"]);
                story.push(format!("checkout {branch}"));
                both.checkout(branch, dice.roll(6) == 0);
            }
            18 if !both.commits.is_empty() => {
                let commit = both.commits[dice.roll(both.commits.len())];
                let mode = [ResetMode::Soft, ResetMode::Mixed, ResetMode::Hard][dice.roll(3)];
                story.push(format!("reset {mode:?} {commit}"));
                both.reset(commit, mode);
            }
            19 => {
                let ignore = dice.pick(IGNORES);
                both.write(".gitignore", ignore, true);
            }
            20 => {
                let message = ["", "to be done", "two\nlines"][dice.roll(3)];
                let message = Some(message).filter(|message| !message.is_empty());
                both.stash(dice.roll(2) == 0, message);
            }
            21 | 22 => {
                let count = both.open().now.stashes.len();
                if count > 0 && both.open().is_clean() {
                    applied += usize::from(both.apply_stash(dice.roll(count), what == 21));
                }
            }
            _ => {}
        }
        remove_empty_folders(both.dir.path());
        both.compare(&story);
    }
    applied
}

#[test]
fn whatever_is_done_both_say_the_same() {
    let from = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    let count = std::env::var("SEEDS").map_or(12, |count| count.parse().unwrap());
    let applied: usize = (from..from + count)
        .map(|seed| random_story(seed, 50))
        .sum();
    assert!(applied > 0 || count < 12, "no stash was brought back");
}

#[test]
fn line_endings_are_those_that_git_add_takes_in() {
    let mut both = Both::new();
    both.write(
        ".gitattributes",
        "* text=auto\n*.crlf eol=crlf\n*.bin -text\n*.sh text eol=lf\n",
        true,
    );
    let contents = [
        ("auto", "one\r\ntwo\n"),
        ("auto.bin", "one\r\ntwo\n"),
        ("nul", "one\r\n\0\n"),
        ("lone", "one\rtwo\r\n"),
        ("x.crlf", "one\r\ntwo\r\n"),
        ("d/x.sh", "\0\r\none\r\r\n"),
        ("odd", "\u{1}\u{2}\u{3}\u{4}\r\n"),
    ];
    for (path, content) in contents {
        both.write(path, content, true);
    }
    let index = both.git(&["write-tree"]);
    assert_eq!(both.open().now.index.to_string(), index.trim());
    // What has CR LF in the index keeps it where nobody is certain.
    both.write(".gitattributes", "", true);
    both.write("late", "one\r\n", true);
    both.write(".gitattributes", "* text=auto\n", true);
    both.write("late", "one\r\ntwo\r\n", true);
    let index = both.git(&["write-tree"]);
    assert_eq!(both.open().now.index.to_string(), index.trim());
}
