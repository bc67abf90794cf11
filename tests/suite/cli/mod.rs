//! The command line: the real binary and a daemon whose clock the test controls.
//!
//! Whole screens are in [`transcripts`]. Elsewhere the binary uses the machine's clock, so ages are not
//! checked.

mod artifacts;
mod check;
mod closed;
mod connection;
mod data;
mod hostile;
mod incidents;
mod lists;
mod log;
mod payloads;
mod progress;
mod recover;
mod replays;
mod retry;
mod run;
mod selections;
mod silences;
mod transcripts;
mod wait;
mod work;

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{TestDaemon, process, within_patience};

/// What a run of the binary printed, and how it ended.
pub struct Said {
    code: i32,
    out: String,
    notes: String,
}

impl Said {
    /// Expects that it went well, and gives what is on stdout.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{}", self.notes);
        self.out
    }

    /// Expects that it went well, and gives the JSON document that is all of stdout.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.done();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Expects this exit code, and gives what is on stdout and on stderr.
    #[track_caller]
    pub fn ended(self, code: i32) -> (String, String) {
        assert_eq!(self.code, code, "{}", self.notes);
        (self.out, self.notes)
    }

    /// Expects this exit code and nothing on stdout, and gives what is on stderr.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!((self.code, &*self.out), (code, ""), "{}", self.notes);
        self.notes
    }
}

/// The binary with these arguments, as `kim` would run it on the daemon at this address.
pub fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = process::binary();
    command.args(arguments).env("WARDEN_URL", url).env("USER", "kim").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub async fn run(mut command: Command) -> Said {
    let ended = tokio::task::spawn_blocking(move || command.output().expect("the binary can be run"));
    let output = within_patience("the command to end", ended).await.expect("no panic");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let code = output.status.code().expect("an exit code");
    Said { code, out: text(output.stdout), notes: text(output.stderr) }
}

/// Runs the binary on this daemon.
pub async fn warden(daemon: &TestDaemon, arguments: &[&str]) -> Said {
    run(command(&daemon.url(""), arguments)).await
}
