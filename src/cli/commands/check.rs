//! `warden check`: validates a configuration.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;

use super::args::read_config;
use super::error::CliError;
use crate::app::look_up;
use crate::cli::terminal::age::dated_in;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::table;
use crate::config::{Config, Environment, Sources};
use crate::model::text::Plain;
use crate::model::{Schedule, Timestamp, Warning, WarningCode};

/// Check a configuration file, and print errors and warnings
///
/// Settings and secrets in environment variables are included, as for `warden serve`. Warnings are about
/// valid settings that are probably mistakes; names of receivers are resolved for that.
#[derive(Args)]
#[command(after_help = warnings_help())]
pub struct Check {
    /// Fail if there are warnings
    #[arg(long)]
    strict: bool,
    /// The configuration file; without it, only the environment is checked
    #[arg(env = "WARDEN_CONFIG", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Check {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let file = self.file.as_deref().map(read_config).transpose()?;
        let environment = Environment::of_this_process();
        let config = Config::load(Sources { file, environment, ..Sources::default() })?;
        let name = self
            .file
            .map_or_else(|| "defaults and environment".to_owned(), |file| file.display().to_string());
        writeln!(console.out, "{}: ok\n{}", Plain(name), summary(&config, console.now))?;
        let mut warnings = config.warnings;
        warnings.extend(look_up(&config.destinations).await);
        for Warning { code, message } in &warnings {
            writeln!(console.err, "warning: {message} ({})", code.as_str())?;
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

fn summary(config: &Config, now: Timestamp) -> String {
    let engine = config.storage.engine;
    let storage = match config.storage.directory() {
        Some(directory) => format!("{engine} in {}", directory.display()),
        None => format!("{engine}: all data is lost at exit"),
    };
    let others =
        if config.policies.create_on_first_use { "others are created on first use" } else { "no others" };
    let open = if config.tokens.is_empty() { ": every local user may do everything" } else { "" };
    let mut rows = vec![
        ("listen", config.server.listen.to_string()),
        ("storage", storage),
        ("workflows", format!("{}; {others}", counted(config.policies.configured.keys()))),
        ("receivers", counted(config.receivers.iter().map(|receiver| &receiver.name))),
        ("tokens", format!("{}{open}", counted(config.tokens.iter().map(|token| &token.name)))),
    ];
    rows.extend(expected(config, now).map(|line| ("expected", line)));
    table(&[], rows.into_iter().map(|(name, value)| vec![format!("  {name}"), value]))
}

/// The next expected item of each workflow with a schedule.
fn expected(config: &Config, now: Timestamp) -> impl Iterator<Item = String> {
    config.policies.configured.iter().filter_map(move |(name, policy)| {
        let expect = policy.expect.as_ref()?;
        Some(match &expect.schedule {
            Schedule::Cron(cron) => match cron.next_after(now) {
                Some(next) => format!("{name} next at {}", dated_in(Some(cron.zone().name()), next, now)),
                None => format!("{name}: no further occurrence"),
            },
            Schedule::Every(every) => format!("{name} every {}", humantime::format_duration(*every)),
        })
    })
}

fn counted(names: impl ExactSizeIterator<Item = impl Display>) -> String {
    /// More would hide the rest of the summary.
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
    use crate::config::ConfigFile;

    #[test]
    fn the_summary_says_what_a_configuration_comes_to() {
        let text = "[workflows.nightly]\n\
                    expect = { cron = \"0 2 * * *\", timezone = \"Europe/Berlin\", grace = \"1h\" }\n\
                    [workflows.hourly]\nexpect = { every = \"1h\" }\n\
                    [workflows.uploads]\nreceivers = [\"oncall\"]\n\
                    [receivers.oncall]\nurl = \"http://127.0.0.1/\"";
        let file = Some(ConfigFile::from_text("warden.toml", text));
        let config = Config::load(Sources { file, ..Sources::default() }).unwrap();
        let expected = "  listen     127.0.0.1:8470\n  storage    sled in data\n  \
                        workflows  3 (hourly, nightly, uploads); others are created on first use\n  \
                        receivers  1 (oncall)\n  \
                        tokens     none: every local user may do everything\n  \
                        expected   hourly every 1h\n  \
                        expected   nightly next at 2027-03-28T01:00:00.000Z (03:00 on Sun 2027-03-28 in \
                        Europe/Berlin, in 1h)";
        let now = Timestamp::parse("2027-03-28T00:00:00Z").unwrap();
        assert_eq!(summary(&config, now), expected);
    }
}
