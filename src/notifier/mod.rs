//! The notifier: drains the outbox and delivers notifications to their receivers.
//!
//! It gets deliveries that are committed, from a decision or from the outbox after a restart. Invariants:
//!
//! * Every attempt of a delivery has the same `webhook-id` and the same body; only time and signature differ.
//!   The exception is Alertmanager, whose alerts carry an expiry.
//! * The deliveries of one incident to one receiver go out one at a time, in the order of the decisions: no
//!   receiver gets a resolution before the opening.
//! * The result of an attempt is committed before the next one is planned. A crash between the request and
//!   the commit repeats the request under the same id, so that the receiver can drop the duplicate.
//! * A delivery becomes dead only after it was tried, or held for a paused receiver, for 24 h, and never
//!   silently. A receiver is never given up: a failing one is probed until it answers, and one that answers
//!   410 is visibly paused.
//!
//! Deliberately absent: who is told what, which was decided before, and the outgoing call itself
//! ([`crate::outbound`]).

mod backlog;
pub mod backoff;
pub mod breaker;
mod dispatcher;
pub mod format;
mod post;
mod queue;
mod receivers;
mod recovery;
mod service;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;

pub use format::Format;
pub use service::{Notifier, NotifierService, ResendError, UnknownReceiver};
pub use status::{Latencies, Outcomes, ReceiverState, ReceiverStatus};

use crate::model::{Event, EventSet, Severity};
use crate::outbound::{Endpoint, Rate, SigningKey, Transport};

#[derive(Clone, Debug)]
pub struct Receiver {
    /// The name in the configuration.
    pub name: Arc<str>,
    pub url: Endpoint,
    pub format: Format,
    /// Sent in addition to the headers of the format. The values are marked as sensitive, so that `Debug`
    /// hides them.
    pub headers: HeaderMap,
    /// Two while a secret is rotated; empty for unsigned notifications.
    pub signing_keys: Vec<SigningKey>,
    pub transport: Arc<Transport>,
    /// For an attempt as a whole.
    pub timeout: Duration,
    /// The most concurrent deliveries.
    pub concurrency: usize,
    /// `None` is unlimited.
    pub rate: Option<Rate>,
    /// The least severity of incidents sent to it; `None` if none are. Workflows with a lower severity do not
    /// name the receiver any more.
    pub min_severity: Option<Severity>,
    /// The events of items sent to it.
    pub events: EventSet,
}

impl Receiver {
    /// Whether events of this kind are sent to it.
    pub fn takes(&self, event: Event) -> bool {
        self.format.takes(event)
    }

    /// Whether calls of the other one go to the same place in the same way.
    fn is_called_like(&self, other: &Self) -> bool {
        (&self.url, &self.transport, &self.headers) == (&other.url, &other.transport, &other.headers)
    }

    /// The interval at which it must be told that an incident is still open, so that it does not consider it
    /// resolved; `None` if telling it once is enough.
    pub fn resend(&self) -> Option<Duration> {
        self.format.resend()
    }
}
