//! A full disk: creates are refused, closes go on, nothing acknowledged is missing, and it recovers by
//! itself.

use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::load::Shape;
use crate::mount::LoopMount;
use crate::scene::{SHAPE, Scene, stop};
use crate::support::{DaemonProcess, eventually};
use crate::trial::{Skipped, Trial};

/// How many items are created before, and how many of them are closed while the disk is full.
const ITEMS: usize = 300;
const CLOSED: usize = 250;

/// Somebody else takes all that is left of the disk, and gives it back.
pub async fn filled_by_others(trial: Trial) -> Result<(), Skipped> {
    let shape = Shape { clients: 4, payload_max: 20_000, ..SHAPE };
    let mut scene = Scene::new(&trial, shape).await;
    // A twentieth of it is ballast, and all that closes can live on: each rewrites leaves of some hundred
    // kilobytes.
    let mount = LoopMount::new(scene.directory(), 256).map_err(Skipped)?;
    scene.keep_data_in(mount.path());
    let hog = mount.path().join("hog");
    for round in 0..trial.rounds(1, 3) {
        let daemon = scene.start().await;
        let item = |number: usize| format!("/v1/workflows/uploads/items/round-{round}-{number}");
        let create = async |daemon: &DaemonProcess, number| {
            let put = daemon.request(Method::PUT, &item(number)).body(vec![b'x'; 4000]);
            put.send().await.expect("an answer")
        };
        for number in 0..ITEMS {
            assert_eq!(create(&daemon, number).await.status(), StatusCode::CREATED);
        }

        // Amid creates and closes; they go on until they are refused.
        let load = scene.press(&daemon).await;
        // All that is left now, but for a little: whoever goes on after that takes what is given up for the
        // closes as well.
        let file_system = rustix::fs::statvfs(mount.path()).expect("a file system");
        let left = (file_system.f_bavail * file_system.f_frsize).saturating_sub(1 << 20);
        let (count, target) = (format!("count={}", left >> 16), format!("of={}", hog.display()));
        let _ = Command::new("dd").args(["if=/dev/zero", "bs=64k", &count, &target]).output();
        trial.made();
        let refusals = scene.memory().refusals();
        let what = "a create to be refused";
        eventually(what, || async { (scene.memory().refusals() > refusals).then_some(()) }).await;
        load.stop().await;
        let refused = create(&daemon, ITEMS).await;
        assert_eq!(refused.status(), StatusCode::INSUFFICIENT_STORAGE);
        assert!(refused.headers().contains_key("retry-after"));
        let problem: Value = refused.json().await.expect("a problem");
        assert_eq!(problem["type"], "/problems/storage-full");
        for number in 0..CLOSED {
            let closed = daemon.request(Method::DELETE, &item(number)).send().await.expect("an answer");
            assert_eq!(closed.status(), StatusCode::NO_CONTENT, "{}", item(number));
        }
        assert_eq!(create(&daemon, ITEMS).await.status(), StatusCode::INSUFFICIENT_STORAGE);

        // A restart on a full disk keeps all of that.
        stop(daemon).await;
        let daemon = scene.start().await;
        scene.look(&daemon, false).await;
        for number in 0..ITEMS {
            let found = daemon.request(Method::GET, &item(number)).send().await.expect("an answer");
            let found: Value = found.json().await.expect("an item");
            let expected = if number < CLOSED { "closed" } else { "open" };
            if found["state"] != expected {
                trial.lost(format!("{} is not {expected}: {found}", item(number)));
            }
        }
        trial.held(ITEMS + CLOSED);

        std::fs::remove_file(&hog).expect("space returns");
        eventually("a create to be taken again", || async {
            (create(&daemon, ITEMS).await.status() == StatusCode::CREATED).then_some(())
        })
        .await;
        scene.hold(&daemon).await;
        stop(daemon).await;
    }
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}
