//! Requests the lines, and resumes after the last one when the connection breaks.

use std::io::Write;
use std::time::Duration;

use reqwest::Method;
use warden_api::path;
use warden_client::{Answer, Client, Error as ClientError, Query};

use crate::cli::commands::archive::{Entry, LINE_MAX, Ledger, Target};
use crate::cli::commands::error::CliError;
use crate::cli::daemon::wording::worded;
use crate::cli::terminal::count::counted;
use crate::cli::terminal::progress::Progress;
use crate::model::text::Plain;

/// Attempts without receiving a line.
const TRIES: u32 = 5;
/// The longest wait between attempts, in seconds.
const WAIT_MAX: u64 = 30;

pub struct Download<'a> {
    client: &'a Client,
    query: Query,
    /// The lines of the whole export, including those of earlier runs.
    ledger: Ledger,
    /// Whether the daemon was ever reached.
    is_begun: bool,
    tries_left: u32,
    progress: Progress,
}

impl<'a> Download<'a> {
    /// `ledger` describes the lines that exist already.
    pub fn new(client: &'a Client, query: Query, ledger: Ledger, progress: Progress) -> Self {
        Self { client, query, ledger, is_begun: false, tries_left: TRIES, progress }
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Requests the lines after the existing ones, with retries.
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

    /// Writes the lines of this response, and of those that follow when it breaks off; at the end the end
    /// line.
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
                    let so_far = counted(self.ledger.lines(), "item");
                    let told = Plain(format!("{}; resuming after {so_far}", worded(&error)));
                    self.progress.aside(|| writeln!(notes, "{told}"))?;
                    tokio::time::sleep(wait).await;
                }
                Err(error) => return Err(error),
            }
            answer = self.ask().await?;
        }
    }

    /// Writes the lines of one response, and checks them against its end.
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
                    return Err(answer.unexpected("there is data after the end of the export").into());
                }
                if unfinished.len() + piece.len() > LINE_MAX {
                    return Err(answer.unexpected(format!("a line is longer than {LINE_MAX} bytes")).into());
                }
                unfinished.extend_from_slice(piece);
                if piece.last() != Some(&b'\n') {
                    continue;
                }
                match Entry::read(&unfinished) {
                    Entry::Item(Some(cursor)) => {
                        received.add(&unfinished, None);
                        self.ledger.add(&unfinished, Some(&cursor));
                        target.write(&unfinished)?;
                        self.tries_left = TRIES;
                        self.progress.advance(1);
                    }
                    Entry::End(told) => end = Some(told),
                    _ => return Err(answer.unexpected("a line is not from an export").into()),
                }
                unfinished.clear();
            }
        }
        let Some(end) = end else {
            return Err(answer.broken_off("the end of the export is missing").into());
        };
        received.check(&end).map_err(|what| {
            self.ledger = before;
            let kept = length.map_or(Ok(()), |length| target.cut(length));
            let what = format!("the export arrived damaged: its end {what}");
            kept.map_or_else(|error| error, |()| CliError::Data(what))
        })
    }

    /// The wait before a retry; `None` if there is none.
    fn wait_after(&mut self, error: &ClientError) -> Option<Duration> {
        let backoff = 1 << (TRIES - self.tries_left);
        let wait = match error {
            ClientError::BrokenOff { .. } => backoff,
            // A daemon that never answered probably has another address.
            ClientError::Unreachable { .. } if self.is_begun => backoff,
            error => error.overload_delay()?,
        };
        self.tries_left = self.tries_left.checked_sub(1)?;
        Some(Duration::from_secs(wait.min(WAIT_MAX)))
    }
}
