//! A volume filled by its own items. Everything accepted can be closed, to the last item, and then space is
//! available as before.

mod desk;
mod stock;

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;

use self::desk::Desk;
use self::stock::{Order, Stock};
use crate::mount::{LoopMount, MemoryMount};
use crate::scene::{SHAPE, Scene, a_moment};
use crate::support::DaemonProcess;
use crate::trial::{Skipped, Trial};

/// How often a volume is filled and emptied; by small items, of which there are many, once less.
const CYCLES: u32 = 3;
/// How soon after the last close a create must be taken again, and how soon the room must be the file
/// system's again.
const TAKEN_AGAIN_WITHIN: Duration = Duration::from_secs(15);
const ROOM_WITHIN: Duration = Duration::from_secs(30);
/// From this size on the payloads, and not what is remembered of closed items, are what takes the room.
const PAYLOADS_COUNT_FROM: usize = 20_000;
/// How many bytes of small items go by one request, each of which counts as some.
const AT_ONCE: usize = 256 << 10;
/// How many items are left at the end at most.
const LEFT_MAX: usize = 100;
/// How much of what the daemon said last is told when something went wrong.
const LINES_TOLD: usize = 4;

/// What there is a volume on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tmpfs,
    Ext4,
}

/// A volume, and what fills it.
#[derive(Clone, Copy, Debug)]
struct Filling {
    kind: Kind,
    mebibytes: u64,
    /// How long each payload is, in bytes.
    payload: usize,
    clients: usize,
    /// Every how often what is new moves into the database.
    checkpoint: &'static str,
}

/// A volume that is mounted.
enum Volume {
    Tmpfs(MemoryMount),
    Ext4(LoopMount),
}

use Kind::{Ext4, Tmpfs};

const fn filling(
    kind: Kind,
    mebibytes: u64,
    payload: usize,
    clients: usize,
    checkpoint: &'static str,
) -> Filling {
    Filling { kind, mebibytes, payload, clients, checkpoint }
}

/// All that are tried, in this order: a short run tries the first ones. A gibibyte of small items is too many
/// of them.
const FILLINGS: &[Filling] = &[
    filling(Tmpfs, 40, 100, 64, "200ms"),
    filling(Tmpfs, 128, 20_000, 64, "5s"),
    filling(Ext4, 128, 900_000, 1, "200ms"),
    filling(Ext4, 40, 60_000, 64, "5s"),
    filling(Ext4, 40, 100, 1, "5s"),
    filling(Tmpfs, 40, 20_000, 1, "200ms"),
    filling(Tmpfs, 40, 60_000, 1, "5s"),
    filling(Tmpfs, 128, 100, 1, "5s"),
    filling(Ext4, 128, 100, 64, "200ms"),
    filling(Ext4, 128, 20_000, 1, "5s"),
    filling(Tmpfs, 128, 900_000, 64, "5s"),
    filling(Ext4, 128, 900_000, 64, "1s"),
    filling(Ext4, 600, 20_000, 64, "200ms"),
    filling(Tmpfs, 600, 900_000, 64, "5s"),
    filling(Ext4, 600, 900_000, 1, "5s"),
    filling(Tmpfs, 600, 100, 64, "5s"),
    filling(Ext4, 1024, 20_000, 64, "5s"),
    filling(Tmpfs, 1024, 900_000, 64, "200ms"),
    filling(Ext4, 1024, 900_000, 1, "200ms"),
    filling(Ext4, 4096, 900_000, 64, "5s"),
    filling(Tmpfs, 4096, 20_000, 64, "5s"),
];
/// How many of them a short run tries.
const SHORT: u32 = 3;

impl fmt::Display for Filling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, mebibytes, payload, clients, checkpoint } = self;
        let clients = if *clients == 1 { "one client".into() } else { format!("{clients} clients") };
        write!(
            formatter,
            "{kind:?} of {mebibytes} MiB, payloads of {payload} bytes, {clients}, checkpoint {checkpoint}"
        )
    }
}

impl Filling {
    fn mount(&self, directory: &Path) -> Result<Volume, String> {
        match self.kind {
            Tmpfs => MemoryMount::new(directory, self.mebibytes).map(Volume::Tmpfs),
            Ext4 => LoopMount::without_reserve(directory, self.mebibytes).map(Volume::Ext4),
        }
    }

    fn stock(&self) -> Stock {
        // By single requests where that does not take too long.
        let few = self.mebibytes <= 128 && self.payload >= PAYLOADS_COUNT_FROM;
        let at_once = if few || self.payload > 100_000 { 1 } else { AT_ONCE / self.payload.max(2_000) };
        Stock::new(self.payload, self.clients, at_once)
    }
}

impl Volume {
    fn path(&self) -> &Path {
        match self {
            Self::Tmpfs(mount) => mount.path(),
            Self::Ext4(mount) => mount.path(),
        }
    }
}

/// Volumes of several sizes are filled by items, and emptied again. What goes wrong on one does not keep the
/// others from being tried.
pub async fn filled_by_items(trial: Trial) -> Result<(), Skipped> {
    let mut failed = Vec::new();
    for filling in FILLINGS.iter().take(trial.rounds(SHORT, FILLINGS.len() as u32) as usize) {
        let mut scene = Scene::new(&trial, SHAPE).await;
        let volume = filling.mount(scene.directory()).map_err(Skipped)?;
        scene.keep_data_in(volume.path());
        scene.set("WARDEN_STORAGE__CHECKPOINT", filling.checkpoint);
        scene.set("WARDEN_WORKFLOW_DEFAULTS__DEADLINE", "24h");
        // What is remembered of closed items takes room as well, but not for long.
        scene.set("WARDEN_WORKFLOW_DEFAULTS__RETENTION", "1s");
        scene.set("WARDEN_WORKFLOW_DEFAULTS__RETENTION_MAX", "1000");
        if filling.mebibytes < 128 {
            scene.set("WARDEN_LIMITS__PAYLOAD_MAX", "64KiB");
        }
        // Of each that is refused a client is told; the log is for what the daemon says of itself.
        scene.set("WARDEN_LOG__LEVEL", "info,warden::http=error");
        let (began, mut problems) = (trial.now(), Vec::new());
        let tried = fill_and_empty(&trial, &scene, filling, &mut problems).await;
        let found = tried.unwrap_or_else(|problem| {
            let log = scene.log();
            let mut last: Vec<&str> = log.lines().rev().take(LINES_TOLD).collect();
            last.reverse();
            problems.push(format!("{problem}; it said\n{}", last.join("\n")));
            "not to its end".into()
        });
        trial.note(format!("{filling}: {found}; {:.1} s", trial.since(began).as_secs_f64()));
        failed.extend(problems.into_iter().map(|problem| format!("{filling}: {problem}")));
    }
    assert!(failed.is_empty(), "{} times:\n{}", failed.len(), failed.join("\n"));
    Ok(())
}

/// Fills a volume and empties it, some times over; what was found, in words. Some problems are no reason to
/// end.
async fn fill_and_empty(
    trial: &Trial,
    scene: &Scene,
    filling: &Filling,
    problems: &mut Vec<String>,
) -> Result<String, String> {
    let stock = filling.stock();
    let mut daemon = start_ready(scene).await?;
    let mut filled: Vec<usize> = Vec::new();
    let cycles = if filling.payload < PAYLOADS_COUNT_FROM { CYCLES - 1 } else { CYCLES };
    for cycle in 0..cycles {
        let desk = Desk::of(&daemon);
        stock.fill(&desk).await?;
        trial.made();
        let at_full = stock.open();
        if cycle == 0 {
            problems.extend(stock.report_progress(&desk).await.err());
        }
        if filled.first().is_some_and(|first| at_full < first / 2) {
            problems
                .push(format!("it took {at_full} items in when it was empty again, and {filled:?} before"));
        }
        filled.push(at_full);
        daemon = match cycle {
            0 => killed_amid_creates(scene, &stock, daemon).await?,
            1 => stopped(scene, daemon).await?,
            _ => daemon,
        };
        let desk = Desk::of(&daemon);
        stock.settle_unsure(&desk).await?;
        trial.held(stock.hold(trial, &desk).await?);

        let bytes = bytes_taken(scene.data());
        let closes = stock.close_all(&desk, Order::of_cycle(cycle)).await?;
        trial.held(closes);
        if !daemon.is_running() {
            return Err(format!("it ended after {closes} closes"));
        }
        let again = tokio::time::timeout(TAKEN_AGAIN_WITHIN, stock.create(&desk, 1)).await;
        again.map_err(|_| format!("no create was taken within {TAKEN_AGAIN_WITHIN:?} of the closes"))??;
        if filling.payload >= PAYLOADS_COUNT_FROM {
            let room = tokio::time::timeout(ROOM_WITHIN, falls_below(scene.data(), bytes / 3)).await;
            if room.is_err() {
                let now = bytes_taken(scene.data());
                problems.push(format!(
                    "{at_full} items took {bytes} bytes, and {ROOM_WITHIN:?} after the closes it is {now}"
                ));
            }
        }
    }
    let left = LEFT_MAX.min(filled[0] / 4);
    let desk = Desk::of(&daemon);
    let created = tokio::time::timeout(TAKEN_AGAIN_WITHIN, stock.create(&desk, left)).await;
    created.map_err(|_| format!("{left} creates were not taken within {TAKEN_AGAIN_WITHIN:?}"))??;
    let daemon = stopped(scene, daemon).await?;
    trial.held(stock.hold(trial, &Desk::of(&daemon)).await?);
    Ok(format!("{filled:?} items filled it"))
}

/// Kills it amid creates, most of which it refuses, and starts it again.
async fn killed_amid_creates(
    scene: &Scene,
    stock: &Stock,
    daemon: DaemonProcess,
) -> Result<DaemonProcess, String> {
    let desk = Desk::of(&daemon);
    let kill = async {
        a_moment(200).await;
        tokio::task::spawn_blocking(|| daemon.kill()).await.expect("no panic");
    };
    // The creates end when nobody answers any more.
    let (_, ()) = tokio::join!(stock.fill(&desk), kill);
    start_ready(scene).await.map_err(|said| format!("killed while full, {said}"))
}

/// Has it stop in good order and starts it again.
async fn stopped(scene: &Scene, daemon: DaemonProcess) -> Result<DaemonProcess, String> {
    let status = tokio::task::spawn_blocking(|| daemon.terminate()).await.expect("no panic");
    if !status.success() {
        return Err(format!("told to stop, it ended with {status}"));
    }
    start_ready(scene).await.map_err(|said| format!("stopped while full, {said}"))
}

async fn start_ready(scene: &Scene) -> Result<DaemonProcess, String> {
    let daemon = scene.try_start().await.map_err(|said| format!("it does not start: {said}"))?;
    let ready = daemon.request(Method::GET, "/readyz").send().await;
    let ready = ready.map_err(|error| format!("whether it is ready: {error}"))?;
    if !ready.status().is_success() {
        return Err(format!("it is not ready: {}", ready.text().await.unwrap_or_default()));
    }
    Ok(daemon)
}

async fn falls_below(directory: &Path, bytes: u64) {
    while bytes_taken(directory) >= bytes {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How many bytes of the file system the directory takes. What is removed meanwhile takes none.
fn bytes_taken(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let taken = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_taken(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    taken.sum()
}
