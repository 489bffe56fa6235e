//! The servers that are measured: govc itself, git's own behind apache, and JGit's.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::usage;

/// A server, whatever it is.
pub trait Peer {
    /// `http://127.0.0.1:PORT`.
    fn url(&self) -> &str;
    /// CPU seconds so far, of all its processes.
    fn cpu(&self) -> f64;
}

impl Peer for Govc {
    fn url(&self) -> &str {
        &self.url
    }

    fn cpu(&self) -> f64 {
        Govc::cpu(self)
    }
}

impl Peer for Apache {
    fn url(&self) -> &str {
        &self.url
    }

    fn cpu(&self) -> f64 {
        Apache::cpu(self)
    }
}

impl Peer for JGit {
    fn url(&self) -> &str {
        &self.url
    }

    fn cpu(&self) -> f64 {
        usage::cpu_of(self.child.id())
    }
}

/// A running `govc serve`, stopped when dropped.
pub struct Govc {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Govc {
    /// Starts the release build on `data`, and waits until it listens. Also how long that took.
    pub fn start(data: &Path) -> (Govc, Duration) {
        let start = Instant::now();
        let mut child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("govc starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out)
            .read_line(&mut line)
            .expect("govc says where it listens");
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .expect("the line")
            .to_owned();
        (Govc { child, url }, start.elapsed())
    }

    /// As [`Govc::start`], with a configuration of its own and what it says in the file `log`.
    pub fn start_as(data: &Path, config: &Path, log: &Path) -> Govc {
        let mut child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .arg("--config")
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log).expect("a log"))
            .spawn()
            .expect("govc starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out)
            .read_line(&mut line)
            .expect("govc says where it listens");
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .expect("the line")
            .to_owned();
        Govc { child, url }
    }

    /// CPU seconds so far.
    pub fn cpu(&self) -> f64 {
        usage::cpu_of(self.child.id())
    }

    /// CPU seconds so far of the thread that makes introduced lists.
    pub fn cpu_of_lists(&self) -> f64 {
        usage::cpu_of_threads(self.child.id(), "lists")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has nothing to do any more, in the background neither.
    pub fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(300);
        let mut quiet = 0;
        while quiet < 5 && Instant::now() < deadline {
            let cpu = self.cpu();
            std::thread::sleep(Duration::from_millis(200));
            quiet = if self.cpu() - cpu < 0.01 {
                quiet + 1
            } else {
                0
            };
        }
    }

    /// Waits until introduced lists are made, as the `log` of [`Govc::start_as`] says; of how many
    /// commits.
    pub fn lists_made(log: &Path) -> u64 {
        let deadline = Instant::now() + Duration::from_secs(600);
        while Instant::now() < deadline {
            let text = fs::read_to_string(log).unwrap_or_default();
            let made = text
                .lines()
                .filter(|line| line.contains("introduced lists are made"));
            let count = |line: &str| {
                let digits = line.split_once("commits=")?.1.split(' ').next()?;
                digits.parse::<u64>().ok()
            };
            let commits: u64 = made.filter_map(count).sum();
            if commits > 0 {
                return commits;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        0
    }

    /// The most memory it ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        usage::peak_memory(self.child.id())
    }

    /// Stops it as an operator would, and waits for its checkpoint.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let status = self.child.wait().expect("govc ends");
        assert!(status.success(), "govc serve: {status}");
    }

    /// Makes an empty repository; the URL to push to.
    pub fn create(&self, id: &str) -> String {
        let body = format!("{{\"id\":\"{id}\"}}");
        let answer = reqwest::blocking::Client::new()
            .post(format!("{}/api/v1/repos", self.url))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .expect("govc answers");
        assert_eq!(answer.status(), 201, "{:?}", answer.text());
        format!("{}/{id}.git", self.url)
    }
}

impl Drop for Govc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> PathBuf {
    let here = std::env::current_exe().expect("this program has a path");
    here.with_file_name("govc")
}

/// git http-backend behind apache: prefork and mod_cgi, whose workers wait for what they start, so
/// that its cost is counted.
pub struct Apache {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Apache {
    /// Serves the bare repositories in `root`. `None` where apache2 is not installed.
    pub fn start(root: &Path) -> Option<Apache> {
        let modules = Path::new("/usr/lib/apache2/modules");
        if !modules.is_dir() {
            return None;
        }
        let port = free_port();
        let (root, modules) = (root.display(), modules.display());
        let configuration = format!(
            "ServerRoot {root}\nServerName localhost\nListen 127.0.0.1:{port}\n\
             PidFile {root}/apache.pid\nErrorLog {root}/apache.log\nMutex file:{root}\n\
             LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so\n\
             LoadModule authz_core_module {modules}/mod_authz_core.so\n\
             LoadModule alias_module {modules}/mod_alias.so\n\
             LoadModule env_module {modules}/mod_env.so\n\
             LoadModule cgi_module {modules}/mod_cgi.so\n\
             SetEnv GIT_PROJECT_ROOT {root}\nSetEnv GIT_HTTP_EXPORT_ALL 1\n\
             SetEnv GIT_CONFIG_NOSYSTEM 1\nSetEnv HOME /nonexistent\n\
             SetEnv REMOTE_USER bench\nSetEnvIf Git-Protocol \".*\" GIT_PROTOCOL=$0\n\
             LoadModule setenvif_module {modules}/mod_setenvif.so\n\
             ScriptAlias / /usr/lib/git-core/git-http-backend/\n\
             <Directory /usr/lib/git-core>\nRequire all granted\n</Directory>\n"
        );
        // A directive may come only after the module that it belongs to.
        let (modules, rest): (Vec<&str>, Vec<&str>) = configuration
            .lines()
            .partition(|line| line.starts_with("LoadModule"));
        let file = Path::new(&root.to_string()).join("apache.conf");
        fs::write(&file, [modules, rest].concat().join("\n") + "\n").expect("the configuration");
        let mut command = Command::new("apache2");
        command
            .args(["-DFOREGROUND", "-f"])
            .arg(&file)
            .stderr(Stdio::null());
        // A session of its own, so that all its processes can be counted.
        let child = setsid(&mut command).spawn().expect("apache2 starts");
        let url = format!("http://127.0.0.1:{port}");
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "apache2 does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Apache { child, url })
    }

    /// CPU seconds so far, of everything that it started and waited for.
    pub fn cpu(&self) -> f64 {
        usage::cpu_of_session(self.child.id())
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// JGit's HTTP server in Jetty.
pub struct JGit {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl JGit {
    /// Serves the bare repositories in `root`; it is built in `dir`.
    ///
    /// # Errors
    /// Why it cannot be had, in a sentence.
    pub fn start(root: &Path, dir: &Path) -> Result<JGit, String> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("jgit");
        let build = dir.join("jgit");
        let status = Command::new("cp")
            .arg("-r")
            .arg(&source)
            .arg(&build)
            .status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(format!("{} cannot be copied", source.display()));
        }
        let built = Command::new("mvn")
            .current_dir(&build)
            .args(["-q", "-B", "compile", "dependency:build-classpath"])
            .arg("-Dmdep.outputFile=target/classpath")
            .output()
            .map_err(|_| "mvn is not installed".to_owned())?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stdout);
            return Err(format!(
                "mvn cannot build it: {}",
                said.lines().next().unwrap_or("")
            ));
        }
        let others = fs::read_to_string(build.join("target/classpath")).unwrap_or_default();
        let classes = build.join("target/classes").display().to_string();
        let mut child = Command::new("java")
            .args(["-Xmx2g", "-cp", &format!("{classes}:{}", others.trim())])
            .arg("govc.bench.Serve")
            .arg(root)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|_| "java is not installed".to_owned())?;
        let mut said = String::new();
        let out = child.stdout.take().expect("a pipe");
        let _ = BufReader::new(out).read_line(&mut said);
        match said.trim().strip_prefix("listening on ") {
            Some(url) => Ok(JGit {
                url: url.to_owned(),
                child,
            }),
            None => {
                let _ = child.wait();
                Err("it does not start".to_owned())
            }
        }
    }
}

impl Drop for JGit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(unsafe_code)]
fn setsid(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only setsid(2) is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        })
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
