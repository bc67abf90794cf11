//! A client of Process Warden: items, leases, and workers that take items through their steps.
//!
//! ```no_run
//! # async fn start() -> Result<(), warden_client::Error> {
//! use warden_client::{Client, CloseOutcome, NewItem};
//!
//! let client = Client::new("http://127.0.0.1:8470", None)?;
//! let item = client.item("uploads", "file-123")?;
//! item.create(NewItem::new("the payload").deadline("15m")).await?;
//! // … the work …
//! item.close(CloseOutcome::Success).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Rules that hold everywhere:
//!
//! * Requests that may be repeated are repeated, for at most [`Builder::patience`] in all, and not earlier
//!   than the daemon's `Retry-After` says. The client chooses ids, so a create may be repeated.
//! * A 2xx to a write means that it is on disk.
//! * No thread is started, and no task outlives what it was started for.
//!
//! Documents, words and limits are those of the contract, [`api`].

#![warn(missing_docs)]

mod answer;
mod backoff;
mod client;
mod clock;
mod error;
mod items;
mod keeper;
mod leases;
mod progress;
mod runs;
#[cfg(any(test, feature = "scripted"))]
pub mod scripted;
pub mod worker;

pub use tokio_util::sync::CancellationToken;
pub use warden_api as api;
pub use warden_api::word::CloseOutcome;
pub use warden_api::{Item, Timestamp};

pub use self::answer::Answer;
pub use self::backoff::Backoff;
pub use self::client::{Builder, Client, Query};
pub use self::clock::{Clock, SteadyClock};
pub use self::error::{Error, Refusal};
pub use self::items::{Created, ItemHandle, NewItem};
pub use self::keeper::{HeldLease, LostLease};
pub use self::leases::{Leases, Settlement};
pub use self::runs::{AwaitedRuns, ParamsRequest, RunsHandle};
