//! Power cuts: the file system loses everything that was not flushed to its device, at a random instant under load.
//!
//! `POWER_CUTS` sets how many there are (6 by default). It takes root and a loop device; where there are none the test
//! says so and passes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rand::RngExt;

use super::kill::rounds;
use super::load::{Memory, Shape};
use super::mount::LoopMount;
use crate::support::{DaemonProcess, eventually, process};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_power_cuts() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut mount = match LoopMount::new(directory.path(), 1024) {
        Ok(mount) => mount,
        Err(reason) => {
            println!("skipped: {reason}");
            return;
        }
    };
    // Enough clients that a group of commits takes several batches.
    let shape = Shape { clients: 48, payload_max: 1 << 20, deadline: "1h" };
    let memory = Memory::default();
    let start = |mount: &LoopMount| {
        let mut command = process::serve(directory.path());
        command.env("WARDEN_STORAGE__PATH", mount.path().join("data"));
        DaemonProcess::start(command, &DaemonProcess::log(directory.path()))
            .unwrap_or_else(|said| panic!("{said}"))
    };
    for round in 0..rounds("POWER_CUTS", 6) {
        let daemon = start(&mount);
        memory.hold_to(&daemon, shape).await;
        let mut clients = memory.press(&daemon, shape, Arc::new(AtomicBool::new(false)));
        let before = memory.acknowledged();
        eventually("some acknowledgements", || async { (memory.acknowledged() > before + 20).then_some(()) })
            .await;
        // The instant is the point: anywhere within what a few groups of commits take.
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..500))).await;
        mount.cut().expect("the power can be cut");
        while clients.join_next().await.is_some() {}
        daemon.kill();
        mount.restore().expect("the power comes back");
        println!("cut {round}: {} creates acknowledged so far", memory.acknowledged());
    }
    let daemon = start(&mount);
    memory.hold_to(&daemon, shape).await;
    drop(daemon);
}
