//! The engine that the configuration names.

use std::path::Path;

use crate::config::{Config, Engine};
use crate::store::engine::sled::SledSettings;
use crate::store::engine::{self, EngineSettings};
use crate::store::{CheckError, OnDamage, Report};

pub(super) fn settings(config: &Config, on_damage: OnDamage) -> EngineSettings {
    match config.storage.engine {
        Engine::Memory => EngineSettings::Memory,
        Engine::Sled => EngineSettings::Sled(SledSettings {
            path: config.storage.path.clone(),
            cache: config.storage.cache,
            reserve: config.storage.reserve,
            size_max: Some(config.storage.size_max).filter(|size_max| *size_max > 0),
            payload_max: config.limits.payload_max,
            recent: config.storage.recent,
            checkpoint: config.storage.checkpoint,
            on_damage,
            queue_max: config.limits.queue_max,
            queue_bytes_max: config.limits.buffered_max,
        }),
    }
}

/// Checks a data directory for damage; see [`engine::check`]. Copies go to the system's temporary directory.
pub fn check_data(path: &Path, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Report, CheckError> {
    engine::check(path, &std::env::temp_dir(), go_on)
}
