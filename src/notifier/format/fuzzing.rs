//! Fuzz checks of templates and of stored notifications. See [`crate::fuzzing`].

use std::str::from_utf8;

use reqwest::Method;
use reqwest::header::HeaderName;

use super::{Format, Template, sample};
use crate::model::{DeliveryId, Notification, Timestamp};

/// The most that a template can render: 64 bytes for each step, and the piece that exceeded the limit.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// A template of the body and, after a NUL byte, one of a header: it is refused with a message, or renders
/// every sample within bounds. And all of it as a stored notification.
pub fn templates(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    stored(text);
    let (body, header) = text.split_once('\0').map_or((text, None), |(body, header)| (body, Some(header)));
    let headers = header.map(|text| (HeaderName::from_static("x-note"), text.to_owned()));
    match Template::new(Method::POST, body.to_owned(), headers.into_iter().collect()) {
        Ok(template) => {
            let format = Format::Template(template.into());
            for notification in sample::notifications() {
                let written = serde_json::to_string(&notification).expect("a notification can be written");
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

fn stored(text: &str) {
    let Ok(notification) = serde_json::from_str::<Notification>(text) else { return };
    let again = serde_json::to_string(&notification).expect("a notification can be written");
    assert_eq!(serde_json::from_str::<Notification>(&again).ok(), Some(notification));
    let key = "0123456789abcdef0123456789abcdef".parse().expect("32 digits are a key");
    let resend = std::time::Duration::from_secs(60);
    for format in [
        Format::Standard,
        Format::Alertmanager { resend },
        Format::PagerDuty { routing_key: key },
        Format::Slack,
        Format::CloudEvents,
    ] {
        let id = DeliveryId("dlv_stored".into());
        let rendered = format.render(text, &id, Timestamp::from_millis(0));
        let rendered = rendered.expect("what can be read can be sent");
        assert!(serde_json::from_slice::<serde_json::Value>(&rendered.body).is_ok(), "{}", format.word());
    }
}
