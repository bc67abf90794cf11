//! `warden replay`: items that the daemon itself sends to a target again.

mod act;
mod list;
mod progress;
mod show;
mod start;
mod text;

use clap::{Args, Subcommand};
use warden_api::path;

use self::act::Act;
use super::error::CliError;
use crate::cli::terminal::console::Console;

/// Have the daemon send items to a target again, at a set pace
///
/// What is selected is frozen when a replay starts; what is closed meanwhile is left out. It goes on by itself, also after
/// a restart of the daemon.
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
    /// Send nothing more until it is resumed. What is on its way is finished
    Pause(Act),
    /// Have a paused replay go on. A canary that has not passed begins anew
    Resume(Act),
    /// End a replay before all of its items were sent. What is on its way is finished
    Cancel(Act),
}

impl Replay {
    /// Does what was asked for.
    ///
    /// # Errors
    /// When the daemon cannot be asked or refuses.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        match self.command {
            ReplayCommand::Start(start) => start.run(console).await,
            ReplayCommand::List(list) => list.run(console).await,
            ReplayCommand::Show(show) => show.run(console).await,
            ReplayCommand::Pause(act) => act.run(path::REPLAY_PAUSE, console).await,
            ReplayCommand::Resume(act) => act.run(path::REPLAY_RESUME, console).await,
            ReplayCommand::Cancel(act) => act.run(path::REPLAY_CANCEL, console).await,
        }
    }
}
