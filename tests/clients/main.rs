//! A matrix of Git's clients: what each of them can do, done with a real server.
//!
//! Every client has a folder here with a small program that knows the same few steps (`ls-remote
//! URL`, `clone URL DIR`, `push DIR URL SPEC…`; `git/client.sh` lists them all). What a client
//! leaves on disk or on the server is compared with what git has. The packages come from the
//! clients' own registries, once, into `target/clients`; a client whose toolchain is not on this
//! machine is left out, and the table at the end says so.
//!
//! `cargo test --workspace --test clients -- JGit dulwich` runs these clients alone.

mod capability;
mod client;
mod fixture;
mod package_manager;
mod story;
mod table;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use govc_tests::{Git, TestServer};

use crate::capability::Capability;
use crate::client::Client;
use crate::fixture::Fixture;
use crate::story::Story;
use crate::table::{Outcome, Row};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|n| name.contains(n.as_str()));
    let clients: Vec<&Client> = client::ALL.iter().filter(|c| wanted(c.name)).collect();
    let managers: Vec<_> = package_manager::ALL
        .iter()
        .filter(|manager| wanted(manager.name))
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for name in clients.iter().map(|client| client.name) {
            table::say(&format!("{name}: test"));
        }
        for name in managers.iter().map(|manager| manager.name) {
            table::say(&format!("{name}: test"));
        }
        return ExitCode::SUCCESS;
    }
    if clients.is_empty() && managers.is_empty() {
        return ExitCode::SUCCESS;
    }

    let server = TestServer::start();
    let fixture = Fixture::make(&server);
    let rows = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    // No more at once than there are processors: some clients give up where nothing comes for
    // five seconds.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers.min(4) {
            scope.spawn(|| {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    let row = if let Some(client) = clients.get(turn) {
                        play(client, &server, &fixture)
                    } else if let Some(manager) = managers.get(turn.wrapping_sub(clients.len())) {
                        manager.play(&server)
                    } else {
                        return;
                    };
                    if let Ok(mut rows) = rows.lock() {
                        rows.insert(turn, row);
                    }
                }
            });
        }
    });
    let rows: Vec<Row> = rows.into_inner().map_or_else(
        |poisoned| poisoned.into_inner().into_values().collect(),
        |rows| rows.into_values().collect(),
    );
    table::print(&rows);
    if rows.iter().any(Row::failed) {
        let log = server.log();
        let loud = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
        for line in log.lines().filter(loud) {
            table::say(line);
        }
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// One client, capability by capability.
fn play(client: &Client, server: &TestServer, fixture: &Fixture) -> Row {
    let mut row = Row::new(client.name);
    let program = match client.ready() {
        Ok(program) => program,
        Err(client::NotReady::Skipped(why)) => {
            row.skipped = Some(why);
            return row;
        }
        Err(client::NotReady::Failed(why)) => {
            row.skipped = Some(why);
            row.outcomes.push(Outcome::Failed("it is not there".into()));
            return row;
        }
    };
    for capability in Capability::ALL {
        let cannot = client.cannot.iter().find(|(what, _)| what == capability);
        let outcome = if let Some((_, why)) = cannot {
            Outcome::Cannot(why)
        } else {
            let git = Git::new();
            let story = Story {
                client,
                program: &program,
                git: &git,
                server,
                fixture,
                capability: *capability,
            };
            match catch_unwind(AssertUnwindSafe(|| capability.play(&story))) {
                Ok(()) => Outcome::Done,
                Err(panic) => Outcome::Failed(table::said(panic.as_ref())),
            }
        };
        row.outcomes.push(outcome);
    }
    row
}
