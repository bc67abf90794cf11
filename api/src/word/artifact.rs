//! Words of artifacts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use super::schema;
use super::{UnknownWord, Vocabulary};

words! {
    /// The status of an artifact. The configuration may add others.
    #[derive(Default)]
    ArtifactStatus {
        /// Registered, and not complete yet.
        #[default]
        Initializing = "initializing",
        /// Complete: it can be loaded.
        Ready = "ready",
        /// Being loaded.
        Loading = "loading",
        /// Loaded.
        Loaded = "loaded",
        /// Loaded, and moved to an archive.
        Archived = "archived",
        /// The file was deleted.
        Deleted = "deleted",
        /// Something is wrong with it.
        Error = "error",
    }

    /// How often an artifact may be loaded, and how long it is kept.
    #[derive(Default)]
    ArtifactUse {
        /// Any number of times.
        #[default]
        Many = "many",
        /// Once and no more.
        Once = "once",
        /// Any number of times; removed together with the item of its run.
        Run = "run",
    }
}
