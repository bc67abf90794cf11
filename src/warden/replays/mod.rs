//! Replays.
#![allow(dead_code)]
mod pacer;
mod recent;
use crate::outbound::Transport;
use std::sync::Arc;
use std::time::Duration;

/// What replays may do.
#[derive(Clone, Debug)]
pub struct ReplaySettings {
    /// How targets are reached.
    pub transport: Arc<Transport>,
    /// The most replays that run at once.
    pub running_max: usize,
    /// The most items in one replay.
    pub items_max: usize,
    /// How long a replay is kept after its end.
    pub history: Duration,
}
