//! More connections than the daemon has file descriptors for.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::scene::{SHAPE, Scene, get};
use crate::support::{PATIENCE, client, eventually};
use crate::trial::{Skipped, Trial};

/// How many file descriptors the daemon has, and how many connections are made.
const DESCRIPTORS: usize = 256;
const CONNECTIONS: usize = 320;
/// How long one of them tries to be let in.
const KNOCK: Duration = Duration::from_secs(3);

/// Connections take all that there is. Who is connected goes on, who is overdue is told of, and the next one
/// is let in as soon as somebody leaves.
pub async fn exhausted(trial: Trial) -> Result<(), Skipped> {
    let mut scene = Scene::new(&trial, SHAPE).await;
    scene.launch_by(&["prlimit", &format!("--nofile={DESCRIPTORS}")]);
    // Nobody is to leave because of the time.
    scene.set("WARDEN_LIMITS__HEADER_TIMEOUT", "1h");
    for round in 0..trial.rounds(1, 2) {
        let daemon = scene.start().await;
        scene.hold(&daemon).await;
        let load = scene.press(&daemon).await;
        // A connection that is there before, and stays.
        get(&daemon, "/v1/incidents").await;
        // Those beyond what the daemon takes wait in the system's queue, which may be shorter than that.
        let connections = (0..CONNECTIONS).map(|_| timeout(KNOCK, TcpStream::connect(daemon.address())));
        let idle: Vec<_> = join_all(connections).await.into_iter().flatten().flatten().collect();
        trial.made();
        scene.acknowledged(50).await;
        let workflow = format!("exhausted-{round}");
        let path = format!("/v1/workflows/{workflow}/items/one?deadline=0s");
        let put = daemon.request(Method::PUT, &path).body("one").send().await.expect("an answer");
        assert_eq!(put.status(), StatusCode::CREATED);
        eventually("somebody to be told although connections take all descriptors", || async {
            scene.opening(|of| of["workflow"] == *workflow).await
        })
        .await;
        // One more client waits its turn, and has it.
        let late = client().get(daemon.url("/healthz")).timeout(2 * PATIENCE);
        let late = tokio::spawn(late.send());
        scene.acknowledged(20).await;
        drop(idle);
        let late = late.await.expect("no panic").expect("an answer");
        assert_eq!(late.status(), StatusCode::OK);
        load.stop().await;
        assert_eq!(scene.memory().refusals(), 0, "work was refused");
        daemon.kill();
    }
    let daemon = scene.start().await;
    scene.settle(daemon).await;
    Ok(())
}
