//! When an overdue item is sent to where its work begins again, by itself.

use std::sync::Arc;
use std::time::Duration;

use super::{Standing, Timestamp};

/// What becomes of a workflow's overdue items without anybody asking for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// Where they are sent, as far as that may be shown: scheme, host and port.
    pub to: Arc<str>,
    /// How long an item must have been overdue, and how long it is left alone after each attempt.
    pub after: Duration,
    /// How many attempts an item has at its step, whoever makes them, before it is not sent any more.
    pub max_attempts: u32,
}

impl Redrive {
    /// From when on an open item that stands like this, and whose deadline in steady time this is, is to be sent; nothing when it has had all of its attempts. While
    /// somebody holds it, or it waits for its next attempt, it is not sent.
    pub fn due_at(&self, standing: &Standing, deadline: Timestamp) -> Option<Timestamp> {
        (standing.attempts < self.max_attempts).then(|| deadline.after(self.after).max(standing.free_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::item::Status;
    use crate::model::{ItemNumber, Labels, WorkflowName};

    #[test]
    fn an_item_is_due_some_time_after_its_deadline_and_when_nobody_holds_it() {
        let at = Timestamp::from_millis;
        let redrive = Redrive { to: "".into(), after: Duration::from_millis(500), max_attempts: 2 };
        for (attempts, free_at, due_at) in [
            (0, Timestamp::MIN, Some(at(1_500))),
            (1, at(1_200), Some(at(1_500))),
            (1, at(9_000), Some(at(9_000))),
            (2, Timestamp::MIN, None),
            (3, Timestamp::MIN, None),
        ] {
            let standing = Standing {
                number: ItemNumber(1),
                workflow: WorkflowName::new("uploads").unwrap(),
                created_at: Some(at(0)),
                labels: Labels::default(),
                step: None,
                deadline: at(1_000).into(),
                attempts,
                free_at,
                failed_at: None,
                status: Status::Open,
            };
            assert_eq!(
                redrive.due_at(&standing, at(1_000)),
                due_at,
                "{attempts} attempts, free at {free_at}"
            );
        }
    }
}
