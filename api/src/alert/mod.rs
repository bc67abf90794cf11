//! Alerting: incidents, silences, deliveries and receivers.

mod delivery;
mod incident;
mod receiver;
mod silence;

pub use self::delivery::{Attempt, Delivery, ItemName};
pub use self::incident::{
    AcknowledgeRequest, Action, Became, CommentRequest, Incident, Missed, SnoozeRequest,
};
pub use self::receiver::{Outcomes, Receiver, ReceiverTest};
pub use self::silence::{Silence, SilenceRequest};
