//! Receivers: several, unreachable, broken, forbidden.

use tokio::net::{TcpListener, TcpSocket};

use super::raw::RawReceiver;
use super::*;

/// The configuration of one receiver that every workflow tells.
fn config(url: &str) -> String {
    format!("[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{url}\"\nallow_private = true")
}

/// Loses an item and gives the incident when it is time to tell.
async fn due(daemon: &TestDaemon) -> Value {
    lose(daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    incident
}

#[tokio::test]
async fn every_receiver_of_the_workflow_is_told_of_the_beginning_and_of_the_end() {
    let [first, second, other] =
        [TestReceiver::start().await, TestReceiver::start().await, TestReceiver::start().await];
    let mut config = "[workflows.uploads]\nreceivers = [\"first\", \"second\"]\n".to_owned();
    for (name, receiver) in [("first", &first), ("second", &second), ("other", &other)] {
        let url = receiver.url();
        config.push_str(&format!(
            "[receivers.{name}]\nurl = \"{url}\"\nallow_private = true\nconcurrency = 1\n"
        ));
    }
    config.push_str("[workflows.downloads]\nreceivers = [\"other\"]\n");
    let daemon = TestDaemon::builder().config(&config).start().await;
    let incident = due(&daemon).await;
    let opened = [first.next().await, second.next().await];
    assert_eq!(opened[0].body, opened[1].body);
    assert_ne!(opened[0].header("webhook-id"), opened[1].header("webhook-id"));
    daemon.close("uploads", "file-1").await;
    for receiver in [&first, &second] {
        assert_eq!(told(receiver, "incident.resolved").await["id"], incident["id"]);
    }
    let mut told_to: Vec<_> = deliveries(&daemon, id(&incident))
        .await
        .iter()
        .map(|delivery| (delivery["event"].to_string(), delivery["receiver"].to_string()))
        .collect();
    told_to.sort();
    told_to.dedup();
    assert_eq!(told_to.len(), 4, "{told_to:?}");
    lose(&daemon, "downloads", "file-2").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    assert_eq!(told(&other, "incident.opened").await["workflow"], "downloads");
}

#[tokio::test]
async fn a_receiver_that_fails_does_not_hold_up_another() {
    let [broken, healthy] = [TestReceiver::start().await, TestReceiver::start().await];
    broken.usually(500, &[]);
    let mut config = "[alerting]\nreceivers = [\"broken\", \"healthy\"]\n".to_owned();
    for (name, receiver) in [("broken", &broken), ("healthy", &healthy)] {
        config.push_str(&format!("[receivers.{name}]\nurl = \"{}\"\nallow_private = true\n", receiver.url()));
    }
    let daemon = TestDaemon::builder().config(&config).start().await;
    due(&daemon).await;
    told(&broken, "incident.opened").await;
    told(&healthy, "incident.opened").await;
    daemon.close("uploads", "file-1").await;
    told(&healthy, "incident.resolved").await;
}

#[tokio::test]
async fn a_receiver_that_hangs_does_not_hold_up_the_incidents_of_other_workflows() {
    let receiver = RawReceiver::start().await;
    let daemon = TestDaemon::builder().config(&config(&receiver.url())).start().await;
    due(&daemon).await;
    let hanging = receiver.request().await;
    lose(&daemon, "downloads", "file-2").await;
    daemon.open_incidents(2).await;
    daemon.advance(10 * SECOND);
    let other = receiver.request().await;
    assert!(other.body().contains("downloads"), "{}", other.body());
    hanging.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
}

#[tokio::test]
async fn a_receiver_gets_no_more_at_once_than_it_is_set_to_take() {
    let receiver = RawReceiver::start().await;
    let config = format!("{}\nconcurrency = 2", config(&receiver.url()));
    let daemon = TestDaemon::builder().config(&config).start().await;
    for workflow in ["a", "b", "c"] {
        lose(&daemon, workflow, "file-1").await;
    }
    daemon.open_incidents(3).await;
    daemon.advance(10 * SECOND);
    let first = receiver.request().await;
    let second = receiver.request().await;
    eventually("three that wait", || async {
        (metric(&daemon, "warden_deliveries_waiting").await == 3.0).then_some(())
    })
    .await;
    assert!(receiver.is_idle(), "a third came along");
    first.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    let third = receiver.request().await;
    second.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    third.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
}

#[tokio::test]
async fn a_receiver_that_is_down_is_told_when_it_is_back() {
    // Bound and not listening: nobody else gets the port, and whoever connects is refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let daemon = TestDaemon::builder().config(&config(&format!("http://{address}/hook"))).start().await;
    let incident = due(&daemon).await;
    let mut tried = delivery_tried(&daemon, id(&incident), 1).await;
    for attempts in 2..5 {
        let error = tried["attempts"][0]["error"].as_str().unwrap();
        assert!(
            error.starts_with(&format!("no connection to http://{address}: Connection refused")),
            "{error}"
        );
        assert_eq!(tried["attempts"][0]["status"], Value::Null);
        advance_to(&daemon, instant(&tried["next_attempt_at"]));
        tried = delivery_tried(&daemon, id(&incident), attempts).await;
    }
    let listener: TcpListener = socket.listen(16).unwrap();
    let receiver = RawReceiver::on(listener);
    advance_to(&daemon, instant(&tried["next_attempt_at"]));
    let request = receiver.request().await;
    assert_eq!(tried["id"], request.header("webhook-id"));
    request.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
    let delivered = delivery_tried(&daemon, id(&incident), 5).await;
    assert_eq!(delivered["status"], "delivered");
}

#[tokio::test]
async fn a_receiver_that_resets_the_connection_has_not_been_told() {
    let receiver = RawReceiver::start().await;
    let daemon = TestDaemon::builder().config(&config(&receiver.url())).start().await;
    let incident = due(&daemon).await;
    // Closing with something unread resets.
    let connection = receiver.connection().await;
    within_patience("a byte", connection.readable()).await.unwrap();
    drop(connection);
    let tried = delivery_tried(&daemon, id(&incident), 1).await;
    assert_eq!((&tried["status"], &tried["attempts"][0]["status"]), (&json!("pending"), &Value::Null));
    let error = tried["attempts"][0]["error"].as_str().unwrap();
    assert!(error.starts_with("no valid answer from http://127.0.0.1:"), "{error}");
    advance_to(&daemon, instant(&tried["next_attempt_at"]));
    receiver.request().await.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(delivery_tried(&daemon, id(&incident), 2).await["status"], "delivered");
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_in_time_has_not_been_told() {
    let receiver = RawReceiver::start().await;
    let config = format!("{}\ntimeout = \"100ms\"", config(&receiver.url()));
    let daemon = TestDaemon::builder().config(&config).start().await;
    let incident = due(&daemon).await;
    let _unanswered = receiver.connection().await;
    let tried = delivery_tried(&daemon, id(&incident), 1).await;
    assert_eq!(tried["attempts"][0]["error"], "no answer within 100ms");
    assert_eq!(tried["status"], "pending");
}

#[tokio::test]
async fn an_answer_of_ten_megabytes_is_cut_short() {
    for (status, ended) in [("200 OK", "delivered"), ("500 No", "pending")] {
        let receiver = RawReceiver::start().await;
        let daemon = TestDaemon::builder().config(&config(&receiver.url())).on_sled().start().await;
        let incident = due(&daemon).await;
        let request = receiver.request().await;
        let body = "\u{1f525}\"".repeat(2 << 20);
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let sending = tokio::spawn(request.answer(answer));
        let tried = delivery_tried(&daemon, id(&incident), 1).await;
        assert_eq!(tried["status"], ended);
        if let Some(error) = tried["attempts"][0]["error"].as_str() {
            assert!(error.starts_with("it answered 500: \u{1f525}\"\u{1f525}"), "{error}");
            assert!(error.len() < 1000, "{} bytes are kept", error.len());
        }
        within_patience("the end of the connection", sending).await.unwrap();
    }
}

#[tokio::test]
async fn a_receiver_at_a_private_address_is_refused_unless_that_is_allowed() {
    let receiver = TestReceiver::start().await;
    let port = receiver.url().rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "localhost", "[::1]", "2130706433"] {
        let config = config(&format!("http://{host}:{port}")).replace("true", "false");
        let daemon = TestDaemon::builder().config(&config).start().await;
        let incident = due(&daemon).await;
        let tried = delivery_tried(&daemon, id(&incident), 1).await;
        let error = tried["attempts"][0]["error"].as_str().unwrap();
        assert!(
            error.starts_with("refused to connect: ") && error.contains("`allow_private = true`"),
            "{error}"
        );
        assert_eq!(tried["status"], "pending", "a name may lead elsewhere tomorrow");
    }
    assert!(receiver.arrived().await.is_empty());
}

#[tokio::test]
async fn a_receiver_that_is_missing_from_the_configuration_is_told_when_it_is_back() {
    let receiver = TestReceiver::start().await;
    let mut daemon = oncall(&receiver).start().await;
    let incident = due(&daemon).await;
    told(&receiver, "incident.opened").await;
    delivery_when(&daemon, id(&incident), "its end", |delivery| delivery["status"] == "delivered").await;
    daemon.restart_with("").await;
    daemon.close("uploads", "file-1").await;
    let tried = eventually("an attempt to tell the end", || async {
        let deliveries = deliveries(&daemon, id(&incident)).await;
        deliveries
            .into_iter()
            .find(|delivery| delivery["event"] == "incident.resolved" && delivery["attempts_made"] == 1)
    })
    .await;
    assert_eq!(tried["attempts"][0]["error"], "the configuration names no receiver \"oncall\"");
    daemon.restart_with(&config(receiver.url())).await;
    advance_to(&daemon, instant(&tried["next_attempt_at"]));
    told(&receiver, "incident.resolved").await;
}

#[tokio::test]
async fn whoever_is_made_a_receiver_later_hears_of_an_open_incident_from_its_beginning() {
    let receiver = TestReceiver::start().await;
    let mut daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?deadline=1s", "hello").await;
    daemon.advance(SECOND);
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(MINUTE);
    daemon.restart_with(&config(receiver.url())).await;
    let opened = receiver.next().await;
    assert_eq!(opened.event(), "incident.opened");
    assert_eq!(opened.json()["data"]["id"], incident["id"]);
    daemon.close("uploads", "file-1").await;
    assert_eq!(receiver.next().await.event(), "incident.resolved");
}
