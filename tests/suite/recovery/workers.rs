//! Two hundred workers take many items through four steps: with the real binary, its store on disk and the
//! real clock.
//!
//! `WORKERS_ITEMS` is the number of items (1,000 by default; 10,000 for a long run).

mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::worker::{Course, Habits, STEPS, Seen, Worker};
use crate::support::{DaemonProcess, ask};

const WORKERS: usize = 200;
/// How often the daemon is killed.
const KILLS: usize = 3;
/// How long it may take on a busy machine: at least, and for each item.
const PATIENCE: Duration = Duration::from_secs(120);
const PATIENCE_PER_ITEM: Duration = Duration::from_millis(60);
const PAGE: usize = 500;

fn items() -> usize {
    std::env::var("WORKERS_ITEMS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

/// Starts a daemon and fills in the items.
async fn with_items(directory: &Path) -> DaemonProcess {
    let config = format!("[workflows.uploads]\nsteps = {STEPS:?}\nmax_losses = \"unlimited\"\n");
    std::fs::write(directory.join("warden.toml"), config).expect("the configuration can be written");
    let daemon = DaemonProcess::on(directory);
    let line = |number: usize| {
        json!({"op": "create", "workflow": "uploads", "id": number.to_string(), "payload": "x",
            "deadline": "1d"})
        .to_string()
    };
    let lines: Vec<String> = (0..items()).map(line).collect();
    for lines in lines.chunks(PAGE) {
        ask(daemon.request(Method::POST, "/v1/batch").body(lines.join("\n"))).await.lines(200);
    }
    daemon
}

/// Has the workers begin.
fn begin(course: &Arc<Course>, habits: Habits) -> JoinSet<()> {
    (0..WORKERS).map(|number| Worker::new(number, course.clone(), habits).work()).collect()
}

/// Waits until everybody has ended, and fails with whatever one of them has found.
async fn ended(mut workers: JoinSet<()>) {
    let all = async {
        while let Some(ended) = workers.join_next().await {
            ended.expect("no panic");
        }
    };
    let patience = PATIENCE.max(PATIENCE_PER_ITEM * items() as u32);
    tokio::time::timeout(patience, all).await.expect("the workers end in time");
}

/// All items as the daemon has them in the end, which must be closed.
async fn closed(daemon: &DaemonProcess) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/items?workflow=uploads&state=closed&limit={PAGE}{cursor}");
        let page = ask(daemon.request(Method::GET, &path)).await.json(200);
        found.extend(page["data"].as_array().expect("a list").clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found.len(), items(), "all of them are closed");
    found
}

/// How many claims each step took by the item's history, which must be that of one run of each in order.
fn history(item: &Value) -> Vec<u64> {
    let runs = item["steps"].as_array().expect("a history");
    let names: Vec<&str> = runs.iter().map(|run| run["name"].as_str().expect("a name")).collect();
    assert_eq!(names, STEPS, "each step is done once and in order: {item}");
    assert!(runs.iter().all(|run| run["status"] == "done"), "{item}");
    runs.iter().map(|run| run["attempts"].as_u64().expect("a number")).collect()
}

/// How often a step was claimed, and how often its end was acknowledged.
fn counts(seen: &Seen, step: usize) -> (u64, u64) {
    let claimed = seen.leases.iter().filter(|(_, at)| *at == step).count();
    (claimed as u64, seen.done.iter().filter(|at| **at == step).count() as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_workers_do_each_step_of_each_item_once_and_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let daemon = with_items(directory.path()).await;
    let course = Arc::new(Course::new(items(), daemon.url("")));
    ended(begin(&course, Habits::Faithful)).await;
    for item in closed(&daemon).await {
        let seen = course.of(&item);
        for (step, attempts) in history(&item).into_iter().enumerate() {
            assert_eq!((attempts, counts(&seen, step)), (1, (1, 1)), "{seen:?}, but {item}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_item_leaves_its_course_however_often_workers_vanish_and_the_daemon_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut daemon = with_items(directory.path()).await;
    let course = Arc::new(Course::new(items(), daemon.url("")));
    let workers = begin(&course, Habits::Unfaithful);
    for kill in 1..=KILLS {
        course.until_done(kill * items() * STEPS.len() / (KILLS + 2)).await;
        let path = directory.path().to_owned();
        let again = move || {
            daemon.kill();
            DaemonProcess::on(&path)
        };
        daemon = tokio::task::spawn_blocking(again).await.expect("it starts again");
        course.moved_to(daemon.url(""));
    }
    ended(workers).await;
    for item in closed(&daemon).await {
        let mut seen = course.of(&item);
        seen.leases.sort_unstable();
        assert!(seen.leases.is_sorted_by_key(|(_, step)| *step), "a step came again: {seen:?}");
        for (step, attempts) in history(&item).into_iter().enumerate() {
            // The answer to a claim may have been lost, and that to its end.
            let (claimed, done) = counts(&seen, step);
            assert!(done <= 1 && done <= claimed && claimed <= attempts, "{seen:?}, but {item}");
        }
    }
    let (vanished, late) = (course.vanished.load(Ordering::SeqCst), course.late.load(Ordering::SeqCst));
    assert!(vanished > 0 && late > 0, "{vanished} leases were left to run out, {late} were ended too late");
}
