//! The domain services: they take requests, decide, commit, and derive.
//!
//! [`Warden`] holds the services that the layers above use; each owns its state and gets what it needs by its constructor.
//! State that is derived from what is stored (the [`census`], the registries of workflows, silences, live incidents,
//! replays, expectations, and the notifier's backlog) is fed by the store alone, so that nobody who commits has to tell
//! anybody. Data goes one way: a request becomes commands, the store commits them, observers are told, the answer goes out.
//!
//! Deliberately absent: HTTP, and everything that is particular to one engine.

mod alerting;
mod census;
mod checks;
mod clock;
mod deadlines;
mod error;
mod expectations;
mod handoff;
mod health;
mod heartbeat;
pub mod intake;
mod pulse;
mod queries;
pub mod recovery;
mod redrives;
mod replays;
pub mod report;
mod retention;
pub mod silences;
mod watch;
mod workflows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::alerting::{Act, Alerting};
pub use self::census::Tally;
pub use self::clock::ClockCounts;
pub use self::error::{ClosedSince, WardenError};
pub use self::expectations::Expectations;
pub use self::health::Health;
pub use self::heartbeat::{HeartbeatCounts, HeartbeatSettings};
pub use self::intake::Intake;
pub use self::queries::Queries;
pub use self::recovery::Recovery;
pub use self::redrives::{RedriveCounts, RedriveTarget, Redrives};
pub use self::replays::{ReplayAct, ReplayCounts, ReplayEntry, ReplaySettings, Replays, StartReplay};
pub use self::retention::Retention;
pub use self::silences::Silences;
pub use self::watch::Loops;
pub use self::workflows::{WorkflowEntry, Workflows};
use crate::model::{Clock, Random, WorkflowName};
use crate::notifier::Receiver;
use crate::outbound::Outbound;
use crate::store::Store;

/// What the service needs to know.
#[derive(Clone, Debug)]
pub struct WardenSettings {
    /// The largest payload, in bytes.
    pub payload_max: u64,
    /// What links in notifications begin with, without a slash at the end.
    pub external_url: String,
    /// How many claims may wait at a time.
    pub waiting_claims_max: usize,
    /// How long resolved incidents are remembered.
    pub incident_history: Duration,
    /// The dead man's switch outside, if there is one.
    pub heartbeat: Option<HeartbeatSettings>,
    /// What replays may do.
    pub replay: ReplaySettings,
    /// Where the overdue items of workflows are sent by themselves.
    pub redrives: BTreeMap<WorkflowName, RedriveTarget>,
}

/// What the service works with; all of it is handed in.
pub struct Parts {
    /// What must survive.
    pub store: Arc<dyn Store>,
    /// Policies.
    pub workflows: Workflows,
    /// Places to which notifications go.
    pub receivers: Vec<Receiver>,
    /// The outgoing call.
    pub outbound: Arc<dyn Outbound>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The rest.
    pub settings: WardenSettings,
}

/// The services. See the module's documentation.
pub struct Warden {
    pub intake: Arc<Intake>,
    pub queries: Arc<Queries>,
    pub recovery: Arc<Recovery>,
    pub replays: Arc<Replays>,
    pub redrives: Arc<Redrives>,
    pub alerting: Arc<Alerting>,
    pub silences: Arc<Silences>,
    pub expectations: Arc<Expectations>,
    pub retention: Arc<Retention>,
    pub health: Arc<Health>,
    /// What there is to know about workflows.
    pub workflows: Arc<Workflows>,
    /// The clock that everything is judged by.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub random: Arc<dyn Random>,
}
