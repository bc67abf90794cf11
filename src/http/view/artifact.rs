//! Documents of artifacts.

use std::sync::Arc;

use warden_api::artifact::{Records, RunKey, Usage};

use super::told;
use crate::model::artifact::Facts;
use crate::model::{self, Artifact, ItemKey, Moment};

pub struct ArtifactFacts {
    pub artifact: Artifact,
    pub moment: Moment,
    /// Show only what identifies it, its status and version: the client may not read it.
    pub is_withheld: bool,
}

impl From<ArtifactFacts> for warden_api::Artifact {
    fn from(facts: ArtifactFacts) -> Self {
        let ArtifactFacts { mut artifact, moment, is_withheld } = facts;
        let at = |steady| told(steady, moment);
        if is_withheld {
            artifact.facts = Facts::default();
            artifact.run = None;
            artifact.depends_on.clear();
            artifact.uses.clear();
        }
        let Facts { alias, size, records_written, records_read, low, high, format, compression } =
            artifact.facts;
        Self {
            id: artifact.id.0,
            workflow: artifact.workflow.into(),
            location: artifact.location,
            name: artifact.name,
            alias,
            status: artifact.status,
            status_at: at(artifact.status_at),
            registered_at: at(artifact.registered_at),
            loaded_at: artifact.loaded_at.map(at),
            reuse: artifact.reuse.into(),
            run: artifact.run.map(run),
            size,
            records: Records { written: records_written, read: records_read },
            low: low.map(Into::into),
            high: high.map(Into::into),
            format,
            compression,
            depends_on: artifact.depends_on.into_iter().map(|id| id.0).collect(),
            uses: artifact.uses.into_iter().map(|used| usage(used, moment)).collect(),
            version: artifact.version,
        }
    }
}

fn run(run: ItemKey) -> RunKey {
    RunKey { workflow: Arc::from(run.workflow), id: Arc::from(run.id) }
}

fn usage(usage: model::artifact::Usage, moment: Moment) -> Usage {
    Usage { run: run(usage.run), status: usage.status, at: told(usage.at, moment) }
}
