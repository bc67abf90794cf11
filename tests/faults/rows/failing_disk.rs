//! Failing disks: the daemon acknowledges nothing more, exits with a message that says why, and has
//! everything once the disk works again.

use rustix::process::{Pid, Signal, kill_process};

use crate::load::Load;
use crate::mount::{LoopMount, MemoryMount};
use crate::scene::{SHAPE, Scene, a_moment};
use crate::shim::Failing;
use crate::support::{DaemonProcess, eventually};
use crate::trial::{Skipped, Trial};

/// How large the disk says that it is, and how much room it has, in MiB.
const THIN_PROMISED: u64 = 512;
const THIN_ROOM: u64 = 40;
/// How often the daemon is opened on a disk with a bad sector in a round, and where sectors and the
/// database's segments begin.
const OPENINGS: u32 = 4;
const SECTOR: u64 = 4096;
const SEGMENT: u64 = 4 * 1024 * 1024;

/// A disk that has less room than it says: what the file system has taken cannot be written, which a sync is
/// told.
pub async fn thin(trial: Trial) -> Result<(), Skipped> {
    for _ in 0..trial.rounds(1, 5) {
        let mut scene = Scene::new(&trial, SHAPE).await;
        let memory = MemoryMount::new(scene.directory(), THIN_ROOM).map_err(Skipped)?;
        let mut mount = LoopMount::new(memory.path(), THIN_PROMISED).map_err(Skipped)?;
        scene.keep_data_in(mount.path());
        let daemon = scene.start().await;
        let load = scene.press(&daemon).await;
        fails(&scene, daemon, load).await;
        trial.made();
        memory.resize(2 * THIN_PROMISED).expect("room can be made");
        mount.repair().expect("the file system can be repaired");
        let daemon = scene.start().await;
        scene.settle(daemon).await;
    }
    Ok(())
}

/// The kernel finds an error in the file system and makes it read-only under the daemon's hands.
///
/// That happens between two of the daemon's calls. A sync that is under way at that very moment may say that
/// all is well although it is not: the kernel (6.18, ext4) gives up the journal first and begins to refuse a
/// little later.
pub async fn read_only(trial: Trial) -> Result<(), Skipped> {
    let mut scene = Scene::new(&trial, SHAPE).await;
    let mut mount = LoopMount::new(scene.directory(), 512).map_err(Skipped)?;
    scene.keep_data_in(mount.path());
    for _ in 0..trial.rounds(3, 15) {
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        let load = scene.press(&daemon).await;
        a_moment(200).await;
        between_calls(&daemon, || mount.find_error()).await.map_err(Skipped)?;
        trial.made();
        fails(&scene, daemon, load).await;
        let refused = scene.try_start().await.err().expect("it does not start on a read-only file system");
        assert!(refused.contains("cannot use the data directory"), "{refused}");
        mount.repair().expect("the file system can be repaired");
    }
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}

/// Holds all threads of the daemon between two calls to the kernel while something happens.
async fn between_calls<T>(daemon: &DaemonProcess, happens: impl FnOnce() -> T) -> T {
    let id = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(id, Signal::STOP).expect("it can be signalled");
    // One that is amid a call stops at its end.
    eventually("all threads to stop", || async { is_stopped(daemon.id()).then_some(()) }).await;
    let happened = happens();
    kill_process(id, Signal::CONT).expect("it can be signalled");
    happened
}

fn is_stopped(id: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).expect("its threads");
    threads.filter_map(Result::ok).all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name, which is in brackets and may hold anything.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

/// A write fails, once or from then on.
pub async fn write_errors(trial: Trial) -> Result<(), Skipped> {
    calls_fail(trial, &["pwrite", "writev"]).await
}

/// A sync fails, once or from then on. One that fails once is the worse one: the next says that all is well.
pub async fn sync_errors(trial: Trial) -> Result<(), Skipped> {
    calls_fail(trial, &["fdatasync", "sync_file_range"]).await
}

async fn calls_fail(trial: Trial, calls: &[&str]) -> Result<(), Skipped> {
    let mut scene = Scene::new(&trial, SHAPE).await;
    let failing = Failing::load_into(&mut scene).map_err(Skipped)?;
    for round in 0..trial.rounds(4, 24) {
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        let load = scene.press(&daemon).await;
        a_moment(200).await;
        let call = calls[round as usize % calls.len()];
        if round % (2 * calls.len() as u32) < calls.len() as u32 {
            failing.once(call);
        } else {
            failing.always(call);
        }
        fails(&scene, daemon, load).await;
        assert!(!failing.take_back(), "{call} was not made to fail");
        trial.made();
    }
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}

/// Waits until a daemon whose disk fails has ended, which it does with a message.
async fn fails(scene: &Scene, daemon: DaemonProcess, load: Load) {
    let (status, log) = scene.ended(daemon).await;
    load.ended().await;
    assert!(status.code().is_some_and(|code| code != 0), "it ended with {status}: {log}");
    assert!(log.contains("the store failed: "), "it does not say why it ended: {log}");
}

/// A sector of the database cannot be read as the daemon opens it, on what a kill has left.
///
/// Deliberately absent: a read that fails while the daemon serves. The database applies a batch key by key,
/// and one that it breaks off there stays half in force; see `docs/faults.md`.
pub async fn read_errors(trial: Trial) -> Result<(), Skipped> {
    let mut scene = Scene::new(&trial, SHAPE).await;
    let failing = Failing::load_into(&mut scene).map_err(Skipped)?;
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..trial.rounds(3, 20) {
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        let load = scene.press(&daemon).await;
        a_moment(300).await;
        daemon.kill();
        load.ended().await;

        // The newest database, which is the only one here.
        let generations = std::fs::read_dir(scene.data().join("generations")).expect("databases");
        let newest = generations.map(|entry| entry.expect("an entry").path()).max().expect("a database");
        let database = std::fs::metadata(newest.join("db")).expect("a database").len();
        for attempt in 0..OPENINGS {
            // Heads of segments are read before all else.
            let sector = rand::random_range(0..database);
            let segment = sector - sector % SEGMENT;
            failing.bad_sector(if attempt == 0 { segment } else { sector - sector % SECTOR });
            let started = scene.try_start().await;
            trial.made();
            match started {
                // What is there was not needed for that.
                Ok(daemon) => {
                    opened += 1;
                    daemon.kill();
                }
                Err(said) => {
                    assert!(said.contains("the disk fails"), "it does not say why it does not start: {said}");
                    refused += 1;
                }
            }
            failing.take_back();
        }
    }
    trial.note(format!("opened {opened} times and refused to {refused} times"));
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}
