//! `warden silence`: times in which matching incidents notify nobody.

mod add;
mod end;
mod list;

use clap::{Args, Subcommand};

use super::error::CliError;
use crate::cli::terminal::console::Console;

/// Keep incidents quiet for a time, such as that of a maintenance
///
/// The incidents exist all the same. What is still open when a silence ends is told then.
#[derive(Args)]
pub struct Silence {
    #[command(subcommand)]
    command: SilenceCommand,
}

#[derive(Subcommand)]
enum SilenceCommand {
    Add(add::Add),
    List(list::List),
    End(end::End),
}

impl Silence {
    /// Does what was asked for.
    ///
    /// # Errors
    /// When the daemon cannot be asked or refuses.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        match self.command {
            SilenceCommand::Add(add) => add.run(console).await,
            SilenceCommand::List(list) => list.run(console).await,
            SilenceCommand::End(end) => end.run(console).await,
        }
    }
}
