//! The HTTP API of Process Warden: documents, paths, names, words, limits and problems. The daemon and its command line are
//! written with it, and so can any client be.
//!
//! What is written here is the wire:
//!
//! * A document stands once, for whoever writes it and whoever reads it. Its fields are written in their order, those that
//!   are empty as `null` unless they say otherwise.
//! * A field may be added to an answer, and a word to a list: readers pass over fields that they do not know, and get a word
//!   that they do not know as [`word::Word::Other`]. A field that is added is an `Option`, so that answers of older daemons can
//!   be read.
//! * Requests are read strictly: an unknown field or word is refused.
//!
//! Deliberately absent: sending requests, and what the documents are made of.

#![warn(missing_docs)]

pub mod limit;
pub mod name;
pub mod quote;
pub mod time;
pub mod word;

pub use name::{ItemId, NameError, StepName, WorkflowName};
pub use time::{Timestamp, WallTime};
pub use word::Word;
