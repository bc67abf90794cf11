//! What is probably not meant, as far as the daemon's data tell. What the settings tell is known before it starts.

use super::Warden;
use crate::model::{Warning, WarningCode};

/// How many workflows are named one by one.
const NAMED_MAX: usize = 20;

impl Warden {
    /// What is probably not meant: workflows that somebody misspelt, and a silence for everything.
    pub fn warnings(&self) -> Vec<Warning> {
        let misspelt = self.workflows.misspelt();
        let more = misspelt.len().saturating_sub(NAMED_MAX);
        let mut warnings: Vec<Warning> = Vec::new();
        for (name, meant) in misspelt.into_iter().take(NAMED_MAX) {
            let message = format!("the workflow {name} was made on first use; was {meant} meant?");
            warnings.push(Warning { code: WarningCode::WorkflowMisspelt, message });
        }
        if more > 0 {
            let message =
                format!("{more} more workflows made on first use are called nearly as configured ones");
            warnings.push(Warning { code: WarningCode::WorkflowMisspelt, message });
        }
        let moment = self.clock.moment();
        if let Some(silence) = self.silences.for_all_at(moment) {
            let message = format!(
                "nobody is told of anything until {}: {} holds for all workflows",
                moment.shown(silence.ends_at),
                silence.id.0
            );
            warnings.push(Warning { code: WarningCode::AllSilenced, message });
        }
        warnings
    }
}
