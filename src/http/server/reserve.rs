//! Connection slots, and a reserve beyond `limits.connections_max`, so that health checks are answered
//! whatever the number of clients.
//!
//! Invariants:
//!
//! * A connection beyond the limit is peeked at before anything is read. A health check is answered and the
//!   connection closed; a few others wait for a slot; the rest get 503.
//! * Waiting connections never take the whole reserve.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of connections beyond the limit.
const RESERVE: usize = 32;
/// How many of them may wait for a slot.
const TURNS: usize = 16;
/// How long a reserve connection may take to send the request line.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// The poll interval for the rest of a request line.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

pub struct Places {
    own: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// A slot, released on drop.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    /// It is of the reserve.
    pub is_beyond: bool,
}

/// The request on a connection, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A health check.
    Health,
    Service,
    /// Not received in time.
    Nothing,
}

impl Places {
    pub fn new(connections_max: usize) -> Self {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Self { own: semaphore(connections_max), reserve: semaphore(RESERVE), turns: semaphore(TURNS) }
    }

    /// A slot for the next connection, as soon as there is one.
    pub async fn next(&self) -> Option<Place> {
        let (permit, is_beyond) = tokio::select! {
            biased;
            own = self.own.clone().acquire_owned() => (own, false),
            reserve = self.reserve.clone().acquire_owned() => (reserve, true),
        };
        Some(Place { _permit: permit.ok()?, is_beyond })
    }

    /// Exchanges a reserve slot for one within the limit if one is free.
    pub fn better(&self, place: Place) -> Place {
        match self.own.clone().try_acquire_owned() {
            Ok(own) if place.is_beyond => Place { _permit: own, is_beyond: false },
            _ => place,
        }
    }

    /// Waits in the reserve for a slot within the limit. `None` if too many wait already.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let _turn = self.turns.try_acquire().ok()?;
        self.own.clone().acquire_owned().await.ok()
    }
}

/// Peeks at the first bytes of a request.
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

/// `None` if more bytes are needed.
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
