//! Health, metrics, and wrong paths and methods.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::item;
use crate::support::{TestDaemon, TestReceiver, ask};

#[tokio::test]
async fn a_daemon_says_that_it_lives_and_is_ready() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let health = daemon.ask(Method::GET, "/healthz").await.json(200);
    assert_eq!((&health["status"], &health["version"]), (&"ok".into(), &env!("CARGO_PKG_VERSION").into()));
    let ready = daemon.ask(Method::GET, "/readyz").await.json(200);
    assert_eq!((&ready["status"], &ready["storage"]), (&"ready".into(), &"ok".into()));
}

#[tokio::test]
async fn a_workflow_that_somebody_misspelt_is_warned_of_while_it_is_ready() {
    let receiver = TestReceiver::start().await;
    let mut daemon =
        TestDaemon::builder().config("[workflows.uploads]").on_sled().receiver(&receiver).start().await;
    daemon.create("uploads", "a", "", "hello").await;
    daemon.create("reports", "a", "", "hello").await;
    assert_eq!(daemon.ask(Method::GET, "/readyz").await.json(200)["warnings"], json!([]));
    daemon.create("uplaods", "a", "", "hello").await;
    let message = "the workflow uplaods was created on first use; did you mean uploads?";
    let expected = json!([{"code": "workflow-misspelt", "message": message}]);
    assert_eq!(daemon.ask(Method::GET, "/readyz").await.json(200)["warnings"], expected);
    daemon.restart().await;
    assert_eq!(daemon.ask(Method::GET, "/readyz").await.json(200)["warnings"], expected, "after a restart");
}

#[tokio::test]
async fn a_required_workflow_that_does_not_exist_is_warned_of_until_it_does() {
    let receiver = TestReceiver::start().await;
    let config = "[workflows.load]\n[workflows.report]\nrequires = [\"load\", \"laod\"]";
    let daemon = TestDaemon::builder().config(config).receiver(&receiver).start().await;
    let message = "the workflow report requires runs of the workflow laod, which does not exist";
    let expected = json!([{"code": "requirement-unknown", "message": message}]);
    assert_eq!(daemon.ask(Method::GET, "/readyz").await.json(200)["warnings"], expected);
    daemon.send_json(Method::PUT, "/v1/workflows/laod", json!({})).await.json(201);
    assert_eq!(daemon.ask(Method::GET, "/readyz").await.json(200)["warnings"], json!([]));
}

#[tokio::test]
async fn a_silence_for_everything_is_warned_of_as_long_as_it_holds() {
    let receiver = TestReceiver::start().await;
    let daemon = TestDaemon::builder().receiver(&receiver).start().await;
    for (workflow, kind, warned) in [("up*", None, false), ("*", Some("missed"), false), ("*", None, true)] {
        let silence =
            json!({"workflow": workflow, "kind": kind, "for": "1h", "author": "kim", "comment": "moving"});
        daemon.send_json(Method::POST, "/v1/silences", silence).await.json(201);
        let ready = daemon.ask(Method::GET, "/readyz").await.json(200);
        assert_eq!(ready["warnings"][0]["code"] == "all-silenced", warned, "{ready}");
    }
    daemon.advance(Duration::from_secs(3_601));
    assert_eq!(daemon.ask(Method::GET, "/readyz").await.json(200)["warnings"], json!([]));
}

#[tokio::test]
async fn what_a_warning_names_is_for_those_who_may_read_everything() {
    let token = |name: &str, globs: &str| {
        let sha256: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "[[tokens]]\nname = {name:?}\nsha256 = {sha256:?}\nscopes = [\"read\"]\nworkflows = [{globs:?}]\n"
        )
    };
    let config = format!(
        "[receivers.hidden]\nurl = \"https://example.com\"\n{}{}",
        token("all", "*"),
        token("some", "a*")
    );
    let daemon = TestDaemon::builder().config(&config).start().await;
    for (token, sees) in [("", false), ("unknown", false), ("some", false), ("all", true)] {
        let ready = ask(daemon.request(Method::GET, "/readyz").bearer_auth(token)).await;
        let warnings = ready.json(200)["warnings"].as_array().unwrap().clone();
        assert!(warnings.iter().any(|warning| warning["code"] == "receiver-unused"), "{warnings:?}");
        assert_eq!(ready.text().contains("hidden"), sees, "{token}");
        assert!(warnings.iter().all(|warning| warning["message"].is_string() == sees), "{warnings:?}");
    }
}

#[tokio::test]
async fn the_figures_count_what_happened() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "a", "", "hello").await;
    daemon.create("uploads", "b", "", "hello").await;
    daemon.close("uploads", "b").await;
    let figures = daemon.ask(Method::GET, "/metrics").await;
    assert_eq!(figures.status, 200);
    let route = "/v1/workflows/{workflow}/items/{id}";
    for line in [
        r#"warden_items_unclosed{workflow="uploads"} 1"#,
        r#"warden_items_closed{workflow="uploads"} 1"#,
        r#"warden_items_created_total{workflow="uploads"} 2"#,
        &format!(r#"warden_http_requests_total{{method="PUT",route="{route}",status="201"}} 2"#),
    ] {
        assert!(figures.text().lines().any(|found| found == line), "{line} is not in\n{}", figures.text());
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let daemon = TestDaemon::start().await;
    let first = daemon.ask(Method::GET, "/healthz").await;
    let request =
        daemon.request(Method::GET, "/healthz").header("x-request-id", first.header("x-request-id"));
    assert_ne!(ask(request).await.header("x-request-id"), first.header("x-request-id"));
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_refused_with_those_it_does() {
    let daemon = TestDaemon::start().await;
    for (method, path, allowed) in [
        (Method::POST, item("file-1"), "DELETE,GET,HEAD,PATCH,PUT"),
        (Method::GET, "/v1/batch".into(), "POST"),
        (Method::DELETE, "/v1/items".into(), "GET,HEAD"),
        (Method::PUT, "/v1/workflows/uploads/items".into(), "POST"),
        (Method::OPTIONS, "/healthz".into(), "GET,HEAD"),
    ] {
        let answer = daemon.ask(method.clone(), &path).await;
        answer.refused(405, "method-not-allowed");
        let mut methods: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allowed, "{method} {path}");
    }
}
