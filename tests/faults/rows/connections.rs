//! Idle and slow clients: they block nobody and are disconnected.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scene::{SHAPE, Scene};
use crate::support::{DaemonProcess, within_patience};
use crate::trial::{Skipped, Trial};

/// How many connections do nothing.
const IDLE: usize = 10_000;
/// How many are slow.
const SLOW: usize = 600;
/// How much the daemon holds of all bodies together.
const BUFFERED_MAX: &str = "64MiB";
/// How long the daemon waits for them, and how often a slow one sends a byte.
const DAEMON_WAITS: &str = "3s";
const BYTE_EVERY: Duration = Duration::from_millis(500);

/// Ten thousand connections that do nothing, and a few that work.
pub async fn idle(trial: Trial) -> Result<(), Skipped> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if limit.is_some_and(|limit| limit < IDLE as u64 + 500) {
        return Err(Skipped(format!("this process may not open {IDLE} connections (ulimit -n)")));
    }
    let mut scene = Scene::new(&trial, SHAPE).await;
    scene.set("WARDEN_LIMITS__HEADER_TIMEOUT", "10s");
    let daemon = scene.start().await;
    for _ in 0..trial.rounds(1, 2) {
        let mut idle = Vec::with_capacity(IDLE);
        for _ in 0..IDLE {
            idle.push(connect(&daemon).await);
        }
        let load = scene.press(&daemon).await;
        trial.made_times(IDLE as u32);
        // They sent nothing, so the daemon closes them.
        let mut last = idle.pop().expect("a connection");
        let mut rest = Vec::new();
        within_patience("an idle connection to be closed", last.read_to_end(&mut rest))
            .await
            .expect("an orderly end");
        load.stop().await;
    }
    assert_eq!(scene.memory().refusals(), 0, "work was refused");
    scene.settle(daemon).await;
    Ok(())
}

/// Heads of requests that never come to their end.
pub async fn slow_heads(trial: Trial) -> Result<(), Skipped> {
    slow(trial, "WARDEN_LIMITS__HEADER_TIMEOUT", |_| {
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ".to_owned()
    })
    .await
}

/// Bodies that never come to their end, of items and of batches. They say that they will be larger than all
/// that the daemon holds at once (`limits.buffered_max`); what has come of them is far less.
pub async fn slow_bodies(trial: Trial) -> Result<(), Skipped> {
    slow(trial, "WARDEN_LIMITS__BODY_TIMEOUT", |number| {
        let request = if number.is_multiple_of(2) {
            format!("PUT {}", slow_item(number))
        } else {
            "POST /v1/batch".to_owned()
        };
        format!("{request} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", 1 << 20)
    })
    .await
}

fn slow_item(number: usize) -> String {
    format!("/v1/workflows/slow/items/{number}")
}

async fn slow(trial: Trial, patience: &str, begin: fn(usize) -> String) -> Result<(), Skipped> {
    let mut scene = Scene::new(&trial, SHAPE).await;
    scene.set(patience, DAEMON_WAITS);
    scene.set("WARDEN_LIMITS__BUFFERED_MAX", BUFFERED_MAX);
    let daemon = scene.start().await;
    for _ in 0..trial.rounds(1, 3) {
        let load = scene.press(&daemon).await;
        let mut slow = Vec::with_capacity(SLOW);
        for number in 0..SLOW {
            let mut stream = connect(&daemon).await;
            stream.write_all(begin(number).as_bytes()).await.expect("the daemon takes it");
            slow.push(stream);
        }
        let dripping = tokio::spawn(join_all(slow.into_iter().map(drip)));
        scene.acknowledged(50).await;
        within_patience("all slow connections to be cut off", dripping).await.expect("no panic");
        trial.made_times(SLOW as u32);
        load.stop().await;
    }
    assert_eq!(scene.memory().refusals(), 0, "work was refused because of slow clients");
    let nothing = daemon.request(Method::GET, &slow_item(0)).send().await.expect("an answer");
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND, "half a body became an item");
    scene.settle(daemon).await;
    Ok(())
}

async fn connect(daemon: &DaemonProcess) -> TcpStream {
    within_patience("a connection", TcpStream::connect(daemon.address())).await.expect("a connection")
}

/// Sends a byte now and then until the connection ends.
async fn drip(stream: TcpStream) {
    let (mut reading, mut writing) = stream.into_split();
    let ended = async {
        let mut buffer = [0; 4096];
        while reading.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    let dripping = async {
        let mut clock = tokio::time::interval(BYTE_EVERY);
        loop {
            clock.tick().await;
            if writing.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = ended => {}
        () = dripping => {}
    }
}
