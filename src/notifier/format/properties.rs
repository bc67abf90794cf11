//! Every notification can be rendered in every format, and the result is well-formed.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use reqwest::header::HeaderName;
use serde_json::Value;

use super::fixture::*;
use super::*;
use crate::model::{Sample, Severity};

/// Text as clients choose it, with many pieces that have a meaning in some format.
fn text(characters: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![Just("<!here>".to_owned()), Just("&amp;{{ x }}".to_owned()), "\\PC{0,12}"];
    // Repeated, because long random texts are slow to generate.
    (vec(piece, 0..4), 0..=characters / 20).prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

fn names<T: std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = BTreeMap<Arc<str>, T>> {
    btree_map("[A-Za-z0-9._/-]{1,20}".prop_map(Arc::from), value, 0..6)
}

fn notifications() -> impl Strategy<Value = Notification> {
    let event = proptest::sample::select(vec![
        Event::Opened,
        Event::Grown,
        Event::Reminder,
        Event::Escalated,
        Event::Acknowledged,
        Event::Resolved,
        Event::Test,
    ]);
    let severity = proptest::sample::select(vec![Severity::Info, Severity::Warning, Severity::Critical]);
    let item = (text(300), text(100)).prop_map(|(id, step)| Sample {
        url: format!("https://warden.example.com/v1/workflows/uploads/items/{}", id.len()),
        payload_url: String::new(),
        deadline: OPENED_AT,
        step: Some(step),
        id,
    });
    let texts = (text(5000), text(3000));
    let rest = (names(text(200).prop_map(Arc::from)), names(any::<u64>()), vec(item, 0..21), any::<u32>());
    (event, severity, texts, rest).prop_map(
        |(event, severity, (summary, by), (group, by_step, items, more))| {
            let mut notification = told(event);
            let data = &mut notification.data;
            (data.severity, data.summary, data.acknowledged_by) = (severity, summary, Some(by.into()));
            (data.group, data.by_step, data.items, data.truncated) = (group, by_step, items, more.into());
            notification
        },
    )
}

static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let headers = vec![(HeaderName::from_static("x-event"), "{{ type }}".to_owned())];
    let body = r#"{"all": {{ data | tojson }}, "of": {{ delivery | tojson }}}"#;
    let template = Template::new(Method::POST, body.to_owned(), headers, Asked::INCIDENTS).unwrap();
    vec![
        Format::Standard,
        Format::Alertmanager { resend: Duration::from_secs(60) },
        Format::PagerDuty { routing_key: "abc".parse().unwrap() },
        Format::Slack,
        Format::CloudEvents,
        Format::Template(Arc::new(template)),
    ]
});

/// Pieces of templates in random order.
const TEMPLATE: &str =
    "(\\{\\{|\\}\\}|\\{%|%\\}|data|type| |\\||tojson|if|for x in|end(if|for)|[0-9]+|[^\\n]){0,20}";

proptest! {
    // Generating a large notification takes longer than rendering it.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_form_of_every_notification_is_json_and_always_the_same(notification in notifications()) {
        for format in FORMATS.iter() {
            let rendered = rendered(format, &notification);
            prop_assert_eq!(&rendered, &super::fixture::rendered(format, &notification));
            let document: Result<Value, _> = serde_json::from_slice(&rendered.body);
            prop_assert!(document.is_ok(), "{}: {document:?}", format.word());
        }
    }

    #[test]
    fn what_slack_is_sent_is_within_its_limits_and_mentions_nobody(notification in notifications()) {
        let document = document(&Format::Slack, &notification);
        for text in texts(&document) {
            prop_assert!(text.chars().count() <= 3000);
            let mut tags = text.match_indices('<').map(|(at, _)| &text[at..]);
            prop_assert!(tags.all(|tag| tag.starts_with("<https://")), "{text}");
        }
        for field in document["attachments"][0]["blocks"][0]["fields"].as_array().unwrap() {
            prop_assert!(field["text"].as_str().unwrap().chars().count() <= 2000);
        }
    }

    #[test]
    fn what_pagerduty_is_sent_has_a_summary_that_it_takes(notification in notifications()) {
        let document = document(&Format::PagerDuty { routing_key: "abc".parse().unwrap() }, &notification);
        let summary = document["payload"]["summary"].as_str().unwrap_or_default();
        prop_assert!(summary.chars().count() <= 1024);
    }

    #[test]
    fn what_alertmanager_is_sent_has_a_label_for_each_of_the_group(notification in notifications()) {
        let document = document(&Format::Alertmanager { resend: Duration::from_secs(60) }, &notification);
        let labels = document[0]["labels"].as_object().unwrap();
        let full = notification.data.group.values().filter(|value| !value.is_empty()).count();
        prop_assert_eq!(labels.len(), 5 + full);
        for name in labels.keys() {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name}");
        }
    }

    #[test]
    fn no_template_makes_it_panic(body in TEMPLATE) {
        if let Err(errors) = Template::new(Method::POST, body, Vec::new(), Asked::INCIDENTS) {
            prop_assert_eq!(errors.len(), 1);
        }
    }
}

#[test]
fn what_the_first_version_stored_can_be_written_in_every_form() {
    let mut stored = serde_json::to_value(opened()).unwrap();
    let data = stored["data"].as_object_mut().unwrap();
    for later in ["group", "growth", "acknowledged_by", "became", "continued_in"] {
        data.remove(later);
    }
    for format in FORMATS.iter() {
        let rendered = format.render(&stored.to_string(), &DeliveryId("dlv_1".into()), TOLD_AT);
        assert!(rendered.is_ok(), "{}: {rendered:?}", format.word());
    }
}
