//! HTTP/1 framing checks of RFC 9112 that hyper leaves to its users. The connection is closed after a
//! rejection, since the following bytes could be a body.

use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Version};

use crate::http::problem::Problem;

/// Rejects a request with invalid or unsupported framing.
pub fn check(request: &Request) -> Result<(), Problem> {
    if request.method() == Method::CONNECT {
        return Err(Problem::not_implemented("CONNECT is not supported: the warden is not a proxy"));
    }
    let (version, headers) = (request.version(), request.headers());
    if version > Version::HTTP_11 {
        return Ok(());
    }
    check_host(version, headers)?;
    check_codings(headers)?;
    // In HTTP/1.0 a missing length is ambiguous: no body, or a body until the end of the connection.
    let has_content = matches!(*request.method(), Method::PUT | Method::POST | Method::PATCH);
    if version < Version::HTTP_11 && has_content && !headers.contains_key(CONTENT_LENGTH) {
        let detail = "in HTTP/1.0 a body must have a Content-Length; send 0 without a body";
        return Err(Problem::length_required(detail));
    }
    Ok(())
}

/// RFC 9112, 3.2.
fn check_host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version < Version::HTTP_11 => Ok(()),
        (Some(host), None) => match Authority::try_from(host.as_bytes()) {
            Ok(authority) if is_name_and_port(&authority) => Ok(()),
            _ => Err(Problem::invalid("the header Host must be a name or address with an optional port")),
        },
        _ => Err(Problem::invalid("a request in HTTP/1.1 must have the header Host exactly once")),
    }
}

fn is_name_and_port(authority: &Authority) -> bool {
    let text = authority.as_str();
    !text.contains('@') && (text.len() == authority.host().len() || authority.port().is_some())
}

/// RFC 9112, 6.1. hyper ensures that `chunked` comes last.
fn check_codings(headers: &HeaderMap) -> Result<(), Problem> {
    let values = headers.get_all(TRANSFER_ENCODING).iter();
    let text = values.map(|value| value.to_str().unwrap_or("?")).collect::<Vec<_>>().join(",");
    let codings: Vec<_> = text.split(',').map(str::trim).filter(|coding| !coding.is_empty()).collect();
    let chunked = codings.iter().filter(|coding| coding.eq_ignore_ascii_case("chunked")).count();
    if chunked > 1 {
        return Err(Problem::invalid("Transfer-Encoding: chunked must occur only once"));
    }
    if codings.len() > chunked {
        let detail = "the only supported Transfer-Encoding is chunked; use Content-Encoding for \
                      content that is stored as sent";
        return Err(Problem::not_implemented(detail));
    }
    Ok(())
}
