//! What people see: command lines of a story on a daemon with a virtual clock, each with all that it prints.
//!
//! A transcript is a file in `screens/`. The lines are run by a shell whose wall clock stands where the
//! daemon's does, so that ages are those of the story. Tests of single properties are beside this module;
//! nothing that a transcript shows is asserted there again.

mod access;
mod archives;
mod artifacts;
mod deliveries;
mod help;
mod incidents;
mod items;
mod offline;
mod recovery;
mod replays;
mod runs;
mod silences;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use insta::Settings;
use tempfile::TempDir;
use warden::model::{Clock as _, Timestamp};

use super::{Said, run};
use crate::support::daemon::START;
use crate::support::redaction::redacted;
use crate::support::{TestDaemon, faketime};

/// Command lines and what they print, as far as they were entered.
struct Transcript {
    /// Where the shell is.
    directory: TempDir,
    text: String,
}

impl Transcript {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), text: String::new() }
    }

    /// Writes a file where the shell is.
    fn file(&self, name: &str, content: &str) {
        std::fs::write(self.directory.path().join(name), content).expect("a file");
    }

    /// Says what happens between two command lines.
    fn aside(&mut self, what: &str) {
        let _ = writeln!(self.text, "# {what}\n");
    }

    /// Runs a command line on a daemon, and gives what it printed.
    async fn enter(&mut self, daemon: &TestDaemon, line: &str) -> Said {
        self.enter_at(&daemon.url(""), daemon.clock().wall(), line).await
    }

    /// Runs a command line of which nobody asks the daemon that it is for.
    async fn enter_alone(&mut self, line: &str) -> Said {
        self.enter_at("http://127.0.0.1:1", START, line).await
    }

    async fn enter_at(&mut self, url: &str, now: Timestamp, line: &str) -> Said {
        let said = run(shell(self.directory.path(), url, now, line)).await;
        let _ = writeln!(self.text, "$ {line}\nexit code: {}", said.code);
        for (name, printed) in [("stdout", &said.out), ("stderr", &said.notes)] {
            if !printed.is_empty() {
                let end = if printed.ends_with('\n') { "" } else { "\n[no line feed at the end]\n" };
                let _ = write!(self.text, "----- {name} -----\n{printed}{end}");
            }
        }
        self.text.push('\n');
        said
    }

    /// Holds it against the file of this name.
    #[track_caller]
    fn compare(self, name: &str) {
        compare("screens", name, &redacted(&self.text));
    }
}

/// A shell that runs this line as `kim`, with the wall clock at this instant.
fn shell(directory: &Path, url: &str, now: Timestamp, line: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_warden")).parent().expect("a directory");
    let library = faketime::library().expect("libfaketime, of the Debian package faketime");
    let wall = now.to_string().replace('T', " ");
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(directory)
        .stdin(Stdio::null())
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", binary.display()))
        .env("TMPDIR", directory)
        .env("USER", "kim")
        .env("TZ", "UTC")
        .env("WARDEN_URL", url)
        .env("LD_PRELOAD", library)
        // Without its fraction and zone; the clock stands.
        .env("FAKETIME", wall.split('.').next().expect("an instant"))
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1");
    command
}

/// Holds a text against the snapshot of this name in a folder beside this file.
#[track_caller]
fn compare(folder: &str, name: &str, text: &str) {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
