//! `warden token`: generates tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};
use warden_api::word::Scope;

use super::args::{glob, name};
use super::error::CliError;
use crate::cli::terminal::console::Console;
use crate::config::{Config, ConfigFile, Sources};
use crate::model::{Random, SystemRandom};

/// Identifies tokens of the warden, also for scanners of leaked secrets.
const PREFIX: &str = "wrd_";
const RANDOM_BYTES: usize = 32;

/// Generate tokens for clients
#[derive(Args)]
pub struct Token {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand)]
enum TokenCommand {
    New(New),
}

/// Generate a token, and print it with its table for the configuration
///
/// The token is not stored: give it to the client, for example as WARDEN_TOKEN. The table belongs in the
/// configuration file of the daemon and contains only a hash.
#[derive(Args)]
struct New {
    /// The name in logs; unique among the tokens [default: made from the hash]
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// What the token allows; repeatable. Workers that claim items need `work`; `warden recover` needs
    /// `recover`, and `read` for --dry-run, lists and counts
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', default_values = ["ingest", "read"],
        value_parser = PossibleValuesParser::new(Scope::ALL.map(Scope::as_str)))]
    scopes: Vec<String>,
    /// The workflows that the token is limited to; repeatable [default: all]
    #[arg(long = "workflow", value_name = "GLOB", value_parser = glob)]
    workflows: Vec<String>,
}

impl Token {
    pub fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let TokenCommand::New(new) = self.command;
        let (token, table) = new.make(&SystemRandom)?;
        console.message("The token, shown this once; and the table for the daemon's configuration file:");
        Ok(writeln!(console.out, "{token}\n\n{table}")?)
    }
}

impl New {
    /// Returns the token and its table.
    fn make(self, random: &dyn Random) -> Result<(String, String), CliError> {
        let mut bytes = [0; RANDOM_BYTES];
        random.fill(&mut bytes);
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let sha256: String = Sha256::digest(&token).iter().map(|byte| format!("{byte:02x}")).collect();
        let name = self.name.unwrap_or_else(|| format!("token-{}", &sha256[..8]));
        let mut table = toml::Table::from_iter([
            ("name".to_owned(), name.into()),
            ("sha256".to_owned(), sha256.into()),
            ("scopes".to_owned(), self.scopes.into()),
        ]);
        if !self.workflows.is_empty() {
            table.insert("workflows".to_owned(), self.workflows.into());
        }
        let text = format!("[[tokens]]\n{table}").trim_end().to_owned();
        // Validates the table as the daemon will.
        let file = Some(ConfigFile::from_text("the new token", text.as_str()));
        match Config::load(Sources { file, ..Sources::default() }) {
            Ok(_) => Ok((token, text)),
            Err(error) => Err(CliError::Usage(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Command;
    use super::*;
    use crate::cli::Cli;
    use crate::config::TokenSettings;
    use crate::model::SeededRandom;

    fn make(flags: &[&str]) -> Result<(String, String), CliError> {
        let arguments = ["warden", "token", "new"].iter().chain(flags);
        let Command::Token(Token { command: TokenCommand::New(new) }) =
            Cli::try_parse_from(arguments).unwrap().command
        else {
            unreachable!()
        };
        new.make(&SeededRandom::new(1))
    }

    fn load(table: &str) -> TokenSettings {
        let file = Some(ConfigFile::from_text("warden.toml", table));
        Config::load(Sources { file, ..Sources::default() }).unwrap().tokens.remove(0)
    }

    #[test]
    fn the_table_lets_the_token_in_and_does_not_show_it() {
        let flags = ["--name", "pipeline", "--scope", "ingest", "--scope", "recover", "--workflow", "up*"];
        let (token, table) = make(&flags).unwrap();
        assert_eq!(token.len(), "wrd_".len() + 43);
        assert!(!table.contains(&token));
        let expected = TokenSettings {
            name: "pipeline".to_owned(),
            sha256: Sha256::digest(&token).into(),
            scopes: vec![Scope::Ingest, Scope::Recover],
            workflows: vec!["up*".to_owned()],
        };
        assert_eq!(load(&table), expected);
    }

    #[test]
    fn a_token_without_a_name_gets_one() {
        let (_, table) = make(&[]).unwrap();
        let token = load(&table);
        assert!(token.name.starts_with("token-"), "{}", token.name);
        assert_eq!(token.scopes, [Scope::Ingest, Scope::Read]);
        assert_eq!(token.workflows, ["*"]);
    }

    #[test]
    fn a_name_or_glob_that_the_configuration_refuses_is_refused_here() {
        for flags in [["--name", "a b"], ["--workflow", "a/b"]] {
            assert!(
                Cli::try_parse_from(["warden", "token", "new"].iter().chain(&flags)).is_err(),
                "{flags:?}"
            );
        }
    }
}
