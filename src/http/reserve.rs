//! Places for connections, and a few beyond `limits.connections_max` by which the daemon's health can be
//! asked for however many clients there are.
//!
//! Invariants:
//!
//! * A connection beyond the limit is looked at before anything of it is read. One that asks for health is
//!   answered and closed; a few others wait for their turn; the rest are answered with 503.
//! * Those that wait never take all of the reserve.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many connections there may be beyond the limit.
const RESERVE: usize = 32;
/// How many of them may wait for their turn.
const TURNS: usize = 16;
/// How long a connection of the reserve may take to say what it wants.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait for more of a request line that has begun.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The places for connections.
pub struct Places {
    own: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// A place, until it is dropped.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    /// Whether it is one of the reserve.
    pub is_beyond: bool,
}

/// What a connection wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To know how the daemon is.
    Health,
    /// Something else.
    Service,
    /// It did not say in time.
    Nothing,
}

impl Places {
    /// So many places, and the reserve.
    pub fn new(connections_max: usize) -> Self {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Self { own: semaphore(connections_max), reserve: semaphore(RESERVE), turns: semaphore(TURNS) }
    }

    /// A place for the next connection, when there is one.
    pub async fn next(&self) -> Option<Place> {
        let (permit, is_beyond) = tokio::select! {
            biased;
            own = self.own.clone().acquire_owned() => (own, false),
            reserve = self.reserve.clone().acquire_owned() => (reserve, true),
        };
        Some(Place { _permit: permit.ok()?, is_beyond })
    }

    /// A place within the limit, if one is free by now; else this one.
    pub fn better(&self, place: Place) -> Place {
        match self.own.clone().try_acquire_owned() {
            Ok(own) if place.is_beyond => Place { _permit: own, is_beyond: false },
            _ => place,
        }
    }

    /// Waits in the reserve for a place within the limit; nothing when too many wait already.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let _turn = self.turns.try_acquire().ok()?;
        self.own.clone().acquire_owned().await.ok()
    }
}

/// What a connection wants, by the first bytes of its request, which stay where they are.
pub async fn wish(stream: &TcpStream, patience: Duration) -> Wish {
    let look = async {
        let mut bytes = [0; 16];
        loop {
            match stream.peek(&mut bytes).await {
                Ok(count @ 1..) => match judge(&bytes[..count]) {
                    Some(wish) => return wish,
                    None => tokio::time::sleep(LOOK_AGAIN).await,
                },
                _ => return Wish::Nothing,
            }
        }
    };
    tokio::time::timeout(patience, look).await.unwrap_or(Wish::Nothing)
}

/// What is wanted; nothing when that cannot be told yet.
fn judge(bytes: &[u8]) -> Option<Wish> {
    let asked = ["GET /healthz", "GET /readyz", "HEAD /healthz", "HEAD /readyz"];
    let follows = |line: &str| match bytes.strip_prefix(line.as_bytes()) {
        Some([]) => None,
        Some([b' ' | b'?', ..]) => Some(Wish::Health),
        Some(_) => Some(Wish::Service),
        None if line.as_bytes().starts_with(bytes) => None,
        None => Some(Wish::Service),
    };
    let judged = asked.map(follows);
    if judged.contains(&Some(Wish::Health)) {
        Some(Wish::Health)
    } else if judged.contains(&None) {
        None
    } else {
        Some(Wish::Service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_told_from_the_beginning_of_the_request_line() {
        for (bytes, expected) in [
            ("G", None),
            ("GET /healthz", None),
            ("HEAD /rea", None),
            ("GET /healthz HTT", Some(Wish::Health)),
            ("GET /readyz?x=1", Some(Wish::Health)),
            ("HEAD /readyz HTT", Some(Wish::Health)),
            ("GET /healthzz HT", Some(Wish::Service)),
            ("GET /v1/items HT", Some(Wish::Service)),
            ("PRI * HTTP/2.0", Some(Wish::Service)),
            ("\r\n", Some(Wish::Service)),
        ] {
            assert_eq!(judge(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }
}
