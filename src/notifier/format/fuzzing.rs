//! Fuzz checks of templates and of stored notifications. See [`crate::fuzzing`].

use std::str::from_utf8;

use reqwest::Method;
use reqwest::header::HeaderName;
use serde::Serialize;

use super::{Asked, Format, Stored, Template, sample};
use crate::model::{DeliveryId, EventSet, ItemNotification, Notification, Timestamp};

/// The most that a template can render: 64 bytes for each step, and the piece that exceeded the limit.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// A template of the body and, after a NUL byte, one of a header: it is refused with a message, or renders
/// every sample within bounds. And all of it as a stored notification.
pub fn templates(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    stored(text);
    let (body, header) = text.split_once('\0').map_or((text, None), |(body, header)| (body, Some(header)));
    let headers = header.map(|text| (HeaderName::from_static("x-note"), text.to_owned()));
    let asked = Asked { incidents: true, events: EventSet::of_items() };
    match Template::new(Method::POST, body.to_owned(), headers.into_iter().collect(), asked) {
        Ok(template) => {
            let format = Format::Template(template.into());
            let incidents = sample::notifications().map(|notification| write(&notification));
            let items = sample::of_items(asked).map(|notification| write(&notification));
            for written in incidents.chain(items) {
                let id = DeliveryId("dlv_sample".into());
                let render = || format.render(&written, &id, Timestamp::from_millis(0));
                let rendered = render().expect("it could write this when it was tried");
                assert!(rendered.body.len() <= BODY_MAX, "{} bytes", rendered.body.len());
                assert_eq!(render().as_ref(), Ok(&rendered), "every attempt has the same body");
            }
        }
        Err(errors) => {
            assert!((1..=2).contains(&errors.len()), "one for each part at most");
            assert!(errors.iter().all(|error| !error.message.is_empty()));
        }
    }
}

fn write<S: Serialize>(notification: &Notification<S>) -> String {
    serde_json::to_string(notification).expect("a notification can be written")
}

/// Reads it again as it was, and sends it in every format that takes it.
fn stored(text: &str) {
    let (event, is_incident) = match super::read(text) {
        Ok(Stored::Incident(notification)) => {
            let again = serde_json::from_str::<Notification>(&write(&notification));
            assert_eq!(again.ok(), Some(*notification.clone()));
            (notification.event, true)
        }
        Ok(Stored::Item(notification)) => {
            let again = serde_json::from_str::<ItemNotification>(&write(&notification));
            assert_eq!(again.ok(), Some(*notification.clone()));
            (notification.event, false)
        }
        Err(_) => return,
    };
    let key = "0123456789abcdef0123456789abcdef".parse().expect("32 digits are a key");
    let resend = std::time::Duration::from_secs(60);
    for (format, takes_incidents, takes_items) in [
        (Format::Standard, true, true),
        (Format::Alertmanager { resend }, true, false),
        (Format::PagerDuty { routing_key: key }, true, false),
        (Format::Slack, true, true),
        (Format::CloudEvents, true, true),
        (Format::OpenLineage { namespace: "n".into() }, false, true),
    ] {
        let id = DeliveryId("dlv_stored".into());
        let is_taken = if is_incident { takes_incidents } else { takes_items };
        match format.render(text, &id, Timestamp::from_millis(0)) {
            Ok(rendered) => {
                assert!(is_taken, "{} has something for {event}", format.word());
                let document = serde_json::from_slice::<serde_json::Value>(&rendered.body);
                assert!(document.is_ok(), "{}", format.word());
            }
            Err(error) => assert!(!is_taken, "{}: {error}", format.word()),
        }
    }
}
