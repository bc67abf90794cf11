//! The command line, in three rooms: `commands` has a file or folder for each subcommand, `daemon` sends
//! requests to a running daemon, `terminal` reads and writes the terminal. Commands call both, `daemon` calls
//! `terminal`. Nothing else in this crate prints for people.
//!
//! Results go to stdout and everything else to stderr, so that output can be piped. The cause of a failure
//! decides the exit code (`terminal::exit`).
//!
//! Deliberately absent: any decision about items. The daemon decides, and its answers are shown.

mod commands;
mod daemon;
mod terminal;

#[cfg(any(test, feature = "fuzzing"))]
pub use self::commands::fuzzing;

use std::process::ExitCode;

use clap::Parser;

use self::commands::Command;
use self::terminal::console::Console;
use self::terminal::exit::{self, Exit};

/// Keep durable copies of work items until they are done, alert when one is late, and hand the copies back
#[derive(Parser)]
#[command(name = "warden", version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => {
            let result = Console::of_this_process(|console| cli.command.run(console));
            result.map_or_else(|error| error.report(), |()| Exit::Success)
        }
        Err(error) => {
            // Without stdout and stderr only the exit code is left.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Success }
        }
    };
    exit.into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_variable_of_a_flag_is_taken_for_a_misspelt_setting() {
        let mut commands: Vec<clap::Command> = Cli::command().get_subcommands().cloned().collect();
        let mut count = 0;
        while let Some(command) = commands.pop() {
            let variables = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
            for name in variables.filter(|name| name.starts_with("WARDEN_")) {
                count += 1;
                assert!(crate::config::Environment::is_known(name), "{name}");
            }
            commands.extend(command.get_subcommands().cloned());
        }
        assert!(count > 0);
    }

    #[test]
    fn every_subcommand_and_flag_is_described() {
        let undescribed = |command: &clap::Command| -> Vec<String> {
            let arguments = command.get_arguments().filter(|argument| argument.get_help().is_none());
            arguments.map(|argument| format!("{} {}", command.get_name(), argument.get_id())).collect()
        };
        let mut commands: Vec<clap::Command> = Cli::command().get_subcommands().cloned().collect();
        while let Some(command) = commands.pop() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            assert_eq!(undescribed(&command), Vec::<String>::new());
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
