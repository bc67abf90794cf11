//! Why a bench ends without figures.

use std::io;

/// How much of a body a failure shows.
const EXCERPT: usize = 2_000;

/// Everything that stops the bench. There is no recovery: figures beside a failure mean nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A variable or an argument that cannot be understood.
    #[error("{0}")]
    Settings(String),
    /// A peer that did not start, or did not end well.
    #[error("{peer} {what}; its log ends with:\n{log}")]
    Peer { peer: &'static str, what: String, log: String },
    /// An answer with a status that the request does not deserve.
    #[error("expected {expected}, got {status} with the body:\n{body}")]
    Unexpected { expected: u16, status: u16, body: String },
    /// An answer that is not HTTP/1.1 as we know it, or not an answer to what was asked.
    #[error("cannot read the answer: {0}")]
    Answer(String),
    /// The operating system said no.
    #[error("{doing}: {source}")]
    System { doing: &'static str, source: io::Error },
}

impl Failure {
    /// For an answer with another status than the `expected` one.
    pub fn unexpected(expected: u16, status: u16, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(&body[..body.len().min(EXCERPT)]).into_owned();
        Self::Unexpected { expected, status, body }
    }

    /// For `map_err`: an I/O error, with what was being done.
    pub fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Failure {
        move |source| Failure::System { doing, source }
    }
}
