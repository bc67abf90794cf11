//! The flags of every command that asks a running daemon, and the runtime it does so in.

use clap::Args;

use super::client::{Client, ClientError};
use crate::cli::terminal::Format;

/// Which daemon to ask, and how to show what it says. It has no `Debug`, because of the token.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The address of the daemon, http:// unless it says otherwise
    #[arg(long, env = "WARDEN_URL", default_value = DEFAULT_URL)]
    url: String,
    /// A token that allows it. Better given by the environment: command lines can be seen by others
    #[arg(long, env = "WARDEN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Where a daemon listens unless it is told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8470";

impl Connection {
    /// Makes ready to ask.
    ///
    /// # Errors
    /// When the address is none, or TLS cannot be set up.
    pub fn open(&self) -> Result<Client, ClientError> {
        // An empty variable is how scripts say that there is none.
        let url = Some(self.url.trim()).filter(|url| !url.is_empty()).unwrap_or(DEFAULT_URL);
        // A file that it was read from has a line feed at its end, and what is sent begins with this word.
        let token = self
            .token
            .as_deref()
            .map(str::trim)
            .map(|token| token.strip_prefix("Bearer ").unwrap_or(token).trim());
        Client::new(url, token.filter(|token| !token.is_empty()))
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
