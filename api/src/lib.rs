//! The HTTP API of Process Warden: documents, paths, names, words, limits and problems. The daemon and its
//! command line are written with it, and so can any client be.
//!
//! What is written here is the wire:
//!
//! * A document stands once, for whoever writes it and whoever reads it. Its fields are written in their
//!   order, those that are empty as `null` unless they say otherwise.
//! * A field may be added to an answer, and a word to a list: readers pass over fields that they do not know,
//!   and get a word that they do not know as [`word::Word::Other`]. A field that is added is an `Option`, so
//!   that answers of older daemons can be read.
//! * Requests are read strictly: an unknown field or word is refused.
//!
//! Deliberately absent: sending requests, and what the documents are made of.

#![warn(missing_docs)]

pub mod alert;
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
pub mod time;
pub mod word;
pub mod workflow;

pub use alert::{Delivery, Incident, Receiver, Silence};
pub use item::Item;
pub use lease::Lease;
pub use name::{ItemId, NameError, StepName, WorkflowName};
pub use page::Page;
pub use problem::{Problem, ProblemDocument};
pub use replay::Replay;
pub use time::{Timestamp, WallTime};
pub use word::Word;
pub use workflow::Workflow;
