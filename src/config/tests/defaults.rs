//! The compiled-in file: its defaults, its examples, its comments.

use std::path::Path;
use std::time::Duration;

use super::receivers::certify;
use super::*;
use crate::config::expectation::WrittenExpectation;

/// The compiled-in file with its examples enabled, and the certificates that they name in this directory.
fn with_examples(certificates: &Path) -> String {
    certify(certificates);
    let uncomment = |line: &'static str| match line.strip_prefix('#') {
        Some(example) if !example.is_empty() && !example.starts_with(' ') => example,
        _ => line,
    };
    let text = DEFAULTS.lines().map(uncomment).collect::<Vec<_>>().join("\n");
    text.replace("/etc/warden", &certificates.display().to_string())
}

/// The variables that the examples name.
fn variables() -> Environment {
    [
        ("ONCALL_SECRET", SECRET),
        ("ONCALL_TOKEN", "Bearer a"),
        ("PAGERDUTY_KEY", "abc"),
        ("SLACK_URL", "https://hooks.slack.com/services/a"),
        ("TICKETS_TOKEN", "Bearer b"),
        ("REDRIVE_SECRET", SECRET),
    ]
    .into_iter()
    .collect()
}

#[test]
fn the_compiled_in_file_is_a_whole_configuration() {
    let config = load(Sources::default());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8470");
    assert_eq!(config.limits.payload_max, 1 << 20);
    assert_eq!(config.policies.default.deadline, Duration::from_secs(3_600));
    assert_eq!(config.policies.default.alerting.group_wait, Duration::from_secs(10));
    assert!(config.receivers.is_empty() && config.policies.configured.is_empty() && config.tokens.is_empty());
}

/// The settings of a table that are set. Lists all of them, so that a new one is a compile error.
fn settings_of(table: &WrittenReceiver) -> [bool; 20] {
    let WrittenReceiver {
        url,
        format,
        events,
        min_severity,
        secret,
        routing_key,
        method,
        body,
        headers,
        resend,
        namespace,
        allow_private,
        allow_networks,
        timeout,
        concurrency,
        rate,
        ca_file,
        client_certificate,
        client_key,
        proxy,
    } = table;
    [
        url.is_some(),
        format.is_some(),
        events.is_some(),
        min_severity.is_some(),
        secret.is_some(),
        routing_key.is_some(),
        method.is_some(),
        body.is_some(),
        !headers.is_empty(),
        resend.is_some(),
        namespace.is_some(),
        allow_private.is_some(),
        allow_networks.is_some(),
        timeout.is_some(),
        concurrency.is_some(),
        rate.is_some(),
        ca_file.is_some(),
        client_certificate.is_some(),
        client_key.is_some(),
        proxy.is_some(),
    ]
}

#[test]
fn every_commented_example_is_right_and_shows_every_setting() {
    let directory = tempfile::tempdir().unwrap();
    let text = with_examples(directory.path());
    let sources = || Sources { environment: variables(), ..file(&text) };
    let config = load(sources());
    let formats: Vec<&str> =
        config.receivers.iter().map(|receiver| receiver.format.word().as_str()).collect();
    assert_eq!(
        formats,
        ["alertmanager", "slack", "cloudevents", "openlineage", "standard", "pagerduty", "template"]
    );
    assert_eq!(config.receivers[4].signing_keys.len(), 1);
    assert_eq!(config.policies.configured["uploads"].steps.len(), 2);
    assert_eq!(config.tokens[0].workflows, ["uploads*"]);

    let (tables, ..) = Tables::read(sources().merge(None).unwrap().written, Vec::new()).unwrap();
    let shown: Vec<_> = tables.receivers.values().map(settings_of).collect();
    for position in 0..shown[0].len() {
        assert!(shown.iter().any(|settings| settings[position]), "setting {position} is in no example");
    }
    let WrittenWorkflow {
        deadline,
        retention,
        retention_max,
        keep_payload,
        steps,
        retry,
        max_losses,
        redrive,
        expect,
        params,
        jobs,
        single,
        requires,
        hold_after,
        runs_retention,
        runs_max,
        receivers,
        escalate,
        fallback,
        group_by,
        group_wait,
        group_interval,
        repeat_interval,
        flapping_after,
        flapping_window,
        damping,
        grow_factor,
        severity,
        runbook_url,
    } = &tables.workflows["uploads"];
    assert!(deadline.is_some() && retention.is_some() && retention_max.is_some() && keep_payload.is_some());
    assert!(steps.is_some() && receivers.is_some() && group_wait.is_some() && group_interval.is_some());
    assert!(
        repeat_interval.is_some() && grow_factor.is_some() && severity.is_some() && runbook_url.is_some()
    );
    assert!(flapping_after.is_some() && flapping_window.is_some() && damping.is_some());
    let WrittenExpectation { cron, timezone, every, grace, min_items, success: _, success_every: _ } =
        expect.as_ref().unwrap();
    assert!(
        cron.is_some() && timezone.is_some() && every.is_none() && grace.is_some() && min_items.is_some()
    );
    assert!(redrive.is_some() && max_losses.is_some());
    assert!(params.is_some() && jobs.is_some() && single.is_some() && requires.is_some());
    assert!(hold_after.is_some() && runs_retention.is_some() && runs_max.is_some());
    assert!(retry.is_some() && escalate.is_some() && fallback.is_some() && group_by.is_some());
    assert!(tables.tokens[0].workflows.is_some());
}

#[test]
fn each_example_alone_does_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let text = with_examples(directory.path());
    let tables: Vec<&str> =
        text.split("\n\n").filter(|part| part.lines().any(|l| l.starts_with('['))).collect();
    let (receivers, others): (Vec<_>, Vec<_>) = tables
        .iter()
        .map(|table| (*table).to_owned())
        .partition(|table| table.lines().any(|line| line.starts_with("[receivers.")));
    let together = receivers.join("\n");
    for table in others.into_iter().map(|table| format!("{together}\n{table}")).chain(receivers) {
        let sources = Sources { environment: variables(), ..file(&table) };
        assert_eq!(problems(sources), Vec::<String>::new(), "{table}");
    }
    assert_eq!(tables.len(), 20);
}

#[test]
fn every_setting_has_a_comment_above_it() {
    let lines: Vec<&str> = DEFAULTS.lines().collect();
    for pair in lines.windows(2) {
        if pair[1].contains(" = ") && !pair[1].starts_with('#') {
            assert!(pair[0].starts_with("# "), "{} has none", pair[1]);
        }
    }
}
