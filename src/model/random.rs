//! Randomness, injected like time, and the ids made of both.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::Timestamp;

/// A source of random bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);

    /// A number from 0 up to, but not including, 1.
    fn unit(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    /// A UUIDv7 (RFC 9562) of that instant: ids made later sort later.
    fn uuid(&self, now: Timestamp) -> Uuid {
        let mut bytes = [0; 10];
        self.fill(&mut bytes);
        let millis = u64::try_from(now.as_millis()).unwrap_or_default();
        Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }

    /// An id of ours: a word that tells what it names, and a UUIDv7 without hyphens.
    fn id(&self, prefix: &str, now: Timestamp) -> Arc<str> {
        format!("{prefix}_{}", self.uuid(now).simple()).into()
    }
}

/// The id of something that is made under an idempotency key: the same for each repetition. No part but the last may
/// hold a zero byte.
pub fn repeatable_id(prefix: &str, parts: &[&str]) -> Arc<str> {
    let digest = Sha256::digest(parts.join("\0").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    format!("{prefix}_{}", Builder::from_custom_bytes(bytes).into_uuid().simple()).into()
}

/// The operating system's randomness, through a fast generator of each thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// The same bytes again for the same seed: for tests and simulations.
pub struct SeededRandom(Mutex<StdRng>);

impl SeededRandom {
    /// A source that is determined by the seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl fmt::Debug for SeededRandom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SeededRandom")
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}
