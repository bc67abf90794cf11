//! The pages for those who come from another system: their blocks run in order against the real binary and
//! show what they promise, and their workers are those of the client's examples.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use regex::Regex;
use warden_client::{CancellationToken, Client};

use crate::support::{DaemonProcess, eventually, process, within_patience};

#[path = "../../clients/rust/examples/coming_from_program_executor.rs"]
#[allow(dead_code, reason = "its main is for people")]
mod program_executor;
#[path = "../../clients/rust/examples/coming_from_workflow_engine.rs"]
#[allow(dead_code, reason = "its main is for people")]
mod workflow_engine;

/// What an example keeps between these is what its page has.
const BEGIN: &str = "// What the page has.\n";
const END: &str = "// The end of what the page has.\n";
const SERVE: &str = "warden serve --config warden.toml &\n";
const EXAMPLE: &str = "cargo run -p process-warden-client --example ";

/// A page, and the example whose code it has, if it has any.
struct Page {
    text: String,
    example: Option<String>,
}

impl Page {
    fn of(name: &str) -> Self {
        let read = |path: String| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        let example = format!("clients/rust/examples/coming_from_{}.rs", name.replace('-', "_"));
        Self {
            text: read(format!("docs/coming-from/{name}.md")).expect("a page"),
            example: read(example).ok(),
        }
    }

    /// The fenced blocks: language and text.
    fn blocks(&self) -> Vec<(&str, &str)> {
        let mut fences = self.text.split("```").skip(1);
        let mut blocks = Vec::new();
        while let (Some(block), Some(_)) = (fences.next(), fences.next()) {
            blocks.push(block.split_once('\n').expect("a language"));
        }
        blocks
    }

    fn code(&self) -> &str {
        let example = self.example.as_deref().expect("an example");
        let (_, rest) = example.split_once(BEGIN).expect("the beginning of the page's part");
        rest.split_once(END).expect("the end of the page's part").0
    }
}

/// Works on the daemon as the example of this name does, and gives what that prints.
async fn run_example(name: &str, daemon: &DaemonProcess) -> String {
    let client = Client::new(&daemon.url(""), None).unwrap();
    let lines = Arc::new(Mutex::new(String::new()));
    let log = lines.clone();
    let tell = move |line: String| {
        let mut lines = log.lock().unwrap();
        *lines += &line;
        lines.push('\n');
    };
    let stop = CancellationToken::new();
    let worker = match name {
        "coming_from_workflow_engine" => {
            workflow_engine::create(&client).await.unwrap();
            workflow_engine::worker(client, tell)
        }
        "coming_from_program_executor" => {
            program_executor::create(&client).await.unwrap();
            program_executor::worker(client, &stop, tell)
        }
        other => panic!("there is no example {other}"),
    };
    within_patience("the end of the example", worker.run(stop)).await.unwrap();
    lines.lock().unwrap().clone()
}

/// Runs a block in a shell that finds the binary by its name, and gives all that it prints, and whether its
/// last command went well.
async fn run_shell(directory: &Path, daemon: &DaemonProcess, text: &str) -> (String, bool) {
    let binary = process::binary().get_program().to_owned();
    let mut path = Path::new(&binary).parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("exec 2>&1\n{}", text.replace("127.0.0.1:8470", daemon.address()))])
        .current_dir(directory)
        .env("PATH", path)
        .env("WARDEN_URL", daemon.url(""))
        .env_remove("WARDEN_TOKEN")
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

/// Whether the output is what a page promises, where `…` stands for anything within a line, and blanks for
/// any number of them.
fn is_as_promised(promised: &str, output: &str) -> bool {
    let line = |promised: &str| {
        let words: Vec<String> =
            promised.split_whitespace().map(|word| regex::escape(word).replace('…', ".*")).collect();
        Regex::new(&format!("^{}\\s*$", words.join("\\s+"))).unwrap()
    };
    let (promised, output): (Vec<_>, Vec<_>) = (promised.lines().collect(), output.lines().collect());
    promised.len() == output.len()
        && promised.iter().zip(output).all(|(wanted, said)| line(wanted).is_match(said))
}

/// Every error that the output names is in the log of the daemon.
async fn errors_are_in_the_log(directory: &Path, output: &str) {
    let log = DaemonProcess::log(directory);
    for id in Regex::new("err_[0-9a-f]{32}").unwrap().find_iter(output) {
        let id = id.as_str();
        eventually(id, || async { fs::read_to_string(&log).unwrap().contains(id).then_some(()) }).await;
    }
}

async fn does_what_it_says(page: Page) {
    let directory = tempfile::tempdir().unwrap();
    let mut daemon = None;
    let (mut served, mut examples, mut compared) = (0, 0, 0);
    let mut blocks = page.blocks().into_iter().peekable();
    while let Some((language, text)) = blocks.next() {
        match (language, &daemon) {
            ("toml", None) => fs::write(directory.path().join("warden.toml"), text).unwrap(),
            ("rust", _) => assert_eq!(text, page.code(), "the page has what the example has"),
            ("sh", None) => {
                assert_eq!(text, SERVE, "the daemon comes first");
                daemon = Some(DaemonProcess::on(directory.path()));
                served += 1;
            }
            ("sh", Some(daemon)) => {
                let (output, went_well) = match text.strip_prefix(EXAMPLE) {
                    Some(name) => {
                        examples += 1;
                        (run_example(name.trim(), daemon).await, true)
                    }
                    None => run_shell(directory.path(), daemon, text).await,
                };
                errors_are_in_the_log(directory.path(), &output).await;
                match blocks.next_if(|(language, _)| *language == "text") {
                    Some((_, promised)) => {
                        compared += 1;
                        assert!(is_as_promised(promised, &output), "{text}\npromises\n{promised}\n{output}");
                    }
                    None => assert!(went_well && output.is_empty(), "{text}\nprints\n{output}"),
                }
            }
            _ => panic!("a block that nothing is done with: {language}\n{text}"),
        }
    }
    let has_run = page.example.is_none() || examples > 0;
    assert!(served == 1 && has_run && compared > 3, "{served}, {examples}, {compared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_workflow_engine_does_what_it_says() {
    does_what_it_says(Page::of("workflow-engine")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_program_executor_does_what_it_says() {
    does_what_it_says(Page::of("program-executor")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_batchy_does_what_it_says() {
    does_what_it_says(Page::of("batchy")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_processtracker_does_what_it_says() {
    does_what_it_says(Page::of("processtracker")).await;
}

#[test]
fn output_is_as_promised_up_to_what_an_ellipsis_stands_for() {
    assert!(is_as_promised("a  b, in …\nc\n", "a b, in 12ms\nc \n"));
    for output in ["a b, in 12ms\n", "a b, out 12ms\nc\n", "a b, in 1s\nd\n", "a b, in 1s\nc\nc\n"] {
        assert!(!is_as_promised("a b, in …\nc\n", output), "{output}");
    }
}
