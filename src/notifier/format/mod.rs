//! The formats of notifications, all rendered from the `standard` one.
//!
//! Invariants:
//!
//! * The output is a function of the stored notification, the delivery's id and the present instant. Only
//!   Alertmanager's depends on the instant; in every other format all attempts have the same body.
//! * The `standard` format is the stored text, byte for byte.
//! * Names chosen by clients (items, steps, labels) are data in every format: escaped where the format has a
//!   syntax, and cut where it has limits.
//!
//! Deliberately absent: the destination, the signature, and any judgement of the response.

mod alertmanager;
mod cloudevents;
#[cfg(test)]
mod fixture;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod openlineage;
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
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

pub use alertmanager::endpoint as alertmanager_endpoint;
pub use openlineage::{NAMESPACE_RULE, is_namespace};
pub use pagerduty::{ENQUEUE as PAGERDUTY_ENQUEUE, RoutingKey, RoutingKeyError};
pub use template::{Part, Template, TemplateError};

use warden_api::word::ReceiverFormat;

use crate::model::{DeliveryId, Event, EventSet, ItemNotification, Notification, Timestamp};

/// The format of a receiver's notifications, with its options.
#[derive(Clone, Debug)]
pub enum Format {
    /// Standard Webhooks.
    Standard,
    /// The Alertmanager API, version 2.
    Alertmanager {
        /// How often an open incident is sent again. An alert expires after four times as long.
        resend: Duration,
    },
    /// The PagerDuty Events API, version 2.
    PagerDuty {
        /// Selects the service that is alerted.
        routing_key: RoutingKey,
    },
    /// Slack's incoming webhooks.
    Slack,
    /// CloudEvents 1.0, structured.
    CloudEvents,
    /// OpenLineage 2-0-2.
    OpenLineage {
        /// Of jobs, and of datasets that are no URIs.
        namespace: Arc<str>,
    },
    /// The operator's own template.
    Template(Arc<Template>),
}

/// What a receiver asks to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub incidents: bool,
    /// Events of items.
    pub events: EventSet,
}

impl Asked {
    /// What receivers ask for that say nothing.
    pub const INCIDENTS: Self = Self { incidents: true, events: EventSet::NONE };
}

/// A format as far as its word determines it, and what its settings have to add.
#[derive(Clone, Debug)]
pub enum Options {
    /// Nothing.
    Complete(Format),
    Resend,
    RoutingKey,
    Namespace,
    Template,
}

impl Options {
    pub const fn of(word: ReceiverFormat) -> Self {
        match word {
            ReceiverFormat::Standard => Self::Complete(Format::Standard),
            ReceiverFormat::Slack => Self::Complete(Format::Slack),
            ReceiverFormat::CloudEvents => Self::Complete(Format::CloudEvents),
            ReceiverFormat::Alertmanager => Self::Resend,
            ReceiverFormat::PagerDuty => Self::RoutingKey,
            ReceiverFormat::OpenLineage => Self::Namespace,
            ReceiverFormat::Template => Self::Template,
        }
    }
}

/// A notification as an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub method: Method,
    /// The headers of the format; configured ones and the signature come on top.
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The stored text is no notification.
    #[error("the stored notification cannot be read: {0}")]
    Stored(String),
    /// The format has nothing for notifications of this kind. The receiver's settings were changed while it
    /// waited.
    #[error("the format {} does not take {}", .0.as_str(), .1.as_str())]
    Unsuitable(ReceiverFormat, Event),
    /// The template cannot render it.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl Format {
    /// The word for it.
    pub const fn word(&self) -> ReceiverFormat {
        match self {
            Self::Standard => ReceiverFormat::Standard,
            Self::Alertmanager { .. } => ReceiverFormat::Alertmanager,
            Self::PagerDuty { .. } => ReceiverFormat::PagerDuty,
            Self::Slack => ReceiverFormat::Slack,
            Self::CloudEvents => ReceiverFormat::CloudEvents,
            Self::OpenLineage { .. } => ReceiverFormat::OpenLineage,
            Self::Template(_) => ReceiverFormat::Template,
        }
    }

    /// Whether events of this kind are sent. An acknowledgement matters only to a receiver that notifies
    /// people on its own.
    pub const fn takes(&self, event: Event) -> bool {
        matches!(self, Self::PagerDuty { .. }) || !matches!(event, Event::Acknowledged)
    }

    /// The interval at which an open incident has to be sent again, if it has to.
    pub const fn resend(&self) -> Option<Duration> {
        match self {
            Self::Alertmanager { resend } => Some(*resend),
            _ => None,
        }
    }

    /// Whether requests have the headers of Standard Webhooks, and may be signed.
    pub const fn is_webhook(&self) -> bool {
        matches!(self, Self::Standard | Self::CloudEvents | Self::Template(_))
    }

    /// Renders a stored notification. `now` is the time of the wall clock.
    ///
    /// # Errors
    /// The stored text cannot be read, or the template cannot render it.
    pub fn render(&self, stored: &str, id: &DeliveryId, now: Timestamp) -> Result<Rendered, FormatError> {
        Ok(match self {
            Self::Standard => standard::render(stored),
            Self::Alertmanager { resend } => alertmanager::render(&self.read_incident(stored)?, *resend, now),
            Self::PagerDuty { routing_key } => {
                pagerduty::render(&self.read_incident(stored)?, routing_key, id)
            }
            Self::Slack => match read(stored)? {
                Stored::Incident(notification) => slack::render(&notification),
                Stored::Item(notification) => slack::render_item(&notification),
            },
            Self::CloudEvents => match read(stored)? {
                Stored::Incident(notification) => cloudevents::render(&*notification, id),
                Stored::Item(notification) => cloudevents::render(&*notification, id),
            },
            Self::OpenLineage { namespace } => match read(stored)? {
                Stored::Incident(notification) => return Err(self.unsuitable(notification.event)),
                Stored::Item(notification) => openlineage::render(&notification, namespace),
            },
            Self::Template(template) => match read(stored)? {
                Stored::Incident(notification) => template.render(&*notification, id)?,
                Stored::Item(notification) => template.render(&*notification, id)?,
            },
        })
    }

    fn read_incident(&self, stored: &str) -> Result<Notification, FormatError> {
        match read(stored)? {
            Stored::Incident(notification) => Ok(*notification),
            Stored::Item(notification) => Err(self.unsuitable(notification.event)),
        }
    }

    fn unsuitable(&self, event: Event) -> FormatError {
        FormatError::Unsuitable(self.word(), event)
    }
}

/// A stored notification.
enum Stored {
    Incident(Box<Notification>),
    Item(Box<ItemNotification>),
}

fn read(stored: &str) -> Result<Stored, FormatError> {
    /// What tells the two apart: only incidents have a kind.
    #[derive(Deserialize)]
    struct Head {
        data: Kind,
    }

    #[derive(Deserialize)]
    struct Kind {
        kind: Option<IgnoredAny>,
    }

    let head: Head = parse(stored)?;
    Ok(match head.data.kind {
        Some(IgnoredAny) => Stored::Incident(Box::new(parse(stored)?)),
        None => Stored::Item(Box::new(parse(stored)?)),
    })
}

fn parse<T: DeserializeOwned>(stored: &str) -> Result<T, FormatError> {
    serde_json::from_str(stored).map_err(|error| FormatError::Stored(error.to_string()))
}

/// A JSON document to be posted.
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

/// The base URL of a link in a notification: the daemon's address when it was written. Not read from the
/// configuration, so that later attempts have the same content.
fn base_url(url: &str) -> &str {
    url.rsplit_once("/v1/").map_or(url, |(base, _)| base)
}

/// Cuts a text to at most this many characters, with an ellipsis.
fn cut(text: &str, characters: usize) -> Cow<'_, str> {
    if text.chars().nth(characters).is_none() {
        return text.into();
    }
    text.chars().take(characters.saturating_sub(1)).chain(['…']).collect::<String>().into()
}

/// The outcomes of the items in one line: `closed: 3, failed: 20`; empty if unknown or none.
fn outcomes(notification: &Notification) -> String {
    let outcomes = notification.data.outcomes.unwrap_or_default();
    outcomes.words().map(|(word, count)| format!("{word}: {count}")).collect::<Vec<_>>().join(", ")
}

/// The items by step in one line: `copy: 3, backup: 1, no step: 2`.
fn steps(notification: &Notification) -> String {
    let named = |(step, count): (&Arc<str>, &u64)| match &**step {
        "" => format!("no step: {count}"),
        step => format!("{step}: {count}"),
    };
    notification.data.by_step.iter().map(named).collect::<Vec<_>>().join(", ")
}
