//! Asks for the lines, and asks again behind the last one when the connection breaks.

use std::io::Write;
use std::time::Duration;

use reqwest::Method;
use warden_api::path;

use super::counted;
use crate::cli::commands::archive::{Entry, LINE_MAX, Ledger, Target};
use crate::cli::commands::error::CliError;
use crate::cli::daemon::client::{Answer, Client, ClientError, Query};
use crate::cli::terminal::progress::Progress;
use crate::model::text::Plain;

/// How often it is tried again before a line has come.
const TRIES: u32 = 5;
/// The longest wait between two tries, in seconds.
const WAIT_MAX: u64 = 30;

/// An export as it arrives.
pub struct Download<'a> {
    client: &'a Client,
    query: Query,
    /// What is known of all lines of the export, those of an earlier run too.
    ledger: Ledger,
    /// Whether the daemon was ever reached.
    is_begun: bool,
    tries_left: u32,
    progress: Progress,
}

impl<'a> Download<'a> {
    /// An export of what the query chooses, behind the lines of the ledger.
    pub fn new(client: &'a Client, query: Query, ledger: Ledger, progress: Progress) -> Self {
        Self { client, query, ledger, is_begun: false, tries_left: TRIES, progress }
    }

    /// What is known of all lines.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Asks for the lines behind those that are there.
    ///
    /// # Errors
    /// When the daemon cannot be asked or refuses, and goes on to.
    pub async fn ask(&mut self) -> Result<Answer<'a>, ClientError> {
        let mut query = self.query.clone();
        query.push(("end", "true".to_owned()));
        query.extend(self.ledger.cursor().map(|cursor| ("cursor", cursor.to_owned())));
        loop {
            let request = self.client.request(Method::GET, path::EXPORT, &query)?;
            match self.client.send(request).await {
                Ok(answer) => {
                    self.is_begun = true;
                    return Ok(answer);
                }
                Err(error) => match self.wait_after(&error) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(error),
                },
            }
        }
    }

    /// Writes all lines of the answer, and of those that follow it when it breaks off; and at last the end of them all.
    ///
    /// # Errors
    /// When they do not come, cannot be written, or are not those that were sent.
    pub async fn run(
        &mut self,
        answer: Answer<'a>,
        target: &mut Target<'_>,
        notes: &mut dyn Write,
    ) -> Result<(), CliError> {
        let mut answer = answer;
        loop {
            match self.receive(answer, target).await {
                Ok(()) => return target.write(&self.ledger.end()),
                Err(CliError::Client(error)) => {
                    let Some(wait) = self.wait_after(&error) else { return Err(error.into()) };
                    let so_far = counted(self.ledger.lines());
                    let told = Plain(format!("{error}; going on behind {so_far}"));
                    self.progress.aside(|| writeln!(notes, "{told}"))?;
                    tokio::time::sleep(wait).await;
                }
                Err(error) => return Err(error),
            }
            answer = self.ask().await?;
        }
    }

    /// Writes the lines of one answer, and holds them to its end.
    async fn receive(&mut self, answer: Answer<'a>, target: &mut Target<'_>) -> Result<(), CliError> {
        let mut answer = answer;
        let (before, length) = (self.ledger.clone(), target.length()?);
        let mut received = Ledger::default();
        let mut unfinished = Vec::new();
        let mut end = None;
        while let Some(bytes) = answer.chunk().await? {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |position| position + 1);
                let (piece, behind) = rest.split_at(length);
                rest = behind;
                if end.is_some() {
                    return Err(answer.stranger("it went on behind the end of the export").into());
                }
                if unfinished.len() + piece.len() > LINE_MAX {
                    return Err(answer.stranger(format!("a line is longer than {LINE_MAX} bytes")).into());
                }
                unfinished.extend_from_slice(piece);
                if piece.last() != Some(&b'\n') {
                    continue;
                }
                match Entry::read(&unfinished) {
                    Entry::Item(Some(cursor)) => {
                        received.note(&unfinished, None);
                        self.ledger.note(&unfinished, Some(&cursor));
                        target.write(&unfinished)?;
                        self.tries_left = TRIES;
                        self.progress.advance(1);
                    }
                    Entry::End(told) => end = Some(told),
                    _ => return Err(answer.stranger("a line is none of an export").into()),
                }
                unfinished.clear();
            }
        }
        let Some(end) = end else {
            return Err(answer.broken_off("the export ended without its end").into());
        };
        received.check(&end).map_err(|what| {
            self.ledger = before;
            let kept = length.map_or(Ok(()), |length| target.cut(length));
            let what = format!("what arrived is not what was sent: the end of the export {what}");
            kept.map_or_else(|error| error, |()| CliError::Data(what))
        })
    }

    /// How long to wait before it is tried again after this; nothing when it is not.
    fn wait_after(&mut self, error: &ClientError) -> Option<Duration> {
        let backoff = 1 << (TRIES - self.tries_left);
        let wait = match error {
            ClientError::BrokenOff { .. } => backoff,
            // Who never was there is more likely to be looked for in the wrong place.
            ClientError::Unreachable { .. } if self.is_begun => backoff,
            error => error.worth_trying_after()?,
        };
        self.tries_left = self.tries_left.checked_sub(1)?;
        Some(Duration::from_secs(wait.min(WAIT_MAX)))
    }
}
