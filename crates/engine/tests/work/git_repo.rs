//! A bare repository made by git, and the same thing as a view.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use govc_engine::pool::{Pool, PoolLimits};
use govc_engine::work::View;
use govc_engine::{NewObject, ObjectBody, RefName, Refs, Target, Time};
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use tempfile::TempDir;

pub(crate) struct GitRepo {
    dir: TempDir,
    pub(crate) format: ObjectFormat,
}

impl GitRepo {
    pub(crate) fn new(format: ObjectFormat) -> GitRepo {
        let repo = GitRepo {
            dir: tempfile::tempdir().unwrap(),
            format,
        };
        let format = format!("--object-format={format}");
        repo.git(&["init", "-q", "--bare", &format, "-b", "main", "."]);
        repo
    }

    /// A repository with what `stream` makes in `git fast-import`, without anything unreachable.
    pub(crate) fn imported(stream: &[u8]) -> GitRepo {
        let repo = GitRepo::new(ObjectFormat::Sha1);
        repo.import(stream);
        repo.git(&["repack", "-adq"]);
        repo.git(&["prune"]);
        repo
    }

    /// Runs `git fast-import`.
    pub(crate) fn import(&self, stream: &[u8]) {
        let output = self.run(
            &["fast-import", "--quiet", "--force", "--date-format=raw"],
            stream,
        );
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub(crate) fn run(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new("git")
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_DIR", self.dir.path())
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // git may end before it has read all.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// What git prints; it must succeed.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = self.run(args, b"");
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The first line git prints, or `None` when it fails.
    pub(crate) fn ask(&self, args: &[&str]) -> Option<String> {
        let output = self.run(args, b"");
        let text = String::from_utf8(output.stdout).unwrap();
        output
            .status
            .success()
            .then(|| text.lines().next().unwrap_or_default().to_owned())
    }

    pub(crate) fn lines(&self, args: &[&str]) -> Vec<String> {
        self.git(args).lines().map(str::to_owned).collect()
    }

    /// All objects of the repository in a pool, and its refs.
    pub(crate) fn view(&self) -> View {
        let pool = Pool::new(self.format, PoolLimits::default());
        let args = ["cat-file", "--batch", "--batch-all-objects", "--unordered"];
        let output = self.run(&args, b"");
        let mut rest = &output.stdout[..];
        let mut objects = Vec::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            let header = std::str::from_utf8(&rest[..end]).unwrap();
            let mut fields = header.split(' ');
            let id = ObjectId::from_hex(fields.next().unwrap().as_bytes()).unwrap();
            let kind = ObjectKind::from_name(fields.next().unwrap().as_bytes()).unwrap();
            let size: usize = fields.next().unwrap().parse().unwrap();
            let data = rest[end + 1..end + 1 + size].to_vec();
            rest = &rest[end + 2 + size..];
            objects.push(NewObject {
                id,
                kind,
                body: ObjectBody::Whole(data.into()),
            });
        }
        pool.insert(&objects).unwrap();
        View::of_refs(pool, self.refs(), 1, Time(0))
    }

    pub(crate) fn refs(&self) -> Refs {
        let listed = self.git(&[
            "for-each-ref",
            "--format=%(objectname) %(refname) %(symref)",
        ]);
        let refs = listed.lines().map(|line| {
            let mut fields = line.split(' ');
            let id = ObjectId::from_hex(fields.next().unwrap().as_bytes()).unwrap();
            let name = RefName::new(fields.next().unwrap());
            match fields.next().filter(|symref| !symref.is_empty()) {
                Some(symref) => (name, Target::Symbolic(RefName::new(symref))),
                None => (name, Target::At(id)),
            }
        });
        let head = self.ask(&["symbolic-ref", "-q", "HEAD"]).map(RefName::new);
        let head = match head {
            Some(name) => Target::Symbolic(name),
            None => Target::At(self.id("HEAD")),
        };
        Refs::from_entries(refs.chain([(RefName::head(), head)]))
    }

    pub(crate) fn id(&self, rev: &str) -> ObjectId {
        let hex = self.git(&["rev-parse", "--verify", rev]);
        ObjectId::from_hex(hex.trim().as_bytes()).unwrap()
    }
}

/// A pool and nothing in it.
pub(crate) fn empty_pool(format: ObjectFormat) -> Arc<Pool> {
    Pool::new(format, PoolLimits::default())
}
