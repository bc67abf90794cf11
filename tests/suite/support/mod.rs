//! What the tests stand on: daemons in this process with a clock that is moved by hand, daemons as processes
//! of their own, and receivers that are real HTTP servers. Ports are chosen by the system; nothing sleeps.
//!
//! The fault matrix (`tests/faults`) stands on some of these files too.

pub mod answer;
mod client;
pub mod daemon;
pub mod interference;
mod patience;
pub mod process;
pub mod proxy;
pub mod receiver;
mod schema;
pub mod wire;

pub use answer::{Answer, ask};
pub use client::client;
pub use daemon::TestDaemon;
pub use patience::{PATIENCE, eventually, within_patience};
pub use process::DaemonProcess;
pub use proxy::{Fate, Proxy};
pub use receiver::TestReceiver;
pub use wire::Wire;
