//! The HTTP API: routes by resource. Status codes occur only here; [`problem`] maps errors to them.
//!
//! Every request passes the outermost layer in [`server`]. It assigns the request id, rejects malformed
//! paths, unknown hosts, foreign origins and unknown tokens, counts the request, and writes problems. Then
//! the check that the operation declares in [`routes`] is performed, and a handler parses the request
//! strictly, calls a service and renders the result.
//!
//! Deliberately absent: decisions. What a request means is decided by the services.

mod access;
mod artifacts;
mod batch;
mod course;
mod deliveries;
mod document;
mod elsewhere;
mod export;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod incidents;
mod items;
mod json;
mod leases;
mod list;
mod metrics;
mod openapi;
mod operation;
mod page;
mod parameter;
mod params;
mod prefer;
mod problem;
mod progress;
mod question;
mod receivers;
mod reload;
mod replays;
mod request;
mod route;
mod routes;
mod runs;
mod selection;
mod server;
mod silences;
mod trouble;
mod view;
mod workflows;

pub use self::reload::{ConfigChange, ConfigChangeError, Reloaded};
pub use self::server::{Listener, ListenerError, Server};
