//! Shared with the suite.

#![expect(dead_code, reason = "the suite uses what the matrix does not")]

#[path = "../suite/support/client.rs"]
mod client;
#[path = "../suite/support/faketime.rs"]
pub mod faketime;
#[path = "../suite/support/patience.rs"]
mod patience;
#[path = "../suite/support/process.rs"]
pub mod process;
#[path = "../suite/support/receiver.rs"]
mod receiver;

pub use client::client;
pub use patience::{PATIENCE, eventually, within_patience};
pub use process::DaemonProcess;
pub use receiver::{Received, TestReceiver};
