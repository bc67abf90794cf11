//! Starts, and refused starts. Stops are a row of the fault matrix (`tests/faults`).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;

use crate::support::{DaemonProcess, process};

fn refusal(directory: &Path) -> String {
    let log = directory.join("refused.log");
    match DaemonProcess::start(process::serve(directory), &log) {
        Ok(_) => panic!("it started"),
        Err(said) => said,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_data_refuses_to_start_and_says_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = DaemonProcess::on(directory.path());
    let said = refusal(directory.path());
    assert!(said.contains("another warden is running on the data directory"), "{said}");
    assert!(first.terminate().success());
    assert!(DaemonProcess::on(directory.path()).terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_something_else_in_it_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    std::fs::create_dir(&data).expect("a directory");
    std::fs::write(data.join("thesis.tex"), "years of work").expect("a file");
    let said = refusal(directory.path());
    assert!(said.contains("holds no warden data (found \"thesis.tex\")"), "{said}");
    let names: Vec<_> =
        std::fs::read_dir(&data).expect("a directory").map(|entry| entry.expect("one").file_name()).collect();
    assert_eq!(names, ["thesis.tex"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_a_format_it_does_not_know_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(DaemonProcess::on(directory.path()).terminate().success());
    std::fs::write(directory.path().join("data/FORMAT"), "process-warden data, format 9\n").expect("a file");
    let said = refusal(directory.path());
    assert!(said.contains("format 9") && said.contains("export"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_mark_costs_nothing_and_the_refusal_says_what_to_restore() {
    let directory = tempfile::tempdir().expect("a directory");
    let daemon = DaemonProcess::on(directory.path());
    let create = async |daemon: &DaemonProcess, id: &str| {
        let path = format!("/v1/workflows/uploads/items/{id}");
        daemon.request(Method::PUT, &path).body("x").send().await.expect("an answer").status().as_u16()
    };
    for id in 0..200 {
        assert_eq!(create(&daemon, &id.to_string()).await, 201);
    }
    assert!(daemon.terminate().success());
    let mark = directory.path().join("data/FORMAT");
    std::fs::rename(&mark, directory.path().join("kept")).expect("it is there");
    let said = refusal(directory.path());
    assert!(said.starts_with("exit status: 65") && said.contains("Restore FORMAT"), "{said}");
    std::fs::rename(directory.path().join("kept"), &mark).expect("it is there");
    let daemon = DaemonProcess::on(directory.path());
    for id in 0..200 {
        assert_eq!(create(&daemon, &id.to_string()).await, 200, "{id} is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("data"), "a file, where a directory should be").expect("a file");
    let said = refusal(directory.path());
    assert!(said.contains("cannot use the data directory") && said.contains("storage.path"), "{said}");
}

/// A daemon that is started with the mask that hides nothing.
fn with_an_open_mask(directory: &Path, data: &Path) -> DaemonProcess {
    let serve = process::serve(directory);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(serve.get_program()).args(serve.get_args());
    for (name, value) in serve.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("WARDEN_STORAGE__PATH", data);
    DaemonProcess::start(command, &DaemonProcess::log(directory)).expect("it starts")
}

/// What others than its owner may do to each file and directory here.
fn open_to_others(path: &Path, found: &mut Vec<(PathBuf, u32)>) {
    let metadata = std::fs::symlink_metadata(path).expect("it is there");
    let others = metadata.permissions().mode() & 0o077;
    if others != 0 {
        found.push((path.to_owned(), others));
    }
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).expect("a directory") {
            open_to_others(&entry.expect("an entry").path(), found);
        }
    }
}

#[track_caller]
fn is_private(path: &Path) {
    let mut found = Vec::new();
    open_to_others(path, &mut found);
    assert!(found.is_empty(), "others may do something with {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_are_for_the_user_alone_that_runs_the_daemon_whatever_the_mask() {
    let directory = tempfile::tempdir().expect("a directory");
    let (above, data) = (directory.path().join("above"), directory.path().join("above/data"));
    for round in 0..3 {
        let daemon = with_an_open_mask(directory.path(), &data);
        for size in [10, 5_000, 900_000] {
            let path = format!("/v1/workflows/uploads/items/{round}-{size}");
            let created = daemon.request(Method::PUT, &path).body("x".repeat(size)).send().await.unwrap();
            assert_eq!(created.status(), 201);
        }
        is_private(&above);
        assert!(daemon.terminate().success());
        is_private(&above);
    }
    // As an earlier version left it, or whoever restored a copy.
    let opened = Command::new("chmod").arg("-R").arg("a+rwX").arg(&data).status().expect("chmod");
    assert!(opened.success());
    let daemon = with_an_open_mask(directory.path(), &data);
    is_private(&data);
    drop(daemon);
    is_private(&data);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let other = tempfile::tempdir().expect("a directory");
    let first = DaemonProcess::on(directory.path());
    let mut command = process::serve(other.path());
    command.env("WARDEN_SERVER__LISTEN", first.address());
    let said = DaemonProcess::start(command, &other.path().join("log")).err().expect("it does not start");
    assert!(said.contains(first.address()) && said.contains("server.listen"), "{said}");
}

#[test]
fn the_service_unit_may_do_next_to_nothing() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/warden.service");
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=11", "--no-pager", unit])
        .output();
    match output {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => println!("skipped: systemd-analyze cannot be run: {error}"),
    }
}
