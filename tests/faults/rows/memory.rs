//! Less memory than the load needs, limited for the process alone (`prlimit --data`).

use futures_util::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::scene::{SHAPE, Scene};
use crate::support::{DaemonProcess, client};
use crate::trial::{Skipped, Trial};

/// How many large payloads are handed in, and how many at once.
const PAYLOADS: usize = 160;
const AT_ONCE: usize = 64;
/// How large they are, in bytes.
const SIZE: usize = 1 << 20;
/// How much the daemon may take beyond what it has when it is ready: enough for what its limits allow, or
/// not.
const ENOUGH: u64 = 1 << 30;
const TOO_LITTLE: u64 = 16 << 20;

/// Large payloads come all at once. A daemon whose limits fit its memory refuses what is too much and lives;
/// one whose limits do not dies of it, and has everything when it is started again.
pub async fn limited(trial: Trial) -> Result<(), Skipped> {
    let mut scene = Scene::new(&trial, SHAPE).await;
    scene.set("WARDEN_LIMITS__BUFFERED_MAX", "32MiB");
    scene.set("WARDEN_STORAGE__CACHE", "16MiB");
    // Its allocator takes a gibibyte of addresses beforehand, which would count as if it were used.
    scene.set("MIMALLOC_ARENA_RESERVE", "0");
    for round in 0..trial.rounds(1, 3) {
        let daemon = scene.start().await;
        limit(&daemon, ENOUGH);
        let (taken, refused) = hand_in(&daemon, &format!("enough-{round}")).await;
        trial.made();
        trial.note(format!("with enough memory {taken} of {PAYLOADS} payloads taken and {refused} refused"));
        assert_eq!(taken + refused, PAYLOADS, "with enough memory some were not answered: {}", scene.log());
        assert!(taken > 0, "with enough memory none was taken");
        let load = scene.press(&daemon).await;
        load.stop().await;
        scene.hold(&daemon).await;
        hold_to(&trial, &scene, &daemon, &format!("enough-{round}"), taken).await;
        daemon.kill();

        let daemon = scene.start().await;
        let load = scene.press(&daemon).await;
        limit(&daemon, TOO_LITTLE);
        let (taken, refused) = hand_in(&daemon, &format!("too-little-{round}")).await;
        trial.made();
        let died = PAYLOADS - taken - refused;
        trial.note(format!("with too little {taken} taken and {refused} refused, {died} not answered"));
        daemon.kill();
        load.ended().await;
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        hold_to(&trial, &scene, &daemon, &format!("too-little-{round}"), taken).await;
        daemon.kill();
    }
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}

/// Limits the daemon to so many bytes more than it has.
fn limit(daemon: &DaemonProcess, more: u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).expect("its data");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    let bytes = Some((kibibytes << 10) + more);
    let id = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw);
    prlimit(id, Resource::Data, Rlimit { current: bytes, maximum: bytes }).expect("it can be limited");
}

/// Hands large payloads in; how many are taken, and how many refused. What is left was not answered at all.
async fn hand_in(daemon: &DaemonProcess, workflow: &str) -> (usize, usize) {
    let http = client();
    let puts = (0..PAYLOADS).map(|number| {
        let put = http.request(Method::PUT, daemon.url(&path(workflow, number)));
        async move { put.body(payload(number)).send().await.ok().map(|response| response.status()) }
    });
    let answers: Vec<Option<StatusCode>> = stream::iter(puts).buffer_unordered(AT_ONCE).collect().await;
    let count = |wanted| answers.iter().filter(|answer| **answer == Some(wanted)).count();
    (count(StatusCode::CREATED), count(StatusCode::SERVICE_UNAVAILABLE))
}

/// Holds the daemon to so many of them at least.
async fn hold_to(trial: &Trial, scene: &Scene, daemon: &DaemonProcess, workflow: &str, taken: usize) {
    let mut found = 0;
    for number in 0..PAYLOADS {
        let get = daemon.request(Method::GET, &format!("{}/payload", path(workflow, number)));
        let (status, bytes) = match get.send().await {
            Ok(response) => (response.status(), response.bytes().await),
            Err(error) => panic!("{}: {error}; it said {}", path(workflow, number), scene.log()),
        };
        if status != StatusCode::OK {
            continue;
        }
        found += 1;
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => panic!("{}: {error}; it said {}", path(workflow, number), scene.log()),
        };
        if bytes != payload(number) {
            trial.lost(format!("{}: its payload came back changed", path(workflow, number)));
        }
    }
    if found < taken {
        trial.lost(format!("{} of {taken} payloads of {workflow}", taken - found));
    }
    trial.held(taken);
}

fn path(workflow: &str, number: usize) -> String {
    format!("/v1/workflows/{workflow}/items/{number}")
}

fn payload(number: usize) -> Vec<u8> {
    number.to_le_bytes().repeat(SIZE / size_of::<usize>())
}
