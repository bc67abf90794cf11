//! The suite: everything that is proved about the daemon from outside.

mod alerts;
mod clock;
mod items;
mod support;
mod sweep;
