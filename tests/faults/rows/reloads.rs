//! `kill -9` while the configuration changes: by its file, and by definitions of a client.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::sync::watch;

use crate::scene::{SHAPE, Scene, a_moment, get};
use crate::support::{DaemonProcess, client};
use crate::trial::{Skipped, Trial};

const PATH: &str = "/v1/workflows/defined";
/// The longest that a definition may take amid reloads.
const PATIENCE: Duration = Duration::from_secs(30);

/// The daemon is killed amid creates and closes while its configuration changes all the time. What it was
/// told last is in force after the start, and every request was answered as if nothing had changed.
pub async fn under_load(trial: Trial) -> Result<(), Skipped> {
    let scene = Scene::new(&trial, SHAPE).await;
    let file = scene.directory().join("warden.toml");
    let config = std::fs::read_to_string(&file).expect("a configuration");
    let mut acknowledged = 0;
    for _ in 0..trial.rounds(4, 40) {
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        acknowledged = hold(&daemon, acknowledged, &trial).await;
        let refusals = scene.memory().refusals();
        let load = scene.press(&daemon).await;
        let pid = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw).expect("a process");
        let (tell, mut told) = watch::channel(acknowledged);
        let defining = tokio::spawn(define(client(), daemon.url(PATH), tell));
        let (file, config) = (file.clone(), config.clone());
        let reloading = tokio::spawn(async move {
            for hours in (1..24).cycle() {
                let text = format!("{config}[workflows.load]\nretention = \"{hours}h\"\n");
                let written = file.with_extension("new");
                std::fs::write(&written, text).expect("it can be written");
                std::fs::rename(&written, &file).expect("it can be renamed");
                let _ = kill_process(pid, Signal::HUP);
                a_moment(20).await;
            }
        });
        // Not before something was defined.
        let defined = tokio::time::timeout(PATIENCE, told.changed()).await;
        assert!(defined.is_ok(), "nothing was defined in {PATIENCE:?}");
        a_moment(1500).await;
        let retention = get(&daemon, "/v1/workflows/load").await["retention"].clone();
        assert_ne!(retention, "1day", "nothing was reloaded");
        reloading.abort();
        let _ = reloading.await;
        trial.made();
        if scene.memory().refusals() > refusals {
            trial.lost("a request was refused".to_owned());
        }
        daemon.kill();
        load.ended().await;
        if let Err(refused) = defining.await.expect("no panic") {
            trial.lost(refused);
        }
        acknowledged = *told.borrow();
    }
    let daemon = scene.start().await;
    hold(&daemon, acknowledged, &trial).await;
    scene.settle(daemon).await;
    Ok(())
}

/// Defines a workflow again and again until nobody answers, and tells the last deadline that was
/// acknowledged, in minutes. An error says how a definition was refused.
async fn define(http: Client, url: String, acknowledged: watch::Sender<u64>) -> Result<(), String> {
    loop {
        let minutes = *acknowledged.borrow() + 1;
        let definition = json!({"deadline": format!("{minutes}m")});
        let Ok(response) = http.put(&url).json(&definition).send().await else { return Ok(()) };
        if !response.status().is_success() {
            return Err(format!("a definition was answered with {}", response.status()));
        }
        acknowledged.send_replace(minutes);
    }
}

/// The definition in force is the one that was acknowledged, or the one that was asked for; its deadline in
/// minutes.
async fn hold(daemon: &DaemonProcess, acknowledged: u64, trial: &Trial) -> u64 {
    let response = daemon.request(Method::GET, PATH).send().await.expect("an answer");
    let found = match response.status() {
        StatusCode::NOT_FOUND => 0,
        _ => {
            let deadline = get(daemon, PATH).await["deadline"].as_str().expect("a deadline").to_owned();
            humantime::parse_duration(&deadline).expect("a duration").as_secs() / 60
        }
    };
    if !(acknowledged..=acknowledged + 1).contains(&found) {
        trial.lost(format!("the deadline was {acknowledged} min, and is {found} min"));
    }
    trial.held(1);
    found
}
