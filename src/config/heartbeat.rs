//! `[heartbeat]`: the external dead man's switch.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::checks::{self, Checks};
use super::duration;
use super::path::SettingPath;
use super::secret::Secret;
use crate::outbound::Transport;
use crate::warden::HeartbeatSettings;

/// `[heartbeat]` as written. An empty URL disables it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenHeartbeat {
    url: Secret,
    #[serde(deserialize_with = "duration::required")]
    every: Duration,
    #[serde(deserialize_with = "duration::required")]
    timeout: Duration,
    allow_private: bool,
}

impl WrittenHeartbeat {
    /// `None` if it is disabled or invalid.
    pub(super) fn resolve(&self, checks: &mut Checks<'_>) -> Option<HeartbeatSettings> {
        let at = |key| SettingPath::dotted("heartbeat").key(key);
        checks.more_than_zero(&at("every"), self.every);
        checks.more_than_zero(&at("timeout"), self.timeout);
        if self.url.is_empty() {
            return None;
        }
        let url = checks.secret_url(&at("url"), &self.url, checks::plain_url)?;
        let transport = Transport { allow_private: self.allow_private, ..Transport::default() };
        Some(HeartbeatSettings {
            url: url.into(),
            every: self.every,
            timeout: self.timeout,
            transport: Arc::new(transport),
        })
    }
}
