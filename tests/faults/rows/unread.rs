//! Clients that do not read their answers: they block nobody, use no more memory than the limits allow, and
//! do not delay a stop.

use std::future::poll_fn;
use std::time::Duration;

use axum::http;
use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::Builder;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::scene::{SHAPE, Scene, get};
use crate::support::{DaemonProcess, client, eventually, within_patience};
use crate::trial::{Skipped, Trial};

/// How many clients ask for an export, of how many connections.
const EXPORTS: usize = 60;
const CONNECTIONS_MAX: &str = "40";
/// How many lists are asked for over two connections of HTTP/2.
const LISTS: usize = 200;
/// What answers may take, and what the daemon may grow by: the allocator and the load take some as well.
const ANSWERS_MAX: &str = "16MiB";
const GROWTH_MAX: u64 = 96 << 20;
/// How long the daemon waits for clients that take nothing, and for the end of all at a stop.
const DAEMON_WAITS: &str = "5s";
const STOP_TIMEOUT: &str = "25s";

/// Lists over HTTP/2 without a window, and exports over HTTP/1, all at once; nobody reads any. Then a stop.
pub async fn answers(trial: Trial) -> Result<(), Skipped> {
    let mut scene = Scene::new(&trial, SHAPE).await;
    scene.set("WARDEN_LIMITS__CONNECTIONS_MAX", CONNECTIONS_MAX);
    scene.set("WARDEN_LIMITS__ANSWERS_MAX", ANSWERS_MAX);
    scene.set("WARDEN_LIMITS__WRITE_TIMEOUT", DAEMON_WAITS);
    scene.set("WARDEN_SERVER__SHUTDOWN_TIMEOUT", STOP_TIMEOUT);
    scene.set("WARDEN_STORAGE__CACHE", "16MiB");
    for round in 0..trial.rounds(1, 3) {
        let daemon = scene.start().await;
        fill(&daemon, round).await;
        let before = resident(&daemon);
        let _lists = (ask_for_lists(&daemon).await, ask_for_lists(&daemon).await);
        let grown = resident(&daemon).saturating_sub(before);
        trial.note(format!("{LISTS} lists that nobody takes: {} MiB more", grown >> 20));
        assert!(grown < GROWTH_MAX, "the daemon grew by {grown} bytes");

        let exports = join_all((0..EXPORTS).map(|_| ask_for_export(&daemon))).await;
        for path in ["/healthz", "/readyz"] {
            // A connection of its own, as a probe has.
            let answer = client().get(daemon.url(path)).send();
            let answer = within_patience(path, answer).await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
        }
        eventually("a list, once those who take nothing are cut off", || async {
            let answer = client().get(daemon.url("/v1/items")).send().await.ok()?;
            (answer.status() == StatusCode::OK).then_some(())
        })
        .await;
        drop(exports);
        trial.made_times((EXPORTS + LISTS) as u32);

        let load = scene.press(&daemon).await;
        load.stop().await;
        let _lists = ask_for_lists(&daemon).await;
        let _exports = join_all((0..EXPORTS / 2).map(|_| ask_for_export(&daemon))).await;
        let began = trial.now();
        crate::scene::stop(daemon).await;
        let took = trial.since(began);
        trial.note(format!("told to stop amid {} exports it took {:.1} s", EXPORTS / 2, took.as_secs_f64()));
        assert!(took < Duration::from_secs(20), "clients that take nothing held the stop up for {took:?}");
        trial.made();
    }
    let daemon = scene.start().await;
    let load = scene.press(&daemon).await;
    load.stop().await;
    scene.settle(daemon).await;
    Ok(())
}

/// Items whose list is large, and some whose payloads are.
async fn fill(daemon: &DaemonProcess, round: u32) {
    let line = |number: usize| {
        let payload = if number.is_multiple_of(100) { "x".repeat(500_000) } else { String::new() };
        let (id, label) = (format!("{round}-{number}"), "x".repeat(200));
        let line = json!({"op": "create", "workflow": "unread", "id": id, "deadline": "2h",
            "labels": {"a": label, "b": label}, "payload": payload});
        format!("{line}\n")
    };
    let lines: String = (0..2_000).map(line).collect();
    let answer = daemon.request(Method::POST, "/v1/batch").body(lines).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.expect("the answers");
    assert_eq!(get(daemon, "/v1/items?limit=1000").await["data"].as_array().map(Vec::len), Some(1000));
}

/// Asks for half of the lists over one connection, and waits until each has been answered or refused. The
/// connection lasts as long as what is returned.
async fn ask_for_lists(daemon: &DaemonProcess) -> impl Sized + use<> {
    let stream = TcpStream::connect(daemon.address()).await.expect("a connection");
    let mut builder = Builder::new();
    builder.initial_window_size(0);
    let (mut http, connection) = builder.handshake::<_, Bytes>(stream).await.expect("a handshake");
    let driven = tokio::spawn(connection);
    let mut answers = Vec::new();
    for _ in 0..LISTS / 2 {
        let request = http::Request::get(daemon.url("/v1/items?limit=1000")).body(()).expect("a request");
        poll_fn(|cx| http.poll_ready(cx)).await.expect("a connection that takes requests");
        answers.push(http.send_request(request, true).expect("it can be sent").0);
    }
    let answers = within_patience("the heads of the lists", join_all(answers)).await;
    (http, driven, answers)
}

/// Asks for an export and takes nothing of it.
async fn ask_for_export(daemon: &DaemonProcess) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(8 * 1024).expect("a small buffer");
    let connecting = socket.connect(daemon.address().parse().expect("an address"));
    let mut stream = within_patience("a connection", connecting).await.expect("a connection");
    let request = "GET /v1/export HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("the system takes it");
    stream
}

/// What a daemon has in memory, in bytes.
fn resident(daemon: &DaemonProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kibibytes << 10
}
