//! `warden check` where it depends on the machine: names that are looked up.

use super::run;
use crate::support::process;

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_looked_up() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("warden.toml");
    let text = "[receivers.oncall]\nurl = \"http://localhost:9/\"\n[alerting]\nreceivers = [\"oncall\"]\n";
    std::fs::write(&file, text).unwrap();
    let mut command = process::binary();
    command.args(["check", "--strict"]).arg(&file);
    let (_, notes) = run(command).await.ended(65);
    assert!(notes.contains("receivers.oncall.url: calls are refused: `localhost` leads to "), "{notes}");
}
