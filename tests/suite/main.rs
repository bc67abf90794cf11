//! The suite: everything that is proved about the daemon from outside, and about its store beneath it.

// The daemon's allocator, so that what is measured here holds there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod alerts;
mod items;
mod store;
mod support;
