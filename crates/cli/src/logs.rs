//! What the server tells on stderr.

use std::io::IsTerminal;

use govc_server::config::{ConfigError, Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts logging as configured; in colours where a person is watching and `NO_COLOR` is not set.
///
/// # Errors
/// [`ConfigError::Contradiction`] when `log.level` is none.
pub(crate) fn start(log: &Log) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&log.level).map_err(|error| {
        ConfigError::Contradiction(format!("log.level: {:?} is none: {error}", log.level))
    })?;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(!no_color && std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
