//! Counts of selected items.

use std::collections::BTreeMap;

use super::{Item, ItemState, Moment, StepName, Timestamp, WorkflowName};

/// The steps that a summary counts separately. A workflow that names its steps has fewer; otherwise clients
/// could create as many as items.
pub const STEPS_COUNTED: usize = 1000;

/// Its size does not depend on the number of items: workflows are limited, and only the first
/// [`STEPS_COUNTED`] steps are counted separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The moment for judging states.
    pub at: Moment,
    pub count: u64,
    /// Of their payloads, without removed ones.
    pub bytes: u64,
    pub oldest_created_at: Option<Timestamp>,
    pub oldest_deadline: Option<Timestamp>,
    pub by_workflow: BTreeMap<WorkflowName, u64>,
    /// `None` stands for items without a step.
    pub by_step: BTreeMap<Option<StepName>, u64>,
    /// Items at steps that are not counted separately.
    pub other_steps: u64,
    pub by_state: BTreeMap<ItemState, u64>,
}

impl Summary {
    pub fn new(at: Moment) -> Self {
        Self {
            at,
            count: 0,
            bytes: 0,
            oldest_created_at: None,
            oldest_deadline: None,
            by_workflow: BTreeMap::new(),
            by_step: BTreeMap::new(),
            other_steps: 0,
            by_state: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, item: &Item) {
        let earlier =
            |known: Option<Timestamp>, instant| Some(known.map_or(instant, |known| known.min(instant)));
        self.count += 1;
        self.bytes += item.kept_payload(self.at.now).map_or(0, |payload| payload.size);
        self.oldest_created_at = earlier(self.oldest_created_at, item.created_at);
        self.oldest_deadline = earlier(self.oldest_deadline, self.at.steady(item.deadline));
        *self.by_workflow.entry(item.workflow.clone()).or_default() += 1;
        *self.by_state.entry(item.state(self.at)).or_default() += 1;
        if let Some(count) = self.by_step.get_mut(&item.step) {
            *count += 1;
        } else if self.by_step.len() < STEPS_COUNTED {
            self.by_step.insert(item.step.clone(), 1);
        } else {
            self.other_steps += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::item::Closing;
    use crate::model::{CloseOutcome, EventSet, ItemId, ItemKey, ItemNumber, PayloadInfo};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn closing(keep_payload: Duration) -> Closing {
        let retention = Duration::from_secs(3600);
        Closing {
            outcome: CloseOutcome::Success,
            at: NOW,
            retention,
            keep_payload,
            ended_at: None,
            events: EventSet::NONE,
        }
    }

    fn item(workflow: &str, step: Option<&str>, deadline: i64, size: u64) -> Item {
        let workflow = WorkflowName::new(workflow).unwrap();
        let key = ItemKey { workflow, id: ItemId::new("file-1").unwrap() };
        let mut item = Item::tombstone(ItemNumber(1), key, closing(Duration::ZERO));
        item.closed = None;
        item.created_at = Timestamp::from_millis(deadline - 500);
        item.deadline = Timestamp::from_millis(deadline).into();
        item.step = step.map(|step| StepName::new(step).unwrap());
        item.payload = Some(PayloadInfo {
            size,
            content_type: "text/plain".into(),
            content_encoding: None,
            sha256: [0; 32],
        });
        item
    }

    #[test]
    fn items_are_counted_by_workflow_step_and_state() {
        let mut summary = Summary::new(NOW.into());
        let mut failed = item("reports", Some("copy"), 999_000, 8);
        failed.failed_at = Some(NOW);
        let mut closed = item("reports", None, 2_000_000, 4);
        closed.close(closing(Duration::ZERO));
        let mut kept = item("reports", None, 2_000_000, 2);
        kept.close(closing(Duration::from_secs(1)));
        for item in [&item("uploads", Some("copy"), 1_000_000, 1), &item("uploads", None, 1_000_001, 16)] {
            summary.add(item);
        }
        for item in [&failed, &closed, &kept] {
            summary.add(item);
        }
        assert_eq!((summary.count, summary.bytes), (5, 1 + 16 + 8 + 2), "what is dropped takes nothing");
        assert_eq!(summary.oldest_created_at, Some(Timestamp::from_millis(998_500)));
        assert_eq!(summary.oldest_deadline, Some(Timestamp::from_millis(999_000)));
        let by_workflow: Vec<_> = summary.by_workflow.iter().map(|(name, count)| (&**name, *count)).collect();
        assert_eq!(by_workflow, [("reports", 3), ("uploads", 2)]);
        let by_step: Vec<_> = summary.by_step.iter().map(|(step, count)| (step.as_deref(), *count)).collect();
        assert_eq!(by_step, [(None, 3), (Some("copy"), 2)]);
        let by_state: Vec<_> = summary.by_state.into_iter().collect();
        let (open, overdue, failed, closed) =
            (ItemState::Open, ItemState::Overdue, ItemState::Failed, ItemState::Closed);
        assert_eq!(by_state, [(open, 1), (overdue, 1), (failed, 1), (closed, 2)]);
    }

    #[test]
    fn steps_beyond_those_told_apart_are_counted_together() {
        let mut summary = Summary::new(NOW.into());
        for _ in 0..2 {
            for number in 0..STEPS_COUNTED + 7 {
                summary.add(&item("uploads", Some(&format!("step-{number}")), 1_000_000, 0));
            }
        }
        assert_eq!((summary.by_step.len(), summary.other_steps), (STEPS_COUNTED, 14));
        assert_eq!(summary.by_step.values().sum::<u64>() + summary.other_steps, summary.count);
    }
}
