//! How a request is framed: what of RFC 9112 hyper leaves to its users. After a refusal here the connection
//! ends, since what follows cannot be told from a body.

use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Version};

use super::problem::Problem;

/// Refuses a request that is not framed as its version of the protocol demands, or in a way that is not
/// spoken here.
///
/// # Errors
/// When it is so.
pub fn check(request: &Request) -> Result<(), Problem> {
    if request.method() == Method::CONNECT {
        return Err(Problem::not_implemented("the warden is no proxy: there is no CONNECT"));
    }
    let (version, headers) = (request.version(), request.headers());
    if version > Version::HTTP_11 {
        return Ok(());
    }
    check_host(version, headers)?;
    check_codings(headers)?;
    // In HTTP/1.0 no length may mean a body up to the end of the connection, or none.
    let has_content = matches!(*request.method(), Method::PUT | Method::POST | Method::PATCH);
    if version < Version::HTTP_11 && has_content && !headers.contains_key(CONTENT_LENGTH) {
        let detail = "in HTTP/1.0 a body has a Content-Length, and no body has the length 0";
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
            _ => Err(Problem::invalid("the header Host is no name or address with perhaps a port")),
        },
        _ => Err(Problem::invalid("a request in HTTP/1.1 has the header Host, once")),
    }
}

fn is_name_and_port(authority: &Authority) -> bool {
    let text = authority.as_str();
    !text.contains('@') && (text.len() == authority.host().len() || authority.port().is_some())
}

/// RFC 9112, 6.1. That `chunked` comes last has been seen to.
fn check_codings(headers: &HeaderMap) -> Result<(), Problem> {
    let values = headers.get_all(TRANSFER_ENCODING).iter();
    let text = values.map(|value| value.to_str().unwrap_or("?")).collect::<Vec<_>>().join(",");
    let codings: Vec<_> = text.split(',').map(str::trim).filter(|coding| !coding.is_empty()).collect();
    let chunked = codings.iter().filter(|coding| coding.eq_ignore_ascii_case("chunked")).count();
    if chunked > 1 {
        return Err(Problem::invalid("Transfer-Encoding: chunked stands more than once"));
    }
    if codings.len() > chunked {
        let detail = "the only Transfer-Encoding that is understood is chunked; say Content-Encoding for \
                      what is stored as it is sent";
        return Err(Problem::not_implemented(detail));
    }
    Ok(())
}
