//! The keys of documents, which contain their ids, and the size limit of each kind.

use std::borrow::Cow;

use crate::model::{
    ArtifactId, DeliveryId, IncidentId, ItemNumber, ReplayId, SilenceId, Topic, WorkflowName,
};
use crate::store::{Document, DocumentId, DocumentSet};

/// The largest incident or silence, in bytes.
const INCIDENT_MAX: usize = 64 * 1024;
/// The largest delivery, with all attempts and the beginnings of their answers, in bytes.
const DELIVERY_MAX: usize = 160 * 1024;
/// The largest replay, in bytes: its globs, its target, and the failures and reasons that it keeps.
const REPLAY_MAX: usize = 128 * 1024;
/// The largest run, history of runs or event, in bytes: its parameters, windows, lineage and counts.
const RUN_MAX: usize = 128 * 1024;
/// The largest artifact, in bytes: its texts, and those of what it depends on and of the runs that used it.
pub(super) const ARTIFACT_MAX: usize = 32 * 1024;
/// The largest workflow, in bytes: with the definition of a client, which a request bounds.
const WORKFLOW_MAX: usize = 128 * 1024;
/// The largest of all other documents, in bytes.
const DOCUMENT_MAX: usize = 4096;

// Key prefixes.
const WORKFLOW: u8 = b'w';
const INCIDENT: u8 = b'n';
const DELIVERY: u8 = b'd';
const PROGRESS: u8 = b'x';
const SILENCE: u8 = b's';
const REPLAY: u8 = b'y';
const REPLAY_CHUNK: u8 = b'z';
const RUN: u8 = b'r';
const RUN_HISTORY: u8 = b't';
const ARTIFACT: u8 = b'a';
const EVENT: u8 = b'v';
/// The prefix of the number of an item that is a topic. No id of an incident begins like this.
const ITEM_TOPIC: &str = "item_";
const HEALTH_CHECK: &[u8] = b"mprobe";
const CLOCK: &[u8] = b"mclock";

/// Keys of one kind sort like the ids.
pub(super) fn key(id: &DocumentId) -> Vec<u8> {
    match id {
        DocumentId::Workflow(name) => [&[WORKFLOW], name.as_bytes()].concat(),
        DocumentId::Progress(workflow) => [&[PROGRESS], workflow.as_bytes()].concat(),
        DocumentId::Silence(id) => two_part(SILENCE, &id.0, &[]),
        DocumentId::Incident(id) => two_part(INCIDENT, &id.0, &[]),
        DocumentId::Delivery(topic, id) => {
            two_part(DELIVERY, &topic_text(topic), &[id.0.as_bytes(), &[0]].concat())
        }
        DocumentId::Replay(id) => two_part(REPLAY, &id.0, &[]),
        DocumentId::ReplayChunk(replay, index) => two_part(REPLAY_CHUNK, &replay.0, &index.to_be_bytes()),
        DocumentId::Run(workflow, number) => two_part(RUN, workflow, &number.to_be_bytes()),
        DocumentId::RunHistory(workflow) => [&[RUN_HISTORY], workflow.as_bytes()].concat(),
        DocumentId::Clock => CLOCK.to_vec(),
        DocumentId::HealthCheck => HEALTH_CHECK.to_vec(),
        DocumentId::Artifact(id) => two_part(ARTIFACT, &id.0, &[]),
        DocumentId::Event(number) => [&[EVENT], number.to_be_bytes().as_slice()].concat(),
    }
}

/// The id in a key; `None` if it is not the key of a document.
pub(super) fn id(key: &[u8]) -> Option<DocumentId> {
    if key == CLOCK {
        return Some(DocumentId::Clock);
    }
    if key == HEALTH_CHECK {
        return Some(DocumentId::HealthCheck);
    }
    let (letter, rest) = key.split_first()?;
    let workflow = || WorkflowName::new(std::str::from_utf8(rest).ok()?).ok();
    let (first, second) = match rest.iter().position(|byte| *byte == 0) {
        Some(end) => (std::str::from_utf8(&rest[..end]).ok()?, &rest[end + 1..]),
        None => ("", &[][..]),
    };
    Some(match *letter {
        WORKFLOW => DocumentId::Workflow(workflow()?),
        PROGRESS => DocumentId::Progress(workflow()?),
        RUN => {
            let number = u64::from_be_bytes(second.try_into().ok()?);
            DocumentId::Run(WorkflowName::new(first).ok()?, number)
        }
        RUN_HISTORY => DocumentId::RunHistory(workflow()?),
        SILENCE => DocumentId::Silence(SilenceId(first.into())),
        INCIDENT => DocumentId::Incident(IncidentId(first.into())),
        DELIVERY => {
            let id = std::str::from_utf8(second.strip_suffix(&[0])?).ok()?;
            DocumentId::Delivery(topic(first)?, DeliveryId(id.into()))
        }
        REPLAY => DocumentId::Replay(ReplayId(first.into())),
        REPLAY_CHUNK => {
            let index = u32::from_be_bytes(second.try_into().ok()?);
            DocumentId::ReplayChunk(ReplayId(first.into()), index)
        }
        ARTIFACT => DocumentId::Artifact(ArtifactId(first.into())),
        EVENT => DocumentId::Event(u64::from_be_bytes(rest.try_into().ok()?)),
        _ => return None,
    })
}

/// Sorts like the topics: those that are items come after incidents.
fn topic_text(topic: &Topic) -> Cow<'_, str> {
    match topic {
        Topic::Incident(incident) => Cow::Borrowed(&incident.0),
        Topic::Item(number) => Cow::Owned(format!("{ITEM_TOPIC}{:016x}", number.0)),
    }
}

fn topic(text: &str) -> Option<Topic> {
    Some(match text.strip_prefix(ITEM_TOPIC) {
        Some(number) => Topic::Item(ItemNumber(u64::from_str_radix(number, 16).ok()?)),
        None => Topic::Incident(IncidentId(text.into())),
    })
}

/// The delivery id in a key, without a copy.
pub(super) fn delivery_id(key: &[u8]) -> Option<&str> {
    let id = key.strip_suffix(&[0])?.rsplit(|byte| *byte == 0).next()?;
    std::str::from_utf8(id).ok()
}

/// The key prefix of all documents of a set.
pub(super) fn prefix(set: &DocumentSet) -> Vec<u8> {
    match set {
        DocumentSet::Workflows => vec![WORKFLOW],
        DocumentSet::Progress => vec![PROGRESS],
        DocumentSet::RunHistories => vec![RUN_HISTORY],
        DocumentSet::Runs => vec![RUN],
        DocumentSet::RunsOf(workflow) => two_part(RUN, workflow, &[]),
        DocumentSet::Silences => vec![SILENCE],
        DocumentSet::Incidents => vec![INCIDENT],
        DocumentSet::Deliveries => vec![DELIVERY],
        DocumentSet::DeliveriesOf(topic) => two_part(DELIVERY, &topic_text(topic), &[]),
        DocumentSet::Replays => vec![REPLAY],
        DocumentSet::Chunks => vec![REPLAY_CHUNK],
        DocumentSet::ChunksOf(replay) => two_part(REPLAY_CHUNK, &replay.0, &[]),
        DocumentSet::Artifacts => vec![ARTIFACT],
        DocumentSet::Events => vec![EVENT],
    }
}

/// The largest encoded size of a document, in bytes.
pub(super) fn size_max(document: &Document) -> usize {
    match document {
        Document::Incident(_) | Document::Silence(_) => INCIDENT_MAX,
        Document::Delivery(_) => DELIVERY_MAX,
        Document::Replay(_) => REPLAY_MAX,
        Document::Run(..) | Document::RunHistory(..) | Document::Event(_) => RUN_MAX,
        Document::Workflow(_) => WORKFLOW_MAX,
        Document::Artifact(_) => ARTIFACT_MAX,
        _ => DOCUMENT_MAX,
    }
}

fn two_part(letter: u8, first: &str, second: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(first.len() + second.len() + 2);
    key.push(letter);
    key.extend_from_slice(first.as_bytes());
    key.push(0);
    key.extend_from_slice(second);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_holds_the_id_of_its_document() {
        let (workflow, incident) = (WorkflowName::new("uploads").unwrap(), IncidentId("inc_1".into()));
        let replay = ReplayId("rpl_1".into());
        let ids = [
            DocumentId::Workflow(workflow.clone()),
            DocumentId::Progress(workflow),
            DocumentId::Silence(SilenceId("sil_1".into())),
            DocumentId::Incident(incident.clone()),
            DocumentId::Delivery(incident.clone().into(), DeliveryId("dlv_1".into())),
            DocumentId::Delivery(Topic::Item(ItemNumber(1)), DeliveryId("dlv_2".into())),
            DocumentId::Delivery(Topic::Item(ItemNumber(u64::MAX)), DeliveryId("dlv_3".into())),
            DocumentId::Replay(replay.clone()),
            // An index with a zero byte inside, and one of zeros only.
            DocumentId::ReplayChunk(replay.clone(), 0x0100_0001),
            DocumentId::ReplayChunk(replay.clone(), 0),
            DocumentId::RunHistory(WorkflowName::new("nightly").unwrap()),
            DocumentId::Run(WorkflowName::new("nightly").unwrap(), 0x0100_0001),
            DocumentId::Run(WorkflowName::new("nightly.2").unwrap(), 1),
            DocumentId::Clock,
            DocumentId::HealthCheck,
            DocumentId::Artifact(ArtifactId("art_1".into())),
            // Numbers with zero bytes inside.
            DocumentId::Event(0),
            DocumentId::Event(0x0100_0001),
        ];
        for document in &ids {
            assert_eq!(id(&key(document)).as_ref(), Some(document));
        }
        let nightly = DocumentSet::RunsOf(WorkflowName::new("nightly").unwrap());
        let topic = DocumentSet::DeliveriesOf(Topic::Item(ItemNumber(1)));
        for set in [DocumentSet::DeliveriesOf(incident.into()), topic, DocumentSet::ChunksOf(replay), nightly]
            .iter()
            .chain(&DocumentSet::TOLD)
        {
            for document in &ids {
                assert_eq!(
                    key(document).starts_with(&prefix(set)),
                    set.contains(document),
                    "{set:?} {document:?}"
                );
            }
        }
    }
}
