//! Parsing paths, queries and headers strictly: what cannot be parsed is rejected with its position, never
//! guessed.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use warden_api::limit::IDEMPOTENCY_KEY_MAX;
use warden_api::word::Vocabulary;

use super::problem::Problem;
use super::route::Operation;
use super::server::Call;
use crate::model::item::payload;
use crate::model::{ItemId, ItemKey, StepName, Timestamp, TraceContext, WorkflowName, parse_duration, quote};
use crate::warden::WardenError;
use crate::warden::intake::Deadline;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Rejects a `%` that does not begin an escape. Decoders elsewhere would pass it through.
pub fn check_escapes(text: &str) -> Result<(), Problem> {
    let bytes = text.as_bytes();
    for (position, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let escape = bytes.get(position + 1..position + 3).unwrap_or_default();
        if escape.len() < 2 || !escape.iter().all(u8::is_ascii_hexdigit) {
            return Err(Problem::invalid(format!(
                "the % at byte {position} of {} does not begin an escape; write a percent sign as %25",
                quote(&text)
            )));
        }
    }
    Ok(())
}

/// The decoded segments of the path.
pub struct Segments<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(segments)) => Ok(Self(segments)),
            Err(rejection) => {
                Err(Problem::invalid(format!("the path cannot be read: {}", rejection.body_text())))
            }
        }
    }
}

/// What a path below a workflow names.
pub trait FromPath: Sized + Send + 'static {
    fn from_path(parts: &mut Parts) -> impl Future<Output = Result<Self, Problem>> + Send;

    fn workflow(&self) -> &WorkflowName;
}

impl FromPath for ItemKey {
    async fn from_path(parts: &mut Parts) -> Result<Self, Problem> {
        let Segments((workflow, id)) = Segments::<(String, String)>::from_request_parts(parts, &()).await?;
        let workflow = WorkflowName::new(workflow).map_err(WardenError::from)?;
        let id = ItemId::new(id).map_err(WardenError::from)?;
        Ok(Self { workflow, id })
    }

    fn workflow(&self) -> &WorkflowName {
        &self.workflow
    }
}

/// A step of an item.
pub struct StepPath {
    pub key: ItemKey,
    pub step: StepName,
}

impl FromPath for StepPath {
    async fn from_path(parts: &mut Parts) -> Result<Self, Problem> {
        let Segments((workflow, id, step)) =
            Segments::<(String, String, String)>::from_request_parts(parts, &()).await?;
        let workflow = WorkflowName::new(workflow).map_err(WardenError::from)?;
        let id = ItemId::new(id).map_err(WardenError::from)?;
        Ok(Self { key: ItemKey { workflow, id }, step: self::step(step)? })
    }

    fn workflow(&self) -> &WorkflowName {
        &self.key.workflow
    }
}

impl FromPath for WorkflowName {
    async fn from_path(parts: &mut Parts) -> Result<Self, Problem> {
        let Segments(name) = Segments::<String>::from_request_parts(parts, &()).await?;
        Ok(Self::new(name).map_err(WardenError::from)?)
    }

    fn workflow(&self) -> &WorkflowName {
        self
    }
}

/// The parameters of a query. That they are declared is checked before the handler runs.
#[derive(Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
    /// `None` outside of a request.
    operation: Option<Operation>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let operation = parts.extensions.get::<Call>().map(|call| call.operation);
        Ok(Self { operation, ..Self::parse(parts.uri.query().unwrap_or_default())? })
    }
}

impl Query {
    /// Parses `name=value` pairs joined by `&`, percent-encoded, with `+` for a space.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        check_escapes(text)?;
        let decode = |part: &str| {
            let spaced = part.replace('+', " ");
            let decoded = percent_decode(spaced.as_bytes()).decode_utf8();
            decoded.map(std::borrow::Cow::into_owned).map_err(|_| {
                Problem::invalid(format!("{} in the query is not valid UTF-8 when decoded", quote(&part)))
            })
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        Ok(Self { pairs: pairs.collect::<Result<_, Problem>>()?, operation: None })
    }

    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        match self.one(name)?.as_deref() {
            None => Ok(None),
            Some("false") => Ok(Some(false)),
            Some("true") => Ok(Some(true)),
            Some(other) => Err(Problem::invalid(format!("{name}={} must be true or false", quote(&other)))),
        }
    }

    /// All values of a repeatable parameter.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        debug_assert!(self.operation.is_none_or(|operation| operation.takes(name)), "{name} is not declared");
        self.pairs.extract_if(.., |(found, _)| found == name).map(|(_, value)| value).collect()
    }

    /// The value of a parameter that must not be repeated.
    pub fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            count => {
                Err(Problem::invalid(format!("the parameter {name} occurs {count} times; send it once")))
            }
        }
    }

    /// Rejects parameters that are not known.
    pub fn check<'a>(&self, mut known: impl Iterator<Item = &'a str> + Clone) -> Result<(), Problem> {
        let Some((name, _)) = self.pairs.iter().find(|(name, _)| !known.clone().any(|known| known == name))
        else {
            return Ok(());
        };
        let name = quote(name);
        Err(Problem::invalid(match known.next() {
            None => format!("unknown parameter {name}; this operation has none"),
            Some(first) => {
                let known = known.fold(first.to_owned(), |list, name| list + ", " + name);
                format!("unknown parameter {name}; known are: {known}")
            }
        }))
    }
}

/// Parses a deadline: a duration from now, or an RFC 3339 instant.
pub fn deadline(text: &str) -> Result<Deadline, Problem> {
    let duration = parse_duration(text).map(Deadline::In);
    duration.or_else(|_| Timestamp::parse(text).map(Deadline::At)).map_err(|_| {
        Problem::invalid(format!(
            "the deadline {} is neither a duration such as 15m or 1h 30m, at most ten years, \
            nor an RFC 3339 instant such as 2026-01-31T12:00:00Z{}",
            quote(&text),
            lost_sign(text)
        ))
    })
}

pub fn duration(name: &str, text: &str) -> Result<Duration, Problem> {
    parse_duration(text).map_err(|_| {
        Problem::invalid(format!("{name}={} is not a duration such as 15m or 1h 30m", quote(&text)))
    })
}

/// Parses an RFC 3339 instant.
pub fn instant(name: &str, text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(text).map_err(|_| {
        Problem::invalid(format!(
            "{name}={} is not an RFC 3339 instant such as 2026-01-31T12:00:00Z{}",
            quote(&text),
            lost_sign(text)
        ))
    })
}

/// What to do, if a text has a space where the offset of an instant has its sign. In a query a + is a space.
fn lost_sign(text: &str) -> &'static str {
    if text.contains(' ') { "; in a query write + as %2B" } else { "" }
}

/// Parses a word of an enumeration.
pub fn word<T: Vocabulary>(name: &str, text: &str) -> Result<T, Problem> {
    T::of_word(text).ok_or_else(|| {
        Problem::invalid(format!("{name}={} is not one of {}", quote(&text), T::WORDS.join(", ")))
    })
}

pub fn step(text: String) -> Result<StepName, Problem> {
    Ok(StepName::new(text).map_err(WardenError::from)?)
}

pub fn idempotency_key(text: String) -> Result<String, Problem> {
    if (1..=IDEMPOTENCY_KEY_MAX).contains(&text.len()) {
        return Ok(text);
    }
    Err(Problem::invalid(format!("an idempotency key must be 1 to {IDEMPOTENCY_KEY_MAX} bytes")))
}

/// Parses labels of the form `name:value`. Names must be unique.
pub fn labels(texts: Vec<String>) -> Result<BTreeMap<String, String>, Problem> {
    let mut labels = BTreeMap::new();
    for text in texts {
        let Some((name, value)) = text.split_once(':') else {
            return Err(Problem::invalid(format!(
                "the label {} is not of the form name:value",
                quote(&text)
            )));
        };
        if labels.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Problem::invalid(format!("the label {} occurs twice", quote(name))));
        }
    }
    Ok(labels)
}

/// The value of a header that must not be repeated, and must be visible ASCII.
pub fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.count()) {
        (None, _) => Ok(None),
        (Some(value), 0) => visible(name, value).map(Some),
        (Some(_), more) => {
            Err(Problem::invalid(format!("the header {name} occurs {} times; send it once", more + 1)))
        }
    }
}

fn visible<'a>(name: &HeaderName, value: &'a HeaderValue) -> Result<&'a str, Problem> {
    value.to_str().map_err(|_| Problem::invalid(format!("the header {name} must be visible ASCII")))
}

/// The content type, `application/octet-stream` by default.
pub fn content_type(headers: &HeaderMap) -> Result<&str, Problem> {
    Ok(header(headers, &CONTENT_TYPE)?.unwrap_or("application/octet-stream"))
}

/// The content codings, joined into one list: they may be spread over several headers (RFC 9110, 5.3).
pub fn content_encoding(headers: &HeaderMap) -> Result<String, Problem> {
    let values = headers.get_all(CONTENT_ENCODING).iter().map(|value| visible(&CONTENT_ENCODING, value));
    Ok(values.collect::<Result<Vec<_>, _>>()?.join(", "))
}

/// The trace context. What is malformed is ignored, and so are several parents (W3C Trace Context, 3.2).
pub fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
    // Several headers are one list.
    let states = headers.get_all(TRACESTATE).iter().map(HeaderValue::to_str);
    let state = states.collect::<Result<Vec<_>, _>>().ok().map(|states| states.join(","));
    TraceContext::read(parent.to_str().ok()?, state.as_deref())
}

/// Rejects an encoded body where the body is parsed rather than stored.
pub fn check_readable(headers: &HeaderMap) -> Result<(), Problem> {
    let codings = content_encoding(headers)?;
    if matches!(payload::content_encoding(&codings), Ok(None)) {
        return Ok(());
    }
    let detail =
        format!("the body of this request is not decoded; send it without Content-Encoding: {codings}");
    let identity = HeaderValue::from_static("identity");
    Err(Problem::unsupported_encoding(detail).with_header(ACCEPT_ENCODING, identity).hang_up())
}

/// Parses a JSON object. An array is rejected, although serde would accept its elements as fields.
pub fn object<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, Problem> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::invalid(format!("{what} must be a JSON object; it does not begin with {{")));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::invalid(format!("{what} is not the expected JSON object: {error}")))
}

/// The version in an `If-Match` (RFC 9110, 13.1.1); `None` without one, and for `*`. Anything but an ETag of
/// an item fails the precondition.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    match header(headers, &IF_MATCH)? {
        None | Some("*") => Ok(None),
        Some(tag) => {
            let tag = tag.trim();
            let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')?.parse::<u64>().ok());
            // ETags are compared as text: "+3" and "03" are not the tag "3".
            version.filter(|version| format!("\"{version}\"") == tag).map(Some).ok_or_else(|| {
                Problem::precondition_failed(format!(
                    "{} is no entity tag, which is the version in quotes",
                    quote(&tag)
                ))
            })
        }
    }
}

/// Whether an `If-None-Match` matches this ETag (RFC 9110, 13.1.2).
pub fn has_already(headers: &HeaderMap, tag: &str) -> bool {
    let conditions = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // Our tags contain no comma, so splitting a tag that does cannot yield one of ours.
    let mut tags = conditions.flat_map(|condition| condition.split(',')).map(str::trim);
    tags.any(|found| found == "*" || found.strip_prefix("W/").unwrap_or(found) == tag)
}

/// A half-open range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    pub start: u64,
    /// Exclusive.
    pub end: u64,
}

/// Parses a `Range` in bytes (RFC 9110, 14.1.2) of a payload of `size` bytes. `None` if the whole is to be
/// sent: there is no range, it has another unit or is malformed, or there are several, which a server may
/// ignore. An error if the range is outside.
pub fn byte_range(text: Option<&str>, size: u64) -> Result<Option<ByteRange>, ()> {
    let Some(range) = text.and_then(|text| text.strip_prefix("bytes=")) else { return Ok(None) };
    let Some((first, last)) = range.trim().split_once('-') else { return Ok(None) };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) || (first.is_empty() && last.is_empty()) {
        return Ok(None);
    }
    // A number too large to parse is beyond any end.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let (start, end) = if first.is_empty() {
        (size.saturating_sub(number(last)), size)
    } else if last.is_empty() {
        (number(first), size)
    } else if number(last) < number(first) {
        return Ok(None);
    } else {
        (number(first), number(last).saturating_add(1).min(size))
    };
    if start < end { Ok(Some(ByteRange { start, end })) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_specification_says() {
        let part = |start, end| Ok(Some(ByteRange { start, end }));
        for (text, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-", part(2, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-30", part(0, 10)),
            ("bytes=5-99999999999999999999", part(5, 10)),
            ("bytes=10-", Err(())),
            ("bytes=-0", Err(())),
            ("bytes=5-4", Ok(None)),
            ("bytes=0-1,3-4", Ok(None)),
            ("bytes=a-b", Ok(None)),
            ("lines=1-2", Ok(None)),
            ("bytes=-", Ok(None)),
        ] {
            assert_eq!(byte_range(Some(text), 10), expected, "{text}");
        }
        assert_eq!(byte_range(None, 10), Ok(None));
        assert_eq!(byte_range(Some("bytes=0-"), 0), Err(()));
    }

    #[test]
    fn an_entity_tag_is_taken_only_as_it_was_given_out() {
        let read = |tag: &str| {
            let headers = HeaderMap::from_iter([(IF_MATCH, axum::http::HeaderValue::from_str(tag).unwrap())]);
            if_match(&headers).map_err(|problem| problem.slug())
        };
        for (tag, version) in
            [("\"3\"", Some(3)), (" \"18446744073709551615\" ", Some(u64::MAX)), ("*", None)]
        {
            assert_eq!(read(tag), Ok(version), "{tag}");
        }
        for tag in ["\"+3\"", "\"03\"", "3", "W/\"3\"", "\"\"", "\"18446744073709551616\""] {
            assert_eq!(read(tag), Err("precondition-failed"), "{tag}");
        }
    }

    #[test]
    fn a_malformed_escape_is_refused_with_its_place() {
        for bad in ["%", "a%2", "%zz", "%%41", "%+1"] {
            assert!(check_escapes(bad).is_err(), "{bad}");
        }
        assert!(check_escapes("a%2Fb%25").is_ok());
    }

    #[test]
    fn a_query_gives_its_parameters_and_refuses_the_rest() {
        let mut query = Query::parse("label=a:b&label=c%3Ad&step=copy+now&x").ok().unwrap();
        assert_eq!(query.all("label"), ["a:b", "c:d"]);
        assert_eq!(query.one("step").ok().unwrap().as_deref(), Some("copy now"));
        assert!(query.check(["label", "step"].into_iter()).is_err());
        assert!(query.check(["label", "step", "x"].into_iter()).is_ok());
        assert!(Query::parse("a=%ff").is_err());
    }
}
