//! The real program, in a process and with a folder of its own.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Http, Ran};

/// A server that has not ended this long after it was told to is killed, and the test fails.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// How much of the log a failing test shows, in bytes from its end.
const LOG_SHOWN_BYTES: usize = 8 << 10;

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What stands in its configuration file, besides what the command line says.
    pub config: Option<String>,
    /// Further arguments of `govc serve`.
    pub arguments: Vec<String>,
}

/// A running `govc serve` on a data folder of its own. Killed when dropped.
#[derive(Debug)]
pub struct TestServer {
    folder: TempDir,
    options: Options,
    /// `HOST:PORT`. The port was picked at the first start and is kept over restarts, so that
    /// the remotes of clones stay true.
    address: String,
    /// The same for SSH, where its configuration has a section for it.
    ssh_address: String,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Kept open: who writes to a closed pipe ends.
    _stdout: BufReader<ChildStdout>,
}

impl TestServer {
    /// A server with the default configuration on an empty folder and a free port of loopback.
    pub fn start() -> TestServer {
        TestServer::with(Options::default())
    }

    /// A server whose new repositories are kept as `storage` says.
    pub fn with_storage(storage: &str) -> TestServer {
        TestServer::with(Options {
            arguments: vec!["--storage".to_owned(), storage.to_owned()],
            ..Options::default()
        })
    }

    /// A server with a repository called `id`.
    pub fn with_repo(id: &str) -> TestServer {
        let server = TestServer::start();
        server.create(id);
        server
    }

    /// A server as `options` say.
    pub fn with(options: Options) -> TestServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let host = own_host();
        let mut server = TestServer {
            folder,
            options,
            address: format!("{host}:0"),
            ssh_address: format!("{host}:0"),
            running: None,
        };
        server.run();
        server
    }

    fn run(&mut self) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a log");
        let mut command = Command::new(program());
        command
            .arg("serve")
            .args(["--listen", &self.address])
            .arg("--data")
            .arg(self.data());
        if let Some(config) = &self.options.config {
            let listen = format!("listen: {}", self.ssh_address);
            let config = config.replace("listen: 127.0.0.1:0", &listen);
            let path = self.folder.path().join("govc.yaml");
            std::fs::write(&path, config).expect("a configuration");
            command.arg("--config").arg(path);
        }
        let mut child = command
            .args(&self.options.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("govc runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        let read = stdout.read_line(&mut line);
        let Some(address) = line.trim_end().strip_prefix("listening on http://") else {
            let _ = child.kill();
            let ended = child.wait();
            panic!(
                "govc said {line:?} ({read:?}, {ended:?}) instead of where it listens:\n{}",
                self.log()
            );
        };
        self.address = address.to_owned();
        if self.has_ssh() {
            line.clear();
            stdout.read_line(&mut line).expect("a second line");
            let address = line.trim_end().strip_prefix("listening on ssh://");
            address
                .expect("where SSH is")
                .clone_into(&mut self.ssh_address);
        }
        self.running = Some(Running {
            child,
            _stdout: stdout,
        });
    }

    /// `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where git finds the repository `id`.
    pub fn git_url(&self, id: &str) -> String {
        format!("{}/{id}.git", self.url())
    }

    fn has_ssh(&self) -> bool {
        let config = self.options.config.as_deref().unwrap_or_default();
        config.lines().any(|line| line == "ssh:")
    }

    /// Host and port for SSH.
    ///
    /// # Panics
    /// When its configuration has no `ssh:`.
    pub fn ssh_address(&self) -> (&str, &str) {
        assert!(self.has_ssh(), "it speaks SSH");
        self.ssh_address.rsplit_once(':').expect("a port")
    }

    /// Where git finds the repository `id` over SSH.
    pub fn ssh_url(&self, id: &str) -> String {
        let (host, port) = self.ssh_address();
        format!("ssh://git@{host}:{port}/{id}.git")
    }

    /// A caller with paths from the root.
    pub fn http(&self) -> Http {
        Http::new(&self.url())
    }

    /// A caller with paths below `/api/v1`.
    pub fn api(&self) -> Http {
        Http::new(&format!("{}/api/v1", self.url()))
    }

    /// Makes a repository.
    #[track_caller]
    pub fn create(&self, id: &str) -> Value {
        self.create_as(&json!({ "id": id }))
    }

    /// Makes a repository as the body says.
    #[track_caller]
    pub fn create_as(&self, body: &Value) -> Value {
        self.api().post("/repos", body).expect(201).json()
    }

    /// The folder that it keeps its repositories in.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The bare repository that `id` is on disk.
    pub fn bare(&self, id: &str) -> PathBuf {
        self.data().join(format!("{id}.git"))
    }

    /// What it wrote to stderr, over all its starts.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The most memory that it ever had, in KiB.
    ///
    /// # Panics
    /// When it does not run, or the system does not say.
    pub fn peak_memory_kib(&self) -> u64 {
        let pid = self.running.as_ref().expect("it runs").child.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
        let status = status.expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let figure = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        figure.expect("its peak")
    }

    /// `kill -9`, and nothing else.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let mut running = self.running.take().expect("it runs");
        running.child.kill().expect("a signal is sent");
        running.child.wait().expect("it ends");
    }

    /// Starts again on the same folder and port.
    ///
    /// # Panics
    /// When it runs, or does not come up.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "it runs");
        self.run();
    }

    /// `kill -9` and a new start.
    pub fn kill_and_start_again(&mut self) {
        self.kill();
        self.start_again();
    }

    /// SIGTERM: how it ended.
    ///
    /// # Panics
    /// When it does not run, or does not end.
    pub fn stop(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("it runs");
        let pid = Pid::from_child(&running.child);
        kill_process(pid, Signal::TERM).expect("a signal is sent");
        let (ended, patience) = channel::<()>();
        let guard = std::thread::spawn(move || {
            let overdue = patience.recv_timeout(STOP_PATIENCE) == Err(RecvTimeoutError::Timeout);
            if overdue {
                // The child is not waited for yet, so the id is still its own.
                let _ = kill_process(pid, Signal::KILL);
            }
            overdue
        });
        let status = running.child.wait().expect("it ends");
        drop(ended);
        let overdue = guard.join().expect("the guard ends");
        assert!(!overdue, "it did not end:\n{}", self.log());
        status
    }

    /// SIGTERM, which must end it well.
    ///
    /// # Panics
    /// When it ends otherwise.
    pub fn stop_well(&mut self) {
        let status = self.stop();
        assert_eq!(status.code(), Some(0), "{status}:\n{}", self.log());
    }
}

/// An address of loopback that no other test has: nothing else gets a port of it, so that a restart
/// finds its own free. Other systems than Linux have one such address, and are lucky mostly.
fn own_host() -> String {
    static SERVERS: AtomicU32 = AtomicU32::new(0);
    if !cfg!(target_os = "linux") {
        return "127.0.0.1".to_owned();
    }
    // Tests run in several processes at once, each with some servers.
    let number = SERVERS.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    let place = process.wrapping_mul(64).wrapping_add(number % 64);
    let [_, b, c, d] = place.to_be_bytes();
    format!("127.{}.{c}.{}", 1 + b % 254, 1 + d % 254)
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let mut from = log.len().saturating_sub(LOG_SHOWN_BYTES);
            while !log.is_char_boundary(from) {
                from += 1;
            }
            let told = |line: &&str| line.contains(" ERROR ") || line.contains("panicked");
            let errors: Vec<&str> = log[..from].lines().filter(told).collect();
            eprintln!("--- the server's log\n{}", errors.join("\n"));
            eprintln!("{}", &log[from..]);
        }
    }
}

/// Runs `command`, which must end by itself before it listens anywhere: how it ended and what it
/// said.
///
/// # Panics
/// When it listens.
pub fn ends_before_it_listens(command: &mut Command) -> Ran {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let read = stdout.read_line(&mut line);
    if read.is_err() || line.starts_with("listening") {
        let _ = child.kill();
        let _ = child.wait();
        panic!("it listens: {line:?}");
    }
    Ran::new(child.wait_with_output().expect("it ends"))
}

/// The program under test: what `GOVC_BIN` names, else the `govc` beside this test's own binary,
/// built once.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("GOVC_BIN") {
            return path.into();
        }
        // target/PROFILE/deps/it-0123456789abcdef
        let test = std::env::current_exe().expect("this test's own path");
        let profile = test.ancestors().nth(2).expect("a profile's folder");
        let target = profile.parent().expect("a target folder");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        // With the whole workspace's features, as `make test` builds it: nothing twice.
        build
            .args(["build", "-q", "--workspace", "--bin", "govc"])
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let status = build.status().expect("cargo runs");
        assert!(status.success(), "govc does not build");
        profile.join("govc")
    })
}
