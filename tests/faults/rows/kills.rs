//! `kill -9` at any instant, also while the store opens, and an orderly stop.

use std::process::Stdio;

use crate::scene::{SHAPE, Scene, a_moment, stop};
use crate::trial::{Skipped, Trial};

/// The daemon is killed amid creates and closes.
pub async fn under_load(trial: Trial) -> Result<(), Skipped> {
    let scene = Scene::new(&trial, SHAPE).await;
    for _ in 0..trial.rounds(6, 60) {
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        let load = scene.press(&daemon).await;
        // Anywhere within what a few groups of commits take.
        a_moment(300).await;
        daemon.kill();
        trial.made();
        load.ended().await;
    }
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}

/// The daemon is killed again and again before it is ready, on data that a kill has left behind.
pub async fn while_opening(trial: Trial) -> Result<(), Skipped> {
    let scene = Scene::new(&trial, SHAPE).await;
    for _ in 0..trial.rounds(4, 30) {
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        let load = scene.press(&daemon).await;
        daemon.kill();
        load.ended().await;
        for _ in 0..4 {
            let mut child = scene
                .command()
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the binary can be run");
            a_moment(60).await;
            child.kill().expect("it can be killed");
            child.wait().expect("it can be waited for");
            trial.made();
        }
    }
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}

/// The daemon is told to stop amid creates and closes: it finishes what it has begun and ends in success.
pub async fn told_to_stop(trial: Trial) -> Result<(), Skipped> {
    let scene = Scene::new(&trial, SHAPE).await;
    for _ in 0..trial.rounds(3, 15) {
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        let load = scene.press(&daemon).await;
        a_moment(100).await;
        stop(daemon).await;
        trial.made();
        load.stop().await;
    }
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}
