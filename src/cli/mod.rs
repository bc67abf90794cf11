//! The command line: one file per subcommand, and the only place that prints for people.
//!
//! Results go to stdout and everything else to stderr, so that output can be piped. What went wrong decides the exit
//! code (`exit`). A subcommand is a struct that clap fills and whose `run` does it; those that ask a running daemon go
//! through `client`.
//!
//! Deliberately absent: any decision about items. The daemon decides, and what it says is shown.

mod ack;
mod action;
mod age;
mod archive;
mod check;
mod client;
mod close;
mod comment;
mod connection;
mod console;
mod create;
mod data;
mod deliveries;
mod demo;
mod error;
mod exit;
mod export;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod id;
mod import;
mod incident;
mod incidents;
mod item;
mod items;
mod label;
mod logging;
mod pages;
mod payload;
mod person;
mod piece;
mod preview;
mod progress;
mod recover;
mod replay;
mod resend;
mod retry;
#[cfg(test)]
mod sample;
mod serve;
mod show;
mod signals;
mod silence;
mod sink;
mod snooze;
mod table;
mod test_receiver;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::console::Console;
use self::error::CliError;
use self::exit::Exit;

/// Keeps a durable copy of every item until it is done, alerts when one is not, and hands the copies back.
#[derive(Parser)]
#[command(name = "warden", version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Check(check::Check),
    Data(data::Data),
    Token(token::Token),
    Create(create::Create),
    Items(items::Items),
    Show(show::Show),
    Payload(payload::Payload),
    Close(close::Close),
    Recover(recover::Recover),
    Retry(retry::Retry),
    Replay(replay::Replay),
    Export(export::Export),
    Import(import::Import),
    Deliveries(deliveries::Deliveries),
    Resend(resend::Resend),
    TestReceiver(test_receiver::TestReceiver),
    Incidents(incidents::Incidents),
    Incident(incident::Incident),
    Ack(ack::Ack),
    Snooze(snooze::Snooze),
    Comment(comment::Comment),
    Silence(silence::Silence),
}

/// Does what the command line of this process asks for.
pub fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => {
            let result = Console::of_this_process(|console| cli.run(console));
            result.map_or_else(|error| error.report(), |()| Exit::Success)
        }
        Err(error) => {
            // When not even this can be printed there is nobody to tell.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Success }
        }
    };
    exit.into()
}

impl Cli {
    fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Demo(demo) => connection::block_on(demo.run(console)),
            Command::Check(check) => connection::block_on(check.run(console)),
            Command::Data(data) => connection::block_on(data.run(console)),
            Command::Token(token) => token.run(console),
            Command::Create(create) => connection::block_on(create.run(console)),
            Command::Items(items) => connection::block_on(items.run(console)),
            Command::Show(show) => connection::block_on(show.run(console)),
            Command::Payload(payload) => connection::block_on(payload.run(console)),
            Command::Close(close) => connection::block_on(close.run(console)),
            Command::Recover(recover) => connection::block_on(recover.run(console)),
            Command::Retry(retry) => connection::block_on(retry.run(console)),
            Command::Replay(replay) => connection::block_on(replay.run(console)),
            Command::Export(export) => connection::block_on(export.run(console)),
            Command::Import(import) => connection::block_on(import.run(console)),
            Command::Deliveries(deliveries) => connection::block_on(deliveries.run(console)),
            Command::Resend(resend) => connection::block_on(resend.run(console)),
            Command::TestReceiver(test) => connection::block_on(test.run(console)),
            Command::Incidents(incidents) => connection::block_on(incidents.run(console)),
            Command::Incident(incident) => connection::block_on(incident.run(console)),
            Command::Ack(ack) => connection::block_on(ack.run(console)),
            Command::Snooze(snooze) => connection::block_on(snooze.run(console)),
            Command::Comment(comment) => connection::block_on(comment.run(console)),
            Command::Silence(silence) => connection::block_on(silence.run(console)),
        }
    }
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
