//! Settles commands on documents.

use super::{Outcome, Rows, artifacts, runs};
use crate::store::{Change, Document, DocumentId, DocumentSet};

/// The most parts of a document that one command removes.
const PARTS_AT_ONCE: usize = 200;

/// Writes a document, possibly over another one with its id.
pub(super) fn put<R: Rows>(
    document: Document,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    rows.put(&document)?;
    rows.holdings().put(&document);
    if document.is_told() {
        changes.push(Change::Put(document));
    }
    Ok(())
}

/// Removes a document with its parts; a workflow only if it is not in use.
pub(super) fn remove<R: Rows>(
    id: DocumentId,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    match &id {
        // Decided here, so that no item can be created between the decision and the removal.
        DocumentId::Workflow(name) if rows.holdings().is_in_use(name) => return Ok(Outcome::WorkflowInUse),
        // As above: a run that has not ended must be found by what it belongs to.
        DocumentId::RunHistory(name) if runs::has_unended(name, rows)? => return Ok(Outcome::WorkflowInUse),
        DocumentId::Artifact(artifact) => {
            artifacts::remove(artifact.clone(), rows, changes)?;
            return Ok(Outcome::Done);
        }
        _ => {}
    }
    if let Some(parts) = DocumentSet::parts_of(&id) {
        let mut parts = rows.ids(&parts, PARTS_AT_ONCE + 1)?;
        let is_all = parts.len() <= PARTS_AT_ONCE;
        parts.truncate(PARTS_AT_ONCE);
        parts.into_iter().try_for_each(|part| remove_one(part, rows, changes).map(drop))?;
        if !is_all {
            return Ok(Outcome::Partly);
        }
    }
    remove_one(id, rows, changes)?;
    Ok(Outcome::Done)
}

/// Removes a document without its parts. Returns whether it existed.
pub(super) fn remove_one<R: Rows>(
    id: DocumentId,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<bool, R::Error> {
    let existed = rows.remove(&id)?;
    if existed {
        rows.holdings().remove(&id);
        if id.is_told() {
            changes.push(Change::Removed(id));
        }
    }
    Ok(existed)
}
