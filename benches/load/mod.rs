//! Shared by the benches: the load generator, the servers that it drives, and their measurements.
//!
//! The generator shares two cores with the server it measures, so it is lean: one thread, requests rendered
//! once and stamped with fresh ids, no allocation for a request, no client library. It checks every answer:
//! an unexpected one ends the bench with the answer's text.

mod begin;
mod claims;
mod client;
mod connection;
mod failure;
mod fill;
mod histogram;
mod ids;
mod machine;
mod noop;
mod process;
mod prose;
mod receiver;
mod round;
mod script;
mod server;
mod settings;
mod statistics;
mod template;
mod together;
mod work;

pub use begin::begin;
pub use claims::claim;
pub use client::{Client, HttpClient};
pub use connection::{Connection, post};
pub use failure::Failure;
pub use fill::fill;
pub use histogram::Histogram;
pub use ids::{ID, ID_LENGTH, Ids, payload_text, places_of_ids};
pub use machine::{Machine, syncs_per_second};
pub use process::{Ending, Process, wait_until};
pub use prose::{thousands, wrapped};
pub use receiver::{Notification, listen};
pub use round::{Measurement, run};
pub use script::{Kind, Reception, Workload};
pub use server::{Server, resident_memory};
pub use settings::{Settings, text, variable};
pub use statistics::{median, quantile};
pub use template::Template;
pub use together::{Seen, together};
pub use work::work;
