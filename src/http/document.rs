//! What a write says besides its path: a JSON document, and perhaps a key by which a repetition is known.

use axum::body::Body;
use axum::http::HeaderName;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use warden_api::limit::DOCUMENT_MAX;

use super::problem::Problem;
use super::{Server, browser, request};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Reads a JSON document, whatever its content type says unless a browser sent it: simple clients say something else, and what
/// is no JSON is refused as such.
///
/// # Errors
/// When it does not arrive, is too large, or is not the object expected.
pub async fn document<T: DeserializeOwned>(server: &Server, parts: &Parts, body: Body) -> Result<T, Problem> {
    read(server, parts, body, |bytes| request::object("the body", bytes)).await
}

/// The same where no body at all stands for an empty document.
///
/// # Errors
/// As with [`document`].
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
    request::check_readable(&parts.headers)?;
    let too_large = |limit| Problem::payload_too_large(format!("this document is at most {limit} bytes"));
    let bytes = server.bodies.read(parts, body, DOCUMENT_MAX, too_large).await?.bytes;
    if !bytes.is_empty() {
        browser::check_json(&parts.headers)?;
    }
    parse(&bytes)
}

/// The key under which a repetition of the request is known.
///
/// # Errors
/// When it is too long, or no text.
pub fn idempotency_key(parts: &Parts) -> Result<Option<String>, Problem> {
    let key = request::header(&parts.headers, &IDEMPOTENCY_KEY)?;
    key.map(|key| request::idempotency_key(key.to_owned())).transpose()
}
