//! The HTTP API of Process Warden: documents, paths, names, words, limits and problems. The daemon, its
//! command line and other clients use it.
//!
//! Rules of the wire format:
//!
//! * Each document is defined once, for writing and reading. Fields are written in the order of their
//!   definition, and empty ones as `null` unless stated otherwise.
//! * Fields may be added to responses, and words to lists: readers ignore unknown fields, and get an unknown
//!   word as [`word::Word::Other`]. An added field is an `Option`, so that responses of older daemons can be
//!   read.
//! * Requests are read strictly: an unknown field or word is refused.
//!
//! Deliberately absent: sending requests, and how documents are made.

#![warn(missing_docs)]

pub mod alert;
pub mod artifact;
pub mod health;
pub mod item;
pub mod lease;
pub mod limit;
pub mod line;
pub mod merge;
pub mod name;
pub mod page;
pub mod path;
pub mod problem;
pub mod quote;
pub mod replay;
pub mod run;
pub mod step;
pub mod time;
pub mod warning;
pub mod word;
pub mod workflow;

pub use alert::{Delivery, Incident, Receiver, Silence};
pub use artifact::Artifact;
pub use item::Item;
pub use lease::Lease;
pub use name::{ItemId, JobName, NameError, StepName, WorkflowName};
pub use page::Page;
pub use problem::{Problem, ProblemDocument};
pub use replay::Replay;
pub use run::Run;
pub use time::{Timestamp, WallTime};
pub use word::Word;
pub use workflow::Workflow;
