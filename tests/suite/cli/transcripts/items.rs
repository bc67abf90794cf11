//! Items: create, items, show, payload, close, retry.

use reqwest::Method;
use serde_json::json;

use super::Transcript;
use crate::alerts::{HOUR, MINUTE, fail, patch};
use crate::support::TestDaemon;

const UPLOADS: &str = "[workflows.uploads]\nsteps = [\"copy\", \"backup\"]";

#[tokio::test]
async fn an_item_is_created_once_and_again_only_with_the_same_payload() {
    let daemon = TestDaemon::builder().config(UPLOADS).start().await;
    let mut transcript = Transcript::new();
    transcript.file("holiday.json", "{\"file\": \"holiday.jpg\"}");
    for line in [
        "warden create uploads file-1 --file holiday.json --content-type application/json --label region:eu",
        "warden create uploads file-1 --file holiday.json",
        "echo another | warden create uploads file-1",
        "warden create uploads --file holiday.json --deadline 2h",
        "warden create uploads file-2 --file holiday.json --step backup --output json",
        "warden create uploads file-3 --file missing.json",
        "warden create uploads file-3 --file holiday.json --deadline soon",
        "warden create uploads file-3 --file holiday.json --step upload",
        "warden create uploads file-3 --file holiday.json --label region",
        "warden create up/loads file-3 --file holiday.json",
        "warden create",
        "warden close uploads file-1",
        "warden create uploads file-1 --file holiday.json",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("create");
}

#[tokio::test]
async fn items_are_listed_with_those_in_trouble_first() {
    let daemon = TestDaemon::builder().config(UPLOADS).start().await;
    let mut transcript = Transcript::new();
    transcript.enter(&daemon, "warden items").await;
    daemon.create("uploads", "file-1", "?deadline=5m&label=region:eu&label=size:large", "payload").await;
    daemon.create("uploads", "file-2", "?deadline=3h&step=backup", "").await;
    daemon.create("reports", "monthly", "?deadline=1h", "a report").await;
    daemon.create("reports", "weekly", "?deadline=1h", "a report").await;
    fail(&daemon, "reports", "weekly").await;
    daemon.advance(20 * MINUTE);
    daemon.create("uploads", "file-3", "", "payload").await;
    daemon.close("uploads", "file-3").await;
    transcript.aside("20 minutes later");
    for line in [
        "warden items",
        "warden items --all",
        "warden items --state overdue --output json",
        "warden items --limit 1",
        "warden items --state open --workflow 'up*' --step backup",
        "warden items --workflow none",
        "warden items --state lost",
        "warden items --created-before yesterday",
        "warden items --workflow 'a/b'",
        "warden items --limit 0",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("items");
}

#[tokio::test]
async fn an_item_is_shown_with_its_progress_and_errors() {
    let daemon = TestDaemon::builder().config(UPLOADS).start().await;
    let mut transcript = Transcript::new();
    daemon.create("uploads", "file-1", "?deadline=1h&label=region:eu", "payload").await;
    daemon.advance(MINUTE);
    patch(&daemon, "uploads", "file-1", json!({"progress": {"done": 7, "of": 9}})).await;
    daemon.advance(MINUTE);
    let error = json!({"type": "Timeout", "message": "the backup service did not answer"});
    daemon.send_json(Method::POST, "/v1/workflows/uploads/items/file-1/errors", error).await.json(201);
    daemon.advance(HOUR);
    daemon.open_incidents(1).await;
    transcript.aside("its deadline has passed");
    for line in [
        "warden show uploads file-1",
        "warden show uploads file-1 --output json",
        "warden payload uploads file-1",
        "warden payload uploads file-1 --file copy",
        "cat copy",
        "warden payload uploads file-1 --file missing/copy",
        "warden show uploads file-9",
        "warden show nowhere file-1",
        "warden payload uploads file-9",
        "warden show uploads",
        "warden show 'up loads' file-1",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("show");
}

#[tokio::test]
async fn an_item_is_closed_and_its_payload_goes() {
    let daemon = TestDaemon::builder().config(UPLOADS).start().await;
    let mut transcript = Transcript::new();
    for id in ["file-1", "file-2", "file-3"] {
        daemon.create("uploads", id, "", "payload").await;
    }
    for line in [
        "warden close uploads file-1",
        "warden close uploads file-1",
        "warden close uploads file-2 --outcome discarded",
        "warden close uploads file-3 --output json",
        "warden show uploads file-2",
        "warden payload uploads file-1",
        "warden close uploads file-9",
        "warden close uploads file-1 --outcome lost",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("close");
}

#[tokio::test]
async fn failed_items_are_sent_back() {
    let daemon = TestDaemon::builder().config(UPLOADS).start().await;
    let mut transcript = Transcript::new();
    for id in ["file-1", "file-2", "file-3", "file-4"] {
        daemon.create("uploads", id, "", "payload").await;
    }
    for id in ["file-1", "file-2", "file-3"] {
        fail(&daemon, "uploads", id).await;
    }
    for line in [
        "warden retry uploads file-1",
        "warden retry uploads file-2 --output json",
        "warden retry --workflow 'up*'",
        "warden retry --workflow '*' --output json",
        "warden retry uploads file-4",
        "warden retry --workflow 'a/b'",
        "warden retry uploads file-9",
        "warden retry",
        "warden retry uploads",
        "warden retry uploads file-1 --state failed",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("retry");
}
