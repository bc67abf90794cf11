//! Receivers of every format, notified by the whole daemon.

use super::*;
use crate::support::receiver::Received;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A daemon that tells this one receiver, of which the configuration says more.
fn telling(receiver: &TestReceiver, more: &str) -> Builder {
    oncall(receiver).config(more)
}

/// Loses an item, and gives what arrives about it.
async fn opened(daemon: &TestDaemon, receiver: &TestReceiver) -> Received {
    daemon.create("uploads", "file-1", "?deadline=0s&step=backup", "payload").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    receiver.next().await
}

/// Closes the item, and gives what arrives about that.
async fn resolved(daemon: &TestDaemon, receiver: &TestReceiver) -> Received {
    daemon.close("uploads", "file-1").await;
    receiver.next().await
}

async fn incident(daemon: &TestDaemon) -> Value {
    daemon.get("/v1/incidents").await["data"][0].clone()
}

#[tokio::test]
async fn an_alertmanager_is_told_of_one_alert_that_ends() {
    let receiver = TestReceiver::start().await;
    let daemon = telling(&receiver, "format = \"alertmanager\"\nresend = \"30s\"").start().await;
    let first = opened(&daemon, &receiver).await;
    assert_eq!((first.method.as_str(), first.uri.path()), ("POST", "/hook/api/v2/alerts"));
    assert_eq!(first.header("content-type"), "application/json");
    assert!(!first.headers.contains_key("webhook-id"));
    let incident = incident(&daemon).await;
    let alert = first.json()[0].clone();
    assert_eq!(alert["labels"]["alertname"], "WardenOverdue");
    assert_eq!(alert["labels"]["incident"], incident["id"]);
    assert_eq!(alert["startsAt"], incident["opened_at"]);
    // Ten seconds on, for four times thirty seconds.
    assert_eq!(alert["endsAt"], "2026-01-01T00:02:10.000Z");
    assert_eq!(alert["generatorURL"], daemon.url(&format!("/v1/incidents/{}", id(&incident))));
    let last = resolved(&daemon, &receiver).await.json()[0].clone();
    assert_eq!(last["labels"], alert["labels"]);
    assert_eq!(last["endsAt"], "2026-01-01T00:00:10.000Z");
}

#[tokio::test]
async fn an_alertmanager_that_was_away_is_told_until_when_it_holds_from_then_on() {
    let receiver = TestReceiver::start().await;
    let daemon = telling(&receiver, "format = \"alertmanager\"").start().await;
    receiver.answer(503, &[]);
    let first = opened(&daemon, &receiver).await.json()[0].clone();
    let tried = delivery_tried(&daemon, id(&incident(&daemon).await), 1).await;
    advance_to(&daemon, instant(&tried["next_attempt_at"]));
    let second = receiver.next().await.json()[0].clone();
    assert!(instant(&second["endsAt"]) > instant(&first["endsAt"]));
    assert_eq!((&second["labels"], &second["startsAt"]), (&first["labels"], &first["startsAt"]));
}

#[tokio::test]
async fn pagerduty_is_told_of_the_beginning_of_the_acknowledgement_and_of_the_end() {
    let receiver = TestReceiver::start().await;
    let daemon = telling(&receiver, "format = \"pagerduty\"\nrouting_key = \"R0UT1NGK3Y\"").start().await;
    let first = opened(&daemon, &receiver).await;
    assert_eq!((first.method.as_str(), first.uri.path()), ("POST", "/hook"));
    let incident = incident(&daemon).await;
    let key = &incident["id"];
    let event = first.json();
    assert_eq!((&event["event_action"], &event["dedup_key"]), (&json!("trigger"), key));
    assert_eq!(event["routing_key"], "R0UT1NGK3Y");
    assert_eq!(event["payload"]["source"], daemon.url(""));
    let acknowledge = format!("/v1/incidents/{}/ack", id(&incident));
    daemon.send_json(Method::POST, &acknowledge, json!({"by": "kim"})).await.json(200);
    let event = receiver.next().await.json();
    assert_eq!((&event["event_action"], &event["dedup_key"]), (&json!("acknowledge"), key));
    let event = resolved(&daemon, &receiver).await.json();
    assert_eq!((&event["event_action"], &event["dedup_key"]), (&json!("resolve"), key));
    // Its key is nowhere to be seen.
    let seen = format!("{incident} {:?}", deliveries(&daemon, id(&incident)).await);
    assert!(!seen.contains("R0UT1NG"), "{seen}");
}

#[tokio::test]
async fn slack_is_told_in_words_with_links_that_lead_somewhere() {
    let receiver = TestReceiver::start().await;
    let daemon = telling(&receiver, "format = \"slack\"").start().await;
    let message = opened(&daemon, &receiver).await.json();
    let text = message["text"].as_str().unwrap();
    assert!(
        text.starts_with("*Opened* [critical] 1 item of uploads is overdue; 1 stuck at backup"),
        "{text}"
    );
    let blocks = message["attachments"][0]["blocks"].to_string();
    for path in
        ["/v1/workflows/uploads/items/file-1", &format!("/v1/incidents/{}", id(&incident(&daemon).await))]
    {
        assert!(blocks.contains(&format!("<{}|", daemon.url(path))), "{blocks}");
    }
    let message = resolved(&daemon, &receiver).await.json();
    assert!(
        message["text"].as_str().unwrap().starts_with("*Resolved* [critical] no item of uploads"),
        "{message}"
    );
    assert_eq!(message["attachments"][0]["color"], "#2eb67d");
}

#[tokio::test]
async fn cloudevents_carry_what_the_standard_form_says_and_are_signed_like_it() {
    let [standard, events] = [TestReceiver::start().await, TestReceiver::start().await];
    let url = events.url();
    let daemon = telling(&standard, &format!("secret = \"{SECRET}\""))
        .config("[workflows.uploads]\nreceivers = [\"oncall\", \"events\"]")
        .config(&format!("[receivers.events]\nurl = \"{url}\"\nallow_private = true"))
        .config(&format!("format = \"cloudevents\"\nsecret = \"{SECRET}\""))
        .start()
        .await;
    let plain = opened(&daemon, &standard).await;
    let event = events.next().await;
    assert_eq!(event.header("content-type"), "application/cloudevents+json");
    let expected = json!({
        "specversion": "1.0", "id": event.header("webhook-id"), "source": daemon.url(""),
        "type": "incident.opened", "subject": plain.json()["data"]["id"], "time": plain.json()["timestamp"],
        "datacontenttype": "application/json", "data": plain.json()["data"],
    });
    assert_eq!(event.json(), expected);
    for received in [plain, event] {
        assert_eq!(received.header("webhook-signature"), signatures::signature(SECRET, &received));
    }
}

#[tokio::test]
async fn a_template_says_what_it_is_told_to_say_by_the_method_and_with_the_headers_of_its_own() {
    let receiver = TestReceiver::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "Bearer {{ s3cret }}\n").unwrap();
    let more = format!(
        "format = \"template\"\nmethod = \"PUT\"\nsecret = \"{SECRET}\"\nbody = \"{{{{ delivery }}}}: {{{{ \
         data.summary }}}}\"\nheaders = {{ X-Event = \"{{{{ type }}}}\", Content-Type = \"text/plain\", \
         Authorization = \"file:{}\" }}",
        file.path().display()
    );
    let daemon = telling(&receiver, &more).start().await;
    let received = opened(&daemon, &receiver).await;
    assert_eq!(received.method, "PUT");
    assert_eq!(
        (received.header("x-event"), received.header("content-type")),
        ("incident.opened", "text/plain")
    );
    assert_eq!(received.header("authorization"), "Bearer {{ s3cret }}");
    let body = format!("{}: 1 item of uploads is overdue; 1 stuck at backup", received.header("webhook-id"));
    assert!(received.body.starts_with(body.as_bytes()), "{:?}", received.body);
    assert_eq!(received.header("webhook-signature"), signatures::signature(SECRET, &received));
    assert_eq!(resolved(&daemon, &receiver).await.header("x-event"), "incident.resolved");
}

#[tokio::test]
async fn a_template_that_does_not_fit_is_a_failed_attempt_that_says_why() {
    let receiver = TestReceiver::start().await;
    // No sample is of that workflow, so the start does not find it out.
    let body = "{% if data.workflow == 'downloads' %}\\n{{ data.nothing }}{% endif %}";
    let more = format!("format = \"template\"\nbody = \"{body}\"");
    let daemon = telling(&receiver, &more).start().await;
    lose(&daemon, "downloads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    let tried = delivery_tried(&daemon, id(&incident), 1).await;
    assert_eq!(tried["status"], "pending");
    assert_eq!(
        tried["attempts"][0]["error"],
        "the notification cannot be written: the template of the body, line 2, cannot write incident.opened: \
         undefined value: `data.nothing` is undefined"
    );
    assert!(receiver.arrived().await.is_empty());
}

#[tokio::test]
async fn in_every_form_a_repetition_says_the_same() {
    for format in [
        "format = \"standard\"",
        "format = \"cloudevents\"",
        "format = \"slack\"",
        "format = \"pagerduty\"\nrouting_key = \"abc\"",
        "format = \"template\"\nbody = \"{{ data | tojson }}\"",
    ] {
        let receiver = TestReceiver::start().await;
        let mut daemon = telling(&receiver, format).on_sled().start().await;
        receiver.answer(500, &[]);
        let first = opened(&daemon, &receiver).await;
        let tried = delivery_tried(&daemon, id(&incident(&daemon).await), 1).await;
        // After a restart the daemon is at another address.
        daemon.restart().await;
        advance_to(&daemon, instant(&tried["next_attempt_at"]));
        let second = receiver.next().await;
        assert_eq!(first.body, second.body, "{format}");
    }
}

#[tokio::test]
async fn headers_of_a_receiver_are_sent_along() {
    let receiver = TestReceiver::start().await;
    let daemon = telling(&receiver, "headers = { X-Team = \"uploads\", Authorization = \"Bearer abc\" }")
        .start()
        .await;
    let received = opened(&daemon, &receiver).await;
    assert_eq!((received.header("x-team"), received.header("authorization")), ("uploads", "Bearer abc"));
    assert!(received.header("webhook-id").starts_with("dlv_"));
}

#[tokio::test]
async fn an_address_that_is_a_secret_is_told_to_nobody() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let receiver = TestReceiver::start().await;
    std::fs::write(file.path(), format!("{}/s3cret?key=s3cret\n", receiver.url())).unwrap();
    let config = format!(
        "[alerting]\nreceivers = [\"chat\"]\n[receivers.chat]\nurl = \"file:{}\"\nallow_private = true\n\
         format = \"slack\"",
        file.path().display()
    );
    let daemon = TestDaemon::builder().config(&config).start().await;
    let received = opened(&daemon, &receiver).await;
    assert_eq!(received.uri.path_and_query().unwrap().as_str(), "/hook/s3cret?key=s3cret");
    drop(receiver);
    daemon.close("uploads", "file-1").await;
    let incident = incident(&daemon).await;
    let failed = eventually("a failed attempt", || async {
        let deliveries = deliveries(&daemon, id(&incident)).await;
        deliveries.into_iter().find(|delivery| !delivery["attempts"][0]["error"].is_null())
    })
    .await;
    assert!(!failed.to_string().contains("s3cret"), "{failed}");
    assert!(failed["attempts"][0]["error"].as_str().unwrap().contains("http://127.0.0.1:"), "{failed}");
}

#[tokio::test]
async fn a_receiver_hears_only_of_what_is_bad_enough_for_it() {
    let [oncall, pager] = [TestReceiver::start().await, TestReceiver::start().await];
    let url = pager.url();
    let daemon = telling(&oncall, "")
        .config(&format!(
            "[receivers.pager]\nurl = \"{url}\"\nallow_private = true\nmin_severity = \"critical\""
        ))
        .config("[workflows.uploads]\nreceivers = [\"oncall\", \"pager\"]\nseverity = \"warning\"")
        .config("[workflows.payments]\nreceivers = [\"oncall\", \"pager\"]")
        .start()
        .await;
    let mild = opened(&daemon, &oncall).await;
    assert_eq!(mild.json()["data"]["severity"], "warning");
    resolved(&daemon, &oncall).await;
    lose(&daemon, "payments", "file-2").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    assert_eq!(told(&pager, "incident.opened").await["workflow"], "payments");
}

#[tokio::test]
async fn a_receiver_of_any_format_can_be_tried_out_and_takes_it_for_what_it_is() {
    for (format, place, expected) in [
        ("format = \"standard\"", "/type", "receiver.test"),
        ("format = \"cloudevents\"", "/type", "receiver.test"),
        ("format = \"alertmanager\"", "/0/labels/alertname", "WardenTest"),
        ("format = \"pagerduty\"\nrouting_key = \"abc\"", "/payload/severity", "info"),
        ("format = \"slack\"", "/attachments/0/color", "#439fe0"),
        ("format = \"template\"\nbody = \"{{ {'of': type} | tojson }}\"", "/of", "receiver.test"),
    ] {
        let receiver = TestReceiver::start().await;
        let daemon = telling(&receiver, format).start().await;
        let answer = daemon.ask(Method::POST, "/v1/receivers/oncall/test").await.json(200);
        assert_eq!(answer["status"], 204, "{answer}");
        let received = receiver.next().await.json();
        assert_eq!(received.pointer(place), Some(&json!(expected)), "{format}: {received}");
    }
}
