//! What keeps the command line from its daemon.

use super::warden;
use crate::support::TestDaemon;

#[tokio::test]
async fn whoever_may_not_or_does_not_reach_a_warden_is_told_what_to_do() {
    let token =
        format!("[[tokens]]\nname = \"oncall\"\nsha256 = \"{}\"\nscopes = [\"read\"]", "0".repeat(64));
    let daemon = TestDaemon::builder().config(&token).start().await;
    let said = warden(&daemon, &["incidents"]).await.failed(77);
    assert!(said.contains("this warden wants a token: set WARDEN_TOKEN"), "{said}");
    let said = warden(&daemon, &["incidents", "--token", "unknown"]).await.failed(77);
    assert!(said.contains("does not know the token in WARDEN_TOKEN or --token"), "{said}");
    let said = warden(&daemon, &["incidents", "--url", "http://127.0.0.1:1"]).await.failed(69);
    assert!(said.contains("cannot reach a warden at http://127.0.0.1:1"), "{said}");
}
