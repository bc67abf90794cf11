//! What people are told: deliveries, resend, test-receiver.

use super::Transcript;
use crate::alerts::{SECOND, delivery_tried, id, lose, oncall, receiver_failed};
use crate::support::{TestDaemon, TestReceiver};

#[tokio::test]
async fn deliveries_are_listed_and_sent_again() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let mut transcript = Transcript::new();
    transcript.enter(&daemon, "warden deliveries").await;
    receiver.answer(503, &[]);
    receiver.saying("the pager is down");
    lose(&daemon, "uploads", "file-1").await;
    let incident = id(&daemon.open_incidents(1).await[0]).to_owned();
    transcript.aside("a deadline has passed, and its delivery waits to be sent");
    transcript.enter(&daemon, "warden deliveries").await;
    daemon.advance(10 * SECOND);
    let delivery = id(&delivery_tried(&daemon, &incident, 1).await).to_owned();
    receiver_failed(&daemon, "oncall", 1).await;
    transcript.aside("the receiver has answered 503");
    transcript.enter(&daemon, "warden deliveries").await;
    transcript.enter(&daemon, &format!("warden resend {delivery}")).await;
    daemon.advance(10 * SECOND);
    delivery_tried(&daemon, &incident, 2).await;
    transcript.aside("10 seconds later it has taken the second attempt");
    for line in [
        "warden deliveries".to_owned(),
        format!("warden deliveries --incident {incident}"),
        "warden deliveries --status delivered --receiver oncall --output json".to_owned(),
        format!("warden resend {delivery}"),
    ] {
        transcript.enter(&daemon, &line).await;
    }
    delivery_tried(&daemon, &incident, 3).await;
    for line in [
        format!("warden resend {delivery} --output json"),
        "warden deliveries --status dead".to_owned(),
        "warden deliveries --receiver nobody".to_owned(),
        "warden deliveries --incident inc_0".to_owned(),
        "warden deliveries --status late".to_owned(),
        format!("warden deliveries --incident {incident} --status dead"),
        "warden resend dlv_0".to_owned(),
        "warden resend".to_owned(),
    ] {
        transcript.enter(&daemon, &line).await;
    }
    transcript.compare("deliveries");
}

#[tokio::test]
async fn a_receiver_is_tested_before_it_is_needed() {
    let receiver = TestReceiver::start().await;
    let nobody = "[receivers.gone]\nurl = \"http://127.0.0.1:1/hook\"\nallow_private = true";
    let daemon = TestDaemon::builder().receiver(&receiver).config(nobody).start().await;
    let mut transcript = Transcript::new();
    transcript.enter(&daemon, "warden test-receiver oncall").await;
    receiver.saying("the token has expired");
    receiver.answer(403, &[]);
    transcript.enter(&daemon, "warden test-receiver oncall").await;
    receiver.answer(403, &[]);
    transcript.enter(&daemon, "warden test-receiver oncall --output json").await;
    transcript.enter(&daemon, "warden test-receiver gone").await;
    transcript.enter(&daemon, "warden test-receiver nobody").await;
    transcript.enter(&daemon, "warden test-receiver").await;
    transcript.compare("test-receiver");
}
