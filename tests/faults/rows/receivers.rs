//! Receivers that are down, slow, or reset connections: items are accepted as before, and notifications
//! arrive afterwards.

use std::time::Duration;

use serde_json::Value;

use crate::gate::{Gate, Passage};
use crate::scene::{SHAPE, Scene, get};
use crate::support::{TestReceiver, eventually};
use crate::trial::{Skipped, Trial};

/// How long a receiver cannot be reached, and how long it is measured how fast work goes in.
const BAD_DAY: Duration = Duration::from_secs(3);
/// How many times slower work may go in while a receiver has a bad day. It should be no slower at all; but
/// the machine has other things to do as well.
const SLOWER: usize = 10;

/// A bad day of this kind, and its end.
pub async fn bad_day(trial: Trial, passage: Passage) -> Result<(), Skipped> {
    for _ in 0..trial.rounds(1, 2) {
        let receiver = TestReceiver::start().await;
        let gate = Gate::before(receiver.url(), passage);
        let scene = Scene::told_at(&trial, SHAPE, receiver, gate.url());
        let daemon = scene.start().await;
        let load = scene.press(&daemon).await;
        let before = scene.memory().operations();
        tokio::time::sleep(BAD_DAY).await;
        let meanwhile = scene.memory().operations() - before;
        eventually("a delivery that failed", || async {
            let page = get(&daemon, "/v1/incidents").await;
            for incident in page["data"].as_array()? {
                let id = incident["id"].as_str().expect("an id");
                let page = get(&daemon, &format!("/v1/incidents/{id}/deliveries")).await;
                if page["data"].as_array()?.iter().any(has_failed) {
                    return Some(());
                }
            }
            None
        })
        .await;
        if passage != Passage::Down {
            assert!(gate.turned_away() > 0, "nobody came to the receiver");
        }
        assert!(!scene.is_told().await, "a notification found a way");
        trial.made();
        gate.set(Passage::Free);
        let before = scene.memory().operations();
        tokio::time::sleep(BAD_DAY).await;
        let afterwards = scene.memory().operations() - before;
        trial.note(format!("{meanwhile} creates and closes in the bad {BAD_DAY:?}, {afterwards} afterwards"));
        assert!(meanwhile * SLOWER > afterwards, "work goes in more slowly while the receiver has a bad day");
        assert_eq!(scene.memory().refusals(), 0, "work was refused");
        load.stop().await;
        scene.settle(daemon).await;
    }
    Ok(())
}

fn has_failed(delivery: &Value) -> bool {
    delivery["status"] != "delivered" && delivery["attempts"].as_array().is_some_and(|made| !made.is_empty())
}
