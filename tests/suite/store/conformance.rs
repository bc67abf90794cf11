//! The conformance suite: run on every engine.

mod artifacts;
mod changing;
mod clocks;
mod closing;
mod committing;
mod creating;
mod incidents;
mod listing;
mod payloads;
mod progress;
mod random;
mod reading;
mod replays;
mod restoring;
mod runs;
mod workflows;
