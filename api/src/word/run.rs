//! The words of runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use super::schema;
use super::{UnknownWord, Vocabulary};

words! {
    /// How far a run has come.
    RunStatus {
        /// It has not begun: its workflow is on hold, or it waits for other runs.
        Held = "held",
        /// It has begun and not ended.
        Open = "open",
        /// It ended in success.
        Success = "success",
        /// It ended without success.
        Failed = "failed",
        /// It was given up, and counts as not made.
        Discarded = "discarded",
    }

    /// What becomes of a new run while another one is open.
    #[derive(Default)]
    Single {
        /// It is refused.
        #[default]
        Refuse = "refuse",
        /// The open one is closed as discarded.
        Supersede = "supersede",
        /// Both are open.
        Allow = "allow",
    }

    /// Why a run is held.
    HeldFor {
        /// Its workflow is on hold, until a person releases it.
        Hold = "hold",
        /// Its workflow requires runs of others. It opens once they have succeeded.
        Requirement = "requirement",
    }

    /// What becomes of a new run whose requirements are not met.
    #[derive(Default)]
    Unmet {
        /// It is refused.
        #[default]
        Refuse = "refuse",
        /// It is held, and opens once they are met.
        Held = "held",
    }

    /// Why the latest run of a required workflow does not count.
    UnmetReason {
        /// It has not ended.
        Open = "open",
        /// It has not begun.
        Held = "held",
        /// It failed.
        Failed = "failed",
        /// It succeeded too long ago.
        Stale = "stale",
        /// There was none.
        NeverRun = "never_run",
    }

    /// To what the beginning of a window is rounded down.
    Truncate {
        /// The full hour.
        Hour = "hour",
        /// Midnight.
        Day = "day",
        /// Midnight before Monday.
        Week = "week",
        /// Midnight before the first of the month.
        Month = "month",
    }

    /// The format of the parameters of a run.
    #[derive(Default)]
    ParamsFormat {
        /// JSON.
        #[default]
        Json = "json",
        /// YAML.
        Yaml = "yaml",
        /// Assignments for a shell, quoted.
        Env = "env",
        /// A parameter file of Informatica PowerCenter.
        Infa = "infa",
    }

    /// How a parameter file of Informatica writes instants, which are in UTC.
    #[derive(Default)]
    DateStyle {
        /// `2016-06-28 10:30:15.250000`, without a fraction for whole seconds.
        #[default]
        Iso = "iso",
        /// `06/28/2016 10:30:15`.
        PowerCenter = "powercenter",
    }

    /// How a held run is released.
    #[derive(Default)]
    ReleaseAs {
        /// It opens as soon as its requirements are met and `single` admits it.
        #[default]
        Open = "open",
        /// It is closed in success, without having run.
        Success = "success",
    }
}
