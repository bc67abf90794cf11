//! `[replay]`: the bounds of replays.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::checks::Checks;
use super::duration;
use super::path::SettingPath;
use super::receiver::{networks, roots};
use crate::outbound::Transport;
use crate::warden::ReplaySettings;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenReplay {
    allow_networks: Vec<String>,
    allow_private: bool,
    ca_file: String,
    running_max: usize,
    items_max: usize,
    #[serde(deserialize_with = "duration::required")]
    history: Duration,
}

impl WrittenReplay {
    pub(super) fn resolve(&self, checks: &mut Checks<'_>) -> ReplaySettings {
        let at = |key| SettingPath::dotted("replay").key(key);
        checks.within(&at("running_max"), self.running_max, 1..=1_000, |n| n);
        checks.within(&at("items_max"), self.items_max, 1..=100_000_000, |n| n);
        let transport = Transport {
            allow_private: self.allow_private,
            allow_networks: networks(checks, &at("allow_networks"), &self.allow_networks),
            roots: roots(checks, &at("ca_file"), &self.ca_file),
            ..Transport::default()
        };
        ReplaySettings {
            transport: Arc::new(transport),
            running_max: self.running_max,
            items_max: self.items_max,
            history: self.history,
        }
    }
}
