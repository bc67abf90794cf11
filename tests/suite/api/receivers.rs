//! Receivers through the API: what is shown, and test notifications.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::{TestDaemon, TestReceiver};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn test(daemon: &TestDaemon, name: &str) -> Value {
    daemon.ask(Method::POST, &format!("/v1/receivers/{name}/test")).await.json(200)
}

async fn receivers(daemon: &TestDaemon) -> Vec<Value> {
    let page = daemon.ask(Method::GET, "/v1/receivers").await.json(200);
    page["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn receivers_are_shown_by_name_without_what_may_be_secret() {
    let config = format!(
        "[receivers.pager]\nurl = \"https://events.example.com:8443/token-1/hook?key=token-2\"\nsecret = \
         \"{SECRET}\"\n[receivers.chat]\nformat = \"slack\"\nurl = \
         \"https://hooks.example.com/services/token-3\"\n"
    );
    let daemon = TestDaemon::builder().config(&config).start().await;
    let found = receivers(&daemon).await;
    let quiet = |name: &str, format: &str, origin: &str| {
        json!({"name": name, "format": format, "origin": origin, "state": "ok", "since": null, "reason": null,
            "waiting": 0, "oldest_waiting_at": null, "consecutive_failures": 0, "next_attempt_at": null,
            "last_attempt": null, "since_start": {"delivered": 0, "failed": 0, "dead": 0, "refreshed": 0}})
    };
    let expected = [
        quiet("chat", "slack", "https://hooks.example.com"),
        quiet("pager", "standard", "https://events.example.com:8443"),
    ];
    assert_eq!(found, expected);
    let page = daemon.ask(Method::GET, "/v1/receivers?limit=1").await.json(200);
    let next = page["next_cursor"].as_str().unwrap();
    let rest = daemon.ask(Method::GET, &format!("/v1/receivers?cursor={next}")).await.json(200);
    assert_eq!(
        (&page["data"], &rest["data"], &rest["next_cursor"]),
        (&json!([expected[0]]), &json!([expected[1]]), &Value::Null)
    );
}

#[tokio::test]
async fn a_test_says_that_it_is_one_and_shows_the_answer() {
    let receiver = TestReceiver::start().await;
    let daemon =
        TestDaemon::builder().receiver(&receiver).config(&format!("secret = \"{SECRET}\"")).start().await;
    let outcome = test(&daemon, "oncall").await;
    let took = &outcome["latency_ms"];
    assert_eq!(
        outcome,
        json!({"delivered": true, "status": 204, "latency_ms": took, "error": null, "answer": null})
    );
    let received = receiver.next().await;
    assert_eq!(received.event(), "receiver.test");
    let data = &received.json()["data"];
    assert_eq!((&data["severity"], &data["items"]), (&json!("info"), &json!([])));
    assert_eq!(data["summary"], "This is a test of the receiver oncall by Process Warden. Nothing is wrong.");
    assert_eq!(data["url"], daemon.url("/v1/receivers"));
    assert!(received.header("webhook-signature").starts_with("v1,"), "{:?}", received.headers);
    assert_eq!(receivers(&daemon).await[0]["last_attempt"]["status"], 204);
    let listed = daemon.ask(Method::GET, "/v1/deliveries").await.json(200);
    assert_eq!(listed["data"], json!([]), "it is no delivery of an incident");
}

#[tokio::test]
async fn a_test_that_fails_says_how() {
    let receiver = TestReceiver::start().await;
    // Bound and not listening: nobody else gets the port, and whoever connects is refused.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = format!(
        "[receivers.closed]\nurl = \"http://{}/\"\nallow_private = true\n\
         [receivers.guarded]\nurl = \"{}\"\n",
        closed.local_addr().unwrap(),
        receiver.url(),
    );
    let daemon = TestDaemon::builder().receiver(&receiver).config(&config).start().await;
    receiver.answer(403, &[]);
    let outcome = test(&daemon, "oncall").await;
    assert_eq!(
        (&outcome["delivered"], &outcome["status"], &outcome["error"]),
        (&json!(false), &json!(403), &json!("it answered 403"))
    );
    for (name, start) in
        [("closed", "no connection to http://127.0.0.1:"), ("guarded", "refused to connect:")]
    {
        let outcome = test(&daemon, name).await;
        assert_eq!((&outcome["delivered"], &outcome["status"]), (&json!(false), &Value::Null));
        let error = outcome["error"].as_str().unwrap();
        assert!(error.starts_with(start), "{error}");
    }
    let shown = receivers(&daemon).await;
    assert!(
        shown.iter().all(|receiver| receiver["consecutive_failures"] == 0),
        "a test proves nothing against it"
    );
}

#[tokio::test]
async fn a_receiver_that_the_configuration_does_not_name_is_refused_by_name() {
    let daemon = TestDaemon::start().await;
    assert_eq!(receivers(&daemon).await, [] as [Value; 0]);
    for action in ["test", "resume"] {
        let answer = daemon.ask(Method::POST, &format!("/v1/receivers/n%C3%B6body/{action}")).await;
        assert!(answer.refused(404, "receiver-not-found").contains("\"nöbody\""));
    }
}
