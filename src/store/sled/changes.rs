//! What the rules of the domain write, on a draft.

use bytes::Bytes;

use super::draft::{
    ATTEMPTED_PIECES_MAX, DELIVERY_PIECES_MAX, Draft, DraftError, INCIDENT_KEYS_AT_ONCE, INCIDENT_PIECES_MAX,
    KEYS_OF_AN_ITEM, REPLAY_KEYS_AT_ONCE, REPLAY_PIECES_MAX, detail_prefix, room_for_payload,
};
use super::layout;
use super::names::Name;
use crate::model::{
    ClockAnchor, Delivery, Incident, IncidentId, Item, ItemKey, ItemNumber, Progress, Replay, ReplayChunk,
    ReplayId, Silence, SilenceId, Timestamp, Workflow, WorkflowName,
};
use crate::store::holdings::Holdings;
use crate::store::record;
use crate::store::settle::{Detail, Rows};

impl Rows for Draft {
    type Error = DraftError;

    fn next_number(&mut self) -> Result<ItemNumber, DraftError> {
        Ok(ItemNumber(self.take_numbers(1)))
    }

    fn item(&mut self, number: ItemNumber) -> Result<Option<Item>, DraftError> {
        self.read_item(number)
    }

    fn number(&mut self, key: &ItemKey) -> Result<Option<ItemNumber>, DraftError> {
        self.named(Name::of_key(key))
    }

    fn number_by_idempotency_key(
        &mut self,
        workflow: &WorkflowName,
        digest: &[u8; 32],
    ) -> Result<Option<ItemNumber>, DraftError> {
        self.named(Name::IdempotencyKey(workflow, digest))
    }

    fn insert_item(&mut self, item: &Item, payload: Option<Bytes>) -> Result<(), DraftError> {
        let Some(detail) = &item.detail else { return self.add_item(item, payload) };
        let detail = record::encode_document(&**detail);
        // All of it goes into one batch, whatever had to be forgotten before.
        let (keys, bytes) = room_for_payload(payload.as_ref().map_or(0, Bytes::len));
        self.make_room_for(keys + usize::from(layout::pieces(detail.len())) + KEYS_OF_AN_ITEM, bytes)?;
        self.add_item(item, payload)?;
        self.put_pieces(&detail_prefix(item.number), &detail)
    }

    fn update_item(&mut self, item: &Item, detail: Detail) -> Result<(), DraftError> {
        self.write_item(item)?;
        match &item.detail {
            Some(written) if detail == Detail::Changed => {
                self.put_pieces(&detail_prefix(item.number), &record::encode_document(written))
            }
            _ => Ok(()),
        }
    }

    fn remove_payload(&mut self, item: &Item) -> Result<(), DraftError> {
        self.release_payload(item.number)
    }

    fn remove_item(&mut self, item: &Item) -> Result<(), DraftError> {
        self.forget_item(item)?;
        match item.detail {
            Some(_) => self.remove_pieces(&detail_prefix(item.number), 0),
            None => Ok(()),
        }
    }

    fn holdings(&mut self) -> &mut Holdings {
        &mut self.holdings
    }

    fn put_workflow(&mut self, workflow: &Workflow) -> Result<(), DraftError> {
        self.put(&layout::workflow(&workflow.name), record::encode_document(workflow));
        Ok(())
    }

    fn remove_workflow(&mut self, name: &WorkflowName) -> Result<(), DraftError> {
        self.remove(&layout::workflow(name));
        Ok(())
    }

    fn put_incident(&mut self, incident: &Incident) -> Result<(), DraftError> {
        self.put_document(
            &layout::incident(&incident.id),
            &record::encode_document(incident),
            INCIDENT_PIECES_MAX,
        )
    }

    fn put_delivery(&mut self, delivery: &Delivery) -> Result<(), DraftError> {
        let prefix = layout::delivery(&delivery.incident, &delivery.id);
        let pieces_max =
            if delivery.attempts.is_empty() { DELIVERY_PIECES_MAX } else { ATTEMPTED_PIECES_MAX };
        self.put_document(&prefix, &record::encode_document(delivery), pieces_max)
    }

    fn put_silence(&mut self, silence: &Silence) -> Result<(), DraftError> {
        self.put_document(
            &layout::silence(&silence.id),
            &record::encode_document(silence),
            INCIDENT_PIECES_MAX,
        )
    }

    fn remove_silence(&mut self, id: &SilenceId) -> Result<(), DraftError> {
        self.remove_pieces(&layout::silence(id), 0)
    }

    fn put_probe(&mut self, at: Timestamp) -> Result<(), DraftError> {
        self.put(layout::PROBE, at.as_millis().to_be_bytes().as_slice());
        Ok(())
    }

    fn put_clock(&mut self, anchor: &ClockAnchor) -> Result<(), DraftError> {
        self.put(layout::CLOCK, record::encode_document(anchor));
        Ok(())
    }

    fn remove_incident(&mut self, id: &IncidentId) -> Result<bool, DraftError> {
        // The scan sees only what the database has been given.
        self.apply()?;
        let mut keys: Vec<sled::IVec> = self
            .tree
            .scan_prefix(layout::deliveries(id))
            .keys()
            .take(INCIDENT_KEYS_AT_ONCE)
            .collect::<Result<_, _>>()?;
        let some_are_left = keys.len() == INCIDENT_KEYS_AT_ONCE;
        if some_are_left {
            // Whole deliveries only: the last one here may go on beyond what was taken.
            let last = keys.iter().rposition(|key| key.ends_with(&[0, 0])).unwrap_or_default();
            keys.truncate(last);
        }
        for key in &keys {
            self.remove(key);
        }
        if some_are_left {
            return Ok(false);
        }
        self.remove_pieces(&layout::incident(id), 0)?;
        Ok(true)
    }

    fn put_replay(&mut self, replay: &Replay) -> Result<(), DraftError> {
        self.put_document(&layout::replay(&replay.id), &record::encode_document(replay), REPLAY_PIECES_MAX)
    }

    fn put_replay_chunk(&mut self, replay: &ReplayId, chunk: &ReplayChunk) -> Result<(), DraftError> {
        self.put(&layout::replay_chunk(replay, chunk.index), record::encode_replay_chunk(chunk));
        Ok(())
    }

    fn remove_replay(&mut self, id: &ReplayId) -> Result<bool, DraftError> {
        // The scan sees only what the database has been given.
        self.apply()?;
        let chunks = self.tree.scan_prefix(layout::replay_chunks(id)).keys();
        let keys: Vec<sled::IVec> = chunks.take(REPLAY_KEYS_AT_ONCE).collect::<Result<_, _>>()?;
        for key in &keys {
            self.remove(key);
        }
        if keys.len() == REPLAY_KEYS_AT_ONCE {
            return Ok(false);
        }
        self.remove_pieces(&layout::replay(id), 0)?;
        Ok(true)
    }

    fn put_progress(&mut self, workflow: &WorkflowName, progress: &Progress) -> Result<(), DraftError> {
        self.put(&layout::progress(workflow), record::encode_document(progress));
        Ok(())
    }

    fn remove_progress(&mut self, workflow: &WorkflowName) -> Result<(), DraftError> {
        self.remove(&layout::progress(workflow));
        Ok(())
    }
}
