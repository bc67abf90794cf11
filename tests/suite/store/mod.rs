//! The store: the conformance suite, and tests of the default engine.
#![expect(clippy::unwrap_used, reason = "in a test a panic with the error is the report")]

mod artifact_format;
mod checkpoints;
mod churn;
mod conformance;
mod directory;
pub mod documents;
pub mod engine;
mod event_format;
mod failing;
mod fixture;
mod mixtures;
mod record_format;
mod rendering;
mod replay_format;
mod run_format;
pub mod sample;
mod stories;
mod tidying;
mod transitions;
