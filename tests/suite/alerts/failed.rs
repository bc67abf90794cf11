//! Incidents of items that failed.

use super::*;

#[tokio::test]
async fn a_fatal_error_opens_an_incident_at_once_and_a_close_resolves_it() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let daemon = builder.start().await;
        daemon.create("uploads", "file-1", "?deadline=1h&step=copy", "payload").await;
        fail(&daemon, "uploads", "file-1").await;
        let incident = daemon.open_incidents(1).await.remove(0);
        assert_eq!((&incident["kind"], &incident["by_step"]), (&json!("failed"), &json!({"copy": 1})));
        daemon.advance(10 * SECOND);
        let opened = told(&receiver, "incident.opened").await;
        assert_eq!((&opened["id"], &opened["kind"]), (&incident["id"], &json!("failed")));
        assert_eq!(opened["summary"], "1 item of uploads has failed; 1 stuck at copy");
        let item = daemon.get("/v1/workflows/uploads/items/file-1").await;
        assert_eq!((&item["state"], &item["incident"]), (&json!("failed"), &incident["id"]));
        daemon.close("uploads", "file-1").await;
        let resolved = told(&receiver, "incident.resolved").await;
        assert_eq!((&resolved["id"], &resolved["kind"]), (&incident["id"], &json!("failed")));
    }
}

#[tokio::test]
async fn an_error_that_is_not_fatal_opens_nothing() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    daemon.create("uploads", "file-1", "?deadline=1h", "payload").await;
    let path = "/v1/workflows/uploads/items/file-1/errors";
    let error = json!({"type": "Timeout", "message": "", "retryable": true});
    expect(daemon.request(Method::POST, path).json(&error), StatusCode::CREATED).await;
    lose(&daemon, "downloads", "file-2").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    assert_eq!(told(&receiver, "incident.opened").await["workflow"], "downloads");
}

#[tokio::test]
async fn overdue_and_failed_items_of_a_workflow_are_two_incidents() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    lose(&daemon, "uploads", "late").await;
    lose(&daemon, "uploads", "broken").await;
    fail(&daemon, "uploads", "broken").await;
    daemon.open_incidents(2).await;
    daemon.advance(10 * SECOND);
    let mut kinds = [told(&receiver, "incident.opened").await, told(&receiver, "incident.opened").await]
        .map(|opened| (opened["kind"].as_str().unwrap().to_owned(), opened["count"].as_u64().unwrap()));
    kinds.sort();
    assert_eq!(kinds, [("failed".to_owned(), 1), ("overdue".to_owned(), 1)]);
}

#[tokio::test]
async fn a_failed_item_stays_failed_when_its_deadline_is_moved_or_passes() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?deadline=1m", "payload").await;
    fail(&daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(MINUTE);
    patch(&daemon, "uploads", "file-1", json!({"deadline": "1m"})).await;
    daemon.advance(MINUTE);
    lose(&daemon, "downloads", "file-2").await;
    let open = daemon.open_incidents(2).await;
    assert_eq!((&open[0]["workflow"], &open[1]["id"]), (&json!("downloads"), &incident["id"]));
}
