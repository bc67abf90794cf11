//! The wall clock jumps, either way and by hours, while the daemon runs and while it does not.

use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::load::Shape;
use crate::scene::{Scene, get, stop};
use crate::shim::WallClock;
use crate::support::{DaemonProcess, eventually};
use crate::trial::{Skipped, Trial};

const HOUR: i64 = 3600;
/// How far the wall clock is from the real one, in turn.
const OFFSETS: [i64; 4] = [3 * HOUR, -3 * HOUR, 26 * HOUR, 0];
/// The deadline of what must be told soon, and how it is written.
const SOON: Duration = Duration::from_secs(2);
/// How far a time in a notification may be from what the clock was set to, in seconds.
const TOLERANCE: i64 = 300;

/// An item with two seconds is told of after two seconds, and one with an hour is not told of, whatever the clock does.
pub async fn jumping(trial: Trial) -> Result<(), Skipped> {
    // It has mostly to wait, and is tried beside others.
    let shape = Shape { clients: 2, payload_max: 20_000, deadline: "1s" };
    let mut scene = Scene::new(&trial, shape).await;
    let clock = WallClock::load_into(&mut scene).map_err(Skipped)?;
    // What was closed is remembered over all jumps.
    scene.set("WARDEN_WORKFLOW_DEFAULTS__RETENTION", "30d");
    let mut daemon = scene.start().await;
    for round in 0..trial.rounds(3, 6) {
        let offset = OFFSETS[round as usize % OFFSETS.len()];
        let load = scene.press(&daemon).await;
        let later = format!("/v1/workflows/later-{round}/items/one");
        create(&daemon, &later, "1h").await;
        told_in_time(&trial, &scene, &daemon, &format!("running-{round}"), offset, || clock.set(offset))
            .await;
        trial.made();
        assert_eq!(get(&daemon, &later).await["state"], "open", "overdue early, by a jump of the wall clock");
        load.stop().await;
        scene.hold(&daemon).await;

        // From its next start on it goes by what the clock says then.
        if round % 2 == 0 {
            daemon.kill();
        } else {
            stop(daemon).await;
        }
        daemon = scene.start().await;
        scene.hold(&daemon).await;
        told_in_time(&trial, &scene, &daemon, &format!("restarted-{round}"), offset, || {}).await;
        let known = get(&daemon, &later).await;
        if !matches!(known["state"].as_str(), Some("open" | "overdue")) {
            trial.lost(format!("{later} is now {known}"));
        }
        trial.held(1);
    }
    // Past everything, so that all that is left must be overdue.
    clock.set(100 * HOUR);
    stop(daemon).await;
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}

async fn create(daemon: &DaemonProcess, path: &str, deadline: &str) {
    let put = daemon.request(Method::PUT, &format!("{path}?deadline={deadline}")).body("one");
    assert_eq!(put.send().await.expect("an answer").status(), StatusCode::CREATED);
}

/// Creates an item with two seconds, has the clock jump, and waits until people are told: not early, and at the time that
/// the wall clock then shows.
async fn told_in_time(
    trial: &Trial,
    scene: &Scene,
    daemon: &DaemonProcess,
    workflow: &str,
    offset: i64,
    jump: impl Fn(),
) {
    let sent = trial.now();
    create(daemon, &format!("/v1/workflows/{workflow}/items/one"), "2s").await;
    jump();
    let told =
        eventually("a notification", || async { scene.opening(|of| of["workflow"] == workflow).await }).await;
    let after = trial.since(sent);
    // By as much as milliseconds are cut off.
    assert!(after + Duration::from_millis(2) >= SOON, "{workflow} was told of early, after {after:?}");
    let shown: i64 = told.header("webhook-timestamp").parse().expect("a time in seconds");
    let expected = trial.now().as_seconds() + offset;
    assert!((shown - expected).abs() < TOLERANCE, "its wall clock shows {shown} instead of {expected}");
}
