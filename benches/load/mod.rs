//! The load generator: what it sends, to whom, how it measures and how it reports.
//!
//! It shares two cores with the server it measures, so it is lean: one thread, requests rendered once and stamped
//! with fresh ids, no allocation for a request, no HTTP client library. It trusts no answer: a status other than
//! the one expected ends the bench with the answer's body.

mod cell;
mod connection;
mod failure;
mod histogram;
mod noop;
mod peer;
mod recovery;
mod report;
mod round;
mod script;
mod settings;
mod storm;

pub use cell::measure_all;
pub use failure::Failure;
pub use noop::{ARGUMENT as NOOP_ARGUMENT, serve as serve_noop};
pub use settings::Settings;
