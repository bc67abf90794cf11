//! From an overdue item to the notification, and to its end.

use std::time::Duration;

use crate::support::{TestDaemon, TestReceiver};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn an_item_that_is_not_closed_in_time_is_told_and_its_close_resolves() {
    let receiver = TestReceiver::start().await;
    let daemon = TestDaemon::builder().receiver(&receiver).start().await;
    daemon.create("uploads", "file-1", "?deadline=15m&step=backup", "hello").await;
    daemon.advance(900 * SECOND);
    daemon.open_incidents(1).await;
    assert!(receiver.arrived().await.is_empty(), "nobody is told before group_wait has passed");
    daemon.advance(10 * SECOND);
    let opened = receiver.next().await;
    assert_eq!(opened.event(), "incident.opened");
    let data = &opened.json()["data"];
    assert_eq!(data["count"], 1);
    assert_eq!(data["by_step"]["backup"], 1);
    assert_eq!(data["items"][0]["id"], "file-1");
    daemon.close("uploads", "file-1").await;
    let resolved = receiver.next().await;
    assert_eq!(resolved.event(), "incident.resolved");
    assert_eq!(resolved.json()["data"]["id"], data["id"]);
}
