//! Limits on count, rate and concurrency.

use std::time::Duration;

use super::{Scene, in_state, item, lose, lose_many};
use crate::support::TestDaemon;

const APPEND: &str = "echo $WARDEN_ITEM_ID >> ran";

#[tokio::test]
async fn each_item_is_tried_once_the_oldest_deadline_first() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 30).await;
    let script = format!("{APPEND}; case $WARDEN_ITEM_ID in *5) exit 75;; *7) exit 1;; esac");
    let said = scene.recovered(&daemon, "", &script).await.failed(1);
    assert!(said.contains("done 24, failed 3, to be retried 3, lost 0, skipped 0"), "{said}");
    assert_eq!(scene.lines("ran"), ids);
    assert_eq!(in_state(&daemon, "failed").await, ["file-007", "file-017", "file-027"]);
}

#[tokio::test]
async fn no_more_are_recovered_than_are_asked_for() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 12).await;
    let said = scene.recovered(&daemon, "--max 7 --concurrency 5", APPEND).await;
    assert!(said.notes.starts_with("done 7, "), "{}", said.notes);
    said.done();
    assert_eq!(scene.sorted("ran"), ids[..7]);
    for id in &ids[7..] {
        let left = item(&daemon, id).await;
        assert!(left["lease"].is_null() && left["step_attempts"] == 0, "it was not touched: {left}");
    }
}

#[tokio::test]
async fn only_what_the_flags_choose_is_recovered() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    for (workflow, id, query) in [
        ("uploads", "eu", "?deadline=0s&label=region:eu"),
        ("uploads", "us", "?deadline=0s&label=region:us"),
        ("uploads", "open", "?deadline=1h&label=region:eu"),
        ("downloads", "down", "?deadline=0s&label=region:eu"),
    ] {
        daemon.create(workflow, id, query, "payload").await;
    }
    scene.recovered(&daemon, "--workflow up* --label region:eu", APPEND).await.done();
    assert_eq!(scene.lines("ran"), ["eu"]);
    scene.recovered(&daemon, "--workflow up* --state open", APPEND).await.done();
    assert_eq!(scene.lines("ran"), ["eu", "open"]);
    scene.recovered(&daemon, "", APPEND).await.done();
    assert_eq!(scene.sorted("ran"), ["down", "eu", "open", "us"]);
}

#[tokio::test]
async fn so_many_run_at_once_and_no_more() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose_many(&daemon, 12).await;
    std::fs::create_dir(scene.path("running")).unwrap();
    // Each waits until it has seen all the others that may run beside it, of which the last come in whole
    // rounds.
    let script = "touch running/$WARDEN_ITEM_ID; \
        until [ $(ls running | wc -l) -ge 4 ] || [ -e go ]; do sleep 0.01; done; \
        ls running | wc -l >> seen; touch go; sleep 0.1; rm running/$WARDEN_ITEM_ID";
    scene.recovered(&daemon, "--concurrency 4", script).await.done();
    let seen: Vec<u32> = scene.lines("seen").iter().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!(seen.iter().max(), Some(&4), "{seen:?}");
    assert_eq!(seen.len(), 12);
}

#[tokio::test]
async fn seven_items_at_three_a_second_take_two_seconds() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose_many(&daemon, 7).await;
    scene.recovered(&daemon, "--rate 3/s --concurrency 7", "date +%s%N >> began").await.done();
    let began: Vec<u64> = scene.sorted("began").iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(began.len(), 7);
    // The first three at once, the next a second later, the last after another. How long one takes to tell
    // the time is up to the machine, so that only the whole is measured: it can only seem shorter by what the
    // first took.
    let took = Duration::from_nanos(began[6] - began[0]);
    assert!(took + Duration::from_millis(300) >= Duration::from_secs(2), "all within {took:?}");
}

#[tokio::test]
async fn where_nobody_can_be_asked_a_canary_that_does_well_is_followed_by_the_rest() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose_many(&daemon, 6).await;
    let said = scene.recovered(&daemon, "--canary 2 --concurrency 4", APPEND).await;
    assert!(said.notes.starts_with("done 6, "), "{}", said.notes);
    said.done();
    let mut first = scene.lines("ran");
    first.truncate(2);
    first.sort();
    assert_eq!(first, ["file-000", "file-001"]);
}

#[tokio::test]
async fn where_nobody_can_be_asked_a_canary_that_fails_is_the_end() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 6).await;
    let script = format!("{APPEND}; [ $WARDEN_ITEM_ID = file-000 ]");
    let said = scene.recovered(&daemon, "--canary 2 --concurrency 4", &script).await.failed(1);
    assert!(said.contains("stopped after the canary: only 1 of the first 2 are done"), "{said}");
    assert_eq!(scene.sorted("ran"), ids[..2]);
    assert_eq!(in_state(&daemon, "overdue").await, ids[2..]);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_claimed() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a"]).await;
    for flags in ["--rate 5", "--concurrency 0", "--lease-ttl 100ms", "--label region", "--canary 0"] {
        scene.recovered(&daemon, flags, "exit 0").await.failed(64);
    }
    assert_eq!(item(&daemon, "a").await["version"], 1);
}

#[tokio::test]
async fn a_dry_run_shows_what_there_is_and_touches_nothing() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose_many(&daemon, 3).await;
    daemon.create("uploads", "open", "?deadline=1h", "payload").await;
    let arguments = ["recover", "--workflow", "up*", "--dry-run"];
    let summary = crate::cli::warden(&daemon, &[&arguments[..], &["--output", "json"]].concat()).await.json();
    assert_eq!(summary, daemon.get("/v1/items/summary?workflow=up*&state=overdue&state=failed").await);
    scene.recovered(&daemon, "--dry-run", APPEND).await.done();
    assert!(scene.lines("ran").is_empty());
    assert_eq!(item(&daemon, "file-000").await["version"], 1);
}

#[tokio::test]
async fn an_item_that_comes_to_its_next_step_is_not_tried_at_that_one_by_the_same_run() {
    let steps = "[workflows.uploads]\n\
        steps = [{name = \"copy\", deadline = \"5m\"}, {name = \"backup\", deadline = \"2h\"}]";
    let (daemon, scene) = (TestDaemon::builder().config(steps).start().await, Scene::new());
    daemon.create("uploads", "a", "", "payload").await;
    let said = scene.recovered(&daemon, "--state open", "echo $WARDEN_STEP >> ran").await;
    assert!(said.notes.starts_with("done 1, failed 0, to be retried 0, lost 0, skipped 0"), "{}", said.notes);
    said.done();
    assert_eq!(scene.lines("ran"), ["copy"]);
    let item = item(&daemon, "a").await;
    assert!(item["step"] == "backup" && item["lease"].is_null(), "it is given back: {item}");
}
