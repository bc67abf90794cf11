//! The notifier: carries deliveries to their receivers.
//!
//! Deliveries come to it committed, straight from the decision or from the outbox after a restart. Invariants:
//!
//! * Every attempt of a delivery carries the same `webhook-id` and the same body; only time and signature differ.
//! * The deliveries of one incident to one receiver go out one after the other, in the order in which they were
//!   decided: nobody hears of an end before the beginning.
//! * What an attempt led to is committed before the next one is planned. A crash between a post and its commit
//!   repeats the post under the same id, which is how its receiver knows it.
//! * Nothing is given up before it was tried for a day, and nothing is given up silently. A receiver never is: one that
//!   fails is probed until it answers, and one that says that it is gone is paused for everybody to see.
//!
//! Deliberately absent: what is told and to whom, which was decided before.

pub mod backoff;
pub mod breaker;
mod dispatcher;
pub mod guard;
pub mod outbound;
mod post;
mod queue;
pub mod rate;
mod service;
pub mod signature;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use crate::model::Event;

pub use outbound::{HttpOutbound, Outbound};
pub use rate::Rate;
pub use service::{Notifier, NotifierService, ResendError, UnknownReceiver};
pub use signature::SigningKey;
pub use status::{Latencies, Outcomes, ReceiverState, ReceiverStatus};

/// A place to which notifications go.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where to post.
    pub url: reqwest::Url,
    /// What to sign with; two while a secret is being changed; none to leave notifications unsigned.
    pub signing_keys: Vec<SigningKey>,
    /// Whether it may be at an address that is not public.
    pub allow_private: bool,
    /// How long an attempt may take as a whole.
    pub timeout: Duration,
    /// How many deliveries may be on their way to it at once.
    pub concurrency: usize,
    /// How many attempts it takes in a time, if that is limited.
    pub rate: Option<Rate>,
}

impl Receiver {
    /// Scheme, host and port of its address, which is as much as may be shown: the rest may be a secret.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

impl Receiver {
    /// Whether it has a word for that event. All have for incidents that open, go on and end.
    pub fn takes(&self, event: Event) -> bool {
        event != Event::Acknowledged
    }
}
