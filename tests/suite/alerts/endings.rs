//! What a resolved notification reports, and that it is not read as all-clear while items are in trouble
//! elsewhere.

use super::*;

const AT_ONCE: &str = "[workflows.uploads]\ngroup_wait = \"0s\"";

/// An incident as it is shown.
async fn shown(daemon: &TestDaemon, id: &Value) -> Value {
    daemon.get(&format!("/v1/incidents/{}", id.as_str().expect("an id"))).await
}

async fn retry(daemon: &TestDaemon, item: &str) {
    let path = format!("/v1/workflows/uploads/items/{item}/retry");
    expect(daemon.request(Method::POST, &path), StatusCode::OK).await;
}

#[tokio::test]
async fn overdue_items_that_fail_are_told_as_failed_first_and_the_end_says_that_they_have() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let daemon = builder.config(AT_ONCE).start().await;
        for item in ["a", "b", "c"] {
            daemon.create("uploads", item, "?deadline=1m", "payload").await;
        }
        daemon.advance(MINUTE);
        let overdue = told(&receiver, "incident.opened").await;
        incident_of(&daemon, id(&overdue), 3).await;
        daemon.close("uploads", "c").await;
        for item in ["a", "b"] {
            fail(&daemon, "uploads", item).await;
        }
        let failed = told(&receiver, "incident.opened").await;
        assert_eq!(failed["kind"], "failed");
        let end = told(&receiver, "incident.resolved").await;
        assert_eq!((&end["id"], &end["continued_in"]), (&overdue["id"], &failed["id"]));
        assert_eq!(end["summary"], "2 overdue items of uploads have failed; 1 closed");
        let became = json!({"closed": 1, "discarded": 0, "extended": 0, "failed": 2});
        assert_eq!(end["became"], became);
        let kept = shown(&daemon, &overdue["id"]).await;
        assert_eq!(
            (&kept["status"], &kept["became"], &kept["continued_in"]),
            (&json!("resolved"), &became, &failed["id"])
        );
        for item in ["a", "b"] {
            daemon.close("uploads", item).await;
        }
        let end = told(&receiver, "incident.resolved").await;
        assert_eq!((&end["id"], &end["continued_in"]), (&failed["id"], &Value::Null));
        assert_eq!(end["became"], json!({"closed": 2, "discarded": 0, "extended": 0, "failed": 0}));
        assert_eq!(end["summary"], "no item of uploads has failed any more; the peak was 2 items");
    }
}

#[tokio::test]
async fn with_a_group_wait_the_end_waits_for_the_other_beginning_over_a_restart_as_well() {
    let receiver = TestReceiver::start().await;
    let mut daemon = oncall(&receiver).on_sled().start().await;
    lose(&daemon, "uploads", "file-1").await;
    let overdue = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    told(&receiver, "incident.opened").await;
    fail(&daemon, "uploads", "file-1").await;
    for _ in 0..2 {
        let waits =
            |incident: &Value| incident["status"] == "resolved" && incident["waiting_for"] == "group_wait";
        let waits = incident_when(&daemon, id(&overdue), "an end that waits", waits).await;
        let failed = daemon.open_incidents(1).await.remove(0);
        assert_eq!((&failed["kind"], &failed["id"]), (&json!("failed"), &waits["continued_in"]));
        assert_eq!(waits["became"]["failed"], 1);
        daemon.restart().await;
    }
    daemon.advance(10 * SECOND);
    let failed = told(&receiver, "incident.opened").await;
    assert_eq!(failed["kind"], "failed");
    let end = told(&receiver, "incident.resolved").await;
    assert_eq!((&end["id"], &end["continued_in"]), (&overdue["id"], &failed["id"]));
    assert_eq!(end["summary"], "1 overdue item of uploads has failed");
    daemon.close("uploads", "file-1").await;
    assert_eq!(told(&receiver, "incident.resolved").await["id"], failed["id"]);
}

#[tokio::test]
async fn an_end_comes_at_once_when_the_other_incident_is_over_before_it_was_told() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    lose(&daemon, "uploads", "file-1").await;
    let overdue = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    told(&receiver, "incident.opened").await;
    fail(&daemon, "uploads", "file-1").await;
    let waits =
        |incident: &Value| incident["status"] == "resolved" && incident["waiting_for"] == "group_wait";
    incident_when(&daemon, id(&overdue), "an end that waits", waits).await;
    daemon.close("uploads", "file-1").await;
    let end = told(&receiver, "incident.resolved").await;
    assert_eq!((&end["id"], &end["continued_in"]), (&overdue["id"], &Value::Null));
    assert_eq!(end["summary"], "no item of uploads is overdue any more; the peak was 1 item; 1 failed");
    daemon.open_incidents(0).await;
}

#[tokio::test]
async fn an_end_does_not_wait_for_an_incident_that_is_silenced() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let silence =
        json!({"workflow": "*", "kind": "failed", "for": "1h", "author": "kim", "comment": "known"});
    expect(daemon.request(Method::POST, "/v1/silences").json(&silence), StatusCode::CREATED).await;
    lose(&daemon, "uploads", "file-1").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    told(&receiver, "incident.opened").await;
    fail(&daemon, "uploads", "file-1").await;
    let end = told(&receiver, "incident.resolved").await;
    assert_eq!(end["summary"], "1 overdue item of uploads has failed");
    let failed = daemon.open_incidents(1).await.remove(0);
    assert_eq!(end["continued_in"], failed["id"]);
    daemon.advance(HOUR);
    assert_eq!(told(&receiver, "incident.opened").await["id"], failed["id"]);
}

#[tokio::test]
async fn a_receiver_that_does_not_take_the_beginning_is_not_told_the_end_before() {
    let receiver = TestReceiver::start().await;
    let mut daemon = oncall(&receiver).on_sled().config(AT_ONCE).start().await;
    lose(&daemon, "uploads", "file-1").await;
    let overdue = told(&receiver, "incident.opened").await;
    receiver.usually(500, &[]);
    fail(&daemon, "uploads", "file-1").await;
    assert_eq!(told(&receiver, "incident.opened").await["kind"], "failed");
    let resolved = |incident: &Value| incident["status"] == "resolved";
    incident_when(&daemon, id(&overdue), "an end", resolved).await;
    receiver.usually(200, &[]);
    daemon.restart_after(MINUTE).await;
    assert_eq!(told(&receiver, "incident.opened").await["kind"], "failed");
    assert_eq!(told(&receiver, "incident.resolved").await["id"], overdue["id"]);
}

#[tokio::test]
async fn a_failed_item_that_is_sent_back_too_late_is_told_as_overdue_first() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).config(AT_ONCE).start().await;
    daemon.create("uploads", "file-1", "?deadline=1m", "payload").await;
    fail(&daemon, "uploads", "file-1").await;
    let failed = told(&receiver, "incident.opened").await;
    daemon.advance(HOUR);
    retry(&daemon, "file-1").await;
    let overdue = told(&receiver, "incident.opened").await;
    assert_eq!(overdue["kind"], "overdue");
    let end = told(&receiver, "incident.resolved").await;
    assert_eq!((&end["id"], &end["continued_in"]), (&failed["id"], &overdue["id"]));
    assert_eq!(end["summary"], "1 failed item of uploads is open again and overdue");
    assert_eq!(end["became"]["retried"], 1);
}

#[tokio::test]
async fn an_item_whose_deadline_is_moved_is_extended_and_one_in_another_group_goes_on_there() {
    let receiver = TestReceiver::start().await;
    let config = format!("{AT_ONCE}\ngroup_by = [\"region\"]");
    let daemon = oncall(&receiver).config(&config).start().await;
    for item in ["a", "b"] {
        daemon.create("uploads", item, "?deadline=0s&label=region:eu", "payload").await;
    }
    let eu = told(&receiver, "incident.opened").await;
    incident_of(&daemon, id(&eu), 2).await;
    patch(&daemon, "uploads", "a", json!({"deadline": "1h"})).await;
    patch(&daemon, "uploads", "b", json!({"labels": {"region": "us"}})).await;
    let us = told(&receiver, "incident.opened").await;
    assert_eq!(us["group"]["region"], "us");
    let end = told(&receiver, "incident.resolved").await;
    assert_eq!((&end["id"], &end["continued_in"]), (&eu["id"], &us["id"]));
    assert_eq!((&end["became"]["extended"], &end["became"]["moved"]), (&json!(1), &json!(1)));
    let summary = "1 overdue item of uploads (region eu) is in another incident now; 1 extended";
    assert_eq!(end["summary"], summary);
}

#[tokio::test]
async fn items_that_are_told_apart_in_another_way_after_a_restart_are_no_end_of_the_trouble() {
    let receiver = TestReceiver::start().await;
    let config = format!("{AT_ONCE}\ngroup_by = [\"region\"]");
    let mut daemon = oncall(&receiver).on_sled().config(&config).start().await;
    for item in ["a", "b"] {
        daemon.create("uploads", item, "?deadline=0s&label=region:eu", "payload").await;
    }
    let eu = told(&receiver, "incident.opened").await;
    incident_of(&daemon, id(&eu), 2).await;
    let url = receiver.url();
    let oncall = format!("[receivers.oncall]\nurl = \"{url}\"\nallow_private = true\nconcurrency = 1");
    daemon.restart_with(&format!("[alerting]\nreceivers = [\"oncall\"]\n{oncall}\n{AT_ONCE}")).await;
    let all = told(&receiver, "incident.opened").await;
    assert_eq!(all["group"], json!({}));
    let end = told(&receiver, "incident.resolved").await;
    assert_eq!((&end["id"], &end["continued_in"]), (&eu["id"], &all["id"]));
    assert_eq!(end["summary"], "2 overdue items of uploads (region eu) are in another incident now");
}

#[tokio::test]
async fn what_became_of_items_is_counted_over_restarts() {
    let receiver = TestReceiver::start().await;
    let mut daemon = oncall(&receiver).on_sled().config(AT_ONCE).start().await;
    for item in ["a", "b", "c", "d"] {
        lose(&daemon, "uploads", item).await;
    }
    let opened = told(&receiver, "incident.opened").await;
    incident_of(&daemon, id(&opened), 4).await;
    daemon.close("uploads", "a").await;
    daemon.restart().await;
    patch(&daemon, "uploads", "b", json!({"deadline": "1h"})).await;
    incident_of(&daemon, id(&opened), 2).await;
    daemon.restart().await;
    for item in ["c", "d"] {
        let path = format!("/v1/workflows/uploads/items/{item}?outcome=discarded");
        daemon.response(Method::DELETE, &path).await;
    }
    let end = told(&receiver, "incident.resolved").await;
    assert_eq!(end["became"], json!({"closed": 1, "discarded": 2, "extended": 1, "failed": 0}));
}
