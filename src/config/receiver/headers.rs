//! The headers of a receiver that are configured.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::form::ReceiverFormat;
use crate::config::checks::Checks;
use crate::config::path::SettingPath;
use crate::config::secret::Secret;

/// Headers that HTTP needs, or that the warden sets.
const TAKEN: [&str; 12] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// The prefix of the headers of Standard Webhooks, which the warden sets as well.
const WEBHOOK: &str = "webhook-";

pub(super) struct Headers {
    /// Constant headers, marked as sensitive.
    pub fixed: HeaderMap,
    /// Headers with templates.
    pub written: Vec<(HeaderName, String)>,
}

/// Checks the headers. In the template format all of them are templates, except for references: those are
/// secrets and taken literally.
pub(super) fn resolve(
    checks: &mut Checks<'_>,
    path: &SettingPath,
    headers: &BTreeMap<String, Secret>,
    format: ReceiverFormat,
) -> Headers {
    let mut resolved = Headers { fixed: HeaderMap::new(), written: Vec::new() };
    let mut seen: Vec<HeaderName> = Vec::new();
    for (written, value) in headers {
        let path = path.key(written);
        let Some(name) = name(checks, &path, written, format) else { continue };
        if seen.contains(&name) {
            checks.problem(&path, format!("names the header {name} a second time"));
            continue;
        }
        seen.push(name.clone());
        if format == ReceiverFormat::Template && !value.is_reference() {
            // Resolving a text that is no reference cannot fail.
            resolved.written.extend(value.text(checks.environment(), 0).ok().map(|text| (name, text)));
        } else {
            match value.parse(checks.environment(), "header value", header_value) {
                Ok(value) => {
                    resolved.fixed.insert(name, value);
                }
                Err(message) => checks.problem(&path, message),
            }
        }
    }
    resolved
}

fn name(
    checks: &mut Checks<'_>,
    path: &SettingPath,
    written: &str,
    format: ReceiverFormat,
) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(written.as_bytes()) else {
        checks.problem(path, format!("{written:?} is no name of a header"));
        return None;
    };
    let text = name.as_str();
    let is_content_type_of_a_template = text == "content-type" && format == ReceiverFormat::Template;
    if (TAKEN.contains(&text) || text.starts_with(WEBHOOK)) && !is_content_type_of_a_template {
        checks.problem(path, format!("the header {text} is set by the warden itself"));
        return None;
    }
    Some(name)
}

fn header_value(text: &str) -> Result<HeaderValue, &'static str> {
    let value = HeaderValue::from_bytes(text.as_bytes());
    let mut value = value.map_err(|_| "it holds a line break or another control character")?;
    value.set_sensitive(true);
    Ok(value)
}
