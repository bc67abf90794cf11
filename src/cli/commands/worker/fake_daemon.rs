//! Leases of a daemon with scripted responses, on a manual clock, for unit tests.

use std::sync::Arc;
use std::time::Duration;

use warden_api::item::ItemFilter;
use warden_api::lease::ClaimRequest;
use warden_api::word::ItemState;
use warden_client::scripted::{ManualClock, ScriptedDaemon};
use warden_client::{Client, Leases};

pub use warden_client::scripted::{Reply, START};

/// Of every lease.
pub const TTL: Duration = Duration::from_secs(60);

pub struct FakeDaemon {
    /// Leases of this daemon, by the manual clock.
    pub leases: Arc<Leases>,
    pub clock: ManualClock,
    pub daemon: ScriptedDaemon,
}

impl FakeDaemon {
    /// Responds with these replies in order, then not at all.
    pub async fn answering(replies: impl IntoIterator<Item = Reply>) -> Self {
        let daemon = ScriptedDaemon::answering(replies).await;
        let clock = ManualClock::new();
        let client = Client::builder(daemon.url()).clock(Arc::new(clock.clone())).build().unwrap();
        Self { leases: Arc::new(Leases::new(client, TTL)), clock, daemon }
    }

    /// The requests so far: method with path, and body.
    pub fn requests(&self) -> Vec<(String, serde_json::Value)> {
        let requests = self.daemon.requests().into_iter();
        requests.map(|request| (request.line, request.document)).collect()
    }
}

/// A claim of overdue items.
pub fn claim() -> ClaimRequest {
    ClaimRequest {
        filter: ItemFilter { states: vec![ItemState::Overdue], ..ItemFilter::default() },
        payloads: false,
        worker: Some("host-1".into()),
        ..ClaimRequest::default()
    }
}
