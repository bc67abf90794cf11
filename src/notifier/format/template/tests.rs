//! What templates see, what they cannot do, and how their errors are reported.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::fixture::*;
use super::*;
use crate::model::Timestamp;
use crate::notifier::Format;
use crate::notifier::format::{Asked, FormatError};

fn template(body: &str, headers: &[(&'static str, &str)]) -> Result<Format, Vec<String>> {
    let headers =
        headers.iter().map(|(name, text)| (HeaderName::from_static(name), (*text).to_owned())).collect();
    match Template::new(Method::PUT, body.to_owned(), headers, Asked::INCIDENTS) {
        Ok(template) => Ok(Format::Template(Arc::new(template))),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

fn body(text: &str, notification: &Notification) -> String {
    let format = template(text, &[]).unwrap_or_else(|errors| panic!("{errors:?}"));
    String::from_utf8(rendered(&format, notification).body.into()).unwrap()
}

#[test]
fn a_template_sees_the_standard_notification_and_the_delivery() {
    let text = "{{ type }} {{ timestamp }} {{ delivery }} {{ data.id }} {{ data.count }} \
                {{ data.by_step.backup }} \
                {%- for item in data['items'] %} {{ item.id }}@{{ item.step }}{% endfor %}";
    // Not every sample has that step.
    let text = text.replace("data.by_step.backup", "data.by_step.backup | default(0)");
    assert_eq!(
        body(&text, &opened()),
        "incident.opened 2026-01-01T00:14:00.000Z dlv_1 inc_1 3 2 file-1@backup"
    );
    assert_eq!(body(&text, &resolved()), "incident.resolved 2026-01-01T01:00:00.000Z dlv_1 inc_1 0 0");
    let whole: Value = serde_json::from_str(&body("{{ data | tojson }}", &hostile())).unwrap();
    assert_eq!(whole, serde_json::to_value(hostile()).unwrap()["data"]);
}

#[test]
fn what_clients_have_chosen_is_data_and_tojson_makes_it_json() {
    let text = r#"{"first": {{ data.summary | tojson }}, "plain": "x"}"#;
    let written: Value = serde_json::from_str(&body(text, &hostile())).unwrap();
    assert_eq!(written, json!({ "first": hostile().data.summary, "plain": "x" }));
    assert_eq!(body("{{ data.summary }}", &hostile()), hostile().data.summary);
}

#[test]
fn the_method_and_the_headers_are_those_of_the_template() {
    let headers =
        [("x-event", "{{ type }}"), ("content-type", "text/plain"), ("x-group", "{{ data.group | tojson }}")];
    let format = template("{{ data.summary }}", &headers).unwrap();
    let rendered = rendered(&format, &opened());
    assert_eq!(rendered.method, Method::PUT);
    assert_eq!(rendered.headers["x-event"], "incident.opened");
    assert_eq!(rendered.headers["content-type"], "text/plain");
    assert_eq!(rendered.headers["x-group"], r#"{"region": "eu"}"#);
    let format = template("{}", &[]).unwrap();
    assert_eq!(
        super::super::fixture::rendered(&format, &opened()).headers["content-type"],
        "application/json"
    );
}

#[test]
fn a_template_that_is_wrong_names_its_part_its_line_and_what_it_cannot_find() {
    let cases = [
        ("a\n{{ data.", "the template of the body, line 2: syntax error: unexpected end of input"),
        ("a\nb\n{% if x %}", "the template of the body, line 3: syntax error: "),
        ("{% include 'x' %}", "the template of the body, line 1: syntax error: unknown statement include"),
        (
            "\n\n{{ data.sumary }}",
            "the template of the body, line 3, cannot write incident.opened: undefined value: `data.sumary` \
             is undefined",
        ),
        (
            "{{ data.group.region }}",
            "the template of the body, line 1, cannot write incident.opened: undefined value: \
             `data.group.region` is",
        ),
        (
            "{{ summary | shout }}",
            "the template of the body, line 1, cannot write incident.opened: unknown filter: ",
        ),
        (
            "{% if data.resolved_at %}{{ data.resolved_at + 1 }}{% endif %}",
            "the template of the body, line 1, cannot write incident.resolved: invalid operation: ",
        ),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
            "the template of the body, line 1, cannot write incident.opened: engine ran out of fuel",
        ),
        ("{{ 'x' * 100000000 }}", "the template of the body, line 1, cannot write incident.opened: "),
    ];
    for (text, expected) in cases {
        let errors = template(text, &[]).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].starts_with(expected), "\n{text}\nsays    {}\ninstead {expected}", errors[0]);
    }
}

#[test]
fn every_part_that_is_wrong_is_told_at_once() {
    let errors =
        template("{{ a }}", &[("x-one", "{{ b"), ("x-two", "fine"), ("x-three", "a\nb")]).unwrap_err();
    let starts = [
        "the template of the header x-one, line 1: syntax error",
        "the template of the header x-three, cannot write incident.opened: it renders a line break",
        "the template of the body, line 1, cannot write incident.opened: undefined value: `a`",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn a_template_that_does_not_fit_a_notification_is_an_error_and_no_panic() {
    let text =
        "{% if data.group['region'] is defined %}{{ 1 // (data.group['region'] | length - 3) }}{% endif %}";
    let format = template(text, &[]).unwrap();
    let mut notification = opened();
    notification.data.group.insert("region".into(), "far".into());
    let stored = serde_json::to_string(&notification).unwrap();
    let error = format.render(&stored, &DeliveryId("dlv_1".into()), Timestamp::default()).unwrap_err();
    assert!(matches!(&error, FormatError::Template(error) if error.line == Some(1)), "{error:?}");
    assert!(error.to_string().contains("cannot write incident.opened"), "{error}");
}

#[test]
fn a_header_that_a_name_would_break_is_an_error() {
    let format = template("{}", &[("x-step", "{{ data.summary }}")]).unwrap();
    let mut notification = opened();
    notification.data.summary = "two\r\nInjected: lines".to_owned();
    let stored = serde_json::to_string(&notification).unwrap();
    let error = format.render(&stored, &DeliveryId("dlv_1".into()), Timestamp::default()).unwrap_err();
    assert!(error.to_string().contains("the header x-step"), "{error}");
    notification.data.summary = "größe".to_owned();
    assert_eq!(rendered(&format, &notification).headers["x-step"].as_bytes(), "größe".as_bytes());
}

#[test]
fn neither_the_text_of_a_template_nor_a_value_is_shown() {
    let format = template("{{ data.id }} s3cret", &[("authorization", "Bearer s3cret")]).unwrap();
    assert!(!format!("{format:?}").contains("s3cret"));
    let errors = template("s3cret {{ x }}", &[("authorization", "s3cret {{ data.id + 1 }}")]).unwrap_err();
    assert!(errors.iter().all(|error| !error.contains("s3cret")), "{errors:?}");
}

#[test]
fn what_is_stored_and_cannot_be_read_is_an_error() {
    let format = template("{{ data.id }}", &[]).unwrap();
    let error = format.render("{}", &DeliveryId("dlv_1".into()), Timestamp::default()).unwrap_err();
    assert!(
        error.to_string().starts_with("the stored notification cannot be read: missing field"),
        "{error}"
    );
}
