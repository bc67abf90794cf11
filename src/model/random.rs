//! Randomness, injected like time, and the ids made of both.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::Timestamp;

pub trait Random: Send + Sync + 'static {
    fn fill(&self, bytes: &mut [u8]);

    /// Uniform in 0 <= x < 1.
    fn unit(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    /// A UUIDv7 (RFC 9562) of that instant, so that ids sort by age.
    fn uuid(&self, now: Timestamp) -> Uuid {
        let mut bytes = [0; 10];
        self.fill(&mut bytes);
        let millis = u64::try_from(now.as_millis()).unwrap_or_default();
        Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }

    /// `prefix`, an underscore, and a UUIDv7 without hyphens.
    fn id(&self, prefix: &str, now: Timestamp) -> Arc<str> {
        format!("{prefix}_{}", self.uuid(now).simple()).into()
    }
}

/// The id of something created with an idempotency key: the same for each repetition. Only the last part may
/// contain a zero byte.
pub fn repeatable_id(prefix: &str, parts: &[&str]) -> Arc<str> {
    let digest = Sha256::digest(parts.join("\0").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    format!("{prefix}_{}", Builder::from_custom_bytes(bytes).into_uuid().simple()).into()
}

/// The system's randomness, through a generator for each thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// For tests and simulations: deterministic for a seed.
pub struct SeededRandom(Mutex<StdRng>);

impl SeededRandom {
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
