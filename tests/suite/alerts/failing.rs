//! Receivers that fail as a whole: probed, spared, paused, resumed, and never given up silently.

use tokio::net::TcpSocket;

use super::raw::RawReceiver;
use super::*;

/// Loses an item in each of these workflows and lets their incidents be told.
async fn lose_in(daemon: &TestDaemon, workflows: &[&str]) -> Vec<Value> {
    for workflow in workflows {
        lose(daemon, workflow, "file-1").await;
    }
    let incidents = daemon.open_incidents(workflows.len()).await;
    daemon.advance(10 * SECOND);
    incidents
}

/// The receiver as soon as so many deliveries wait for it.
async fn waiting(daemon: &TestDaemon, count: u64) -> Value {
    let what = format!("{count} that wait");
    receiver_when(daemon, "oncall", &what, |receiver| receiver["waiting"] == count).await
}

async fn paused(daemon: &TestDaemon) -> Value {
    receiver_when(daemon, "oncall", "a pause", |receiver| receiver["state"] == "paused").await
}

async fn post(daemon: &TestDaemon, path: &str) -> Value {
    daemon.ask(Method::POST, path).await.json(200)
}

#[tokio::test]
async fn a_receiver_that_is_down_is_probed_until_it_is_back_and_then_told_everything_at_once() {
    // Bound and not listening: nobody else gets the port, and whoever connects is refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/hook", socket.local_addr().unwrap());
    let config = format!(
        "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{url}\"\nallow_private = true"
    );
    let daemon = TestDaemon::builder().config(&config).start().await;
    let workflows = ["a", "b", "c", "d", "e", "f"];
    lose_in(&daemon, &workflows).await;
    let mut failures = 6;
    for pause in [5, 10, 20, 40, 60, 60, 60] {
        let receiver = receiver_failed(&daemon, "oncall", failures).await;
        assert_eq!((&receiver["state"], &receiver["waiting"]), (&json!("failing"), &json!(6)));
        assert_eq!(receiver["since"], "2026-01-01T00:00:10.000Z");
        let next = instant(&receiver["next_attempt_at"]);
        assert_eq!(next.since(daemon.clock().now()), pause * SECOND);
        advance_to(&daemon, next);
        failures += 1;
    }
    let receiver = receiver_failed(&daemon, "oncall", failures).await;
    let error = receiver["last_attempt"]["error"].as_str().unwrap();
    assert!(error.starts_with("no connection to http://127.0.0.1:"), "{error}");

    let listening = RawReceiver::on(socket.listen(16).unwrap());
    advance_to(&daemon, instant(&receiver["next_attempt_at"]));
    let probe = listening.request().await;
    assert!(listening.is_idle(), "there is one probe");
    probe.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    for _ in 1..6 {
        listening.request().await.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    }
    let receiver = waiting(&daemon, 0).await;
    assert_eq!((&receiver["state"], &receiver["consecutive_failures"]), (&json!("ok"), &json!(0)));
    assert_eq!((&receiver["since"], &receiver["next_attempt_at"]), (&Value::Null, &Value::Null));
    assert_eq!(
        receiver["since_start"],
        json!({"delivered": 6, "failed": failures, "dead": 0, "refreshed": 0})
    );
}

#[tokio::test]
async fn a_receiver_that_asks_to_be_left_alone_hears_of_no_incident_until_then() {
    for status in [429, 503] {
        let receiver = TestReceiver::start().await;
        let daemon = oncall(&receiver).start().await;
        receiver.answer(status, &[("retry-after", "120")]);
        lose_in(&daemon, &["uploads"]).await;
        told(&receiver, "incident.opened").await;
        receiver_failed(&daemon, "oncall", 1).await;
        lose(&daemon, "downloads", "file-1").await;
        daemon.open_incidents(2).await;
        daemon.advance(10 * SECOND);
        let asked = waiting(&daemon, 2).await;
        assert_eq!(asked["next_attempt_at"], "2026-01-01T00:02:10.000Z", "after {status}");
        daemon.advance(110 * SECOND);
        assert_eq!(told(&receiver, "incident.opened").await["workflow"], "downloads", "the other has jitter");
        daemon.advance(24 * SECOND);
        assert_eq!(told(&receiver, "incident.opened").await["workflow"], "uploads");
    }
}

#[tokio::test]
async fn a_receiver_is_told_no_more_in_a_time_than_it_takes() {
    let receiver = TestReceiver::start().await;
    let daemon = TestDaemon::builder().receiver(&receiver).config("rate = \"2/m\"").start().await;
    lose_in(&daemon, &["a", "b", "c"]).await;
    told(&receiver, "incident.opened").await;
    told(&receiver, "incident.opened").await;
    let held_back = waiting(&daemon, 1).await;
    assert_eq!(held_back["next_attempt_at"], "2026-01-01T00:01:10.000Z");
    daemon.advance(MINUTE);
    told(&receiver, "incident.opened").await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_paused_for_everybody_to_see_until_it_is_resumed() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let daemon = builder.config("[workflows.uploads]\nrepeat_interval = \"30d\"").start().await;
        receiver.answer(410, &[]);
        let incident = lose_in(&daemon, &["uploads"]).await.remove(0);
        let first = receiver.next().await;
        let found = paused(&daemon).await;
        assert_eq!(
            (&found["since"], &found["reason"], &found["next_attempt_at"]),
            (&json!("2026-01-01T00:00:10.000Z"), &json!("it answered 410"), &Value::Null)
        );
        let state = |state| format!("warden_receiver_state{{receiver=\"oncall\",state=\"{state}\"}}");
        assert_eq!(metric(&daemon, &state("paused")).await, 1.0);
        assert_eq!(metric(&daemon, &state("ok")).await, 0.0);

        daemon.advance(DAY - MINUTE);
        lose(&daemon, "downloads", "file-1").await;
        daemon.open_incidents(2).await;
        daemon.advance(10 * SECOND);
        waiting(&daemon, 2).await;
        let kept = delivery_tried(&daemon, id(&incident), 1).await;
        assert_eq!((&kept["status"], &kept["attempts"][0]["status"]), (&json!("pending"), &json!(410)));

        let resumed = post(&daemon, "/v1/receivers/oncall/resume").await;
        assert_eq!((&resumed["state"], &resumed["reason"]), (&json!("ok"), &Value::Null));
        assert_eq!(receiver.next().await.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(told(&receiver, "incident.opened").await["workflow"], "downloads");
        assert_eq!(delivery_tried(&daemon, id(&incident), 2).await["status"], "delivered");
        assert_eq!(post(&daemon, "/v1/receivers/oncall/resume").await["state"], "ok", "again does no harm");
    }
}

#[tokio::test]
async fn what_waits_for_a_paused_receiver_for_a_day_is_dead_and_can_be_sent_again() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let daemon = builder.config("[workflows.uploads]\nrepeat_interval = \"30d\"").start().await;
        receiver.answer(410, &[]);
        let incident = lose_in(&daemon, &["uploads"]).await.remove(0);
        let first = receiver.next().await;
        paused(&daemon).await;
        daemon.advance(DAY);
        let dead = delivery_tried(&daemon, id(&incident), 2).await;
        assert_eq!(dead["status"], "dead");
        assert_eq!(
            dead["attempts"][1]["error"],
            "the receiver is paused since 2026-01-01T00:00:10.000Z: it answered 410"
        );
        metric_becomes(&daemon, "warden_deliveries_dead_total", 1.0).await;
        waiting(&daemon, 0).await;

        post(&daemon, &format!("/v1/deliveries/{}/resend", first.header("webhook-id"))).await;
        waiting(&daemon, 1).await;
        post(&daemon, "/v1/receivers/oncall/resume").await;
        assert_eq!(receiver.next().await.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(delivery_tried(&daemon, id(&incident), 3).await["status"], "delivered");
    }
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_given_another_chance_by_a_test_that_succeeds_and_by_a_restart() {
    let receiver = TestReceiver::start().await;
    let mut daemon = oncall(&receiver).start().await;
    receiver.answer(410, &[]);
    lose_in(&daemon, &["uploads"]).await;
    told(&receiver, "incident.opened").await;
    paused(&daemon).await;

    receiver.answer(410, &[]);
    assert_eq!(post(&daemon, "/v1/receivers/oncall/test").await["delivered"], false);
    receiver.next().await;
    paused(&daemon).await;
    receiver.answer(204, &[]);
    receiver.answer(410, &[]);
    assert_eq!(post(&daemon, "/v1/receivers/oncall/test").await["delivered"], true);
    assert_eq!(receiver.next().await.event(), "receiver.test");
    told(&receiver, "incident.opened").await;
    paused(&daemon).await;

    daemon.restart().await;
    told(&receiver, "incident.opened").await;
    waiting(&daemon, 0).await;
}

#[tokio::test]
async fn a_test_that_succeeds_closes_the_circuit() {
    let receiver = TestReceiver::start().await;
    receiver.usually(500, &[]);
    let daemon = TestDaemon::builder().receiver(&receiver).start().await;
    lose_in(&daemon, &["a", "b", "c", "d", "e"]).await;
    receiver_failed(&daemon, "oncall", 5).await;
    for _ in 0..5 {
        told(&receiver, "incident.opened").await;
    }
    receiver.usually(204, &[]);
    post(&daemon, "/v1/receivers/oncall/test").await;
    assert_eq!(receiver.next().await.event(), "receiver.test");
    for _ in 0..5 {
        told(&receiver, "incident.opened").await;
    }
    assert_eq!(waiting(&daemon, 0).await["state"], "ok");
}

#[tokio::test]
async fn receivers_that_fail_in_every_way_do_not_hold_up_one_that_does_not() {
    let [slow, resetting, flooding] = [(); 3].map(|()| RawReceiver::start());
    let [slow, resetting, flooding] = [slow.await, resetting.await, flooding.await];
    let [gone, busy, moved, healthy] = [(); 4].map(|()| TestReceiver::start());
    let [gone, busy, moved, healthy] = [gone.await, busy.await, moved.await, healthy.await];
    gone.usually(410, &[]);
    busy.usually(429, &[("retry-after", "3600")]);
    moved.usually(308, &[("location", "http://127.0.0.1:1/")]);
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let urls = [
        ("slow", slow.url()),
        ("resetting", resetting.url()),
        ("flooding", flooding.url()),
        ("gone", gone.url().to_owned()),
        ("busy", busy.url().to_owned()),
        ("moved", moved.url().to_owned()),
        ("closed", format!("http://{}/", closed.local_addr().unwrap())),
        ("healthy", healthy.url().to_owned()),
    ];
    let names = urls.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let mut config =
        format!("[receiver_defaults]\nallow_private = true\n[alerting]\nreceivers = [{names}]\n");
    for (name, url) in &urls {
        let timeout = if *name == "slow" { "timeout = \"50ms\"\n" } else { "" };
        config.push_str(&format!("[receivers.{name}]\nurl = \"{url}\"\n{timeout}"));
    }
    let daemon = TestDaemon::builder().config(&config).start().await;
    lose_in(&daemon, &["uploads"]).await;
    told(&healthy, "incident.opened").await;
    let _unanswered = slow.connection().await;
    let connection = resetting.connection().await;
    within_patience("a byte", connection.readable()).await.unwrap();
    drop(connection);
    let body = "x".repeat(10 << 20);
    let flood = format!("HTTP/1.1 500 No\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    within_patience("the flood", flooding.request().await.answer(flood)).await;
    for name in ["slow", "resetting", "flooding", "gone", "busy", "moved", "closed"] {
        let failed = receiver_failed(&daemon, name, 1).await;
        assert_eq!((&failed["name"], &failed["waiting"]), (&json!(name), &json!(1)));
    }
    daemon.close("uploads", "file-1").await;
    told(&healthy, "incident.resolved").await;
    let healthy =
        receiver_when(&daemon, "healthy", "nothing to do", |receiver| receiver["waiting"] == 0).await;
    assert_eq!((&healthy["state"], &healthy["consecutive_failures"]), (&json!("ok"), &json!(0)));
}

#[tokio::test]
async fn what_became_of_attempts_is_counted_for_each_receiver() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    receiver.answer(500, &[]);
    lose_in(&daemon, &["uploads"]).await;
    told(&receiver, "incident.opened").await;
    receiver_failed(&daemon, "oncall", 1).await;
    let outcome =
        |outcome| format!("warden_receiver_deliveries_total{{receiver=\"oncall\",outcome=\"{outcome}\"}}");
    assert_eq!(metric(&daemon, "warden_receiver_waiting{receiver=\"oncall\"}").await, 1.0);
    daemon.advance(6 * SECOND);
    assert_eq!(metric(&daemon, "warden_deliveries_oldest_seconds").await, 6.0);
    told(&receiver, "incident.opened").await;
    waiting(&daemon, 0).await;
    for (name, count) in [("delivered", 1.0), ("failed", 1.0), ("dead", 0.0), ("refreshed", 0.0)] {
        assert_eq!(metric(&daemon, &outcome(name)).await, count, "{name}");
    }
    let took = "warden_receiver_attempt_duration_seconds";
    assert_eq!(metric(&daemon, &format!("{took}_count{{receiver=\"oncall\"}}")).await, 2.0);
    for bound in ["0.01", "30.0", "+Inf"] {
        let bucket = format!("{took}_bucket{{le=\"{bound}\",receiver=\"oncall\"}}");
        assert_eq!(metric(&daemon, &bucket).await, 2.0, "{bound}");
    }
}
