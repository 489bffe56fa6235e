//! A server in this process, and the real git beside it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use govc_engine::journal::memory::{MemoryJournal, MemoryPacks};
use govc_engine::pool::PoolLimits;
use govc_engine::repository::record::Settings;
use govc_engine::{
    Cause, CauseKind, Change, Clock, Edit, Engine, EngineParts, Expected, NewObjects,
    NewRepository, RefEdit, RefName, RepoId, RepoKey, Repository, RepositoryRecord, Storage,
    Target, Time, Via,
};
use govc_git::{ObjectFormat, pktline};
use govc_server::router::router;
use govc_server::{App, Config};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A server with one repository, `hello`.
pub(crate) struct Server {
    pub(crate) runtime: Runtime,
    pub(crate) engine: Arc<Engine>,
    pub(crate) repository: Arc<Repository>,
    pub(crate) address: String,
    pub(crate) folder: TempDir,
}

struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1_000_000, Ordering::Relaxed))
    }
}

pub(crate) fn cause() -> Cause {
    Cause {
        kind: CauseKind::RepoCreated,
        actor: "test".into(),
        via: Via::Job,
        request_id: "".into(),
        reason: None,
        idempotency: None,
    }
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with(ObjectFormat::Sha1, Config::default())
    }

    pub(crate) fn with(format: ObjectFormat, config: Config) -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let keys = AtomicU64::new(1);
        let new_key = move || {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&keys.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            RepoKey(key)
        };
        let engine = Engine::new(EngineParts {
            journal: Arc::new(MemoryJournal::default()),
            packs: Arc::new(MemoryPacks::default()),
            clock: Arc::new(Ticks(AtomicI64::new(1_700_000_000_000_000))),
            new_key: Arc::new(new_key),
            turn_threads: 1,
            pool_limits: PoolLimits::default(),
        })
        .unwrap();
        let app = App::new(config);
        app.ready(&govc_server::serve::Storage {
            engine: Arc::clone(&engine),
            store: None,
            stopped: Vec::new(),
        });
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap().to_string();
        runtime.spawn(async move { axum::serve(listener, router(app)).await.unwrap() });
        let new = NewRepository {
            id: RepoId::parse("hello").unwrap(),
            description: String::new(),
            default_branch: RefName::branch("main"),
            storage: Storage::Hybrid,
            object_format: format,
            expires_at: None,
        };
        let made = runtime.block_on(engine.create(new, cause(), false));
        let (repository, _) = made.unwrap();
        Server {
            runtime,
            engine,
            repository,
            address,
            folder: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.url_of("hello")
    }

    pub(crate) fn url_of(&self, id: &str) -> String {
        format!("http://{}/{id}.git", self.address)
    }

    /// Changes the repository's settings.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut record: RepositoryRecord = (*self.repository.snapshot().record).clone();
        change(&mut record.settings);
        let change = Change {
            objects: NewObjects::default(),
            edits: vec![Edit::Repository(Box::new(record))],
            cause: cause(),
        };
        let published = self.repository.publish(change);
        self.runtime.block_on(published).unwrap();
    }

    /// Makes the ref `name` a name for `to`.
    pub(crate) fn symbolic(&self, name: &str, to: &str) {
        let edit = Edit::Ref(RefEdit {
            name: RefName::new(name),
            expected: Expected::Absent,
            target: Target::Symbolic(RefName::new(to)),
        });
        let change = Change {
            objects: NewObjects::default(),
            edits: vec![edit],
            cause: cause(),
        };
        let published = self.repository.publish(change);
        self.runtime.block_on(published).unwrap();
    }

    /// What a ref of the server points at, as text; empty where it does not exist.
    pub(crate) fn ref_at(&self, name: &str) -> String {
        let refs = &self.repository.snapshot().refs;
        let id = refs.resolve(name.as_bytes());
        id.map(|id| id.to_string()).unwrap_or_default()
    }

    /// A working repository, empty.
    pub(crate) fn working(&self, name: &str) -> Git {
        self.working_in(name, &[])
    }

    pub(crate) fn working_in(&self, name: &str, arguments: &[&str]) -> Git {
        let at = self.folder.path().join(name);
        let above = Git::at(self.folder.path());
        let mut command = vec!["init", "-q", "-b", "main"];
        command.extend(arguments);
        command.push(name);
        above.run(&command);
        Git::at(&at)
    }

    /// A clone.
    pub(crate) fn clone_to(&self, name: &str, arguments: &[&str]) -> Git {
        let url = self.url();
        let mut command = vec!["clone", "-q"];
        command.extend(arguments);
        command.extend([url.as_str(), name]);
        Git::at(self.folder.path()).run(&command);
        Git::at(&self.folder.path().join(name))
    }

    /// Sends raw bytes to a service; status and body of the answer.
    pub(crate) fn post(&self, service: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let client = reqwest::blocking::Client::new();
        let answer = client
            .post(format!("{}/{service}", self.url()))
            .header("content-type", format!("application/x-{service}-request"))
            .header("git-protocol", "version=2")
            .body(body)
            .send()
            .unwrap();
        (answer.status().as_u16(), answer.bytes().unwrap().to_vec())
    }
}

/// Git in a folder, with a clean configuration and always the same people and dates.
pub(crate) struct Git {
    pub(crate) at: PathBuf,
}

impl Git {
    pub(crate) fn at(at: &Path) -> Git {
        Git { at: at.to_owned() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(&self.at)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.org")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.org")
            .env("GIT_AUTHOR_DATE", "1700000000 +0100")
            .env("GIT_COMMITTER_DATE", "1700000000 +0100");
        command
    }

    /// Runs git, which must succeed; what it printed on stdout.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let (fine, stdout, stderr) = self.try_run(arguments);
        assert!(fine, "git {arguments:?}:\n{stdout}{stderr}");
        stdout
    }

    /// Runs git, which must fail; what it printed on stderr.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let (fine, stdout, stderr) = self.try_run(arguments);
        assert!(!fine, "git {arguments:?} was to fail:\n{stdout}{stderr}");
        stderr
    }

    pub(crate) fn try_run(&self, arguments: &[&str]) -> (bool, String, String) {
        let output = self.command(arguments).output().unwrap();
        text(&output)
    }

    /// As [`Git::try_run`], with more in git's environment.
    pub(crate) fn try_run_with(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> (bool, String, String) {
        let mut command = self.command(arguments);
        text(&command.envs(environment.iter().copied()).output().unwrap())
    }

    /// Runs git with something on its stdin.
    pub(crate) fn feed(&self, arguments: &[&str], stdin: &[u8]) -> String {
        String::from_utf8_lossy(&self.feed_bytes(arguments, stdin)).into_owned()
    }

    pub(crate) fn feed_bytes(&self, arguments: &[&str], stdin: &[u8]) -> Vec<u8> {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(stdin).unwrap();
        drop(pipe);
        let output = child.wait_with_output().unwrap();
        let (fine, stdout, stderr) = text(&output);
        assert!(fine, "git {arguments:?}:\n{stdout}{stderr}");
        output.stdout
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.at.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits everything; the commit's id.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.run(&["add", "-A"]);
        self.run(&["commit", "-q", "--allow-empty", "-m", message]);
        self.id("HEAD")
    }

    pub(crate) fn id(&self, revision: &str) -> String {
        self.run(&["rev-parse", revision]).trim().to_owned()
    }

    /// Makes `count` commits with nested folders, moves, deletions and large files, quickly.
    pub(crate) fn fill(&self, count: usize) {
        let mut stream = String::new();
        for n in 0..count {
            let text: String = (0..40).fold(String::new(), |mut text, line| {
                let _ = writeln!(text, "line {line} of {}", (n * 7919 + line * line) % 1009);
                text
            });
            let message = format!("commit {n}");
            let _ = write!(
                stream,
                "commit refs/heads/main\ncommitter Ada <ada@example.org> {} +0100\ndata {}\n{message}\n\
                 M 100644 inline dir{}/sub{}/file{}\ndata {}\n{text}\n",
                1_700_000_000 + n,
                message.len(),
                n % 7,
                n % 11,
                n % 83,
                text.len(),
            );
            if n % 10 == 9 {
                let _ = write!(stream, "D dir{}\n\n", (n / 10) % 7);
            }
        }
        self.feed(&["fast-import", "--quiet"], stream.as_bytes());
        self.run(&["reset", "-q", "--hard", "main"]);
    }
}

fn text(output: &Output) -> (bool, String, String) {
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// A request in version 2; `--` is a delimiter, `.` a flush.
pub(crate) fn request(lines: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        match *line {
            "--" => out.extend_from_slice(pktline::DELIMITER),
            "." => out.extend_from_slice(pktline::FLUSH),
            text => pktline::write(&mut out, &[text.as_bytes()]),
        }
    }
    out
}

/// The lines of an answer; delimiters as `--`, flushes as `.`.
pub(crate) fn packets(answer: &[u8]) -> Vec<Vec<u8>> {
    let (mut lines, mut input) = (pktline::Lines::default(), answer);
    let mut all = Vec::new();
    while let Some(line) = lines.next(&mut input).unwrap() {
        all.push(match line {
            pktline::Line::Data(data) => data.to_vec(),
            pktline::Line::Delimiter => b"--".to_vec(),
            _ => b".".to_vec(),
        });
    }
    all
}
