//! `govc serve`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use govc_server::config::{ConfigError, StorageType};
use govc_server::{Config, Listening, ServeError};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{EXIT_USAGE, logs};

/// Serve repositories over Git's smart HTTP and a JSON API.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration file; what it leaves out has its default (`govc config` prints them).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; port 0 picks one.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where repositories are kept on disk.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where new repositories live, unless they say.
    #[arg(long, value_enum)]
    storage: Option<StorageArgument>,
    /// Listen beyond loopback although everybody may do everything.
    #[arg(long)]
    insecure_no_auth: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StorageArgument {
    /// In memory only, gone at stop.
    Memory,
    /// In memory, with log and checkpoints on disk.
    Hybrid,
    /// On disk, the busy parts in memory.
    Disk,
}

impl Serve {
    /// Serves until it is told to stop.
    pub(crate) fn run(self) -> ExitCode {
        let config = match self.configuration() {
            Ok(config) => config,
            Err(error) => return complain(&error, EXIT_USAGE),
        };
        if let Err(error) = logs::start(&config.log) {
            return complain(&error, EXIT_USAGE);
        }
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.enable_all().thread_name("http");
        if config.server.threads > 0 {
            builder.worker_threads(config.server.threads);
        }
        let runtime = match builder.build() {
            Ok(runtime) => runtime,
            Err(error) => return complain(&error, 1),
        };
        let served = runtime.block_on(async {
            // Before the first line is out: whoever reads it may say stop at once.
            let stop = StopSignals::catch();
            govc_server::serve(config, say_where, told_to_stop(stop)).await
        });
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error @ ServeError::Config(_)) => complain(&error, EXIT_USAGE),
            Err(error) => complain(&error, 1),
        }
    }

    fn configuration(&self) -> Result<Config, ConfigError> {
        let mut config = match &self.config {
            // Variables that are not text cannot be in a file that is.
            Some(path) => Config::read(
                path,
                std::env::vars_os()
                    .filter_map(|(name, value)| {
                        Some((name.into_string().ok()?, value.into_string().ok()?))
                    })
                    .collect(),
            )?,
            None => Config::default(),
        };
        if let Some(listen) = &self.listen {
            config.listen_on(listen)?;
        }
        if let Some(data) = &self.data {
            config.storage.disk_path.clone_from(data);
        }
        if let Some(storage) = self.storage {
            config.storage.r#type = match storage {
                StorageArgument::Memory => StorageType::Memory,
                StorageArgument::Hybrid => StorageType::Hybrid,
                StorageArgument::Disk => StorageType::Disk,
            };
        }
        config.insecure_no_auth |= self.insecure_no_auth;
        config.check()?;
        Ok(config)
    }
}

/// The lines on stdout, one, and one more with SSH: programs that start us read them.
fn say_where(listening: Listening) {
    let mut lines = format!("listening on http://{}\n", listening.http);
    if let Some(address) = listening.ssh {
        lines.push_str(&format!("listening on ssh://{address}\n"));
    }
    let mut stdout = std::io::stdout().lock();
    // Nobody reads: then nobody needs to know.
    let _ = stdout
        .write_all(lines.as_bytes())
        .and_then(|()| stdout.flush());
}

/// What tells the server to stop. From when they are caught on, they no longer end the process.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Catches SIGTERM and SIGINT; `None` where the system does not let us.
    fn catch() -> Option<StopSignals> {
        let caught = signal(SignalKind::terminate()).and_then(|terminate| {
            let interrupt = signal(SignalKind::interrupt())?;
            Ok(StopSignals {
                terminate,
                interrupt,
            })
        });
        match caught {
            Ok(signals) => Some(signals),
            Err(error) => {
                tracing::warn!(%error, "signals cannot be caught: a stop will not be graceful");
                None
            }
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Done at the first signal. The second one ends the process at once.
async fn told_to_stop(signals: Option<StopSignals>) {
    let Some(mut signals) = signals else {
        return std::future::pending().await;
    };
    signals.next().await;
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("told to stop twice: stopping without draining");
        std::process::exit(1);
    });
}

fn complain(error: &dyn std::error::Error, code: u8) -> ExitCode {
    // stderr may be closed; there is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "govc: {error}");
    ExitCode::from(code)
}
