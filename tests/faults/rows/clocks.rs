//! The wall clock jumps by hours, either way, while the daemon runs and while it does not.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use warden::model::Timestamp;

use crate::load::Shape;
use crate::scene::{SHAPE, Scene, get, stop};
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

/// An item with two seconds is told of after two seconds, and one with an hour is not told of, whatever the
/// clock does.
pub async fn jumping(trial: Trial) -> Result<(), Skipped> {
    // It has mostly to wait, and is tried beside others.
    let shape = Shape { clients: 2, payload_max: 20_000, ..SHAPE };
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
    // What is left was given a second, however far the clock goes.
    clock.set(100 * HOUR);
    stop(daemon).await;
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}

/// The wall clock is ahead of the right one, behind it, or in 1970, when the daemon first starts. Once it is
/// right an item with five seconds is told of after five seconds, over a restart, and one with an instant
/// when that instant comes.
pub async fn wrong_at_the_start(trial: Trial) -> Result<(), Skipped> {
    for round in 0..trial.rounds(3, 6) {
        let offset = [90, -90, -56 * 365 * 24 * HOUR][round as usize % 3];
        let mut scene = Scene::new(&trial, Shape { clients: 1, payload_max: 100, ..SHAPE }).await;
        let clock = WallClock::load_into(&mut scene).map_err(Skipped)?;
        clock.set(offset);
        let daemon = scene.start().await;
        let sent = trial.now();
        create(&daemon, "/v1/workflows/durations/items/one", "5s").await;
        let mut told = vec![("durations", Duration::from_secs(5))];
        // By the other clocks it has passed already, or lies further ahead than a deadline may.
        if offset == -90 {
            let instant = sent.after(Duration::from_secs(20));
            create(&daemon, "/v1/workflows/instants/items/one", &instant.to_string()).await;
            told.push(("instants", instant.since(sent)));
        }
        clock.set(0);
        trial.made();
        if round % 2 == 0 {
            stop(daemon).await;
        } else {
            daemon.kill();
        }
        let daemon = scene.start().await;
        for (workflow, least) in told {
            eventually("a notification", || async { scene.opening(|of| of["workflow"] == workflow).await })
                .await;
            let after = trial.since(sent);
            assert!(
                after + Duration::from_millis(2) >= least,
                "{workflow} was told of early, after {after:?}"
            );
            assert!(after < Duration::from_secs(80), "{workflow} was told of late, after {after:?}");
        }
        let item = get(&daemon, "/v1/workflows/durations/items/one").await;
        let shown = item["created_at"].as_str().and_then(|text| Timestamp::parse(text).ok());
        let shown = shown.expect("an instant").as_seconds();
        assert!((shown - sent.as_seconds()).abs() < TOLERANCE, "it is shown as created at {item}");
        trial.held(1);
        stop(daemon).await;
    }
    Ok(())
}

async fn create(daemon: &DaemonProcess, path: &str, deadline: &str) {
    let put = daemon.request(Method::PUT, &format!("{path}?deadline={deadline}")).body("one");
    assert_eq!(put.send().await.expect("an answer").status(), StatusCode::CREATED);
}

/// Creates an item with two seconds, has the clock jump, and waits until people are told: not early, and at
/// the time that the wall clock then shows.
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
