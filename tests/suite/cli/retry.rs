//! `warden retry`: failed items are put back.

use serde_json::{Value, json};

use super::recover::{Scene, in_state, item, lose, lose_many};
use super::warden;
use crate::support::TestDaemon;

#[tokio::test]
async fn a_failed_item_goes_back_and_can_be_recovered_again() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a", "b"]).await;
    scene.recovered(&daemon, "", "exit 1").await.failed(1);
    warden(&daemon, &["retry", "uploads", "a"]).await.done();
    let a = item(&daemon, "a").await;
    assert_eq!((&a["state"], &a["step_attempts"]), (&json!("overdue"), &json!(0)));
    let printed = warden(&daemon, &["retry", "uploads", "b", "--output", "json"]).await.json();
    assert_eq!(printed, item(&daemon, "b").await);
    scene.recovered(&daemon, "", "exit 0").await.done();
}

#[tokio::test]
async fn all_that_have_failed_go_back_however_many() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 30).await;
    daemon.create("downloads", "other", "?deadline=0s", "payload").await;
    scene.recovered(&daemon, "--exec-batch 100", "exit 1").await.failed(1);
    assert_eq!(in_state(&daemon, "failed").await.len(), 31);
    let said = warden(&daemon, &["retry", "--workflow", "up*"]).await.done();
    assert_eq!(said, "retried 30 items\n");
    assert_eq!(in_state(&daemon, "overdue").await, ids);
    let said = warden(&daemon, &["retry", "--workflow", "*", "--output", "json"]).await.json();
    assert_eq!(said, json!({"retried": 1}));
}

#[tokio::test]
async fn an_item_that_waits_for_its_next_attempt_waits_no_longer() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a"]).await;
    scene.recovered(&daemon, "", "exit 75").await.failed(1);
    let none = scene.recovered(&daemon, "", "exit 0").await;
    assert_eq!(none.notes, "No items to recover.\n");
    warden(&daemon, &["retry", "uploads", "a"]).await.done();
    assert_eq!(item(&daemon, "a").await["retry_at"], Value::Null);
    scene.recovered(&daemon, "", "exit 0").await.done();
    assert_eq!(in_state(&daemon, "closed").await, ["a"]);
}
