//! Which layer wins, and what a workflow inherits.

use std::time::Duration;

use toml::Value;

use super::*;
use crate::model::{Policy, Step, StepName};

#[test]
fn a_later_layer_wins() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\nshutdown_timeout = \"1s\"\n[storage]\npath = \"file\"";
    let mut sources = file(text);
    sources.environment = [("WARDEN_SERVER__LISTEN", "127.0.0.1:2"), ("WARDEN_STORAGE__PATH", "variable")]
        .into_iter()
        .collect();
    sources.flags = vec![("server.listen".to_owned(), Value::from("127.0.0.1:3"))];
    let config = load(sources);
    assert_eq!(config.server.listen.port(), 3, "the flag");
    assert_eq!(config.storage.path.to_str(), Some("variable"));
    assert_eq!(config.server.shutdown_timeout, Duration::from_secs(1), "the file");
    assert_eq!(config.storage.engine, Engine::Sled, "the default");
}

#[test]
fn localhost_is_an_address_to_listen_on() {
    for (written, address) in [
        ("localhost:8470", "127.0.0.1:8470"),
        ("LocalHost.:0", "127.0.0.1:0"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("[::1]:2", "[::1]:2"),
    ] {
        let config = load(file(&format!("server.listen = {written:?}")));
        assert_eq!(config.server.listen.to_string(), address);
    }
    for written in ["localhost", "localhost:", "localhost:65536", "localhost.example.com:1", ":8470"] {
        let found = problem(&format!("server.listen = {written:?}"));
        let expected = "such as \"127.0.0.1:8470\", \"localhost:8470\" or \"[::1]:8470\"";
        assert!(found.contains(&format!("{expected}, but is the text {written:?}")), "{found}");
    }
}

#[test]
fn a_variable_holds_text_or_what_toml_writes() {
    let config = load(environment(&[
        ("WARDEN_LIMITS__PAYLOAD_MAX", "2097152"),
        ("WARDEN_LIMITS__QUEUE_MAX", "1_000"),
        ("WARDEN_STORAGE__PATH", "2026"),
        ("WARDEN_SERVER__EXTERNAL_URL", "\"https://warden.example.com/\""),
        ("WARDEN_WORKFLOW_DEFAULTS__CREATE_ON_FIRST_USE", "false"),
        ("WARDEN_ALERTING__GROW_FACTOR", "3"),
        ("WARDEN_ALERTING__RECEIVERS", "[\"oncall\"]"),
        ("WARDEN_RECEIVERS__ONCALL", "{ url = \"https://example.com\" }"),
        ("WARDEN_RECEIVERS__ONCALL__SECRET", SECRET),
        ("WARDEN_WORKFLOWS__UPLOADS__STEPS", "[\"copy\", { name = \"backup\", deadline = \"5m\" }]"),
    ]));
    assert_eq!(config.limits.payload_max, 2 << 20);
    assert_eq!(config.limits.queue_max, 1_000);
    assert_eq!(config.storage.path.to_str(), Some("2026"));
    assert_eq!(config.server.external_url.as_deref(), Some("https://warden.example.com"));
    assert!(!config.policies.create_on_first_use);
    assert!((config.policies.default.alerting.grow_factor - 3.0).abs() < f64::EPSILON);
    assert_eq!(config.policies.default.alerting.receivers, ["oncall".into()]);
    assert_eq!(config.receivers[0].signing_keys.len(), 1);
    assert_eq!(config.policies.configured["uploads"].steps[1].deadline, Some(Duration::from_secs(300)));
}

#[test]
fn a_variable_finds_a_workflow_whatever_the_case_of_its_name() {
    let mut sources = file("[workflows.EU-Uploads]\ndeadline = \"1m\"");
    sources.environment = [("WARDEN_WORKFLOWS__EU-UPLOADS__DEADLINE", "2m")].into_iter().collect();
    let config = load(sources);
    assert_eq!(config.policies.configured.len(), 1);
    assert_eq!(config.policies.configured["EU-Uploads"].deadline, Duration::from_secs(120));
}

#[test]
fn variables_of_others_are_left_alone() {
    let config = load(environment(&[
        ("WARDEN_URL", "http://elsewhere"),
        ("WARDEN_TOKEN", "wt_1"),
        ("WARDEN_PORT_8470_TCP", "tcp://10.0.0.1:8470"),
        ("WARDEN__", "x"),
        ("OTHER__THING", "x"),
    ]));
    assert_eq!(config.server, load(Sources::default()).server);
}

#[test]
fn a_workflow_takes_over_what_it_does_not_say() {
    let config = load(file(
        "[alerting]\nseverity = \"warning\"\n\
         [workflow_defaults]\ndeadline = \"2h\"\n\
         [workflows.uploads]\ndeadline = \"15m\"\ngroup_wait = \"0s\"\nsteps = [\"copy\", \"backup\"]",
    ));
    let uploads = &config.policies.configured["uploads"];
    assert_eq!(uploads.deadline, Duration::from_secs(900));
    assert_eq!(uploads.alerting.group_wait, Duration::ZERO);
    assert_eq!(uploads.alerting.severity, crate::model::Severity::Warning);
    assert_eq!(uploads.steps[0], Step::named(StepName::new("copy").unwrap()));
    let mut expected = Policy::clone(&config.policies.default);
    (expected.deadline, expected.limits_steps) = (uploads.deadline, true);
    expected.alerting.group_wait = uploads.alerting.group_wait;
    expected.steps = uploads.steps.clone();
    assert_eq!(**uploads, expected);
    assert_eq!(config.policies.default.deadline, Duration::from_secs(7_200));
}

#[test]
fn a_receiver_may_have_two_secrets_while_they_rotate() {
    let text =
        format!("[receivers.oncall]\nurl = \"http://10.0.0.1/\"\nsecret = [\"{SECRET}\", \"{SECRET}AAAA\"]");
    assert_eq!(load(file(&text)).receivers[0].signing_keys.len(), 2);
}
