//! Changes of the configuration, which are made above this layer.

use std::sync::Arc;

use tokio::sync::oneshot;
use warden_api::health;

use super::json::Json;
use super::problem::Problem;
use super::server::{Allowed, Everything, Server};
use super::view;
use crate::config::ConfigError;
use crate::model::{Definition, Warning, WorkflowName};
use crate::store::StoreError;
use crate::warden::WardenError;

/// Where the outcome of a change goes.
pub type Answer<T> = oneshot::Sender<Result<T, ConfigChangeError>>;

/// A change that a client asks for.
pub enum ConfigChange {
    /// Read the configuration anew.
    Reload(Answer<Reloaded>),
    /// Define a workflow. The answer is whether it is new.
    Define(WorkflowName, Arc<Definition>, Answer<bool>),
    /// Remove a workflow that a client defined.
    Remove(WorkflowName, Answer<()>),
}

/// A configuration was put in force.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The settings that differ from those in force and take a restart.
    pub needs_restart: Vec<String>,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigChangeError {
    /// The former configuration stays in force.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What the client sent is wrong.
    #[error(transparent)]
    Definition(ConfigError),
    /// The change is refused, or it is in force and not every item was placed by it.
    #[error(transparent)]
    Warden(#[from] WardenError),
}

impl From<StoreError> for ConfigChangeError {
    fn from(error: StoreError) -> Self {
        Self::Warden(error.into())
    }
}

/// Asks for a change, and waits for its outcome.
pub async fn change<T>(
    server: &Server,
    change: impl FnOnce(Answer<T>) -> ConfigChange,
) -> Result<T, Problem> {
    let (answer, outcome) = oneshot::channel();
    server.ask_for(change(answer))?;
    Ok(outcome.await.map_err(|_| Problem::unavailable("the warden is shutting down"))??)
}

pub async fn reload(allowed: Allowed<Everything>) -> Result<Json<health::Reloaded>, Problem> {
    let services = allowed.granted();
    let Reloaded { needs_restart, warnings } = change(services.server(), ConfigChange::Reload).await?;
    let warnings = warnings.into_iter().map(view::warning).collect();
    Ok(Json(health::Reloaded { needs_restart, warnings }))
}
