//! The suite: the daemon tested from outside, and the store through its trait.

#![allow(
    clippy::unwrap_used,
    clippy::type_complexity,
    reason = "in a test a panic is an answer, and types are used once"
)]

mod alerts;
mod api;
mod artifacts;
mod cli;
mod clock;
mod coming_from;
mod lifecycle;
mod readme;
mod recovery;
mod reload;
mod replay;
mod runs;
mod startup;
mod store;
mod support;
mod sweep;
mod transfer;
mod workers;

/// The daemon's own allocator, so that measured memory is that of the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
