//! The notifier: carries deliveries to their receivers.
//!
//! Deliveries come to it committed, straight from the decision or from the outbox after a restart. Invariants:
//!
//! * Every attempt of a delivery carries the same `webhook-id` and the same body; only time and signature differ. The one
//!   exception is what Alertmanager is sent: that says until when it holds.
//! * The deliveries of one incident to one receiver go out one after the other, in the order in which they were
//!   decided: nobody hears of an end before the beginning.
//! * What an attempt led to is committed before the next one is planned. A crash between a post and its commit
//!   repeats the post under the same id, which is how its receiver knows it.
//! * Nothing is given up before it was tried, or waited for a paused receiver, for a day, and nothing is given up silently.
//!   A receiver never is: one that fails is probed until it answers, and one that says that it is gone is paused for
//!   everybody to see.
//!
//! Deliberately absent: what is told and to whom, which was decided before, and the outgoing call itself
//! ([`crate::outbound`]).

mod backlog;
pub mod backoff;
pub mod breaker;
mod dispatcher;
pub mod format;
mod post;
mod queue;
mod recovery;
mod service;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;

pub use format::Format;
pub use service::{Notifier, NotifierService, ResendError, UnknownReceiver};
pub use status::{Latencies, Outcomes, ReceiverState, ReceiverStatus};

use crate::model::{Event, Severity};
use crate::outbound::{Endpoint, Rate, SigningKey, Transport};

/// A place to which notifications go.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where to send.
    pub url: Endpoint,
    /// In which form.
    pub format: Format,
    /// What is sent along besides what the form takes. The values are marked as sensitive, so `Debug` shows none.
    pub headers: HeaderMap,
    /// What to sign with; two while a secret is being changed; none to leave notifications unsigned.
    pub signing_keys: Vec<SigningKey>,
    /// How it is reached.
    pub transport: Arc<Transport>,
    /// How long an attempt may take as a whole.
    pub timeout: Duration,
    /// How many deliveries may be on their way to it at once.
    pub concurrency: usize,
    /// How many attempts it takes in a time; `None`: as many as there are.
    pub rate: Option<Rate>,
    /// The mildest incidents that it is told of. Workflows whose incidents are milder do not name it any more.
    pub min_severity: Severity,
}

impl Receiver {
    /// Whether it is told of events of this kind at all.
    pub fn takes(&self, event: Event) -> bool {
        self.format.takes(event)
    }

    /// How often it has to be told that an incident is still open, so that it does not take it for over; `None` where
    /// once is enough.
    pub fn resend(&self) -> Option<Duration> {
        self.format.resend()
    }
}
