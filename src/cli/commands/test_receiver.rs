//! `warden test-receiver`: tests a receiver.

use clap::Args;
use reqwest::Method;
use warden_api::alert::ReceiverTest;
use warden_api::path;
use warden_client::Query;

use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::escaped;

/// Send a test notification to a receiver
///
/// The daemon sends it at once and waits for the answer. After a success, deliveries that wait because the
/// receiver failed are sent too.
#[derive(Args)]
pub struct TestReceiver {
    /// The name of the receiver in the daemon's configuration
    name: String,
    #[command(flatten)]
    connection: Connection,
}

impl TestReceiver {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let path = path::fill(path::RECEIVER_TEST, &[&self.name]);
        let request = client.request(Method::POST, &path, &Query::new())?;
        let (text, outcome) = client.send(request).await?.document::<ReceiverTest>().await?;
        let printed = match self.connection.output {
            Format::Json => console.document(&text),
            Format::Table => writeln!(console.out, "{}", describe(&self.name, &outcome)),
        };
        if outcome.delivered { Ok(printed?) } else { Err(CliError::NotDelivered(self.name)) }
    }
}

fn describe(name: &str, outcome: &ReceiverTest) -> String {
    let ReceiverTest { status, latency_ms, error, answer, .. } = outcome;
    let mut text = match (status, error) {
        _ if outcome.delivered => format!("{name} took the test notification after {latency_ms} ms"),
        (Some(status), _) => {
            format!("{name} was reached and refused it with {status} after {latency_ms} ms")
        }
        (None, Some(error)) => format!("{name} was not reached ({latency_ms} ms): {}", escaped(error)),
        (None, None) => format!("{name} was not reached ({latency_ms} ms)"),
    };
    if let Some(answer) = answer {
        text.push_str(&format!(":\n{}", answer.lines().map(escaped).collect::<Vec<_>>().join("\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_a_test_is_said_in_the_words_of_whoever_answered() {
        let outcome = |status, error: Option<&str>, answer: Option<&str>| ReceiverTest {
            delivered: error.is_none(),
            status,
            latency_ms: 12,
            error: error.map(Into::into),
            answer: answer.map(Into::into),
        };
        for (outcome, text) in [
            (outcome(Some(204), None, None), "oncall took the test notification after 12 ms"),
            (
                outcome(Some(403), Some("it answered 403: no"), Some("no\n\u{1b}token")),
                "oncall was reached and refused it with 403 after 12 ms:\nno\n\\u{1b}token",
            ),
            (
                outcome(None, Some("no connection to http://a:1"), None),
                "oncall was not reached (12 ms): no connection to http://a:1",
            ),
        ] {
            assert_eq!(describe("oncall", &outcome), text);
        }
    }
}
