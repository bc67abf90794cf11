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

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use self::commands::Command;
use self::terminal::console::Console;
use self::terminal::exit::{self, Exit};

/// The widest help, in columns; also its width where there is no terminal, as clap has it.
const WIDTH_MAX: usize = 100;

/// Keep durable copies of work items until they are done, alert when one is late, and hand the copies back
#[derive(Parser)]
#[command(name = "warden", version, max_term_width = WIDTH_MAX, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match parse() {
        Ok(cli) => {
            let result = Console::of_this_process(|console| cli.command.run(console));
            result.map_or_else(|error| error.report(), |()| Exit::Success.into())
        }
        Err(error) => {
            // Without stdout and stderr only the exit code is left.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() }
        }
    }
}

fn parse() -> Result<Cli, clap::Error> {
    let mut command = command();
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// The command line with fixed usage lines: clap adds every flag that an environment variable or a default
/// sets to those of its error messages.
fn command() -> clap::Command {
    let mut built = Cli::command();
    built.build();
    with_usage(Cli::command(), &mut built)
}

fn with_usage(command: clap::Command, built: &mut clap::Command) -> clap::Command {
    let usage = built.render_usage().to_string();
    let command = command.override_usage(usage.trim_start_matches("Usage: ").to_owned());
    // clap adds `help` itself.
    let below = built.get_subcommands_mut().filter(|below| below.get_name() != "help");
    below.fold(command, |command, below| {
        let name = below.get_name().to_owned();
        command.mut_subcommand(name, |command| with_usage(command, below))
    })
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::commands::args::Filter;
    use super::daemon::connection::Connection;
    use super::*;

    /// All commands that have none below them.
    fn leaves() -> Vec<clap::Command> {
        let (mut commands, mut leaves) = (vec![command()], Vec::new());
        while let Some(command) = commands.pop() {
            match command.has_subcommands() {
                true => commands.extend(command.get_subcommands().cloned()),
                false => leaves.push(command),
            }
        }
        leaves
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_is_under_the_heading_that_it_belongs_to() {
        let names = |command: clap::Command| -> Vec<clap::Id> {
            command.get_arguments().map(|argument| argument.get_id().clone()).collect()
        };
        let connection = names(Connection::augment_args(clap::Command::new("x")));
        let filter = names(Filter::augment_args(clap::Command::new("x")));
        for command in leaves() {
            for argument in command.get_arguments() {
                let expected: &[clap::Id] = match argument.get_help_heading() {
                    Some("Connection") => &connection,
                    Some("Which items") => &filter,
                    Some(heading) => panic!("{heading}"),
                    None => continue,
                };
                let id = argument.get_id();
                assert!(expected.contains(id), "{id} of {} is under another heading", command.get_name());
            }
        }
    }

    #[test]
    fn a_usage_line_names_no_flag_that_may_be_left_out() {
        for mut command in leaves() {
            let usage = command.render_usage().to_string();
            assert!(!usage.contains("--url") && usage.starts_with("Usage: warden "), "{usage}");
        }
        let missing = command().try_get_matches_from(["warden", "show", "--url", "a"]).unwrap_err();
        let missing = missing.to_string();
        assert!(missing.contains("\nUsage: warden show [OPTIONS] <WORKFLOW> <ID>\n"), "{missing}");
    }

    #[test]
    fn no_text_after_a_help_is_broken_by_the_widest_terminal() {
        for command in leaves() {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let long = text.lines().find(|line| line.chars().count() > WIDTH_MAX);
            assert_eq!(long, None, "{}", command.get_name());
        }
    }

    #[test]
    fn no_variable_of_a_flag_is_taken_for_a_misspelt_setting() {
        let mut commands: Vec<clap::Command> = command().get_subcommands().cloned().collect();
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
        let mut commands: Vec<clap::Command> = command().get_subcommands().cloned().collect();
        while let Some(command) = commands.pop() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            assert_eq!(undescribed(&command), Vec::<String>::new());
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
