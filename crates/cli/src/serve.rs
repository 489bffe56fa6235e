//! `govc serve`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use govc_server::config::{ConfigError, StorageType};
use govc_server::{Config, ServeError};
use tokio::signal::unix::{SignalKind, signal};

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
        let served = runtime.block_on(govc_server::serve(config, say_where, told_to_stop()));
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

/// The one line on stdout: programs that start us read it.
fn say_where(address: std::net::SocketAddr) {
    let mut stdout = std::io::stdout().lock();
    // Nobody reads: then nobody needs to know.
    let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
}

/// Done at the first SIGTERM or SIGINT. The second one ends the process at once.
async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::warn!("signals cannot be caught: a stop will not be graceful");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("told to stop twice: stopping without draining");
        std::process::exit(1);
    });
}

fn complain(error: &dyn std::error::Error, code: u8) -> ExitCode {
    // stderr may be closed; there is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "govc: {error}");
    ExitCode::from(code)
}
