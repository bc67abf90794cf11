//! Changes of the configuration while the daemon runs: reloads, and workflows that clients define.
//!
//! One change is made at a time, as a whole or not at all. What was read is checked as at the start, then put
//! in force; what is refused changes nothing. Some settings take a restart: they are kept, and named. A
//! definition is checked together with the files as they were read last, and is durable before it is in
//! force.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::addresses::look_up_for;
use crate::config::{Config, ConfigError, Definitions, Origin};
use crate::http::{ConfigChange, ConfigChangeError, Reloaded, Server};
use crate::model::{Definition, Warning, WorkflowName};
use crate::warden::{Adopted, Warden};

/// Reads the configuration anew, with these definitions.
pub type ReadConfig = Arc<dyn Fn(Definitions) -> Result<Config, ConfigError> + Send + Sync>;

/// The most changes that wait for another one.
pub(super) const WAITING_MAX: usize = 16;

pub(super) struct Reloader {
    pub read: ReadConfig,
    /// As it was at the start.
    pub running: Config,
    pub in_force: Config,
    pub warden: Arc<Warden>,
    pub server: Arc<Server>,
}

impl Reloader {
    /// Makes the changes that are asked for, one after the other. However many signals come meanwhile, one
    /// reload follows: it reads what was written before each of them, and clients do not wait for the others.
    pub async fn run(mut self, mut asked: mpsc::Receiver<ConfigChange>, signalled: Arc<Notify>) {
        loop {
            let change = tokio::select! {
                () = signalled.notified() => {
                    self.reload_and_log().await.ok();
                    continue;
                }
                change = asked.recv() => change,
            };
            let Some(change) = change else { return };
            // Who asked may be gone.
            match change {
                ConfigChange::Reload(answer) => drop(answer.send(self.reload_and_log().await)),
                ConfigChange::Define(name, definition, answer) => {
                    let _ = answer.send(self.define(name, definition).await);
                }
                ConfigChange::Remove(name, answer) => drop(answer.send(self.remove(&name).await)),
            }
        }
    }

    async fn reload_and_log(&mut self) -> Result<Reloaded, ConfigChangeError> {
        let outcome = self.reload().await;
        self.server.reloaded(outcome.is_ok());
        log(&outcome);
        outcome
    }

    async fn reload(&mut self) -> Result<Reloaded, ConfigChangeError> {
        let (read, definitions) = (self.read.clone(), self.warden.workflows.definitions());
        let config = blocking(move || read(definitions)).await?;
        let (config, needs_restart) = config.within(&self.running)?;
        let (mut warnings, destinations) = (config.warnings.clone(), config.destinations.clone());
        self.adopt(config).await?;
        warnings.extend(look_up_for(&self.server, &destinations).await);
        Ok(Reloaded { needs_restart, warnings })
    }

    /// Returns whether the workflow is new.
    async fn define(
        &mut self,
        name: WorkflowName,
        definition: Arc<Definition>,
    ) -> Result<bool, ConfigChangeError> {
        let mut definitions = self.warden.workflows.definitions();
        self.warden.workflows.check_definable(&name)?;
        definitions.insert(name.clone(), definition.clone());
        let config = self.with(definitions).await.map_err(|error| {
            let is_of_client = error.problems().iter().all(|problem| problem.origin == Origin::Api);
            if is_of_client { ConfigChangeError::Definition(error) } else { error.into() }
        })?;
        let is_new = self.warden.store_definition(&name, definition).await?;
        self.adopt(config).await?;
        self.look_up_aside();
        tracing::info!(workflow = %name, "workflow defined by a client");
        Ok(is_new)
    }

    async fn remove(&mut self, name: &WorkflowName) -> Result<(), ConfigChangeError> {
        let mut definitions = self.warden.workflows.definitions();
        definitions.remove(name);
        let config = self.with(definitions).await?;
        self.warden.retention.delete_workflow(name).await?;
        self.adopt(config).await?;
        self.look_up_aside();
        tracing::info!(workflow = %name, "workflow removed that a client had defined");
        Ok(())
    }

    /// Resolves the names of the configuration in force. The client does not wait for that.
    fn look_up_aside(&self) {
        let (server, destinations) = (self.server.clone(), self.in_force.destinations.clone());
        tokio::spawn(async move { log_warnings(&look_up_for(&server, &destinations).await) });
    }

    /// The configuration in force with other definitions.
    async fn with(&self, definitions: Definitions) -> Result<Config, ConfigError> {
        let in_force = self.in_force.clone();
        let config = blocking(move || in_force.with_definitions(definitions)).await?;
        Ok(config.within(&self.running)?.0)
    }

    async fn adopt(&mut self, config: Config) -> Result<(), ConfigChangeError> {
        self.server.adopt(&config);
        let Config { policies, receivers, redrives, .. } = config.clone();
        self.in_force = config;
        self.warden.adopt(Adopted { policies, receivers, redrives }).await?;
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(read).await {
        Ok(config) => config,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn log(outcome: &Result<Reloaded, ConfigChangeError>) {
    match outcome {
        Ok(Reloaded { needs_restart, warnings }) => {
            log_warnings(warnings);
            tracing::info!("the configuration was reloaded");
            if !needs_restart.is_empty() {
                tracing::warn!("needs a restart: {}", needs_restart.join(", "));
            }
        }
        Err(ConfigChangeError::Config(error) | ConfigChangeError::Definition(error)) => {
            tracing::error!("the configuration was not reloaded, the former one stays in force");
            for problem in error.problems() {
                tracing::error!("{problem}");
            }
        }
        Err(ConfigChangeError::Warden(error)) => {
            tracing::error!(%error, "the configuration is in force, but not for all items");
        }
    }
}

pub(super) fn log_warnings(warnings: &[Warning]) {
    for Warning { code, message } in warnings {
        tracing::warn!(code = code.as_str(), "{message}");
    }
}
