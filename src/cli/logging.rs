//! The log of the daemon: to stderr, as text or JSON.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::fmt;

use super::error::CliError;
use crate::config::{LogFormat, LogSettings};

/// Starts the log of this process, and lets panics go there as well. To be called once.
///
/// # Errors
/// When the filter is none, or there is a log already.
pub fn start(settings: &LogSettings) -> Result<(), CliError> {
    let failed = |error: String| CliError::Start(format!("the log: {error}"));
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| failed(error.to_string()))?;
    let log = fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    match settings.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    }
    .map_err(|error| failed(error.to_string()))?;
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok(())
}
