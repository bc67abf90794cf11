//! The settings of a seed: small, so that a second exercises what takes a store months.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use warden::model::SystemClock;
use warden::store::OnDamage;
use warden::store::engine::sled::{OpenError, SledSettings, SledStore};

use crate::dice::Dice;

/// How long the longest payload of a seed is.
pub fn payload_max(seed: u64) -> u64 {
    if seed.is_multiple_of(3) { 300 * 1024 } else { 64 * 1024 }
}

/// Opens the store of a seed.
pub fn open(seed: u64, path: &Path) -> Result<SledStore, OpenError> {
    let mut dice = Dice::new(seed);
    let settings = SledSettings {
        path: path.to_owned(),
        cache: 16 << 20,
        reserve: 0,
        // Most have generations of 4 MiB, and some of 8 MiB, which are moved bit by bit.
        size_max: Some(dice.pick(&[128, 192, 512]) << 20),
        payload_max: payload_max(seed),
        recent: 1 << 20,
        checkpoint: Duration::from_millis(5 + dice.below(46)),
        on_damage: OnDamage::Refuse,
        queue_max: 10_000,
        queue_bytes_max: 1 << 30,
    };
    SledStore::open(&settings, Arc::new(SystemClock::new()))
}
