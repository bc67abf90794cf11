//! Validation of what clients send about artifacts.

use std::collections::BTreeSet;

use warden_api::limit::{
    ARTIFACT_BOUND_MAX, ARTIFACT_LOCATION_MAX, ARTIFACT_NAME_MAX, ARTIFACT_WORD_MAX, ARTIFACTS_AT_ONCE,
    DEPENDENCIES_MAX,
};

use super::{ArtifactFilter, Glob};
use crate::model::ArtifactId;
use crate::model::artifact::{ArtifactUse, Bound, Facts, NewArtifact};
use crate::warden::WardenError;

/// In bytes.
const GLOB_MAX: usize = 1_024;
/// How many workflows and statuses a search may name.
const ASKED_MAX: usize = 32;
/// Of bytes and records: the largest 64-bit integer.
const COUNT_MAX: u64 = i64::MAX as u64;

pub fn check_count(count: usize) -> Result<(), WardenError> {
    if (1..=ARTIFACTS_AT_ONCE).contains(&count) {
        return Ok(());
    }
    Err(WardenError::Invalid(format!(
        "a request is about 1 to {ARTIFACTS_AT_ONCE} artifacts; this one is about {count}"
    )))
}

/// Checks globs and words. Matching takes time by their number and lengths, and all commits wait for it.
pub fn check_globs(filter: &ArtifactFilter) -> Result<(), WardenError> {
    let counts = [("workflow", filter.workflows.len()), ("status", filter.statuses.len())];
    if let Some((name, _)) = counts.iter().find(|(_, count)| *count > ASKED_MAX) {
        return Err(WardenError::Invalid(format!("{name} may be given at most {ASKED_MAX} times")));
    }
    let length = |glob: &Option<Glob>| glob.as_ref().map_or(0, Glob::length);
    let of_workflows = filter.workflows.iter().map(|glob| glob.pattern().len()).max();
    let lengths = [
        ("workflow", of_workflows.unwrap_or_default()),
        ("location", length(&filter.location)),
        ("name", length(&filter.name)),
    ];
    match lengths.iter().find(|(_, length)| *length > GLOB_MAX) {
        None => Ok(()),
        Some((name, _)) => {
            Err(WardenError::Invalid(format!("the glob in {name} may have at most {GLOB_MAX} bytes")))
        }
    }
}

pub fn check_new(new: &NewArtifact) -> Result<(), WardenError> {
    check_text("location", &new.location, ARTIFACT_LOCATION_MAX)?;
    check_text("name", &new.name, ARTIFACT_NAME_MAX)?;
    check_facts(&new.facts)?;
    check_dependencies(&new.depends_on)?;
    match &new.run {
        None if new.reuse == ArtifactUse::Run => Err(WardenError::Invalid(
            "an artifact whose use is run needs a run, with whose item it is removed".into(),
        )),
        Some(run) if new.reuse == ArtifactUse::Run && run.key(&new.workflow).workflow != new.workflow => Err(
            WardenError::Invalid("an artifact whose use is run belongs to the workflow of its run".into()),
        ),
        _ => Ok(()),
    }
}

pub fn check_facts(facts: &Facts) -> Result<(), WardenError> {
    let words = [("alias", &facts.alias), ("format", &facts.format), ("compression", &facts.compression)];
    for (name, text) in words {
        if let Some(text) = text {
            check_text(name, text, ARTIFACT_WORD_MAX)?;
        }
    }
    let Facts { size, records_written, records_read, .. } = facts;
    for (name, count) in [("size", size), ("written", records_written), ("read", records_read)] {
        if count.is_some_and(|count| count > COUNT_MAX) {
            return Err(WardenError::Invalid(format!("{name} may be at most {COUNT_MAX}")));
        }
    }
    for (name, bound) in [("low", &facts.low), ("high", &facts.high)] {
        if let Some(Bound::Text(text)) = bound {
            check_text(name, text, ARTIFACT_BOUND_MAX)?;
        }
    }
    Ok(())
}

pub fn check_dependencies(depends_on: &[ArtifactId]) -> Result<(), WardenError> {
    let count = depends_on.len();
    if count > DEPENDENCIES_MAX {
        return Err(WardenError::Invalid(format!(
            "an artifact depends on at most {DEPENDENCIES_MAX} others; depends_on has {count}"
        )));
    }
    if depends_on.iter().collect::<BTreeSet<_>>().len() < count {
        return Err(WardenError::Invalid("depends_on names an artifact twice".into()));
    }
    Ok(())
}

fn check_text(name: &str, text: &str, most: usize) -> Result<(), WardenError> {
    if (1..=most).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(WardenError::Invalid(format!("{name} must be 1 to {most} bytes without control characters")))
}
