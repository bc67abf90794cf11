//! When a delivery is retried, and when it is given up.

use super::*;
use crate::support::receiver::Received;

/// Tells of one overdue item to a receiver that will not have it, and gives the incident and what it was
/// told.
async fn refused(daemon: &TestDaemon, receiver: &TestReceiver) -> (Value, Received) {
    lose(daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    (incident, receiver.next().await)
}

/// How long the first delivery of a new daemon waits after its first attempt was answered like this.
async fn wait_after(status: u16, headers: &[(&'static str, &'static str)], drift: Duration) -> Duration {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    daemon.set_wall_ahead(i64::try_from(drift.as_millis()).expect("a drift of hours")).await;
    receiver.answer(status, headers);
    let (incident, _) = refused(&daemon, &receiver).await;
    let tried = delivery_tried(&daemon, id(&incident), 1).await;
    assert_eq!((&tried["status"], &tried["attempts"][0]["status"]), (&json!("pending"), &json!(status)));
    instant(&tried["next_attempt_at"]).since(daemon.clock().wall())
}

fn at_least(wait: Duration) -> std::ops::RangeInclusive<Duration> {
    wait..=wait + wait / 5
}

#[tokio::test]
async fn a_delivery_is_tried_by_the_schedule_under_the_same_id_with_the_same_body() {
    let receiver = TestReceiver::start().await;
    receiver.usually(500, &[]);
    for builder in oncall_on_each_engine(&receiver) {
        let daemon = builder.start().await;
        let (incident, first) = refused(&daemon, &receiver).await;
        assert_eq!(first.header("webhook-timestamp"), daemon.clock().now().as_seconds().to_string());
        let mut jitters = Vec::new();
        // From the fifth failure on the receiver as a whole is probed, and there is no chance in it.
        for (made, seconds) in (1..).zip([5, 15, 30, 60, 5, 10, 20, 40, 60, 60, 60]) {
            let failing = receiver_failed(&daemon, "oncall", made).await;
            let planned = instant(&failing["next_attempt_at"]);
            let (wait, least) = (planned.since(daemon.clock().now()), seconds * SECOND);
            if made < 5 {
                let tried = delivery_tried(&daemon, id(&incident), made).await;
                assert_eq!(
                    (&failing["state"], &tried["next_attempt_at"]),
                    (&json!("ok"), &failing["next_attempt_at"])
                );
                assert!(at_least(least).contains(&wait), "{wait:?} after attempt {made}");
                jitters.push((wait - least).as_secs_f64() / least.as_secs_f64());
            } else {
                assert_eq!((&failing["state"], wait), (&json!("failing"), least), "after attempt {made}");
            }
            advance_to(&daemon, planned);
            let again = receiver.next().await;
            assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
            assert_eq!(again.body, first.body);
            assert_eq!(again.header("webhook-timestamp"), planned.as_seconds().to_string());
            let tried = delivery_tried(&daemon, id(&incident), made + 1).await;
            let attempts = tried["attempts"].as_array().unwrap();
            assert!(attempts.len() <= 10);
            assert_eq!(attempts[attempts.len() - 1]["at"], json!(planned));
        }
        jitters.sort_by(f64::total_cmp);
        let spread = jitters[jitters.len() - 1] - jitters[0];
        assert!(spread > 0.02, "{jitters:?} would have all receivers tried together");
    }
}

#[tokio::test]
async fn what_is_answered_with_2xx_is_delivered_and_not_repeated() {
    for status in [200, 201, 202, 204, 299] {
        let receiver = TestReceiver::start().await;
        let daemon = oncall(&receiver).start().await;
        receiver.answer(status, &[]);
        let (incident, _) = refused(&daemon, &receiver).await;
        let delivered = delivery_tried(&daemon, id(&incident), 1).await;
        assert_eq!(delivered["status"], "delivered");
        daemon.advance(HOUR);
        daemon.close("uploads", "file-1").await;
        told(&receiver, "incident.resolved").await;
    }
}

#[tokio::test]
async fn a_receiver_may_ask_for_a_longer_wait() {
    let none = Duration::ZERO;
    for (status, retry_after, drift, least) in [
        (503, "120", none, 120 * SECOND),
        (429, "1", none, 5 * SECOND),
        // Ten seconds have passed since the clock started at midnight.
        (503, "Thu, 01 Jan 2026 00:02:10 GMT", none, 120 * SECOND),
        (503, "Thu, 01 Jan 2026 05:02:10 GMT", 5 * HOUR, 120 * SECOND),
        (503, "Wed, 31 Dec 2025 00:00:00 GMT", none, 5 * SECOND),
        (503, "86400", none, HOUR),
        (503, "soon", none, 5 * SECOND),
        (302, "60", none, 60 * SECOND),
    ] {
        let wait = wait_after(status, &[("retry-after", retry_after)], drift).await;
        assert!(at_least(least).contains(&wait), "{wait:?} after {status} with {retry_after:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let elsewhere = TestReceiver::start().await;
    let location: &'static str = elsewhere.url().to_owned().leak();
    for status in [301, 302, 303, 307, 308] {
        let receiver = TestReceiver::start().await;
        let daemon = oncall(&receiver).start().await;
        receiver.answer(status, &[("location", location)]);
        let (incident, _) = refused(&daemon, &receiver).await;
        let tried = delivery_tried(&daemon, id(&incident), 1).await;
        assert_eq!(
            tried["attempts"][0]["error"],
            format!("it answered {status}, which points to {location} and is not followed")
        );
        advance_to(&daemon, instant(&tried["next_attempt_at"]));
        told(&receiver, "incident.opened").await;
    }
    assert!(elsewhere.arrived().await.is_empty());
}

#[tokio::test]
async fn a_delivery_is_dead_after_a_day_and_the_end_is_told_all_the_same() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        // So that the delivery is the only one.
        let daemon = builder.config("[workflows.uploads]\nrepeat_interval = \"30d\"").start().await;
        receiver.usually(503, &[("retry-after", "3600")]);
        let (incident, first) = refused(&daemon, &receiver).await;
        let created_at = daemon.clock().now();
        let mut made = 1;
        let dead = loop {
            let failing = receiver_failed(&daemon, "oncall", made).await;
            let tried = delivery_tried(&daemon, id(&incident), made).await;
            if tried["status"] == "dead" {
                break tried;
            }
            advance_to(&daemon, instant(&failing["next_attempt_at"]));
            assert_eq!(receiver.next().await.header("webhook-id"), first.header("webhook-id"));
            made += 1;
        };
        assert!((20..=26).contains(&made), "{made} attempts");
        assert_eq!(dead["next_attempt_at"], Value::Null);
        let attempts = dead["attempts"].as_array().unwrap();
        let age = |attempt: &Value| instant(&attempt["at"]).since(created_at);
        let [.., last_but_one, last] = &attempts[..] else { panic!("{attempts:?}") };
        assert!(age(last_but_one) < DAY && age(last) >= DAY, "{attempts:?}");
        assert_eq!((&last["status"], &last["error"]), (&json!(503), &json!("it answered 503")));
        metric_becomes(&daemon, "warden_deliveries_dead_total", 1.0).await;

        receiver.usually(204, &[]);
        daemon.close("uploads", "file-1").await;
        let probe = receiver_when(&daemon, "oncall", "the end", |receiver| receiver["waiting"] == 1).await;
        advance_to(&daemon, instant(&probe["next_attempt_at"]));
        told(&receiver, "incident.resolved").await;
    }
}
