//! Ten thousand connections that do nothing, and one that does.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::{DaemonProcess, process, within_patience};

const IDLE: usize = 10_000;

/// Each end of a connection takes a file descriptor of its own process; this one needs as many as the daemon.
fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_keep_nobody_out_and_are_closed_in_time() {
    if raise_file_limit() < IDLE as u64 + 500 {
        println!("skipped: this process may not open {IDLE} connections");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = process::serve(directory.path());
    command.env("WARDEN_LIMITS__HEADER_TIMEOUT", "10s");
    let daemon = DaemonProcess::start(command, &DaemonProcess::log(directory.path())).expect("it starts");
    let mut idle = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        let connect = TcpStream::connect(daemon.address());
        idle.push(within_patience("a connection", connect).await.expect("a connection"));
    }
    let create = daemon
        .request(Method::PUT, "/v1/workflows/uploads/items/one")
        .body("one")
        .timeout(Duration::from_secs(5));
    assert_eq!(create.send().await.expect("an answer").status(), StatusCode::CREATED);
    // They sent nothing, so the daemon closes them.
    let mut last = idle.pop().expect("a connection");
    let mut rest = Vec::new();
    within_patience("an idle connection to be closed", last.read_to_end(&mut rest))
        .await
        .expect("an orderly end");
    assert!(daemon.terminate().success());
}
