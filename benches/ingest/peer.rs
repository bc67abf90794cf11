//! The two servers.

use crate::load::{Failure, Server, Settings, text};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    Warden,
    Noop,
}

impl PeerKind {
    /// Those that the variable `BENCH_PEER` asks for, in the order of their turns.
    pub fn chosen() -> Result<Vec<Self>, Failure> {
        match text("BENCH_PEER").as_deref() {
            None | Some("both") => Ok(vec![PeerKind::Warden, PeerKind::Noop]),
            Some("warden") => Ok(vec![PeerKind::Warden]),
            Some("noop") => Ok(vec![PeerKind::Noop]),
            Some(other) => {
                Err(Failure::Settings(format!("BENCH_PEER is {other:?}; it takes both, warden or noop")))
            }
        }
    }

    pub fn start(self, settings: &Settings) -> Result<Server, Failure> {
        match self {
            PeerKind::Warden => Server::warden(&settings.directory, &[]),
            PeerKind::Noop => Server::noop(&settings.directory),
        }
    }
}
