//! The domain services and their loops.
//!
//! [`Warden`] holds the services that the layers above use. Each owns its state and gets what it needs in its
//! constructor. Derived state (the [`census`], the registries of workflows, silences, live incidents,
//! replays, artifacts and expectations, and the notifier's backlog) is fed by the store alone, so a service
//! that commits need not update it. Data flows one way: a request becomes commands, the store commits them,
//! observers are updated, the answer is sent.
//!
//! Deliberately absent: HTTP, and anything specific to one store engine.

mod alerting;
pub mod artifacts;
mod census;
mod checks;
mod clock;
mod context;
mod deadlines;
mod error;
mod events;
mod expectations;
mod handoff;
mod health;
mod heartbeat;
mod in_force;
pub mod intake;
mod pulse;
mod queries;
pub mod recovery;
mod redrives;
mod replays;
pub mod report;
mod retention;
pub mod runs;
pub mod silences;
mod steps;
mod watch;
mod workflows;

use std::sync::Arc;

pub use self::alerting::{Alerting, IncidentAction};
pub use self::artifacts::{ArtifactSettings, Artifacts};
pub use self::census::Tally;
pub use self::clock::ClockCounts;
pub use self::error::{ClosedSince, WardenError};
pub use self::events::Events;
pub use self::expectations::Expectations;
pub use self::health::Health;
pub use self::heartbeat::{HeartbeatCounts, HeartbeatSettings};
use self::in_force::InForce;
pub use self::in_force::{Adopted, stored_definitions};
pub use self::intake::Intake;
pub use self::queries::Queries;
pub use self::recovery::Recovery;
pub use self::redrives::{RedriveCounts, RedriveTarget, Redrives, Targets};
pub use self::replays::{ReplayAction, ReplayCounts, ReplayEntry, ReplaySettings, Replays, StartReplay};
pub use self::retention::Retention;
pub use self::runs::Runs;
pub use self::silences::Silences;
pub use self::steps::{DURATION_BOUNDS, StepTallies, StepTally};
pub use self::watch::Loops;
pub use self::workflows::{PolicySet, WorkflowEntry, Workflows};
use crate::model::{Clock, Random};
use crate::notifier::Receiver;
use crate::outbound::Outbound;
use crate::store::Store;

#[derive(Clone, Debug)]
pub struct WardenSettings {
    /// The largest payload, in bytes.
    pub payload_max: u64,
    /// The prefix of links in notifications, without a slash at the end.
    pub external_url: String,
    /// The most claims that may wait at a time.
    pub waiting_claims_max: usize,
    /// The external dead man's switch, if one is configured.
    pub heartbeat: Option<HeartbeatSettings>,
    pub replay: ReplaySettings,
    /// Where overdue items are redriven automatically.
    pub redrives: Targets,
    pub artifacts: ArtifactSettings,
}

/// The dependencies of the services.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub policies: PolicySet,
    pub receivers: Vec<Receiver>,
    pub outbound: Arc<dyn Outbound>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub settings: WardenSettings,
}

pub struct Warden {
    pub intake: Arc<Intake>,
    pub queries: Arc<Queries>,
    pub recovery: Arc<Recovery>,
    pub replays: Arc<Replays>,
    pub redrives: Arc<Redrives>,
    pub alerting: Arc<Alerting>,
    pub silences: Arc<Silences>,
    pub runs: Arc<Runs>,
    pub artifacts: Arc<Artifacts>,
    pub events: Arc<Events>,
    pub expectations: Arc<Expectations>,
    pub retention: Arc<Retention>,
    pub health: Arc<Health>,
    pub workflows: Arc<Workflows>,
    in_force: InForce,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}
