//! Shared by the tests: daemons in the test process with a virtual clock, daemons as processes, and receivers
//! that are real HTTP servers. Ports are chosen by the system.
//!
//! The fault matrix (`tests/faults`) uses some of these files too.

mod address;
pub mod answer;
mod client;
pub mod daemon;
pub mod faketime;
pub mod interference;
mod patience;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod redaction;
mod schema;
pub mod wire;

pub use address::Address;
pub use answer::{Answer, ask, whole_responses};
pub use client::client;
pub use daemon::TestDaemon;
pub use patience::{PATIENCE, eventually, within_patience};
pub use process::DaemonProcess;
pub use proxy::{Fate, Proxy};
pub use receiver::TestReceiver;
pub use wire::Wire;
