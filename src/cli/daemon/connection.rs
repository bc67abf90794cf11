//! The flags of every command that sends requests to a daemon.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use warden_client::{Builder, Client, Error as ClientError};

use crate::cli::terminal::Format;
use crate::model::SystemClock;

// No `Debug`, because of the token. No text for the help: commands without one of their own would show it.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// URL of the daemon; http:// if it has no scheme
    #[arg(long, env = "WARDEN_URL", default_value = DEFAULT_URL)]
    url: String,
    /// Token for the daemon; prefer the variable, as other users can see command lines
    #[arg(long, env = "WARDEN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

const DEFAULT_URL: &str = "http://127.0.0.1:8470";

impl Connection {
    /// A client that sends each request once: the person at the terminal, or the script, decides what to do.
    pub fn open(&self) -> Result<Client, ClientError> {
        self.builder().without_repetition().build()
    }

    /// A client that repeats what may be repeated for a while.
    pub fn open_patiently(&self) -> Result<Client, ClientError> {
        self.builder().build()
    }

    /// A client that repeats what may be repeated for so long.
    pub fn open_for(&self, patience: Duration) -> Result<Client, ClientError> {
        self.builder().patience(patience).build()
    }

    fn builder(&self) -> Builder {
        // Scripts set an empty variable for "none".
        let url = Some(self.url.trim()).filter(|url| !url.is_empty()).unwrap_or(DEFAULT_URL);
        // A token read from a file ends with a line feed; some people include the prefix of the header.
        let token = self
            .token
            .as_deref()
            .map(str::trim)
            .map(|token| token.strip_prefix("Bearer ").unwrap_or(token).trim());
        let builder = Client::builder(url)
            .user_agent(concat!("warden-cli/", env!("CARGO_PKG_VERSION")))
            .clock(Arc::new(SystemClock::new()));
        match token.filter(|token| !token.is_empty()) {
            Some(token) => builder.token(token),
            None => builder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    #[test]
    fn commands_ask_where_the_daemon_listens_by_default() {
        let listen = Config::load(Sources::default()).unwrap().server.listen;
        assert_eq!(DEFAULT_URL, format!("http://{listen}"));
    }
}
