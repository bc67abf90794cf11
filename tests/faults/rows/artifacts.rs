//! Power cuts amid changes of many artifacts: each request is done as a whole or not at all.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::mount::LoopMount;
use crate::scene::{SHAPE, Scene, a_moment, get};
use crate::support::{DaemonProcess, client};
use crate::trial::{Skipped, Trial};

const GROUPS: usize = 8;
/// How many artifacts a request changes.
const MEMBERS: usize = 200;
/// The statuses that a group gets, by its version.
const STATUSES: [&str; 2] = ["archived", "ready"];

/// Artifacts that are always changed together.
#[derive(Clone)]
struct Group {
    location: String,
    ids: Vec<String>,
    /// The version that was acknowledged last.
    version: u64,
}

/// The power goes while artifacts are changed by the hundred, beside creates and closes.
pub async fn changed_together(trial: Trial) -> Result<(), Skipped> {
    let mut scene = Scene::new(&trial, SHAPE).await;
    let mut mount = LoopMount::new(scene.directory(), 1024).map_err(Skipped)?;
    scene.keep_data_in(mount.path());
    scene.set("WARDEN_STORAGE__CHECKPOINT", "200ms");
    let mut groups = Vec::new();
    for _ in 0..trial.rounds(5, 25) {
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        hold(&daemon, &mut groups, &trial).await;
        if groups.is_empty() {
            groups = register(&daemon).await;
        }
        let load = scene.press(&daemon).await;
        let mut changing = JoinSet::new();
        let before: u64 = groups.iter().map(|group| group.version).sum();
        for group in std::mem::take(&mut groups) {
            changing.spawn(change(client(), daemon.url("/v1/artifacts/status"), group));
        }
        let elsewhere = mount.hold_elsewhere().map_err(Skipped)?;
        // Long enough for some changes.
        tokio::time::sleep(Duration::from_millis(100)).await;
        a_moment(500).await;
        mount.cut().expect("the power can be cut");
        trial.made();
        load.ended().await;
        daemon.kill();
        groups = changing.join_all().await;
        assert!(groups.iter().map(|group| group.version).sum::<u64>() > before, "nothing was changed");
        mount.restore().expect("the power comes back");
        drop(elsewhere);
    }
    let daemon = scene.start().await;
    hold(&daemon, &mut groups, &trial).await;
    scene.settle(daemon).await;
    Ok(())
}

async fn register(daemon: &DaemonProcess) -> Vec<Group> {
    let mut groups = Vec::new();
    for group in 0..GROUPS {
        let location = format!("/group/{group}");
        let new = |member: usize| {
            let name = member.to_string();
            json!({"workflow": "etl", "location": location, "name": name, "status": STATUSES[1]})
        };
        let new: Vec<Value> = (0..MEMBERS).map(new).collect();
        let response = daemon.request(Method::POST, "/v1/artifacts").json(&new).send().await;
        let registered: Value = response.expect("an answer").json().await.expect("JSON");
        let ids = registered["data"].as_array().expect("artifacts").iter();
        let ids = ids.map(|artifact| artifact["id"].as_str().expect("an id").to_owned()).collect();
        groups.push(Group { location, ids, version: 1 });
    }
    groups
}

/// Changes a group again and again until nobody answers.
async fn change(http: Client, url: String, mut group: Group) -> Group {
    loop {
        let status = STATUSES[(group.version % 2) as usize ^ 1];
        let request = http.post(&url).json(&json!({"ids": group.ids, "status": status}));
        let Ok(response) = request.send().await else { return group };
        if response.status() == StatusCode::OK {
            group.version += 1;
        }
    }
}

/// Each group is whole, at the version that was acknowledged or at the one that was asked for.
async fn hold(daemon: &DaemonProcess, groups: &mut [Group], trial: &Trial) {
    for group in groups {
        let path = format!("/v1/artifacts?location={}&limit={}", group.location, MEMBERS + 1);
        let page = get(daemon, &path).await;
        let found = page["data"].as_array().expect("artifacts");
        let versions: Vec<u64> =
            found.iter().map(|artifact| artifact["version"].as_u64().expect("a version")).collect();
        let first = versions.first().copied().unwrap_or_default();
        let is_whole = versions.len() == MEMBERS && versions.iter().all(|version| *version == first);
        let is_known = (group.version..=group.version + 1).contains(&first);
        let status = STATUSES[(first % 2) as usize];
        if !is_whole || !is_known || found.iter().any(|artifact| artifact["status"] != status) {
            let Group { location, version, .. } = group;
            trial.lost(format!("the group {location} was at version {version}, and is at {versions:?}"));
        }
        trial.held(MEMBERS);
        group.version = first;
    }
}
