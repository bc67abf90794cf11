//! The suite: everything that is proved about the daemon from outside.

mod alerts;
mod api;
mod support;
