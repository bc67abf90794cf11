//! JSON request bodies, and the idempotency key.

use axum::body::Body;
use axum::http::HeaderName;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use warden_api::limit::DOCUMENT_MAX;

use super::problem::Problem;
use super::request;
use super::server::{Server, browser};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Parses a JSON body. The content type is ignored unless a browser sent the request: simple clients send a
/// wrong one, and what is not JSON is rejected anyway.
pub async fn document<T: DeserializeOwned>(server: &Server, parts: &Parts, body: Body) -> Result<T, Problem> {
    read(server, parts, body, |bytes| request::object("the body", bytes)).await
}

/// Like [`document`]; no body counts as an empty object.
pub async fn optional_document<T: DeserializeOwned + Default>(
    server: &Server,
    parts: &Parts,
    body: Body,
) -> Result<T, Problem> {
    read(server, parts, body, |bytes| match bytes {
        [] => Ok(T::default()),
        bytes => request::object("the body", bytes),
    })
    .await
}

async fn read<T>(
    server: &Server,
    parts: &Parts,
    body: Body,
    parse: impl FnOnce(&[u8]) -> Result<T, Problem>,
) -> Result<T, Problem> {
    read_within(server, parts, body, DOCUMENT_MAX, parse).await
}

/// Parses a JSON body of at most `limit` bytes.
pub async fn read_within<T>(
    server: &Server,
    parts: &Parts,
    body: Body,
    limit: u64,
    parse: impl FnOnce(&[u8]) -> Result<T, Problem>,
) -> Result<T, Problem> {
    request::check_readable(&parts.headers)?;
    let too_large = |limit| Problem::payload_too_large(format!("the body may have at most {limit} bytes"));
    let bytes = server.bodies.read(parts, body, limit, too_large).await?.bytes;
    if !bytes.is_empty() {
        browser::check_json(&parts.headers)?;
    }
    parse(&bytes)
}

pub fn idempotency_key(parts: &Parts) -> Result<Option<String>, Problem> {
    let key = request::header(&parts.headers, &IDEMPOTENCY_KEY)?;
    key.map(|key| request::idempotency_key(key.to_owned())).transpose()
}
