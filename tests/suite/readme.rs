//! The README: what it has newcomers paste does what it says, block by block, with the real binary.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::{DaemonProcess, eventually, process};

const README: &str = include_str!("../../README.md");

/// What each block shows, from the first one to the last.
const SHOWN: &[&[&str]] = &[
    // Builds the program and runs all tests, which is not for a test.
    &[],
    &["201 Created"],
    &["201 Created", "204 No Content"],
    &["\"id\":\"file-123\"", "\"kind\":\"overdue\""],
    &["{\"file\": \"holiday.jpg\", \"owner\": 42}"],
    &["file-123", "{\"file\": \"holiday.jpg\", \"owner\": 42}"],
    // The configuration, then the receiver and the daemon that has it.
    &[],
    &[],
    &["file-125", "uploads"],
    &["sil_", "moving the disks"],
    &["photo-1", "photo-2", "photo-3"],
    &[],
    &["photo-1", "photo-2", "photo-3"],
    &[],
];

/// What stands for cargo, whose program is built already, and for waiting: a machine may take longer than a person would
/// think. What is waited for is always that what was created is overdue, and told of.
const PRELUDE: &str = r#"
set -eu
cargo() {
    test "$1 $2 $3" = "run --release --"
    shift 3
    "$WARDEN" "$@"
}
curl() { command curl --silent --show-error --fail-with-body "$@"; }
sleep() {
    command sleep "$1"
    until curl "$WARDEN_URL/v1/incidents?status=open" | grep -q '"inc_' &&
        ! curl "$WARDEN_URL/v1/items?state=open" | grep -q '"id"'; do
        command sleep 0.1
    done
}
"#;

/// A fenced block: its language, and its text.
struct Block<'a> {
    language: &'a str,
    text: &'a str,
}

fn blocks() -> Vec<Block<'static>> {
    let mut fences = README.split("```");
    fences.next();
    let mut blocks = Vec::new();
    while let (Some(block), Some(_)) = (fences.next(), fences.next()) {
        let (language, text) = block.split_once('\n').expect("a language");
        blocks.push(Block { language, text });
    }
    blocks
}

/// A shell that goes on by itself, with all that it started.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// A port that is free, from a range out of which the system gives none by itself.
fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    (first..32_000)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// A shell in this directory that runs a block, with the daemon and the receiver where they are in this test.
fn shell(directory: &Path, daemon: &DaemonProcess, hook: &str, text: &str) -> Command {
    let text = text.replace("127.0.0.1:8470", daemon.address()).replace("9000", hook);
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("{PRELUDE}{text}")])
        .current_dir(directory)
        .env("WARDEN", process::binary().get_program())
        .env("WARDEN_URL", daemon.url(""))
        .env_remove("WARDEN_TOKEN")
        .stdin(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_the_readme_does_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let hook = free_port().to_string();
    let mut daemon = DaemonProcess::on(directory.path());
    let mut receiver = None;
    let hook_log = directory.path().join("hook.log");
    let blocks = blocks();
    assert_eq!(blocks.len(), SHOWN.len(), "each block of the README is known here, by what it shows");
    for (block, shown) in blocks.iter().zip(SHOWN) {
        let Block { language, text } = block;
        if *language == "toml" {
            fs::write(directory.path().join("warden.toml"), text.replace("9000", &hook)).unwrap();
        } else if text.contains("cargo test") {
            assert!(text.starts_with("cargo run --release -- serve "), "{text}");
        } else if let Some(before) = text.strip_suffix("cargo run --release -- serve --config warden.toml\n")
        {
            let mut listening = shell(directory.path(), &daemon, &hook, &format!("{before}wait\n"));
            listening.stdout(fs::File::create(&hook_log).unwrap()).stderr(Stdio::null()).process_group(0);
            receiver = Some(Background(listening.spawn().unwrap()));
            assert!(daemon.terminate().success());
            daemon = DaemonProcess::on(directory.path());
        } else {
            let mut command = shell(directory.path(), &daemon, &hook, text);
            let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
            let (out, notes) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{}:\n{text}\n{out}\n{notes}", output.status);
            for words in *shown {
                assert!(out.contains(words), "{words} is not shown by\n{text}\n{out}\n{notes}");
            }
        }
    }
    let mut photos = String::new();
    let mut files: Vec<_> = fs::read_dir(directory.path().join("recovered"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        write!(photos, "{}, ", fs::read_to_string(file).unwrap()).unwrap();
    }
    assert_eq!(photos, "photo 1, photo 2, photo 3, ", "byte for byte");
    eventually("both notifications at the hook", || async {
        let heard = fs::read_to_string(&hook_log).unwrap();
        (heard.contains("\"incident.opened\"") && heard.contains("\"incident.resolved\"")).then_some(())
    })
    .await;
    drop(receiver);
}
