//! Fallback receivers, when no other can be reached.

use super::*;

/// Tells `first` and `second`, and falls back on `fallback`; one thing at a time each.
fn config(first: &TestReceiver, second: &TestReceiver, fallback: &TestReceiver, settings: &str) -> String {
    let mut config = format!(
        "[receiver_defaults]\nallow_private = true\nconcurrency = 1\n\
         [alerting]\nreceivers = [\"first\", \"second\"]\nrepeat_interval = \"30d\"\n{settings}\n"
    );
    for (name, receiver) in [("first", first), ("second", second), ("fallback", fallback)] {
        config.push_str(&format!("[receivers.{name}]\nurl = \"{}\"\n", receiver.url()));
    }
    config
}

const FALLBACK: &str = "fallback = [\"fallback\"]";

struct Stage {
    first: TestReceiver,
    second: TestReceiver,
    fallback: TestReceiver,
}

impl Stage {
    async fn set() -> Self {
        let (first, second) = (TestReceiver::start().await, TestReceiver::start().await);
        Self { first, second, fallback: TestReceiver::start().await }
    }

    fn config(&self, settings: &str) -> String {
        config(&self.first, &self.second, &self.fallback, settings)
    }

    fn builders(&self, settings: &str) -> [Builder; 2] {
        let builder = || TestDaemon::builder().config(&self.config(settings));
        [builder(), builder().on_sled()]
    }

    fn both_answer(&self, status: u16) {
        self.first.usually(status, &[]);
        self.second.usually(status, &[]);
    }
}

/// Loses an item and lets its incident be told.
async fn due(daemon: &TestDaemon) -> Value {
    lose(daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    incident
}

/// Has the receivers be tried until so many attempts have failed at each.
async fn fail(daemon: &TestDaemon, failures: u64) {
    for made in 1..=failures {
        let mut next = daemon.clock().now();
        for name in ["first", "second"] {
            let failed = receiver_failed(daemon, name, made).await;
            next = next.max(instant(&failed["next_attempt_at"]));
        }
        if made < failures {
            advance_to(daemon, next);
        }
    }
}

#[tokio::test]
async fn the_fallback_hears_of_an_incident_that_reaches_nobody_from_its_beginning_to_its_end() {
    let stage = Stage::set().await;
    for builder in stage.builders(FALLBACK) {
        stage.both_answer(500);
        let daemon = builder.start().await;
        let incident = due(&daemon).await;
        fail(&daemon, 3).await;
        let opened = told(&stage.fallback, "incident.opened").await;
        assert_eq!((&opened["id"], &opened["status"]), (&incident["id"], &json!("open")));
        stage.both_answer(204);
        daemon.close("uploads", "file-1").await;
        assert_eq!(told(&stage.fallback, "incident.resolved").await["id"], incident["id"]);
        // And the others hear the whole story, late as it is.
        daemon.advance(MINUTE);
        for receiver in [&stage.first, &stage.second] {
            let mut events = Vec::new();
            while events.last().is_none_or(|event| event != "incident.resolved") {
                events.push(receiver.next().await.event());
            }
            assert_eq!(
                events,
                ["incident.opened"; 4].into_iter().chain(["incident.resolved"]).collect::<Vec<_>>()
            );
        }
    }
}

#[tokio::test]
async fn nobody_falls_back_while_somebody_is_reached() {
    let stage = Stage::set().await;
    stage.first.usually(500, &[]);
    let daemon = TestDaemon::builder().config(&stage.config(FALLBACK)).start().await;
    let incident = due(&daemon).await;
    told(&stage.second, "incident.opened").await;
    for made in 1..=6 {
        let failed = receiver_failed(&daemon, "first", made).await;
        advance_to(&daemon, instant(&failed["next_attempt_at"]));
    }
    daemon.close("uploads", "file-1").await;
    told(&stage.second, "incident.resolved").await;
    let events = deliveries(&daemon, id(&incident)).await;
    assert!(events.iter().all(|delivery| delivery["receiver"] != "fallback"), "{events:?}");
}

#[tokio::test]
async fn a_restart_does_not_forget_who_was_not_reached() {
    let stage = Stage::set().await;
    for builder in stage.builders(FALLBACK) {
        stage.both_answer(500);
        let mut daemon = builder.start().await;
        let incident = due(&daemon).await;
        fail(&daemon, 2).await;
        daemon.restart_after(MINUTE).await;
        // The third failure of the deliveries is the first that this start sees.
        assert_eq!(told(&stage.fallback, "incident.opened").await["id"], incident["id"]);
        daemon.restart().await;
        daemon.close("uploads", "file-1").await;
        assert_eq!(told(&stage.fallback, "incident.resolved").await["id"], incident["id"]);
    }
}

#[tokio::test]
async fn what_failed_before_a_restart_still_reached_nobody() {
    let stage = Stage::set().await;
    for builder in stage.builders("") {
        stage.both_answer(500);
        let mut daemon = builder.start().await;
        let incident = due(&daemon).await;
        fail(&daemon, 3).await;
        daemon.restart_with(&stage.config(FALLBACK)).await;
        assert_eq!(told(&stage.fallback, "incident.opened").await["id"], incident["id"]);
    }
}

#[tokio::test]
async fn what_was_given_up_before_a_restart_still_reached_nobody() {
    let stage = Stage::set().await;
    for builder in stage.builders("") {
        stage.both_answer(503);
        let mut daemon = builder.start().await;
        let incident = due(&daemon).await;
        fail(&daemon, 1).await;
        daemon.advance(DAY);
        eventually("the end of both", || async {
            let deliveries = deliveries(&daemon, id(&incident)).await;
            deliveries.iter().all(|delivery| delivery["status"] == "dead").then_some(())
        })
        .await;
        daemon.restart_with(&stage.config(FALLBACK)).await;
        assert_eq!(told(&stage.fallback, "incident.opened").await["id"], incident["id"]);
    }
}

#[tokio::test]
async fn receivers_that_ask_to_be_left_alone_for_long_are_stood_in_for() {
    let stage = Stage::set().await;
    stage.first.usually(503, &[("retry-after", "3600")]);
    stage.second.usually(429, &[("retry-after", "600")]);
    let daemon = TestDaemon::builder().config(&stage.config(FALLBACK)).start().await;
    due(&daemon).await;
    told(&stage.fallback, "incident.opened").await;
}

#[tokio::test]
async fn an_incident_that_can_reach_nobody_falls_back_at_once() {
    for (status, state) in [(410, "paused"), (500, "failing")] {
        let stage = Stage::set().await;
        stage.both_answer(status);
        let daemon = TestDaemon::builder().config(&stage.config(FALLBACK)).start().await;
        due(&daemon).await;
        if status == 410 {
            fail_once(&daemon).await;
        } else {
            fail(&daemon, 5).await;
        }
        told(&stage.fallback, "incident.opened").await;
        for name in ["first", "second"] {
            receiver_when(&daemon, name, state, |receiver| receiver["state"] == state).await;
        }
        lose(&daemon, "downloads", "file-1").await;
        daemon.open_incidents(2).await;
        daemon.advance(10 * SECOND);
        assert_eq!(told(&stage.fallback, "incident.opened").await["workflow"], "downloads", "{state}");
    }
}

async fn fail_once(daemon: &TestDaemon) {
    for name in ["first", "second"] {
        receiver_failed(daemon, name, 1).await;
    }
}
