//! Reloading the configuration, which is done above this layer.

use tokio::sync::oneshot;
use warden_api::health;

use super::json::Json;
use super::problem::Problem;
use super::server::{Allowed, Everything};
use super::view;
use crate::config::ConfigError;
use crate::model::Warning;
use crate::store::StoreError;

/// Where the outcome goes.
pub type ReloadRequest = oneshot::Sender<Result<Reloaded, ReloadError>>;

/// A configuration was put in force.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The settings that differ from those in force and take a restart.
    pub needs_restart: Vec<String>,
    pub warnings: Vec<Warning>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum ReloadError {
    /// The former configuration stays in force.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration is in force, but not every item was placed by it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub async fn reload(allowed: Allowed<Everything>) -> Result<Json<health::Reloaded>, Problem> {
    let services = allowed.granted();
    let (request, outcome) = oneshot::channel();
    services.server().ask_for_reload(request)?;
    let outcome = outcome.await.map_err(|_| Problem::unavailable("the warden is shutting down"))?;
    let Reloaded { needs_restart, warnings } = outcome?;
    let warnings = warnings.into_iter().map(view::warning).collect();
    Ok(Json(health::Reloaded { needs_restart, warnings }))
}
