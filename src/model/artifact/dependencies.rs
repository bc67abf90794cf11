//! Artifacts that have to be loaded before others.
//!
//! An artifact may begin to be loaded once everything that it depends on is loaded, archived, deleted or
//! forgotten, or begins to be loaded by the same request, in whatever order that names them. What is in error
//! has to be mended first. No artifact depends on itself.

use std::collections::BTreeMap;

use super::{Artifact, ArtifactId, ArtifactRefusal, ArtifactStatus, Status, is_finished};

/// The most artifacts that a request looks at in search of cycles.
pub const SEARCH_MAX: usize = 65_536;

/// Whether what depends on an artifact of this status may be loaded. `is_moved` says that the request which
/// loads it gave that one this status as well.
pub fn is_met(status: Option<&Status>, is_moved: bool) -> bool {
    status.is_none_or(|status| is_finished(status) || (is_moved && *status == ArtifactStatus::Loading))
}

/// Whether a change of status begins to load an artifact.
pub fn begins_loading(before: Option<&Status>, after: &Status) -> bool {
    *after == ArtifactStatus::Loading && before.is_none_or(|before| before != after)
}

/// Judges the artifacts that begin to be loaded. `moved` are those that the request gives a status, as they
/// would be after it; `status` is that of any other one, `None` if there is none.
pub fn check<'a>(
    beginning: impl IntoIterator<Item = &'a Artifact>,
    moved: &BTreeMap<&ArtifactId, &Status>,
    status: impl Fn(&ArtifactId) -> Option<&'a Status>,
) -> Result<(), ArtifactRefusal> {
    for artifact in beginning {
        let is_unmet = |id: &&ArtifactId| match moved.get(*id) {
            Some(moved) => !is_met(Some(moved), true),
            None => !is_met(status(id), false),
        };
        let dependencies: Vec<ArtifactId> = artifact.depends_on.iter().filter(is_unmet).cloned().collect();
        if !dependencies.is_empty() {
            return Err(ArtifactRefusal::DependencyNotMet { artifact: artifact.id.clone(), dependencies });
        }
    }
    Ok(())
}

/// Searches a path from any of these artifacts over `depends_on` back to itself. Each artifact is looked at
/// once, and at most `most` of them are.
///
/// # Errors
/// `E` is the error of a lookup; the refusal says that there is a cycle, or too much to search.
pub fn check_cycles<'a, E>(
    starts: impl IntoIterator<Item = &'a ArtifactId>,
    most: usize,
    mut of: impl FnMut(&ArtifactId) -> Result<Vec<ArtifactId>, E>,
) -> Result<Result<(), ArtifactRefusal>, E> {
    // False for an artifact on the current path, true once it was searched with all that it depends on.
    let mut searched: BTreeMap<ArtifactId, bool> = BTreeMap::new();
    for start in starts {
        // Each with those of its dependencies that are still to be followed.
        let mut path: Vec<(ArtifactId, Vec<ArtifactId>)> = Vec::new();
        let mut next = Some(start.clone());
        while let Some(id) = next {
            match searched.get(&id) {
                Some(true) => {}
                Some(false) => return Ok(Err(ArtifactRefusal::Cycle(id))),
                None if searched.len() == most => return Ok(Err(ArtifactRefusal::TooDeep(start.clone()))),
                None => {
                    searched.insert(id.clone(), false);
                    let ahead = of(&id)?;
                    path.push((id, ahead));
                }
            }
            next = loop {
                let Some((_, ahead)) = path.last_mut() else { break None };
                if let Some(id) = ahead.pop() {
                    break Some(id);
                }
                searched.extend(path.pop().map(|(id, _)| (id, true)));
            };
        }
    }
    Ok(Ok(()))
}
