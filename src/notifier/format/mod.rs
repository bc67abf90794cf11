//! The forms in which receivers take notifications, all of them made from the `standard` one.
//!
//! Invariants:
//!
//! * What is sent is a function of the notification as it is stored, the delivery's id and the present instant. Only what
//!   Alertmanager is sent depends on that instant; in any other form every attempt has the same body.
//! * The `standard` form is what is stored, byte for byte.
//! * What clients of the warden have chosen (the names of items, steps and labels) is data in every form: it is escaped
//!   where the form has a syntax of its own, and cut where the form has limits.
//!
//! Deliberately absent: where it is sent and what signs it, and any judgement of the answer.

mod alertmanager;
mod cloudevents;
#[cfg(test)]
mod fixture;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod pagerduty;
#[cfg(test)]
mod properties;
mod sample;
mod slack;
mod standard;
mod template;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

pub use alertmanager::endpoint as alertmanager_endpoint;
pub use pagerduty::{ENQUEUE as PAGERDUTY_ENQUEUE, RoutingKey, RoutingKeyError};
pub use template::{Part, Template, TemplateError};

use crate::model::{DeliveryId, Event, Notification, Timestamp};

/// The form of the notifications to a receiver, with what is particular to it.
#[derive(Clone, Debug)]
pub enum Format {
    /// That of Standard Webhooks.
    Standard,
    /// That of Prometheus Alertmanager's API, version 2.
    Alertmanager {
        /// How often an open incident is told again. An alert holds for four times as long.
        resend: Duration,
    },
    /// That of PagerDuty's Events API, version 2.
    PagerDuty {
        /// Which service is alerted.
        routing_key: RoutingKey,
    },
    /// That of Slack's incoming webhooks.
    Slack,
    /// That of CloudEvents 1.0, structured.
    CloudEvents,
    /// What a template makes of it.
    Template(Arc<Template>),
}

/// A notification in the form in which it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// How it is sent.
    pub method: Method,
    /// The headers that belong to the form.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why a notification cannot be written in a form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// What is stored is no notification.
    #[error("what is stored of it cannot be read: {0}")]
    Stored(String),
    /// The template does not fit it.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl Format {
    /// Its name in the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Alertmanager { .. } => "alertmanager",
            Self::PagerDuty { .. } => "pagerduty",
            Self::Slack => "slack",
            Self::CloudEvents => "cloudevents",
            Self::Template(_) => "template",
        }
    }

    /// Whether it has a word for events of this kind. That somebody looks after an incident matters only to a receiver
    /// that would wake people on its own account.
    pub const fn takes(&self, event: Event) -> bool {
        matches!(self, Self::PagerDuty { .. }) || !matches!(event, Event::Acknowledged)
    }

    /// How often an open incident has to be told again, if it has to.
    pub const fn resend(&self) -> Option<Duration> {
        match self {
            Self::Alertmanager { resend } => Some(*resend),
            _ => None,
        }
    }

    /// Whether notifications carry the headers of Standard Webhooks, and may be signed.
    pub const fn is_webhook(&self) -> bool {
        matches!(self, Self::Standard | Self::CloudEvents | Self::Template(_))
    }

    /// Makes what is sent of a notification as it is stored (`stored`). `now` is that of the wall clock.
    ///
    /// # Errors
    ///
    /// What is stored cannot be read, or the receiver's template does not fit it.
    pub fn render(&self, stored: &str, id: &DeliveryId, now: Timestamp) -> Result<Rendered, FormatError> {
        Ok(match self {
            Self::Standard => standard::render(stored),
            Self::Alertmanager { resend } => alertmanager::render(&read(stored)?, *resend, now),
            Self::PagerDuty { routing_key } => pagerduty::render(&read(stored)?, routing_key, id),
            Self::Slack => slack::render(&read(stored)?),
            Self::CloudEvents => cloudevents::render(&read(stored)?, id),
            Self::Template(template) => template.render(&read(stored)?, id)?,
        })
    }
}

fn read(stored: &str) -> Result<Notification, FormatError> {
    serde_json::from_str(stored).map_err(|error| FormatError::Stored(error.to_string()))
}

/// A JSON document that is posted.
fn post(content_type: &'static str, document: &serde_json::Value) -> Rendered {
    Rendered {
        method: Method::POST,
        headers: content_type_of(content_type),
        body: document.to_string().into(),
    }
}

fn content_type_of(content_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
}

/// What the links in a notification begin with: the daemon's address when it was written. Taken from there and not from
/// the configuration, so that a later attempt says the same.
fn base_url(notification: &Notification) -> &str {
    let url = &notification.data.url;
    url.rsplit_once("/v1/").map_or(url, |(base, _)| base)
}

/// A text in at most so many characters.
fn cut(text: &str, characters: usize) -> Cow<'_, str> {
    if text.chars().nth(characters).is_none() {
        return text.into();
    }
    text.chars().take(characters.saturating_sub(1)).chain(['…']).collect::<String>().into()
}

/// What became of the items, in one line: `closed: 3, failed: 20`; empty where that is not known or nothing.
fn became(notification: &Notification) -> String {
    let became = notification.data.became.unwrap_or_default();
    became.words().map(|(word, count)| format!("{word}: {count}")).collect::<Vec<_>>().join(", ")
}

/// The items by step, in one line: `copy: 3, backup: 1, no step: 2`.
fn steps(notification: &Notification) -> String {
    let named = |(step, count): (&Arc<str>, &u64)| match &**step {
        "" => format!("no step: {count}"),
        step => format!("{step}: {count}"),
    };
    notification.data.by_step.iter().map(named).collect::<Vec<_>>().join(", ")
}
