//! Items as tests of the census need them.

use crate::model::item::Course;
use crate::model::{
    ClockTime, Item, ItemError, ItemId, ItemNumber, Labels, PayloadInfo, StepName, Timestamp, Work,
    WorkflowName,
};

/// An item that nothing has happened to yet.
pub fn item(number: u64, workflow: &str, step: Option<&str>, now: Timestamp, deadline: ClockTime) -> Item {
    Item {
        number: ItemNumber(number),
        workflow: WorkflowName::new(workflow).unwrap(),
        id: ItemId::new(format!("file-{number}")).unwrap(),
        created_at: now,
        deadline,
        failed_at: None,
        closed: None,
        labels: Labels::default(),
        step: step.map(|step| StepName::new(step).unwrap()),
        step_entered_at: now,
        payload: Some(PayloadInfo {
            size: 0,
            content_type: "text/plain".into(),
            content_encoding: None,
            sha256: [0; 32],
        }),
        idempotency_key: None,
        version: 1,
        work: Work::default(),
        course: Course::default(),
        detail: None,
    }
}

/// An error that fails its item.
pub fn fatal(at: Timestamp) -> ItemError {
    ItemError {
        id: "err_1".into(),
        kind: "Fatal".into(),
        message: String::new(),
        retryable: false,
        fatal: true,
        step: None,
        at,
        stack: None,
        data: serde_json::Value::Null,
    }
}
