//! Delivery of spooled reports, the oldest first, until the warden does not answer.

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use warden_client::{Client, Error as ClientError};

use super::directory::{Found, Spool};

/// What became of the reports.
#[derive(Debug, Default, Serialize)]
pub struct Flushed {
    pub delivered: u64,
    /// Not delivered, as the warden does not answer or does not let this token.
    pub left: u64,
    /// Of commands that are running.
    pub running: u64,
    /// For another warden.
    pub elsewhere: u64,
    /// Refused for good, or unreadable; with the reason.
    pub refused: Vec<Refused>,
    /// Why reports are left.
    #[serde(skip)]
    pub error: Option<ClientError>,
}

#[derive(Debug, Serialize)]
pub struct Refused {
    pub path: PathBuf,
    pub reason: String,
}

/// Whether a request may succeed later: because the warden is back then, or the token is right.
pub fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Refused(_) => error.is_transient() || matches!(error.status(), Some(401 | 403 | 421)),
        ClientError::Invalid(_) => false,
        _ => true,
    }
}

/// Delivers the reports that are for the warden of this client. Refused ones are removed if `drop_refused`.
pub async fn flush(spool: &Spool, client: &Client, drop_refused: bool) -> io::Result<Flushed> {
    let mut flushed = Flushed::default();
    for name in spool.names()? {
        let (slot, report) = match spool.find(&name)? {
            None => continue,
            Some(Found::Running(_)) => {
                flushed.running += 1;
                continue;
            }
            Some(Found::Damaged(path, reason)) => {
                if drop_refused {
                    std::fs::remove_file(&path)?;
                }
                flushed.refused.push(Refused { path, reason });
                continue;
            }
            Some(Found::Left(slot, report)) => (slot, report),
        };
        if report.url != client.base() {
            flushed.elsewhere += 1;
            continue;
        }
        if flushed.error.is_some() {
            flushed.left += 1;
            continue;
        }
        match report.deliver(client, true).await {
            Ok(_) => {
                slot.remove()?;
                flushed.delivered += 1;
            }
            Err(error) if may_pass(&error) => {
                flushed.left += 1;
                flushed.error = Some(error);
            }
            Err(error) => {
                let refused = Refused { path: slot.path().to_owned(), reason: error.to_string() };
                flushed.refused.push(refused);
                if drop_refused {
                    slot.remove()?;
                }
            }
        }
    }
    Ok(flushed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_warden_refuses_is_told_from_a_warden_that_is_away() {
        let base = || "http://localhost:1".to_owned();
        assert!(may_pass(&ClientError::Unreachable { base: base(), cause: String::new() }));
        assert!(may_pass(&ClientError::Unexpected { base: base(), what: String::new(), status: Some(404) }));
        assert!(!may_pass(&ClientError::Invalid("a label".to_owned())));
    }
}
