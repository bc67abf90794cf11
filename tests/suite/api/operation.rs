//! Operation: health, figures, and what is said to those who ask in the wrong way.

use reqwest::Method;

use super::item;
use crate::support::{TestDaemon, ask};

#[tokio::test]
async fn a_daemon_says_that_it_lives_and_is_ready() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let health = daemon.ask(Method::GET, "/healthz").await.json(200);
    assert_eq!((&health["status"], &health["version"]), (&"ok".into(), &env!("CARGO_PKG_VERSION").into()));
    let ready = daemon.ask(Method::GET, "/readyz").await.json(200);
    assert_eq!((&ready["status"], &ready["storage"]), (&"ready".into(), &"ok".into()));
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
