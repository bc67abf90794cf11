//! Notifications as a receiver checks them: by the rules of Standard Webhooks, computed here independently.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;
use crate::support::receiver::Received;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What the header must hold for this secret.
fn signature(secret: &str, received: &Received) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a prefix")).expect("base64");
    let mut code = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
    code.update(received.header("webhook-id").as_bytes());
    code.update(b".");
    code.update(received.header("webhook-timestamp").as_bytes());
    code.update(b".");
    code.update(&received.body);
    format!("v1,{}", STANDARD.encode(code.finalize().into_bytes()))
}

/// Tells of one overdue item and gives what arrived.
async fn notified(daemon: &TestDaemon, receiver: &TestReceiver) -> Received {
    lose(daemon, "uploads", "file-1").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    receiver.next().await
}

#[tokio::test]
async fn a_notification_carries_the_headers_of_the_specification() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).config(&format!("secret = \"{SECRET}\"")).start().await;
    let received = notified(&daemon, &receiver).await;
    assert_eq!(received.header("content-type"), "application/json");
    assert!(received.header("user-agent").starts_with("process-warden/"));
    assert!(received.header("webhook-id").starts_with("dlv_"));
    assert_eq!(received.header("webhook-timestamp"), "1767225610");
    assert_eq!(received.header("webhook-signature"), signature(SECRET, &received));
    let delivery = delivery_tried(&daemon, id(&received.json()["data"]), 1).await;
    assert_eq!(delivery["id"], received.header("webhook-id"));
}

#[tokio::test]
async fn a_repetition_is_signed_anew() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).config(&format!("secret = \"{SECRET}\"")).start().await;
    receiver.answer(500, &[]);
    let first = notified(&daemon, &receiver).await;
    let tried = delivery_tried(&daemon, id(&first.json()["data"]), 1).await;
    advance_to(&daemon, instant(&tried["next_attempt_at"]));
    let second = receiver.next().await;
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.body, second.body);
    assert_ne!(first.header("webhook-timestamp"), second.header("webhook-timestamp"));
    assert_ne!(first.header("webhook-signature"), second.header("webhook-signature"));
    assert_eq!(second.header("webhook-signature"), signature(SECRET, &second));
}

#[tokio::test]
async fn while_a_secret_is_changed_both_sign() {
    let receiver = TestReceiver::start().await;
    let secrets = format!("secret = [\"{OTHER_SECRET}\", \"{SECRET}\"]");
    let daemon = oncall(&receiver).config(&secrets).start().await;
    let received = notified(&daemon, &receiver).await;
    let expected = format!("{} {}", signature(OTHER_SECRET, &received), signature(SECRET, &received));
    assert_eq!(received.header("webhook-signature"), expected);
}

#[tokio::test]
async fn without_a_secret_nothing_pretends_to_be_a_signature() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let received = notified(&daemon, &receiver).await;
    assert!(!received.headers.contains_key("webhook-signature"));
    assert!(
        received.headers.contains_key("webhook-id") && received.headers.contains_key("webhook-timestamp")
    );
}

#[tokio::test]
async fn the_timestamp_is_that_of_the_wall_clock() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).config(&format!("secret = \"{SECRET}\"")).start().await;
    daemon.clock().set_drift(-7_200_000);
    let received = notified(&daemon, &receiver).await;
    assert_eq!(received.header("webhook-timestamp"), (1_767_225_610 - 7200).to_string());
    assert_eq!(received.header("webhook-signature"), signature(SECRET, &received));
}
