//! The server and its own document, held against each other by schemathesis: no answer is a 5xx,
//! none is one that `/openapi.json` does not know, and what the document takes is taken.
//!
//! `cargo test --workspace --test contract` takes some minutes; `GOVC_CONTRACT_MINUTES=60` makes
//! the random phases take an hour, and `GOVC_CONTRACT_SEED=7` makes them another run. What is
//! checked and what not stands in `schemathesis.toml`. The package comes by pip into
//! `target/contract`, once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use govc_tests::{Options, TestServer};

/// Streams do not end: those who read one to its end wait for ever. A test in
/// `crates/server/tests/rest/events.rs` reads them.
const STREAMS: &str = "/events$";
/// Of all operations so many have to answer a 2xx at least once, in per cent.
const ANSWERED_MIN: usize = 90;
/// How long the phases without an end take that are random, in seconds.
const RANDOM_SECONDS: u64 = 45;
const TOKEN: &str = "a-token-of-tests";

/// One run of schemathesis with a server of its own.
struct Run {
    phases: &'static str,
    /// At most so many seconds; `None`: until it is done.
    seconds: Option<u64>,
    /// The server wants a token.
    with_token: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        say("contract: test");
        return ExitCode::SUCCESS;
    }
    let named = |argument: &&String| !argument.starts_with('-');
    if !arguments
        .iter()
        .filter(named)
        .all(|name| "contract".contains(name.as_str()))
    {
        return ExitCode::SUCCESS;
    }
    let Some(schemathesis) = installed() else {
        say("contract: left out, there is no python3 on this machine");
        return ExitCode::SUCCESS;
    };
    let random = number("GOVC_CONTRACT_MINUTES").map_or(RANDOM_SECONDS, |minutes| minutes * 60);
    let run = |phases, seconds, with_token| Run {
        phases,
        seconds,
        with_token,
    };
    let runs = [
        run("examples", None, false),
        run("examples", None, true),
        run("coverage", None, false),
        run("fuzzing", Some(random), false),
        run("stateful", Some(random), false),
    ];
    let mut answered = BTreeSet::new();
    let mut operations = BTreeSet::new();
    let mut is_sound = true;
    for run in &runs {
        let (ended_well, counts, all) = run.play(&schemathesis);
        is_sound &= ended_well;
        operations.extend(all);
        let with_success = counts
            .into_iter()
            .filter(|(_, statuses)| statuses.keys().any(|status| status.starts_with('2')));
        answered.extend(with_success.map(|(operation, _)| operation));
    }
    let never: Vec<&String> = operations.difference(&answered).collect();
    say(&format!(
        "{} of {} operations answered a 2xx; never: {never:?}",
        operations.len() - never.len(),
        operations.len()
    ));
    let enough = (operations.len() - never.len()) * 100 >= operations.len() * ANSWERED_MIN;
    match is_sound && enough && !operations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// How often each operation answered with which status.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

impl Run {
    /// Whether it found nothing; what was answered; what there is to be answered.
    fn play(&self, schemathesis: &Path) -> (bool, Counts, Vec<String>) {
        // A policy hook that is made on the way is at an address where nobody is: it would have
        // everything that follows refused.
        let mut config =
            "hooks:\n  policy_unreachable: allow\n  allow_networks: [\"127.0.0.0/8\"]\n".to_owned();
        if self.with_token {
            config.push_str(&format!("auth:\n  token: {TOKEN}\n"));
        }
        let server = TestServer::with(Options {
            config: Some(config),
            ..Options::default()
        });
        let out = out();
        let counts = out.join("answered.json");
        let _ = std::fs::remove_file(&counts);
        let mut command = Command::new(schemathesis);
        command
            .args(["--config-file", "schemathesis.toml", "run", "--no-color"])
            .arg(format!("{}/openapi.json", server.url()))
            .args(["--phases", self.phases])
            .args(["--exclude-path-regex", STREAMS])
            .args([
                "--seed",
                &number("GOVC_CONTRACT_SEED").unwrap_or(1).to_string(),
            ])
            .current_dir(here())
            .env("PYTHONPATH", here())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HYPOTHESIS_STORAGE_DIRECTORY", out.join("hypothesis"))
            .env("NO_PROXY", "*")
            .env("GOVC_URL", server.url())
            .env("GOVC_PHASES", self.phases)
            .env("GOVC_ANSWERED", &counts)
            .stdin(Stdio::null());
        if let Some(seconds) = self.seconds {
            command.args(["--max-time", &seconds.to_string()]);
        }
        if self.with_token {
            command
                .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
                .env("GOVC_TOKEN", TOKEN);
        }
        let output = command.output().expect("schemathesis runs");
        if !output.status.success() {
            say(&String::from_utf8_lossy(&output.stdout));
            say(&String::from_utf8_lossy(&output.stderr));
            let log = server.log();
            let loud = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
            log.lines().filter(loud).take(50).for_each(say);
        }
        let token = if self.with_token { " with a token" } else { "" };
        let verdict = if output.status.success() {
            "ok"
        } else {
            "FAILED"
        };
        say(&format!("contract, {}{token}: {verdict}", self.phases));
        let counts = std::fs::read(counts).unwrap_or_default();
        let counts = serde_json::from_slice(&counts).unwrap_or_default();
        (output.status.success(), counts, operations(&server))
    }
}

/// All that the document describes.
fn operations(server: &TestServer) -> Vec<String> {
    let document = server.http().get("/openapi.json").expect(200).json();
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flat_map(|all| all.keys());
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    all.collect()
}

/// Where schemathesis is, installed if it was not; `None` where there is no Python.
fn installed() -> Option<PathBuf> {
    let has = |program: &str| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !has("python3") {
        return None;
    }
    let requirements = here().join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).expect("requirements");
    let stamp = out().join("installed");
    let program = out().join("venv/bin/schemathesis");
    if std::fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == wanted) {
        return Some(program);
    }
    let _ = std::fs::remove_file(&stamp);
    std::fs::create_dir_all(out()).expect("a folder");
    let run = |program: &Path, arguments: &[&str], file: Option<&Path>| {
        let mut command = Command::new(program);
        let ran = command
            .args(arguments)
            .args(file)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{program:?} {arguments:?}: {said}");
    };
    let venv = out().join("venv");
    run(
        Path::new("python3"),
        &["-m", "venv", "--clear"],
        Some(&venv),
    );
    let pip = venv.join("bin/pip");
    run(&pip, &["install", "-q", "-r"], Some(&requirements));
    std::fs::write(stamp, wanted).expect("a stamp");
    Some(program)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contract")
}

/// Where packages are kept between runs: `target/contract`.
fn out() -> PathBuf {
    // target/PROFILE/deps/contract-0123456789abcdef
    let test = std::env::current_exe().expect("this test's own path");
    let target = test.ancestors().nth(3).expect("a target folder");
    target.join("contract")
}

fn say(line: &str) {
    // A reader that went away has read enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}
