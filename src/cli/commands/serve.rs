//! `warden serve`: runs the daemon.

mod logging;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rustix::fs::Mode;
use toml::Value;

use super::args::read_config;
use super::error::CliError;
use crate::app;
use crate::config::{Config, ConfigError, ConfigFile, Definitions, Environment, Sources};
use crate::store::OnDamage;

/// Run the daemon until SIGTERM or SIGINT
///
/// SIGHUP reads the configuration anew, like `warden reload`.
///
/// Flags override environment variables (such as WARDEN_SERVER__LISTEN), which override the configuration
/// file, which overrides the defaults. By default the daemon listens on loopback only and stores its data in
/// ./data. It prints `listening on http://ADDRESS:PORT`; the log goes to stderr.
#[derive(Args)]
pub struct Serve {
    /// The configuration file
    #[arg(long, env = "WARDEN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address and port to listen on; port 0 selects a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The data directory
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<String>,
    /// The log level: error, warn, info, debug, trace, off, or a filter such as info,warden::store=debug
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    /// The log format: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Start despite damaged data, with what can be read. Keep a copy first
    #[arg(long)]
    accept_damage: bool,
}

impl Serve {
    pub fn run(self) -> Result<(), CliError> {
        // Payloads are confidential: files of the daemon and its database are private, whatever umask it was
        // started with. No other thread runs yet, and no process is started.
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
        let on_damage = if self.accept_damage { OnDamage::Accept } else { OnDamage::Refuse };
        let config = self.load(Environment::of_this_process())?;
        logging::start(&config.log)?;
        // The allocator asks for huge pages, which the kernel clears as a whole on first use. For the
        // database's buffers of 4 MiB, which are allocated many times a second, that took a quarter of the
        // committing thread's time. Without this setting the daemon is only slower.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| CliError::Start(error.to_string()))?;
        let read = Arc::new(move |definitions| {
            let file = self.config.as_deref().map(ConfigFile::read).transpose()?;
            self.settings(file, Environment::of_this_process(), definitions)
        });
        let result = runtime.block_on(app::run(config, on_damage, read));
        // After a failure a thread may be blocked for ever.
        runtime.shutdown_background();
        Ok(result?)
    }

    fn load(&self, environment: Environment) -> Result<Config, CliError> {
        let file = self.config.as_deref().map(read_config).transpose()?;
        Ok(self.settings(file, environment, Definitions::new())?)
    }

    fn settings(
        &self,
        file: Option<ConfigFile>,
        environment: Environment,
        definitions: Definitions,
    ) -> Result<Config, ConfigError> {
        let flags = [
            ("server.listen", &self.listen),
            ("storage.path", &self.data),
            ("log.level", &self.log_level),
            ("log.format", &self.log_format),
        ];
        let given = |(setting, value): (&str, &Option<String>)| {
            Some((setting.to_owned(), Value::String(value.clone()?)))
        };
        let flags = flags.into_iter().filter_map(given).collect();
        Config::load(Sources { file, environment, flags, definitions })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Command;
    use super::*;
    use crate::cli::Cli;

    fn load(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, CliError> {
        let arguments = ["warden", "serve"].iter().chain(flags);
        let Command::Serve(serve) = Cli::try_parse_from(arguments).unwrap().command else { unreachable!() };
        serve.load(variables.iter().copied().collect())
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "[server]\nlisten = \"127.0.0.1:1\"\n[storage]\npath = \"file\"\n[log]\nlevel = \"warn\"";
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().to_str().unwrap();
        let variables = [("WARDEN_SERVER__LISTEN", "127.0.0.1:2"), ("WARDEN_STORAGE__PATH", "variable")];
        let config =
            load(&["--config", path, "--listen", "127.0.0.1:3", "--log-format", "json"], &variables).unwrap();
        assert_eq!(config.server.listen.port(), 3);
        assert_eq!(config.storage.path.to_str(), Some("variable"));
        assert_eq!(config.log.level.to_string(), "warn");
        assert_eq!(config.log.format, crate::config::LogFormat::Json);
    }

    #[test]
    fn a_wrong_flag_is_told_as_one() {
        let error = load(&["--log-format", "xml"], &[]).unwrap_err().to_string();
        assert!(
            error.contains("\ncommand line: log.format: must be \"text\" or \"json\", but is \"xml\""),
            "{error}"
        );
    }
}
