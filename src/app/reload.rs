//! Reloading the configuration while the daemon runs: as a whole or not at all.
//!
//! One reload runs at a time. What it reads is checked as at the start, then put in force; a configuration
//! that is refused changes nothing. Some settings take a restart: they are kept, and named.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::addresses::look_up;
use crate::config::{Config, ConfigError};
use crate::http::{ReloadError, ReloadRequest, Reloaded, Server};
use crate::model::Warning;
use crate::warden::{Adopted, Warden};

/// Reads the configuration anew.
pub type ReadConfig = Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// The most requests for a reload that wait for another one.
pub(super) const WAITING_MAX: usize = 16;

pub(super) struct Reloader {
    pub read: ReadConfig,
    /// As it was at the start.
    pub running: Config,
    pub warden: Arc<Warden>,
    pub server: Arc<Server>,
}

impl Reloader {
    /// Answers requests for a reload, one after the other.
    pub async fn run(self, mut asked: mpsc::Receiver<ReloadRequest>) {
        while let Some(request) = asked.recv().await {
            let outcome = self.reload().await;
            self.server.reloaded(outcome.is_ok());
            match &outcome {
                Ok(Reloaded { needs_restart, warnings }) => {
                    log_warnings(warnings);
                    tracing::info!("the configuration was reloaded");
                    if !needs_restart.is_empty() {
                        tracing::warn!("needs a restart: {}", needs_restart.join(", "));
                    }
                }
                Err(ReloadError::Config(error)) => {
                    tracing::error!("the configuration was not reloaded, the former one stays in force");
                    for problem in error.problems() {
                        tracing::error!("{problem}");
                    }
                }
                Err(ReloadError::Store(error)) => {
                    tracing::error!(%error, "the configuration is in force, but not for all items");
                }
            }
            // Who asked may be gone.
            let _ = request.send(outcome);
        }
    }

    async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let read = self.read.clone();
        let config = match tokio::task::spawn_blocking(move || read()).await {
            Ok(config) => config?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let (config, needs_restart) = config.within(&self.running)?;
        self.server.adopt(&config);
        self.warden.adopt(adopted(&config)).await?;
        let mut warnings = look_up(&config.destinations).await;
        self.server.warn(warnings.clone());
        warnings.splice(..0, config.warnings);
        Ok(Reloaded { needs_restart, warnings })
    }
}

fn adopted(config: &Config) -> Adopted {
    let Config { policies, receivers, redrives, .. } = config;
    Adopted { policies: policies.clone(), receivers: receivers.clone(), redrives: redrives.clone() }
}

pub(super) fn log_warnings(warnings: &[Warning]) {
    for Warning { code, message } in warnings {
        tracing::warn!(code = code.as_str(), "{message}");
    }
}
