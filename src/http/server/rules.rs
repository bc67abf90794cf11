//! What requests are judged by: replaced as a whole when the configuration is reloaded.

use std::net::SocketAddr;
use std::sync::Arc;

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
    requests_max: usize,
    /// The permits of requests in flight. With another `requests_max`, requests that began before are not
    /// counted here.
    pub(super) in_flight: Arc<Semaphore>,
    pub(super) warnings: Vec<Warning>,
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
            requests_max: limits.requests_max,
            in_flight: Arc::new(Semaphore::new(limits.requests_max)),
            warnings: config.warnings.clone(),
        }
    }

    /// The rules of another configuration, which count the requests in flight as well.
    pub(super) fn renewed(&self, config: &Config, address: SocketAddr) -> Self {
        let rules = Self::new(config, address);
        if rules.requests_max == self.requests_max {
            Self { in_flight: self.in_flight.clone(), ..rules }
        } else {
            rules
        }
    }
}
