//! The metrics: both text formats, and their content.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::Method;

use crate::support::{Answer, TestDaemon, TestReceiver, ask};

async fn figures(daemon: &TestDaemon, accept: &str) -> Answer {
    let answer = ask(daemon.request(Method::GET, "/metrics").header("accept", accept)).await;
    assert_eq!(answer.status, 200);
    answer
}

/// The value of a figure, by its name with its labels.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

/// A daemon that has something to say in every figure.
async fn busy() -> TestDaemon {
    let receiver = TestReceiver::start().await;
    let daemon = TestDaemon::builder().on_sled().receiver(&receiver).start().await;
    daemon.create("uploads", "late", "?deadline=5s", "hello").await;
    daemon.create("uploads", "later", "?deadline=8s", "hello").await;
    daemon.create("uploads", "closed", "", "hello").await;
    daemon.close("uploads", "closed").await;
    daemon.create("reports", "in-time", "?deadline=1h", "hello").await;
    daemon.advance(Duration::from_secs(15));
    daemon.open_incidents(1).await;
    daemon
}

#[tokio::test]
async fn promtool_finds_nothing_to_say_about_the_figures() {
    let daemon = busy().await;
    let answer = figures(&daemon, "*/*").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().to_owned();
    let checked = tokio::task::spawn_blocking(move || {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is installed: tests/run does it");
        promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        promtool.wait_with_output().unwrap()
    });
    let checked = checked.await.unwrap();
    let said = String::from_utf8_lossy(&checked.stderr) + String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}

#[tokio::test]
async fn every_sample_belongs_to_a_described_family_in_either_form() {
    let daemon = busy().await;
    for accept in ["text/plain", "application/openmetrics-text; version=1.0.0"] {
        let answer = figures(&daemon, accept).await;
        let is_open_metrics = answer.header("content-type").starts_with("application/openmetrics-text");
        assert_eq!(is_open_metrics, accept != "text/plain");
        assert_eq!(answer.header("vary"), "accept");
        let text = answer.text();
        assert_eq!(text.ends_with("# EOF\n"), is_open_metrics);
        assert_eq!(text.contains("# UNIT "), is_open_metrics);
        let described = |name: &str| {
            let line = format!("# HELP {name} ");
            text.lines().any(|found| found.starts_with(&line))
        };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let suffixes: &[&str] = if is_open_metrics {
                &["_total", "_info", "_bucket", "_sum", "_count", ""]
            } else {
                &["_bucket", "_sum", "_count", ""]
            };
            let of = |suffix: &&str| name.strip_suffix(*suffix).is_some_and(described);
            assert!(suffixes.iter().any(of), "{name} as {accept} in {text}");
        }
    }
}

#[tokio::test]
async fn the_oldest_overdue_item_of_each_workflow_is_known_by_its_age() {
    let daemon = busy().await;
    let answer = figures(&daemon, "*/*").await;
    let text = answer.text();
    let age =
        |workflow| value(text, &format!("warden_items_oldest_overdue_seconds{{workflow=\"{workflow}\"}}"));
    assert!((10.0..11.0).contains(&age("uploads")), "{text}");
    assert!(age("reports").abs() < f64::EPSILON, "{text}");

    daemon.close("uploads", "late").await;
    let answer = figures(&daemon, "*/*").await;
    let text = answer.text();
    let age = value(text, "warden_items_oldest_overdue_seconds{workflow=\"uploads\"}");
    assert!((7.0..8.0).contains(&age), "{text}");
}

#[tokio::test]
async fn the_figures_tell_the_program_and_how_its_process_does() {
    let daemon = TestDaemon::start().await;
    let answer = figures(&daemon, "*/*").await;
    let text = answer.text();
    let version = env!("CARGO_PKG_VERSION");
    assert!((value(text, &format!("warden_build_info{{version=\"{version}\"}}")) - 1.0).abs() < f64::EPSILON);
    for (name, range) in [
        ("process_cpu_seconds_total", 0.001..1e6),
        ("process_resident_memory_bytes", 1e6..1e12),
        ("process_virtual_memory_bytes", 1e6..1e15),
        ("process_open_fds", 3.0..1e6),
        ("process_max_fds", 3.0..1e10),
        ("process_threads", 2.0..1e4),
        // 2020 to 2100.
        ("process_start_time_seconds", 1.577e9..4.1e9),
    ] {
        let value = value(text, name);
        assert!(range.contains(&value), "{name} {value}");
    }
}
