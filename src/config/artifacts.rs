//! `[artifacts]`: the statuses of artifacts, and how long they are kept.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use warden_api::limit::ARTIFACT_WORD_MAX;

use super::checks::Checks;
use super::duration;
use super::path::SettingPath;
use crate::model::artifact::ArtifactStatus;
use crate::warden::ArtifactSettings;

/// The most statuses beside those of the list.
const STATUSES_MAX: usize = 32;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenArtifacts {
    statuses: Vec<String>,
    #[serde(deserialize_with = "duration::required")]
    retention: Duration,
    retention_max: usize,
}

impl WrittenArtifacts {
    /// `most` is how many artifacts may be stored.
    pub(super) fn resolve(&self, checks: &mut Checks<'_>, most: usize) -> ArtifactSettings {
        let at = |key| SettingPath::dotted("artifacts").key(key);
        let path = at("statuses");
        if self.statuses.len() > STATUSES_MAX {
            checks.problem(&path, format!("has {}, at most {STATUSES_MAX}", self.statuses.len()));
        }
        let mut known: BTreeSet<&str> = ArtifactStatus::WORDS.iter().copied().collect();
        for (index, status) in self.statuses.iter().enumerate() {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            if !(1..=ARTIFACT_WORD_MAX).contains(&status.len()) || !status.bytes().all(is_plain) {
                let message = format!("{status:?} must be 1 to {ARTIFACT_WORD_MAX} of A-Z a-z 0-9 _ -");
                checks.problem(&path.index(index), message);
            } else if !known.insert(status) {
                checks.problem(&path.index(index), format!("{status:?} is a status already"));
            }
        }
        let &Self { retention, retention_max, .. } = self;
        ArtifactSettings { statuses: self.statuses.clone(), retention, retention_max, most }
    }
}
