//! Power cuts: the file system loses everything that was not flushed to its device, at a random instant under
//! load.

use crate::load::Shape;
use crate::mount::LoopMount;
use crate::scene::{Scene, a_moment};
use crate::trial::{Skipped, Trial};

/// Enough clients that a group of commits takes several batches.
const CLIENTS: u64 = 48;

/// What the power goes amid.
struct Amid {
    shape: Shape,
    /// Settings of the daemon.
    settings: &'static [(&'static str, &'static str)],
    /// For how long the load goes on at most, in milliseconds.
    at_most: u64,
}

/// The power goes amid creates and closes of up to 1 MiB, and comes back.
pub async fn under_load(trial: Trial) -> Result<(), Skipped> {
    let shape = Shape { clients: CLIENTS, payload_max: 1 << 20, deadline: "1s", pairs: CLIENTS / 2 };
    // Anywhere within what a few groups of commits take.
    cut(trial, Amid { shape, settings: &[], at_most: 500 }).await
}

/// The power goes while what was acknowledged moves into the database all the time, and the log is written
/// over. Most items are closed before they get there.
pub async fn amid_checkpoints(trial: Trial) -> Result<(), Skipped> {
    let shape = Shape { clients: CLIENTS, payload_max: 200_000, deadline: "1s", pairs: CLIENTS - 8 };
    // So little is kept that the log's segments are the smallest, and many of them are written over in each
    // life.
    let settings = &[("WARDEN_STORAGE__CHECKPOINT", "50ms"), ("WARDEN_STORAGE__RECENT", "1MiB")];
    cut(trial, Amid { shape, settings, at_most: 1500 }).await
}

/// What else runs on the machine may have the file system mounted too.
async fn cut(trial: Trial, amid: Amid) -> Result<(), Skipped> {
    let mut scene = Scene::new(&trial, amid.shape).await;
    let mut mount = LoopMount::new(scene.directory(), 1024).map_err(Skipped)?;
    scene.keep_data_in(mount.path());
    for (name, value) in amid.settings {
        scene.set(name, value);
    }
    for _ in 0..trial.rounds(5, 25) {
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        let load = scene.press(&daemon).await;
        let elsewhere = mount.hold_elsewhere().map_err(Skipped)?;
        a_moment(amid.at_most).await;
        mount.cut().expect("the power can be cut");
        trial.made();
        load.ended().await;
        daemon.kill();
        mount.restore().expect("the power comes back");
        drop(elsewhere);
    }
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}
