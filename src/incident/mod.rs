//! Incidents: when people are told what, as pure functions.
//!
//! [`decide`] takes an incident as it is, what is observed about its items, the workflow's policy and `now`, and
//! says what the incident becomes, whom to tell what, and when to ask again. [`outlook`] says when people are told next and
//! what holds that back. [`notification`] writes down what they
//! are told. Neither reads a clock, stores or sends anything; the warden commits the decision and the deliveries
//! together, and the notifier carries them out.

pub mod notification;
mod outlook;
mod policy;

pub use outlook::{Outlook, outlook};
pub use policy::{
    Circumstances, Decision, Observation, Successor, Telling, continues_until, decide, is_awaited,
};
