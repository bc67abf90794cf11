//! The compiled-in file: its defaults, its examples, its comments.

use std::time::Duration;

use super::*;
use crate::config::expectation::WrittenExpectation;

/// The compiled-in file with its examples in use.
fn with_examples() -> String {
    let uncomment = |line: &'static str| match line.strip_prefix('#') {
        Some(example) if !example.is_empty() && !example.starts_with(' ') => example,
        _ => line,
    };
    DEFAULTS.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_compiled_in_file_is_a_whole_configuration() {
    let config = load(Sources::default());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8470");
    assert_eq!(config.limits.payload_max, 1 << 20);
    assert_eq!(config.default_workflow.deadline, Duration::from_secs(3_600));
    assert_eq!(config.default_workflow.alerting.group_wait, Duration::from_secs(10));
    assert!(config.receivers.is_empty() && config.workflows.is_empty() && config.tokens.is_empty());
}

#[test]
fn every_commented_example_is_right_and_shows_every_setting() {
    let sources = || {
        let mut sources = file(&with_examples());
        sources.environment = [("ONCALL_SECRET", SECRET)].into_iter().collect();
        sources
    };
    let config = load(sources());
    assert_eq!(config.receivers[0].signing_keys.len(), 1);
    assert_eq!(config.workflows["uploads"].steps.len(), 2);
    assert_eq!(config.tokens[0].workflows, ["uploads*"]);

    let (tables, _) = Tables::read(sources().merge().unwrap().written, Vec::new()).unwrap();
    let WrittenReceiver { format, secret, allow_private, timeout, concurrency, .. } =
        &tables.receivers["oncall"];
    assert!(format.is_some() && secret.is_some() && allow_private.is_some());
    assert!(timeout.is_some() && concurrency.is_some());
    let WrittenWorkflow {
        deadline,
        retention,
        retention_max,
        keep_payload,
        steps,
        expect,
        receivers,
        escalate,
        fallback,
        group_by,
        group_wait,
        group_interval,
        repeat_interval,
        grow_factor,
        severity,
        runbook_url,
    } = &tables.workflows["uploads"];
    assert!(deadline.is_some() && retention.is_some() && retention_max.is_some() && keep_payload.is_some());
    assert!(steps.is_some() && receivers.is_some() && group_wait.is_some() && group_interval.is_some());
    assert!(
        repeat_interval.is_some() && grow_factor.is_some() && severity.is_some() && runbook_url.is_some()
    );
    let WrittenExpectation { cron, timezone, every, grace, min_items } = expect.as_ref().unwrap();
    assert!(
        cron.is_some() && timezone.is_some() && every.is_none() && grace.is_some() && min_items.is_some()
    );
    assert!(escalate.is_some() && fallback.is_some() && group_by.is_some());
    assert!(tables.tokens[0].workflows.is_some());
}

#[test]
fn each_example_alone_does_what_it_says() {
    let text = with_examples();
    let tables: Vec<&str> =
        text.split("\n\n").filter(|part| part.lines().any(|l| l.starts_with('['))).collect();
    let receiver = tables.iter().find(|table| table.contains("[receivers.oncall]")).unwrap();
    for table in &tables {
        let mut sources =
            file(&if table == receiver { (*table).to_owned() } else { format!("{receiver}\n{table}") });
        sources.environment = [("ONCALL_SECRET", SECRET)].into_iter().collect();
        assert_eq!(problems(sources), Vec::<String>::new(), "{table}");
    }
    assert_eq!(tables.len(), 10);
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
