//! The suite: everything that is proved about the daemon from outside.

mod alerts;
mod api;
mod clock;
mod faults;
mod store;
mod support;
mod sweep;

/// The daemon's own allocator, so that measured memory is that of the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
