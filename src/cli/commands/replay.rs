//! `warden replay`: starts, lists and controls replays.

mod control;
mod follow;
mod list;
mod show;
mod start;
mod text;

use clap::{Args, Subcommand};
use warden_api::path;

use self::control::Control;
use super::error::CliError;
use crate::cli::terminal::console::Console;

/// Replay items: the daemon sends them to a target, at a set rate
///
/// The selection is fixed when a replay starts; items that are closed meanwhile are left out. A replay
/// continues after a restart of the daemon.
#[derive(Args)]
pub struct Replay {
    #[command(subcommand)]
    command: ReplayCommand,
}

#[derive(Subcommand)]
enum ReplayCommand {
    Start(Box<start::Start>),
    List(list::List),
    Show(show::Show),
    /// Pause a replay; requests in flight are completed
    Pause(Control),
    /// Resume a paused replay; a canary that did not succeed begins again
    Resume(Control),
    /// Cancel a replay; requests in flight are completed
    Cancel(Control),
}

impl Replay {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        match self.command {
            ReplayCommand::Start(start) => start.run(console).await,
            ReplayCommand::List(list) => list.run(console).await,
            ReplayCommand::Show(show) => show.run(console).await,
            ReplayCommand::Pause(control) => control.run(path::REPLAY_PAUSE, console).await,
            ReplayCommand::Resume(control) => control.run(path::REPLAY_RESUME, console).await,
            ReplayCommand::Cancel(control) => control.run(path::REPLAY_CANCEL, console).await,
        }
    }
}
