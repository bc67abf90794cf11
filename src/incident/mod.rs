//! Incidents: when people are notified of what, as pure functions.
//!
//! [`decide`] takes an incident, what is observed of its items, the workflow's policy and `now`, and returns
//! the changed incident, whom to notify of what, and when to decide again. [`outlook`] says when people are
//! notified next, and what delays that. [`notification`] writes the text. Nothing here reads a clock, stores
//! or sends; the warden commits a decision together with its deliveries, and the notifier sends them.

pub mod notification;
mod outlook;
mod policy;

pub use outlook::{Outlook, outlook};
pub use policy::{
    Circumstances, Decision, Dispatch, Observation, Successor, continues_until, decide, is_awaited,
};
