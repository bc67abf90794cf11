//! Power cuts: the file system loses everything that was not flushed to its device, at a random instant under load.

use crate::load::Shape;
use crate::mount::LoopMount;
use crate::scene::{Scene, a_moment};
use crate::trial::{Skipped, Trial};

/// The power goes amid creates and closes of up to 1 MiB, and comes back. What else runs on the machine may have the file
/// system mounted too.
pub async fn under_load(trial: Trial) -> Result<(), Skipped> {
    // Enough clients that a group of commits takes several batches.
    let shape = Shape { clients: 48, payload_max: 1 << 20, deadline: "1s" };
    let mut scene = Scene::new(&trial, shape).await;
    let mut mount = LoopMount::new(scene.directory(), 1024).map_err(Skipped)?;
    scene.keep_data_in(mount.path());
    for _ in 0..trial.rounds(5, 25) {
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        let load = scene.press(&daemon).await;
        let elsewhere = mount.hold_elsewhere().map_err(Skipped)?;
        // Anywhere within what a few groups of commits take.
        a_moment(500).await;
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
