//! `warden check`: whether a configuration is right.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;

use super::console::Console;
use super::error::CliError;
use super::table::table;
use crate::app::look_up;
use crate::config::{Config, ConfigFile, Engine, Environment, Sources};
use crate::model::{Warning, WarningCode};

/// Check a configuration file, and say what is wrong with it and where
///
/// Environment variables count as they do for `warden serve`: settings in them, and secrets that the file refers to. What
/// is in order and probably not what was meant is warned of; names of receivers are looked up for that.
#[derive(Args)]
#[command(after_help = warnings_help())]
pub struct Check {
    /// Fail when there are warnings
    #[arg(long)]
    strict: bool,
    /// The configuration file; without one only the environment is checked
    #[arg(env = "WARDEN_CONFIG", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Check {
    /// Prints what the configuration comes to, and the warnings.
    ///
    /// # Errors
    /// Everything that is wrong with it, or that there are warnings where there may be none.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let file = self.file.as_deref().map(ConfigFile::read).transpose()?;
        let environment = Environment::of_this_process();
        let config = Config::load(Sources { file, environment, flags: Vec::new() })?;
        let name = self
            .file
            .map_or_else(|| "defaults and environment".to_owned(), |file| file.display().to_string());
        writeln!(console.out, "{name}: ok\n{}", summary(&config))?;
        let mut warnings = config.warnings;
        warnings.extend(look_up(&config.destinations).await);
        for Warning { code, message } in &warnings {
            writeln!(console.notes, "warning: {message} ({})", code.as_str())?;
        }
        match warnings.len() {
            0 => Ok(()),
            _ if !self.strict => Ok(()),
            count => Err(CliError::Warnings(count)),
        }
    }
}

fn warnings_help() -> String {
    let line = |code: &WarningCode| format!("  {:<26}{}", code.as_str(), code.meaning());
    let lines: Vec<String> = WarningCode::ALL.iter().map(line).collect();
    format!("Warnings, also in the log of `warden serve` and at /readyz:\n{}", lines.join("\n"))
}

fn summary(config: &Config) -> String {
    let storage = match config.storage.engine {
        Engine::Sled => format!("sled in {}", config.storage.path.display()),
        Engine::Memory => "memory: everything is forgotten at exit".to_owned(),
    };
    let others = if config.create_on_first_use { "others are made on first use" } else { "no others" };
    let open = if config.tokens.is_empty() { ": everybody on this machine may do everything" } else { "" };
    let rows = [
        ("listen", config.server.listen.to_string()),
        ("storage", storage),
        ("workflows", format!("{}; {others}", counted(config.workflows.keys()))),
        ("receivers", counted(config.receivers.iter().map(|receiver| &receiver.name))),
        ("tokens", format!("{}{open}", counted(config.tokens.iter().map(|token| &token.name)))),
    ];
    table(&[], rows.map(|(name, value)| vec![format!("  {name}"), value]))
}

fn counted(names: impl ExactSizeIterator<Item = impl Display>) -> String {
    /// More than these would hide the rest of the summary.
    const SHOWN: usize = 10;
    let count = names.len();
    if count == 0 {
        return "none".to_owned();
    }
    let mut shown: Vec<String> = names.take(SHOWN).map(|name| name.to_string()).collect();
    if count > SHOWN {
        shown.push("…".to_owned());
    }
    format!("{count} ({})", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_a_configuration_comes_to() {
        let text =
            "[workflows.uploads]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"http://127.0.0.1/\"";
        let file = Some(ConfigFile::from_text("warden.toml", text));
        let config = Config::load(Sources { file, ..Sources::default() }).unwrap();
        let expected = "  listen     127.0.0.1:8470\n  storage    sled in data\n  \
                        workflows  1 (uploads); others are made on first use\n  receivers  1 (oncall)\n  \
                        tokens     none: everybody on this machine may do everything";
        assert_eq!(summary(&config), expected);
    }
}
