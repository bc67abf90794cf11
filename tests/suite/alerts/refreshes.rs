//! Receivers that expire alerts: they are sent again, and nothing is stored for it.

use super::*;

fn alertmanager(receiver: &TestReceiver) -> Builder {
    let url = receiver.url();
    TestDaemon::builder().config(&format!(
        "[alerting]\nreceivers = [\"alertmanager\"]\n[receivers.alertmanager]\nurl = \"{url}\"\n\
         format = \"alertmanager\"\nallow_private = true\nresend = \"30s\""
    ))
}

/// Waits until so many refreshes have been answered.
async fn refreshed(daemon: &TestDaemon, count: f64) {
    let name = "warden_receiver_deliveries_total{receiver=\"alertmanager\",outcome=\"refreshed\"}";
    eventually("a refresh", || async { (metric(daemon, name).await == count).then_some(()) }).await;
}

/// The next alert, which is the only one in its request.
async fn alert(receiver: &TestReceiver) -> Value {
    let received = receiver.next().await.json();
    let [alert] = &received.as_array().expect("a list")[..] else { panic!("{received}") };
    alert.clone()
}

#[tokio::test]
async fn an_alert_is_sent_again_before_it_expires_with_the_figures_of_the_moment() {
    let receiver = TestReceiver::start().await;
    for builder in [alertmanager(&receiver), alertmanager(&receiver).on_sled()] {
        let mut daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        let incident = daemon.open_incidents(1).await.remove(0);
        daemon.advance(10 * SECOND);
        let first = alert(&receiver).await;
        assert_eq!(
            (&first["startsAt"], &first["endsAt"]),
            (&incident["opened_at"], &json!("2026-01-01T00:02:10.000Z"))
        );
        delivery_when(&daemon, id(&incident), "its end", |delivery| delivery["status"] == "delivered").await;

        lose(&daemon, "uploads", "file-2").await;
        incident_of(&daemon, id(&incident), 2).await;
        daemon.advance(30 * SECOND);
        let second = alert(&receiver).await;
        assert_eq!(second["labels"], first["labels"]);
        assert_eq!(second["endsAt"], "2026-01-01T00:02:40.000Z");
        assert!(second["annotations"]["summary"].as_str().unwrap().starts_with("2 items"), "{second}");

        refreshed(&daemon, 1.0).await;
        daemon.restart().await;
        assert_eq!(alert(&receiver).await["endsAt"], "2026-01-01T00:02:40.000Z", "at once after a restart");
        refreshed(&daemon, 1.0).await;
        daemon.advance(30 * SECOND);
        assert_eq!(alert(&receiver).await["endsAt"], "2026-01-01T00:03:10.000Z");
        assert_eq!(deliveries(&daemon, id(&incident)).await.len(), 1, "nothing is written for it");

        for item in ["file-1", "file-2"] {
            daemon.close("uploads", item).await;
        }
        let last = alert(&receiver).await;
        let resolved = daemon.get(&format!("/v1/incidents/{}", id(&incident))).await;
        assert_eq!((&last["labels"], &last["endsAt"]), (&first["labels"], &resolved["resolved_at"]));
        daemon.open_incidents(0).await;
    }
}

#[tokio::test]
async fn what_a_receiver_has_no_room_for_is_sent_a_second_later_and_nothing_is_sent_twice() {
    let receiver = TestReceiver::start().await;
    let daemon = alertmanager(&receiver).config("concurrency = 1").start().await;
    let workflows = ["uploads", "downloads", "reports"];
    for workflow in workflows {
        lose(&daemon, workflow, "file-1").await;
    }
    daemon.open_incidents(3).await;
    daemon.advance(10 * SECOND);
    for _ in workflows {
        alert(&receiver).await;
    }
    let delivered = "warden_receiver_deliveries_total{receiver=\"alertmanager\",outcome=\"delivered\"}";
    eventually("all told", || async { (metric(&daemon, delivered).await == 3.0).then_some(()) }).await;
    daemon.advance(30 * SECOND);
    let mut refreshes = Vec::new();
    for count in [1.0, 2.0, 3.0] {
        refreshes.push(alert(&receiver).await["labels"]["workflow"].clone());
        refreshed(&daemon, count).await;
        daemon.advance(SECOND);
    }
    refreshes.sort_by_key(Value::to_string);
    assert_eq!(refreshes, ["downloads", "reports", "uploads"]);
}
