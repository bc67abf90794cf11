//! How the daemon starts and refuses to start. How it ends is a row of the fault matrix (`tests/faults`).

use crate::support::{DaemonProcess, process};

fn refusal(directory: &std::path::Path) -> String {
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
async fn a_data_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("data"), "a file, where a directory should be").expect("a file");
    let said = refusal(directory.path());
    assert!(said.contains("cannot use the data directory") && said.contains("storage.path"), "{said}");
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
    let output = std::process::Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=11", "--no-pager", unit])
        .output();
    match output {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => println!("skipped: systemd-analyze cannot be run: {error}"),
    }
}
