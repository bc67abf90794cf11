//! The README and the guides: every block that they have people paste runs, in order, against the real
//! binary.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::{DaemonProcess, eventually, process};

/// The documents, in the order in which their blocks run. The guides go on where the README ends.
const DOCUMENTS: [&str; 4] = [
    include_str!("../../README.md"),
    include_str!("../../docs/guides/alerting.md"),
    include_str!("../../docs/guides/recovery.md"),
    include_str!("../../docs/guides/workers.md"),
];

/// What the output of each block contains.
const SHOWN: &[&[&str]] = &[
    // Starts the daemon and runs all tests, which is not for a test.
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
    &["\"state\":\"open\""],
    &["{\"bytes\":13}", "etl@run-1", "etl@run-2", "etl@run-3"],
];

/// Replaces cargo by the built program, and sleeping by polling: a wait ends when everything created is
/// overdue and has an incident.
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
    let mut blocks = Vec::new();
    for document in DOCUMENTS {
        let mut fences = document.split("```");
        fences.next();
        while let (Some(block), Some(_)) = (fences.next(), fences.next()) {
            let (language, text) = block.split_once('\n').expect("a language");
            blocks.push(Block { language, text });
        }
    }
    blocks
}

/// A shell in the background, with its child processes.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// A free port outside the range of ephemeral ports.
fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    (first..32_000)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// A shell that runs a block in a directory, with the addresses of this test's daemon and receiver.
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
async fn every_block_of_the_readme_and_the_guides_does_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let hook = free_port().to_string();
    let mut daemon = DaemonProcess::on(directory.path());
    let mut receiver = None;
    let hook_log = directory.path().join("hook.log");
    let blocks = blocks();
    assert_eq!(blocks.len(), SHOWN.len(), "each block has an entry in SHOWN");
    for (block, shown) in blocks.iter().zip(SHOWN) {
        let Block { language, text } = block;
        if *language == "toml" {
            fs::write(directory.path().join("warden.toml"), text.replace("9000", &hook)).unwrap();
        } else if text.contains("tests/run") {
            let [serve, tests] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
            assert!(serve.starts_with("cargo run --release -- serve ") && tests.starts_with("tests/run "));
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
