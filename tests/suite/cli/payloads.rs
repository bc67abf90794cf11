//! Payloads on the command line: written and read back.

use std::io::Write as _;
use std::process::Stdio;

use super::{command, run, warden};
use crate::support::TestDaemon;

#[tokio::test]
async fn what_is_compressed_is_handed_in_as_such_and_handed_back_as_it_is() {
    let daemon = TestDaemon::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let mut gzip = std::process::Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(path("in")).unwrap())
        .spawn()
        .unwrap();
    gzip.stdin.take().unwrap().write_all(b"{\"a\": 1}\n").unwrap();
    assert!(gzip.wait().unwrap().success());
    let create = |encoding: &str| {
        let input = path("in");
        let arguments = [
            "create",
            "uploads",
            "a",
            "--file",
            &input,
            "--content-type",
            "application/json",
            "--content-encoding",
        ];
        command(&daemon.url(""), &[&arguments[..], &[encoding]].concat())
    };
    run(create("gzip")).await.done();
    assert!(run(create("gzip")).await.done().contains("exists already"));
    assert!(run(create("br")).await.failed(1).contains("another payload"));

    warden(&daemon, &["payload", "uploads", "a", "--file", &path("out")]).await.done();
    assert_eq!(std::fs::read(path("out")).unwrap(), std::fs::read(path("in")).unwrap());
    let shown = warden(&daemon, &["show", "uploads", "a"]).await.done();
    assert!(shown.contains("encoding  gzip"), "{shown}");
}
