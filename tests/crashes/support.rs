//! Shared with the suite's store stories.

#![expect(dead_code, reason = "the suite uses what the crashes do not")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is an answer")]

#[path = "../suite/store/conformance/random/artifacts.rs"]
pub mod artifacts;
#[path = "../suite/store/conformance/random/changes.rs"]
mod changes;
#[path = "../suite/store/conformance/random/comparing.rs"]
mod comparing;
#[path = "../suite/store/documents.rs"]
pub mod documents;
#[path = "../suite/store/conformance/random/model.rs"]
pub mod model;
#[path = "../suite/store/sample.rs"]
pub mod sample;
