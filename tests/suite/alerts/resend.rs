//! Dead deliveries are listed and can be sent again.

use super::*;
use crate::support::receiver::Received;

/// Has one delivery given up, and gives its incident and what the receiver got.
async fn given_up(daemon: &TestDaemon, receiver: &TestReceiver) -> (Value, Received) {
    receiver.usually(500, &[]);
    lose(daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    let first = receiver.next().await;
    receiver_failed(daemon, "oncall", 1).await;
    daemon.advance(DAY);
    receiver.next().await;
    receiver_failed(daemon, "oncall", 2).await;
    assert_eq!(delivery_tried(daemon, id(&incident), 2).await["status"], "dead");
    (incident, first)
}

async fn listed(daemon: &TestDaemon, query: &str) -> Vec<Value> {
    let page = daemon.ask(Method::GET, &format!("/v1/deliveries{query}")).await.json(200);
    page["data"].as_array().unwrap().clone()
}

async fn resend(daemon: &TestDaemon, delivery: &str) -> crate::support::Answer {
    daemon.ask(Method::POST, &format!("/v1/deliveries/{delivery}/resend")).await
}

fn uploads(receiver: &TestReceiver) -> [Builder; 2] {
    oncall_on_each_engine(receiver)
        .map(|builder| builder.config("[workflows.uploads]\nrepeat_interval = \"30d\""))
}

#[tokio::test]
async fn what_was_given_up_is_seen_and_can_be_sent_again_days_later_for_another_day() {
    let receiver = TestReceiver::start().await;
    for builder in uploads(&receiver) {
        let daemon = builder.start().await;
        let (incident, first) = given_up(&daemon, &receiver).await;
        daemon.advance(5 * DAY);
        let dead = listed(&daemon, "?status=dead").await;
        assert_eq!((dead.len(), &dead[0]["incident"]), (1, &incident["id"]));
        assert_eq!(dead[0]["id"], first.header("webhook-id"));
        assert_eq!(metric(&daemon, "warden_deliveries_dead_total").await, 1.0);

        let again = resend(&daemon, first.header("webhook-id")).await.json(200);
        let now = json!(daemon.clock().now());
        assert_eq!((&again["status"], &again["resent_at"]), (&json!("pending"), &now));
        let second = receiver.next().await;
        assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(second.body, first.body);
        assert_eq!(listed(&daemon, "?status=dead").await, [] as [Value; 0]);

        // It fails, and has a day of its own.
        let tried = delivery_tried(&daemon, id(&incident), 3).await;
        assert_eq!(tried["status"], "pending");
        receiver_failed(&daemon, "oncall", 3).await;
        daemon.advance(DAY - SECOND);
        receiver.next().await;
        let tried = delivery_tried(&daemon, id(&incident), 4).await;
        assert_eq!(tried["status"], "pending");
        receiver.usually(204, &[]);
        receiver_failed(&daemon, "oncall", 4).await;
        daemon.advance(6 * SECOND);
        assert_eq!(receiver.next().await.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(delivery_tried(&daemon, id(&incident), 5).await["status"], "delivered");
    }
}

#[tokio::test]
async fn what_is_sent_again_outlives_a_restart() {
    let receiver = TestReceiver::start().await;
    for builder in uploads(&receiver) {
        let mut daemon = builder.start().await;
        let (incident, first) = given_up(&daemon, &receiver).await;
        resend(&daemon, first.header("webhook-id")).await.json(200);
        receiver.next().await;
        receiver_failed(&daemon, "oncall", 3).await;
        receiver.usually(204, &[]);
        daemon.restart_after(3 * DAY).await;
        assert_eq!(receiver.next().await.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(delivery_tried(&daemon, id(&incident), 4).await["status"], "delivered");
    }
}

#[tokio::test]
async fn what_was_delivered_can_be_sent_again_and_what_waits_cannot() {
    let receiver = TestReceiver::start().await;
    for builder in uploads(&receiver) {
        let daemon = builder.start().await;
        receiver.usually(204, &[]);
        lose(&daemon, "uploads", "file-1").await;
        let incident = daemon.open_incidents(1).await.remove(0);
        daemon.advance(10 * SECOND);
        let first = receiver.next().await;
        delivery_when(&daemon, id(&incident), "its end", |delivery| delivery["status"] == "delivered").await;
        receiver.usually(500, &[]);
        resend(&daemon, first.header("webhook-id")).await.json(200);
        assert_eq!(receiver.next().await.body, first.body);
        resend(&daemon, first.header("webhook-id")).await.refused(409, "delivery-pending");
        resend(&daemon, "dlv_unknown").await.refused(404, "delivery-not-found");
        assert_eq!(listed(&daemon, "?status=pending").await.len(), 1);
    }
}

#[tokio::test]
async fn of_an_incident_that_is_over_only_its_end_can_be_sent_again() {
    let receiver = TestReceiver::start().await;
    for builder in uploads(&receiver) {
        let daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        let opened = receiver.next().await;
        daemon.close("uploads", "file-1").await;
        let resolved = receiver.next().await;
        receiver_when(&daemon, "oncall", "nothing to do", |receiver| receiver["waiting"] == 0).await;
        let detail = resend(&daemon, opened.header("webhook-id")).await.refused(409, "incident-resolved");
        assert!(detail.contains(resolved.header("webhook-id")), "{detail}");
        resend(&daemon, resolved.header("webhook-id")).await.json(200);
        assert_eq!(receiver.next().await.body, resolved.body);
    }
}

#[tokio::test]
async fn of_an_incident_that_is_open_again_its_end_cannot_be_sent_again() {
    let receiver = TestReceiver::start().await;
    for builder in uploads(&receiver) {
        let daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        let opened = receiver.next().await;
        daemon.close("uploads", "file-1").await;
        let resolved = receiver.next().await;
        receiver_when(&daemon, "oncall", "nothing to do", |receiver| receiver["waiting"] == 0).await;
        lose(&daemon, "uploads", "file-2").await;
        daemon.open_incidents(1).await;
        resend(&daemon, resolved.header("webhook-id")).await.refused(409, "incident-open");
        resend(&daemon, opened.header("webhook-id")).await.json(200);
        assert_eq!(receiver.next().await.body, opened.body);
    }
}

#[tokio::test]
async fn of_two_who_send_the_same_again_at_once_one_is_refused() {
    let receiver = TestReceiver::start().await;
    for builder in uploads(&receiver) {
        let daemon = builder.start().await;
        let (_, first) = given_up(&daemon, &receiver).await;
        let id = first.header("webhook-id");
        let answers = futures_util::future::join_all((0..5).map(|_| resend(&daemon, id))).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409, 409, 409]);
        assert_eq!(receiver.next().await.header("webhook-id"), id);
    }
}

#[tokio::test]
async fn deliveries_are_listed_newest_first_by_status_and_receiver_page_by_page() {
    let [first, second] = [TestReceiver::start().await, TestReceiver::start().await];
    let config = format!(
        "[receiver_defaults]\nallow_private = true\n[alerting]\nreceivers = [\"first\", \"second\"]\n\
         [receivers.first]\nurl = \"{}\"\n[receivers.second]\nurl = \"{}\"\n",
        first.url(),
        second.url()
    );
    for on_sled in [false, true] {
        let builder = TestDaemon::builder().config(&config);
        let daemon = if on_sled { builder.on_sled() } else { builder }.start().await;
        second.usually(410, &[]);
        for number in 0..5 {
            lose(&daemon, &format!("uploads-{number}"), "file-1").await;
            daemon.open_incidents(number + 1).await;
            daemon.advance(10 * SECOND);
            eventually("what goes to the first", || async {
                (listed(&daemon, "?status=delivered").await.len() == number + 1).then_some(())
            })
            .await;
        }
        let all = listed(&daemon, "").await;
        assert_eq!(all.len(), 10);
        assert!(all.is_sorted_by(|left, right| left["id"].as_str() > right["id"].as_str()), "{all:?}");
        for (query, receiver, count) in [
            ("?status=delivered", "first", 5),
            ("?status=pending", "second", 5),
            ("?receiver=second&status=pending", "second", 5),
            ("?receiver=first", "first", 5),
            ("?receiver=second&status=delivered", "nobody", 0),
            ("?status=dead", "nobody", 0),
            ("?receiver=unknown", "nobody", 0),
        ] {
            let expected: Vec<&Value> =
                all.iter().filter(|delivery| delivery["receiver"] == receiver).collect();
            assert_eq!(expected.len(), count);
            assert_eq!(listed(&daemon, query).await.iter().collect::<Vec<_>>(), expected, "{query}");
        }
        let mut paged = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/deliveries?status=pending&limit=2{cursor}");
            let page = daemon.ask(Method::GET, &path).await.json(200);
            paged.extend(page["data"].as_array().unwrap().clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(paged, listed(&daemon, "?status=pending").await);
        daemon.ask(Method::GET, "/v1/deliveries?status=lost").await.refused(400, "invalid-request");
    }
}
