//! Artifacts on the command line.

use serde_json::json;

use super::warden;
use crate::support::TestDaemon;

/// ProcessTracker 9, from the command line.
#[tokio::test]
async fn a_directory_is_registered_and_registered_again_without_touching_what_is_known() {
    let daemon = TestDaemon::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    for (name, bytes) in [("b.csv", "12345"), ("a.csv", "1"), ("a.txt", "")] {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    std::fs::create_dir(directory.path().join("deep")).unwrap();
    std::fs::write(directory.path().join("deep/c.csv"), "123").unwrap();
    let register = ["artifact", "register", "--workflow", "etl", "--location", path, "--glob", "*.csv"];
    assert_eq!(warden(&daemon, &register).await.done(), "registered 2 artifacts; 0 known\n");
    let page = daemon.get("/v1/artifacts").await;
    let facts = |place: usize| {
        let artifact = &page["data"][place];
        json!([artifact["location"], artifact["name"], artifact["size"], artifact["status"]])
    };
    assert_eq!(facts(0), json!([path, "a.csv", 1, "ready"]));
    assert_eq!(facts(1), json!([path, "b.csv", 5, "ready"]));
    let id = page["data"][0]["id"].as_str().unwrap();
    let load = ["artifact", "status", id, "--to", "loaded", "--run", "nightly"];
    assert_eq!(warden(&daemon, &load).await.done(), format!("{id} is loaded\n"));
    let recursive = [&register[..], &["--recursive", "--output", "json"]].concat();
    let again = warden(&daemon, &recursive).await.json();
    let statuses: Vec<_> = again["data"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(
        (again["registered"].as_u64(), json!(statuses)),
        (Some(1), json!(["loaded", "ready", "ready"]))
    );
    let found = warden(&daemon, &["artifact", "find", "--name", "deep/*", "--output", "json"]).await.json();
    assert_eq!(found["data"][0]["name"], "deep/c.csv");
}

#[tokio::test]
async fn a_claim_takes_what_another_does_not_get() {
    let daemon = TestDaemon::start().await;
    let names: Vec<String> = (0..3).flat_map(|number| ["--name".into(), format!("{number}.csv")]).collect();
    let register = ["artifact", "register", "--workflow", "etl", "--location", "s3://in"];
    let register: Vec<&str> = register.into_iter().chain(names.iter().map(String::as_str)).collect();
    warden(&daemon, &register).await.done();
    let claim = ["artifact", "claim", "--max", "2", "--run", "etl/run-1", "--output", "json"];
    let first = warden(&daemon, &claim).await.json();
    let second = warden(&daemon, &claim).await.json();
    let names = |page: &serde_json::Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().into()).collect()
    };
    assert_eq!((names(&first), names(&second)), (vec!["0.csv".into(), "1.csv".into()], vec!["2.csv".into()]));
    assert_eq!(first["data"][0]["uses"][0]["run"], json!({"workflow": "etl", "id": "run-1"}));
}
