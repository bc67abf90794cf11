//! What requests are judged by: replaced as a whole when the configuration is reloaded.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

use super::browser::Browsers;
use super::hosts::Hosts;
use crate::config::Config;
use crate::http::access::Tokens;
use crate::model::Warning;

pub struct Rules {
    pub tokens: Tokens,
    pub(super) hosts: Hosts,
    pub(super) browsers: Browsers,
    /// The largest batch, in bytes.
    pub batch_max: u64,
    /// The most lines of a batch.
    pub batch_items_max: usize,
    /// The permits of requests in flight. Requests that began under other rules are not counted here.
    pub(super) in_flight: Arc<Semaphore>,
    warnings: RwLock<Vec<Warning>>,
}

impl Rules {
    pub(super) fn new(config: &Config, address: SocketAddr) -> Self {
        let limits = &config.limits;
        Self {
            tokens: Tokens::new(&config.tokens),
            hosts: Hosts::new(config, address),
            browsers: Browsers::new(config),
            batch_max: limits.batch_max,
            batch_items_max: limits.batch_items_max,
            in_flight: Arc::new(Semaphore::new(limits.requests_max)),
            warnings: RwLock::new(config.warnings.clone()),
        }
    }

    pub(super) fn warn(&self, warnings: Vec<Warning>) {
        self.warnings.write().unwrap_or_else(PoisonError::into_inner).extend(warnings);
    }

    /// The warnings of the configuration, and those found when its names were resolved.
    pub fn warnings(&self) -> Vec<Warning> {
        self.warnings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
