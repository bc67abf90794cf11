//! The store: one suite for every engine, and what only the default one has.
#![expect(clippy::unwrap_used, reason = "in a test a panic with the error is the report")]

mod checkpoints;
mod churn;
mod conformance;
mod directory;
pub mod documents;
pub mod engine;
mod failing;
mod mixtures;
mod record_format;
mod replay_format;
pub mod sample;
mod tidying;
