//! Git over SSH, with OpenSSH's own client.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use govc_tests::{Git, History, Options, Ran, TestServer};
use serde_json::json;

/// OpenSSH's client is there.
fn install() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if Command::new("ssh").arg("-V").output().is_err() {
            let install = "apt-get update -qq && apt-get install -y -qq openssh-client";
            let status = Command::new("sh").args(["-c", install]).status();
            assert!(status.is_ok_and(|status| status.success()), "no ssh");
        }
    });
}

/// A key pair in `folder`; the public part.
pub(crate) fn make_key(folder: &Path, name: &str, kind: &[&str]) -> String {
    install();
    let path = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", name, "-t"])
        .args(kind)
        .arg("-f")
        .arg(&path)
        .output()
        .expect("ssh-keygen runs");
    assert!(made.status.success(), "{made:?}");
    std::fs::read_to_string(path.with_extension("pub")).expect("the public key")
}

/// Options of ssh for the key `name` in `folder`, and nothing of this machine's own.
pub(crate) fn options(folder: &Path, name: &str) -> Vec<String> {
    let folder = folder.display();
    let mut options = vec!["-F".to_owned(), "none".to_owned()];
    for option in [
        format!("IdentityFile={folder}/{name}"),
        "IdentitiesOnly=yes".to_owned(),
        "IdentityAgent=none".to_owned(),
        "BatchMode=yes".to_owned(),
        "StrictHostKeyChecking=accept-new".to_owned(),
        format!("UserKnownHostsFile={folder}/known_hosts"),
        "LogLevel=ERROR".to_owned(),
    ] {
        options.extend(["-o".to_owned(), option]);
    }
    options
}

/// A server that knows some people, and a git with the key of one of them.
struct Story {
    server: TestServer,
    git: Git,
}

impl Story {
    /// Ada's key is known.
    fn new() -> Story {
        Story::speaking(None)
    }

    fn speaking(version: Option<u8>) -> Story {
        let git = version.map_or_else(Git::new, Git::speaking);
        let line = make_key(git.folder(), "ada", &["ed25519"]);
        let config = format!(
            "ssh:\n  listen: 127.0.0.1:0\nauth:\n  ssh_keys:\n    - {}\n",
            line.trim()
        );
        let server = TestServer::with(Options {
            config: Some(config),
            ..Options::default()
        });
        let ssh = format!("ssh {}", options(git.folder(), "ada").join(" "));
        Story {
            server,
            git: git.by_ssh(ssh),
        }
    }

    /// `ssh` as `who` with further arguments.
    fn ssh(&self, who: &str, more: &[&str]) -> Command {
        let (host, port) = self.server.ssh_address();
        let mut command = self.git.command("ssh");
        command.args(options(self.git.folder(), who));
        command
            .args(["-p", port])
            .args(more)
            .arg(format!("git@{host}"));
        command
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("it runs");
    Ran {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn each_version_of_the_protocol_clones_fetches_and_pushes() {
    for version in [0, 1, 2] {
        let Story { server, git } = Story::speaking(Some(version));
        server.create("hello");
        History::of(60, 6).make(&git, "source");
        let url = server.ssh_url("hello");
        git.run(&format!("-C source push -q --mirror {url}"));
        assert_eq!(git.run(&format!("ls-remote {url} HEAD")).len(), 45);
        git.run(&format!("clone -q --mirror {url} copy"));
        assert_eq!(git.refs("copy"), git.refs("source"), "protocol {version}");
        git.fsck("copy");
        // Both sides have something that the other has not: haves go in rounds.
        git.run(&format!("clone -q {url} work"));
        for number in 0..40 {
            git.commit("work", "mine", format!("{number}\n"));
        }
        git.run("clone -q source other");
        let theirs = git.commit("other", "theirs", "theirs\n");
        git.run(&format!("-C other push -q {url} main"));
        git.run("-C work pull -q --rebase origin main");
        assert_eq!(git.run("-C work rev-parse HEAD~40"), theirs);
        git.run("-C work push -q origin HEAD:refs/heads/a HEAD:refs/heads/b");
        git.run("-C work push -q --atomic origin --delete a b");
        git.run("-C work fetch -q --prune origin");
        git.fsck("work");
        let said = git.attempt("-C work push origin HEAD:refs/heads/main");
        assert!(said.status.success(), "{said}");
        let said = git.attempt("-C work push --porcelain origin HEAD:refs/heads/main");
        assert!(said.stdout.contains("[up to date]"), "{said}");
        // Without a word about what is to be pushed git hangs up, and fails as with its own server.
        server.create("nothing");
        let said = git.attempt(&format!("-C work push {} :", server.ssh_url("nothing")));
        let why = "fatal: the remote end hung up unexpectedly";
        assert!(
            !said.status.success() && said.stderr.contains(why),
            "{said}"
        );
        assert_eq!(
            git.run(&format!("ls-remote {}", server.ssh_url("nothing"))),
            ""
        );
    }
}

#[test]
fn who_pushed_is_in_the_history() {
    let Story { server, git } = Story::new();
    server.create("hello");
    git.run("init -q work");
    git.commit("work", "a", "a\n");
    git.run(&format!("-C work push -q {} main", server.ssh_url("hello")));
    let history = server.api().get("/repos/hello/history").expect(200).json();
    let change = &history["items"][0];
    assert_eq!(change["type"], "push", "{history}");
    assert_eq!(change["cause"]["via"], "ssh", "{history}");
    assert_eq!(change["actor"], "ada", "{history}");
}

#[test]
fn sha256_repositories_and_empty_ones() {
    let Story { server, git } = Story::new();
    server.create_as(&json!({"id": "group/long", "object_format": "sha256"}));
    let url = server.ssh_url("group/long");
    git.run("init -q --object-format=sha256 work");
    git.run(&format!("-C work remote add origin {url}"));
    assert_eq!(git.run(&format!("ls-remote {url}")), "");
    let commit = git.commit("work", "a", "a\n");
    git.run("-C work push -q origin main");
    git.run(&format!("clone -q {url} again"));
    assert_eq!(git.run("-C again rev-parse HEAD"), commit);
}

#[test]
fn nothing_else_can_be_run() {
    let story = Story::new();
    story.server.create("hello");
    for asked in [
        &["ls"][..],
        &["git-upload-pack 'hello'; ls"],
        &["git-upload-archive hello"],
        &[],
    ] {
        let said = ran(story.ssh("ada", &["-T"]).args(asked));
        assert_eq!(said.status.code(), Some(1), "{asked:?}: {said}");
        assert_eq!(
            said.stderr, "Hi ada, you've authenticated, but govc does not provide shell access.\n",
            "{asked:?}"
        );
        assert_eq!(said.stdout, "");
    }
    // A terminal is refused too.
    let said = ran(story.ssh("ada", &["-tt"]).arg("ls"));
    assert!(
        said.stderr.contains("PTY allocation request failed"),
        "{said}"
    );
    let said = ran(story.ssh("ada", &["-s"]).arg("sftp"));
    assert!(said.stderr.contains("subsystem request failed"), "{said}");
    assert!(!said.status.success());
    // Forwarding: of a connection, of a port of the server, of an agent.
    let said = ran(&mut story.ssh("ada", &["-W", "127.0.0.1:22"]));
    assert!(said.stderr.contains("stdio forwarding failed"), "{said}");
    let said = ran(&mut story.ssh(
        "ada",
        &[
            "-N",
            "-o",
            "ExitOnForwardFailure=yes",
            "-R",
            "0:127.0.0.1:22",
        ],
    ));
    assert!(
        said.stderr.contains("remote port forwarding failed"),
        "{said}"
    );
    // What copies files.
    let (host, port) = story.server.ssh_address();
    story.git.write("file", "x");
    for old in [&["-O"][..], &[]] {
        let mut scp = story.git.command("scp");
        scp.args(old)
            .args(options(story.git.folder(), "ada"))
            .args(["-P", port]);
        let said = ran(scp.arg("file").arg(format!("git@{host}:/tmp/govc-copied")));
        assert!(!said.status.success(), "{said}");
    }
    assert!(!Path::new("/tmp/govc-copied").exists());
}

#[test]
fn only_keys_that_are_known_open() {
    let Story { server, git } = Story::new();
    server.create("hello");
    make_key(git.folder(), "eve", &["ed25519"]);
    let eve = format!("ssh {}", options(git.folder(), "eve").join(" "));
    let refused = git.refused(&format!("ls-remote {}", server.ssh_url("nothing")));
    assert!(
        refused.contains("ERROR: Repository not found."),
        "{refused}"
    );
    let mut command = git.command("git");
    command.env("GIT_SSH_COMMAND", eve);
    let said = ran(command.args(["ls-remote", &server.ssh_url("hello")]));
    assert!(
        said.stderr.contains("Permission denied (publickey)"),
        "{said}"
    );
}

#[test]
fn keys_of_each_kind_and_without_any_everybody() {
    let git = Git::new();
    let kinds: [(&str, &[&str]); 3] = [
        ("ecdsa", &["ecdsa", "-b", "384"]),
        ("rsa", &["rsa", "-b", "2048"]),
        ("unknown", &["ed25519"]),
    ];
    let keys: Vec<String> = kinds
        .map(|(name, kind)| make_key(git.folder(), name, kind))
        .into();
    let config = format!(
        "ssh:\n  listen: 127.0.0.1:0\nauth:\n  ssh_keys:\n    - name: Eccles\n      key: {}\n    - {}\n",
        keys[0].trim(),
        keys[1].trim()
    );
    let options_of = |config: String| Options {
        config: Some(config),
        ..Options::default()
    };
    let server = TestServer::with(options_of(config));
    let open = TestServer::with(options_of("ssh:\n  listen: 127.0.0.1:0\n".to_owned()));
    let hello = |server: &TestServer, name: &str| {
        let (host, port) = server.ssh_address();
        let mut ssh = git.command("ssh");
        ssh.args(options(git.folder(), name))
            .args(["-p", port, "-T"]);
        ran(ssh.arg(format!("anybody@{host}"))).stderr
    };
    assert!(hello(&server, "ecdsa").starts_with("Hi Eccles,"));
    assert!(hello(&server, "rsa").starts_with("Hi rsa,"));
    assert!(hello(&server, "unknown").contains("Permission denied"));
    assert!(hello(&open, "unknown").starts_with("Hi anonymous,"));
}

#[test]
fn an_agent_and_a_shared_connection() {
    let mut story = Story::new();
    story.server.create("hello");
    let url = story.server.ssh_url("hello");
    let folder = story.git.folder().to_owned();
    // The key is in the agent alone.
    let socket = folder.join("agent");
    let agent = ran(Command::new("ssh-agent").arg("-a").arg(&socket));
    let pid = agent
        .stdout
        .split("SSH_AGENT_PID=")
        .nth(1)
        .expect("an agent");
    let pid = pid.split(';').next().expect("its id").to_owned();
    let added = ran(Command::new("ssh-add")
        .arg(folder.join("ada"))
        .env("SSH_AUTH_SOCK", &socket));
    assert!(added.status.success(), "{added}");
    std::fs::rename(folder.join("ada"), folder.join("hidden")).expect("it is moved");
    let agent_options = options(&folder, "ada.pub").join(" ").replace(
        "IdentityAgent=none",
        &format!("IdentityAgent={}", socket.display()),
    );
    // And one connection carries what follows.
    let master = folder.join("master");
    let shared = format!(
        "ssh {agent_options} -o ControlMaster=auto -o ControlPath={} -o ControlPersist=60",
        master.display()
    );
    story.git = story.git.by_ssh(shared);
    let git = &story.git;
    git.run("init -q work");
    let commit = git.commit("work", "a", vec![b'a'; 100_000]);
    git.run(&format!("-C work push -q {url} main"));
    assert!(master.exists());
    let two: Vec<_> = ["one", "two"]
        .map(|name| {
            let mut command = git.command("git");
            command
                .args(["clone", "-q", &url, name])
                .spawn()
                .expect("git runs")
        })
        .into();
    for mut child in two {
        assert!(child.wait().expect("it ends").success());
    }
    for name in ["one", "two"] {
        assert_eq!(git.run(&format!("-C {name} rev-parse HEAD")), commit);
    }
    // Nobody talks on it: a stop does not wait.
    story.server.stop_well();
    let _ = Command::new("kill").arg(pid).status();
}

#[test]
fn much_is_pushed_and_cloned_and_a_restart_keeps_the_host_key() {
    let Story { mut server, git } = Story::new();
    server.create("hello");
    let url = server.ssh_url("hello");
    git.run("init -q work");
    // Does not compress.
    let mut seed = 1u64;
    let noise: Vec<u8> = (0..12 << 20)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8
        })
        .collect();
    let commit = git.commit("work", "noise", &noise);
    git.run(&format!("-C work push -q {url} main"));
    server.stop_well();
    server.start_again();
    git.run(&format!("clone -q {} copy", server.ssh_url("hello")));
    assert_eq!(git.run("-C copy rev-parse HEAD"), commit);
    assert!(std::fs::read(git.path("copy/noise")).unwrap() == noise);
}

/// A push of one commit, as it goes over the wire behind the advertisement.
fn push_bytes(git: &Git, commit: &str) -> Vec<u8> {
    let pack = git.feed("-C work pack-objects -q --revs --stdout", b"main\n");
    let command = format!("{} {commit} refs/heads/main\0report-status", "0".repeat(40));
    let mut out = format!("{:04x}{command}0000", command.len() + 4).into_bytes();
    out.extend_from_slice(&pack);
    out
}

#[test]
fn a_client_that_stays_on_the_line_gets_its_report_and_one_that_breaks_off_changes_nothing() {
    let story = Story::new();
    story.server.create("hello");
    let git = &story.git;
    git.run("init -q work");
    let commit = git.commit("work", "a", vec![b'a'; 5_000]);
    let push = push_bytes(git, &commit);
    let start = || {
        let mut ssh = story.ssh("ada", &["-T"]);
        ssh.arg("git-receive-pack '/hello.git'");
        let ssh = ssh.stdin(Stdio::piped()).stdout(Stdio::piped());
        ssh.spawn().expect("ssh runs")
    };
    let refs = || git.run(&format!("ls-remote {}", story.server.ssh_url("hello")));
    // Half of it, and the line is cut.
    let mut child = start();
    let mut stdin = child.stdin.take().expect("piped");
    stdin
        .write_all(&push[..push.len() - 30])
        .expect("it is sent");
    stdin.flush().expect("it is sent");
    child.kill().expect("a signal");
    child.wait().expect("it ends");
    assert_eq!(refs(), "");
    // Half of it, and the client says that this was all.
    let mut child = start();
    let mut stdin = child.stdin.take().expect("piped");
    stdin
        .write_all(&push[..push.len() - 30])
        .expect("it is sent");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("ng refs/heads/main unpacker error"), "{said}");
    assert_eq!(refs(), "");
    // All of it, and the client waits for the report without saying that this was all.
    let mut child = start();
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&push).expect("it is sent");
    let mut said = String::new();
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_to_string(&mut said).expect("text");
    assert!(said.contains("ok refs/heads/main"), "{said}");
    assert!(child.wait().expect("it ends").success());
    drop(stdin);
    assert!(refs().starts_with(&commit));
}

#[test]
fn a_session_that_is_refused_ends_as_git_s_programs_do() {
    let story = Story::new();
    story.server.create("hello");
    let git = &story.git;
    git.run("init -q work");
    git.commit("work", "a", "a");
    git.run(&format!(
        "-C work push -q {} main",
        story.server.ssh_url("hello")
    ));
    let nobodys = "1".repeat(40);
    let want = format!("0032want {nobodys}\n00000009done\n");
    let long = format!("{nobodys} {nobodys} refs/heads/{}", "x".repeat(2_000));
    let push = format!("{:04x}{long}0000", long.len() + 4);
    for (service, said) in [("git-upload-pack", &want), ("git-receive-pack", &push)] {
        let mut ssh = story.ssh("ada", &["-T"]);
        ssh.arg(format!("{service} '/hello.git'"));
        let ssh = ssh.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = ssh.spawn().expect("ssh runs");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(said.as_bytes()).expect("it is sent");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let answer = String::from_utf8_lossy(&output.stdout);
        assert!(answer.contains("ERR "), "{answer}");
        assert_eq!(output.status.code(), Some(128), "{service}");
    }
}

#[test]
fn shallow_and_partial_clones_are_those_that_git_makes() {
    for version in [0, 1, 2] {
        let Story { server, git } = Story::speaking(Some(version));
        server.create("hello");
        History::of(60, 6).make(&git, "source");
        let url = server.ssh_url("hello");
        git.run(&format!("-C source push -q --mirror {url}"));
        let source = format!("file://{}/source", git.folder().display());
        let serve = "-C source config uploadpack.allowFilter true";
        git.run(serve);
        let objects = |of: &str| {
            let listed = git.run(&format!("-C {of} rev-list --objects --missing=print HEAD"));
            let mut listed: Vec<String> = listed.lines().map(str::to_owned).collect();
            listed.sort_unstable();
            listed
        };
        for (from, to) in [(&url, "shallow"), (&source, "expected")] {
            git.run(&format!("clone -q --no-checkout --depth 3 {from} {to}"));
        }
        assert_eq!(objects("shallow"), objects("expected"), "{version}");
        for more in ["--deepen 4", "--shallow-exclude=v1", "--unshallow"] {
            let fetched = ["shallow", "expected"].map(|at| {
                let ran = git.attempt(&format!("-C {at} fetch -q {more}"));
                ran.status.success()
            });
            assert_eq!(fetched[0], fetched[1], "{version} {more}");
            assert_eq!(objects("shallow"), objects("expected"), "{version} {more}");
        }
        git.fsck("shallow");
        git.run(&format!("clone -q --depth 1 {url} one"));
        let mine = git.commit("one", "mine", "mine\n");
        git.run("-C one push -q origin HEAD:refs/heads/from-shallow");
        assert!(
            git.run(&format!("ls-remote {url} from-shallow"))
                .starts_with(&mine)
        );

        for filter in ["blob:none", "tree:1"] {
            let name = filter.replace(':', "-");
            for (from, to) in [(&url, ""), (&source, "-expected")] {
                let clone = format!("clone -q --no-checkout --filter={filter} {from} {name}{to}");
                git.run(&clone);
            }
            let expected = format!("{name}-expected");
            assert_eq!(objects(&name), objects(&expected), "{version} {filter}");
            // What is missing comes when it is needed.
            git.run(&format!("-C {name} checkout -q main"));
            git.run(&format!("-C {name} log -p -3 --format=%s"));
            git.fsck(&name);
        }
    }
}

#[test]
fn a_reality_is_cloned_and_pushed_to() {
    let Story { server, git } = Story::new();
    let api = server.api();
    api.post("/repos", &json!({"id": "hello"})).expect(201);
    let body = json!({"branch": "main", "message": "first", "actions": [
        {"op": "put", "path": "README", "content": "hello\n"}]});
    api.post("/repos/hello/commits", &body).expect(201);
    let order = json!({"branches": ["x"]});
    api.post("/repos/hello/parallel-realities", &order)
        .expect(201);
    let url = server.ssh_url("hello/realities/x");
    git.run(&format!("clone -q {url} x"));
    git.commit("x", "own", "only here\n");
    git.run("-C x push -q origin main");
    let own = "/repos/hello/read/own";
    api.get(own).problem(404, "PATH_NOT_FOUND");
    let there = api.get(&format!("{own}?reality=x")).expect(200).json();
    assert_eq!(there["content"], "only here\n");
    git.run("-C x push -q origin HEAD:refs/heads/more");
    let branches = api.get("/repos/hello/branches?reality=x").expect(200);
    assert_eq!(branches.json()["items"].as_array().map(Vec::len), Some(2));
    let told = git.refused(&format!(
        "clone -q {} y",
        server.ssh_url("hello/realities/y")
    ));
    assert!(told.contains("there is no reality"), "{told}");
}
