//! The notifier: carries deliveries to their receivers.
//!
//! Deliveries come to it committed, straight from the decision or from the outbox after a restart. Invariants:
//!
//! * Every attempt of a delivery carries the same `webhook-id` and the same body; only time and signature differ.
//! * The deliveries of one incident to one receiver go out one after the other, in the order in which they were
//!   decided: nobody hears of an end before the beginning.
//! * What an attempt led to is committed before the next one is planned. A crash between a post and its commit
//!   repeats the post under the same id, which is how its receiver knows it.
//! * Nothing is given up before it was tried for a day, and nothing is given up silently.
//!
//! Deliberately absent: what is told and to whom, which was decided before.

pub mod backoff;
pub mod guard;
pub mod outbound;
mod post;
mod service;
pub mod signature;

use std::sync::Arc;
use std::time::Duration;

use crate::model::Event;

pub use outbound::{HttpOutbound, Outbound};
pub use service::{Notifier, NotifierCounts, NotifierService};
pub use signature::SigningKey;

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
}

impl Receiver {
    /// Whether it has a word for that event. All have for incidents that open, go on and end.
    pub fn takes(&self, event: Event) -> bool {
        event != Event::Acknowledged
    }
}
