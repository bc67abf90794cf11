//! The API, request by request, over real connections. Every answer is validated against `/openapi.json`.

pub mod access;
mod batch;
mod browsers;
mod closing;
mod connections;
mod errors;
mod export;
mod framing;
mod idempotency;
mod items;
mod limits;
mod listing;
mod malformed;
mod metrics;
mod openapi;
mod operation;
mod patch;
mod payload;
mod preferences;
mod problems;
mod ranges;
mod receipts;
mod receivers;
mod released;
mod restoring;
mod retention;
mod schemathesis;
mod slowness;
mod summary;
mod traces;
mod unread;
mod workflow_names;
mod workflows;

/// The path of an item of the workflow `uploads`; the id stands as it does in a path.
fn item(id: &str) -> String {
    format!("/v1/workflows/uploads/items/{id}")
}
