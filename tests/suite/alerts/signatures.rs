//! Signatures as a receiver verifies them: by the rules of Standard Webhooks, computed independently, and by
//! the specification's Python library.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use warden::model::SystemClock;

use super::*;
use crate::support::receiver::Received;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What the header must hold for this secret.
pub fn signature(secret: &str, received: &Received) -> String {
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
    daemon.set_wall_ahead(-7_200_000).await;
    let received = notified(&daemon, &receiver).await;
    assert_eq!(received.header("webhook-timestamp"), (1_767_225_610 - 7200).to_string());
    assert_eq!(received.header("webhook-signature"), signature(SECRET, &received));
}

/// Reads a notification and the secrets that may have signed it, and says for each whether the library takes
/// it.
const VERIFY: &str = r#"
import base64, json, sys
from standardwebhooks import Webhook, WebhookVerificationError

given = json.load(sys.stdin)
for secret in given["secrets"]:
    try:
        told = Webhook(secret).verify(base64.b64decode(given["body"]), given["headers"])
        print("genuine " + told["type"])
    except WebhookVerificationError as error:
        print("refused " + str(error))
"#;

/// The Python that has the library.
fn python() -> PathBuf {
    let usual = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/standardwebhooks/bin/python");
    std::env::var_os("WARDEN_TEST_PYTHON").map_or_else(usual, PathBuf::from)
}

/// What the library says to a notification, with each of the secrets.
fn verified(secrets: &[&str], received: &Received) -> Vec<String> {
    let headers: serde_json::Map<String, Value> = received
        .headers
        .keys()
        .map(|name| (name.to_string(), received.header(name.as_str()).into()))
        .collect();
    let given = json!({ "secrets": secrets, "headers": headers, "body": STANDARD.encode(&received.body) });
    let mut python = Command::new(python())
        .args(["-c", VERIFY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; tests/run installs it", python().display()));
    python.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "standardwebhooks for Python is missing; tests/run installs it");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_library_of_the_specification_takes_what_was_sent_and_nothing_that_was_changed() {
    let receiver = TestReceiver::start().await;
    let secrets = format!("secret = [\"{OTHER_SECRET}\", \"{SECRET}\"]");
    // The library judges the time by the real clock.
    let daemon = oncall(&receiver).starting_at(SystemClock::new().now()).config(&secrets).start().await;
    let name = "%22%3C%C3%A4%5C%3E";
    daemon.create("uploads", name, "?deadline=0s&step=backup", "payload").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    let received = receiver.next().await;
    let third = "whsec_////////////////////////////////////////////";
    let said = verified(&[SECRET, OTHER_SECRET, third], &received);
    let no_match = "refused No matching signature found";
    assert_eq!(said, ["genuine incident.opened", "genuine incident.opened", no_match]);

    let mut changed = received.clone();
    changed.body = [&received.body[..], b" "].concat().into();
    assert_eq!(verified(&[SECRET, OTHER_SECRET], &changed), [no_match, no_match]);
    for (header, value) in [("webhook-id", "dlv_2".to_owned()), ("webhook-timestamp", earlier(&received))] {
        let mut changed = received.clone();
        changed.headers.insert(header, value.parse().unwrap());
        assert_eq!(verified(&[SECRET], &changed), [no_match], "{header}");
    }
    daemon.close("uploads", name).await;
    assert_eq!(verified(&[SECRET], &receiver.next().await), ["genuine incident.resolved"]);
}

/// A second before the notification was sent.
fn earlier(received: &Received) -> String {
    (received.header("webhook-timestamp").parse::<i64>().unwrap() - 1).to_string()
}
