//! The domain: items, workflows, incidents, deliveries, replays, and time.
//!
//! Data and pure transitions that take `now`, without input and output. The exception is [`time`], which
//! defines the clocks.
//!
//! Names, words and limits of the API are those of [`warden_api`].
//!
//! Deliberately absent: storing ([`crate::store`]) and presenting ([`crate::http`]) any of this.

pub mod artifact;
pub mod delivery;
pub mod duration;
pub mod event;
pub mod expectation;
pub mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod incident;
pub mod item;
pub mod nearest;
pub mod notification;
pub mod quote;
pub mod random;
pub mod redrive;
pub mod replay;
pub mod restored;
pub mod retry;
pub mod run;
pub mod silence;
pub mod step;
pub mod summary;
pub mod text;
pub mod time;
pub mod trace;
pub mod warning;
pub mod workflow;
pub mod zone;

pub use artifact::{Artifact, ArtifactId, ArtifactRefusal};
pub use delivery::{Attempt, Delivery, DeliveryId, DeliveryStatus, Event, Topic};
pub use duration::{DURATION_MAX, DurationError, parse_duration};
pub use event::{EventSet, ItemEvent, Listeners};
pub use expectation::{CronError, CronSchedule, Expectation, Missed, Progress, Schedule};
pub use filter::{ItemFilter, Order, Page, Position};
pub use incident::{
    Action, ActionKind, Continuation, Group, Incident, IncidentId, IncidentKey, IncidentKind, IncidentStatus,
    OutcomeCounts, WaitingFor,
};
pub use item::{
    CloseOutcome, IndexedItem, Item, ItemError, ItemKey, ItemNumber, ItemState, Labels, Lease, LeaseCommand,
    LeaseId, LeaseLost, PayloadInfo, Work,
};
pub use nearest::{misspelling_of, nearest};
pub use notification::{ItemNotification, ItemSubject, Notification, RunSubject, Sample, Subject};
pub use quote::quote;
pub use random::{Random, SeededRandom, SystemRandom};
pub use redrive::Redrive;
pub use replay::{Replay, ReplayChunk, ReplayId, ReplayStatus};
pub use restored::Restored;
pub use retry::{Backoff, BackoffError, RetryPolicy};
pub use run::{JobName, Run, RunDetail, RunEntry, RunHistory, RunPolicy};
pub use silence::{Silence, SilenceId, SilenceStatus};
pub use step::Step;
pub use summary::Summary;
pub use time::{Clock, ClockAnchor, ClockTime, ManualClock, Moment, SystemClock, Timestamp};
pub use trace::TraceContext;
pub use warden_api::name::{self, ItemId, NameError, StepName, WorkflowName};
pub use warden_api::word::Severity;
pub use warning::{Warning, WarningCode};
pub use workflow::{AlertPolicy, Definition, Escalation, Flapping, Policies, Policy, Workflow};
pub use zone::{UnknownZone, Zone};
