//! Artifacts: artifact register, find, status, claim.

use super::Transcript;
use crate::alerts::MINUTE;
use crate::support::TestDaemon;

#[tokio::test]
async fn artifacts_are_registered_found_claimed_and_loaded() {
    let daemon = TestDaemon::start().await;
    let mut transcript = Transcript::new();
    for line in [
        "warden artifact find",
        "warden artifact register --workflow etl --location s3://in --name a.csv --name b.csv",
        "warden artifact register --workflow etl --location s3://in --name a.csv --name c.csv --output json",
    ] {
        transcript.enter(&daemon, line).await;
    }
    daemon.advance(MINUTE);
    transcript.aside("a minute later");
    let id = daemon.get("/v1/artifacts").await["data"][0]["id"].as_str().unwrap().to_owned();
    for line in [
        "warden artifact claim --location 's3://*' --max 2 --run nightly-1",
        "warden artifact claim --name '*.txt'",
        "warden artifact find --status ready",
        &format!("warden artifact status {id} --to loaded --run etl/nightly-1"),
        "warden artifact find --name a.csv --output json",
        "warden artifact find --workflow reports",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("artifacts");
}

#[tokio::test]
async fn what_cannot_be_done_with_artifacts_is_refused_with_why() {
    let daemon = TestDaemon::start().await;
    let mut transcript = Transcript::new();
    transcript.enter(&daemon, "warden artifact register --workflow etl --location /in --name a").await;
    let id = daemon.get("/v1/artifacts").await["data"][0]["id"].as_str().unwrap().to_owned();
    let second = format!(
        "warden artifact register --workflow etl --location /in --name b --depends-on {id} --output json"
    );
    transcript.enter(&daemon, &second).await;
    let other = daemon.get("/v1/artifacts?name=b").await["data"][0]["id"].as_str().unwrap().to_owned();
    for line in [
        &format!("warden artifact status {other} --to loading"),
        &format!("warden artifact status {id} --to done"),
        &format!("warden artifact status {id} art_0 --to loaded"),
        "warden artifact status --to loaded",
        "warden artifact find --status done",
        "warden artifact claim --to ready",
        "warden artifact claim --max 0",
        "warden artifact register --workflow etl --location /nowhere/at/all",
        "warden artifact register --workflow etl --location /in --name c --glob '*.csv'",
        "warden artifact register --workflow etl --location /in --name c --use run",
        "warden artifact register --location /in",
        "warden artifact",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("artifacts-refused");
}
