//! Workflows that clients define.

use reqwest::Response;

use super::*;
use crate::cli::{command, run};
use crate::support::{Answer, DaemonProcess, process};

const PATH: &str = "/v1/workflows/uploads";

async fn define(daemon: &TestDaemon, definition: Value) -> Answer {
    daemon.send_json(Method::PUT, PATH, definition).await
}

#[tokio::test]
async fn a_definition_is_in_force_when_it_is_answered_and_after_restarts_and_reloads() {
    for on_disk in [false, true] {
        let builder = TestDaemon::builder();
        let mut daemon = if on_disk { builder.on_sled() } else { builder }.start().await;
        let settings = json!({"deadline": "5m", "steps": ["copy", {"name": "backup", "deadline": "1m"}],
            "retry": {"max": 2}, "expect": {"every": "1h"}, "grow_factor": 3.5});
        let defined = define(&daemon, settings).await.json(201);
        assert_eq!((&defined["source"], &defined["deadline"]), (&json!("api"), &json!("5m")));
        assert_eq!((&defined["retention"], &defined["retry"]["max"]), (&json!("1day"), &json!(2)));
        assert_eq!(defined["created_at"], "2026-01-01T00:00:00.000Z");
        assert_eq!(deadline(&daemon, "uploads", "a").await, 5 * MINUTE);

        daemon.advance(MINUTE);
        let changed = define(&daemon, json!({"deadline": "7m"})).await.json(200);
        assert_eq!((&changed["steps"], &changed["created_at"]), (&json!([]), &defined["created_at"]));
        assert_eq!(deadline(&daemon, "uploads", "b").await, 7 * MINUTE);

        daemon.reload("[workflow_defaults]\nretention = \"2h\"").await;
        let reloaded = daemon.get(PATH).await;
        assert_eq!((&reloaded["deadline"], &reloaded["retention"]), (&json!("7m"), &json!("2h")));
        daemon.restart().await;
        assert_eq!(daemon.get(PATH).await, reloaded);
        assert_eq!(deadline(&daemon, "uploads", "c").await, 7 * MINUTE);
    }
}

#[tokio::test]
async fn what_names_in_the_files_lead_to_is_warned_of_after_a_definition_too() {
    let mut daemon = TestDaemon::start().await;
    let config = "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"http://localhost:1/\"";
    let reloaded = daemon.reload(config).await;
    assert_eq!(reloaded["warnings"][0]["code"], "address-not-allowed", "{reloaded}");
    let warnings = async || daemon.get("/readyz").await["warnings"].clone();
    assert_eq!(warnings().await, reloaded["warnings"]);
    define(&daemon, json!({"deadline": "5m"})).await.json(201);
    assert_eq!(warnings().await, reloaded["warnings"]);
}

#[tokio::test]
async fn a_wrong_definition_is_refused_with_the_words_of_the_configuration() {
    let daemon = TestDaemon::builder().config("[workflows.uploads-2]").start().await;
    for (definition, expected) in [
        (json!({"deadlin": "5m"}), "workflows.uploads.deadlin: is not a setting; did you mean `deadline`?"),
        (json!({"deadline": "0s"}), "workflows.uploads.deadline: must be more than zero"),
        (json!({"deadline": 5}), "workflows.uploads.deadline: must be "),
        (json!({"deadline": null}), "workflows.uploads.deadline: has no value; leave it out"),
        (json!({"steps": ["a", "a"]}), "workflows.uploads.steps[1]: names the step \"a\" a second time"),
        (json!({"receivers": ["oncall"]}), "workflows.uploads.receivers[0]: there is no receiver \"oncall\""),
        (
            json!({"redrive": {"url": "http://x/", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}),
            "workflows.uploads.redrive.secret: must be env:NAME or file:PATH here",
        ),
    ] {
        let detail = define(&daemon, definition).await.refused(400, "invalid-request");
        assert!(detail.starts_with(expected), "says    {detail}\ninstead {expected}");
    }
    daemon.ask(Method::GET, PATH).await.refused(404, "workflow-not-found");
    daemon.send(Method::PUT, PATH, "[]").await.refused(400, "invalid-request");
    assert_eq!(deadline(&daemon, "uploads", "a").await, 60 * MINUTE);
}

#[tokio::test]
async fn what_a_file_defines_is_read_only_and_wins_over_a_definition() {
    let mut daemon = TestDaemon::builder().config("[workflows.uploads]\ndeadline = \"15m\"").start().await;
    define(&daemon, json!({"deadline": "5m"})).await.refused(409, "workflow-configured");
    daemon.ask(Method::DELETE, PATH).await.refused(409, "workflow-configured");

    daemon.reload("").await;
    define(&daemon, json!({"deadline": "5m"})).await.json(201);
    let reloaded = daemon.reload("[workflows.uploads]\ndeadline = \"15m\"").await;
    let codes: Vec<&Value> =
        reloaded["warnings"].as_array().unwrap().iter().map(|warning| &warning["code"]).collect();
    assert!(codes.contains(&&json!("workflow-defined-twice")), "{codes:?}");
    let workflow = daemon.get(PATH).await;
    assert_eq!((&workflow["source"], &workflow["deadline"]), (&json!("config"), &json!("15m")));
    daemon.restart().await;
    assert_eq!(daemon.get(PATH).await, workflow);
    define(&daemon, json!({})).await.refused(409, "workflow-configured");
    daemon.reload("").await;
    let workflow = daemon.get(PATH).await;
    assert_eq!((&workflow["source"], &workflow["deadline"]), (&json!("api"), &json!("5m")));
}

#[tokio::test]
async fn a_reload_that_a_definition_does_not_fit_is_refused_and_says_so() {
    let receiver = TestReceiver::start().await;
    let with = format!("[receivers.oncall]\nurl = \"{}\"\nallow_private = true", receiver.url());
    let mut daemon = TestDaemon::builder().config(&with).start().await;
    define(&daemon, json!({"receivers": ["oncall"], "group_wait": "0s"})).await.json(201);
    daemon.write_config("[workflow_defaults]\ndeadline = \"1m\"");
    let detail = daemon.ask(Method::POST, "/v1/reload").await.refused(409, "configuration-invalid");
    let problem = "defined by the API: workflows.uploads.receivers[0]: there is no receiver \"oncall\"";
    assert!(detail.contains(problem), "{detail}");
    assert_eq!(deadline(&daemon, "reports", "a").await, 60 * MINUTE);
    daemon.create("uploads", "late", "?deadline=0s", "payload").await;
    assert_eq!(crate::alerts::told(&receiver, "incident.opened").await["workflow"], "uploads");
    define(&daemon, json!({})).await.json(200);
    assert_eq!(daemon.ask(Method::POST, "/v1/reload").await.json(200)["needs_restart"], json!([]));
}

#[tokio::test]
async fn a_definition_is_removed_only_when_nothing_of_its_workflow_is_open() {
    let mut daemon = TestDaemon::start().await;
    define(&daemon, json!({"deadline": "5m"})).await.json(201);
    daemon.create("uploads", "a", "", "payload").await;
    daemon.ask(Method::DELETE, PATH).await.refused(409, "workflow-in-use");
    assert_eq!(daemon.get(PATH).await["deadline"], "5m");
    daemon.close("uploads", "a").await;
    let removed: Response = daemon.response(Method::DELETE, PATH).await;
    assert_eq!(removed.status(), 204);
    daemon.ask(Method::GET, PATH).await.refused(404, "workflow-not-found");
    daemon.restart().await;
    daemon.ask(Method::GET, PATH).await.refused(404, "workflow-not-found");
    assert_eq!(deadline(&daemon, "uploads", "a").await, 60 * MINUTE, "it is created on first use");
    assert_eq!(daemon.get(PATH).await["source"], "first_use");
    define(&daemon, json!({"deadline": "6m"})).await.json(200);
    assert_eq!(daemon.get(PATH).await["source"], "api");
}

#[tokio::test]
async fn a_definition_outlives_its_items_and_counts_among_the_most_workflows() {
    let limits = "[limits]\nworkflows_max = 3\n[workflow_defaults]\nretention = \"0s\"\n";
    let daemon = TestDaemon::builder().config(&format!("{limits}[workflows.a]")).start().await;
    define(&daemon, json!({})).await.json(201);
    daemon.create("uploads", "a", "", "payload").await;
    daemon.close("uploads", "a").await;
    daemon.advance(MINUTE);
    daemon.swept().await;
    assert_eq!(daemon.get(PATH).await["source"], "api", "it is no unused workflow");
    daemon.create("last", "a", "", "payload").await;
    let other = daemon.send_json(Method::PUT, "/v1/workflows/other", json!({})).await;
    other.refused(422, "too-many-workflows");
    let create = daemon.send(Method::PUT, "/v1/workflows/other/items/a", "payload").await;
    create.refused(422, "too-many-workflows");
    assert_eq!(daemon.response(Method::DELETE, PATH).await.status(), 204);
    daemon.create("other", "a", "", "payload").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_a_definition_does_not_fit_says_which_and_the_command_line_defines_from_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path.display().to_string()
    };
    let config = "[receivers.oncall]\nurl = \"http://127.0.0.1:9/\"\nallow_private = true";
    file("warden.toml", config);
    let daemon = DaemonProcess::on(directory.path());
    let url = daemon.url("");
    let warden = async |words: &[&str]| run(command(&url, words)).await;
    for path in [
        file("a.toml", "deadline = \"5m\"\nreceivers = [\"oncall\"]"),
        file("a.yaml", "deadline: 5m\nreceivers: [oncall]\n"),
        file("a.json", "{\"deadline\": \"5m\", \"receivers\": [\"oncall\"]}"),
    ] {
        let out = warden(&["workflow", "put", "uploads", &path]).await.done();
        assert!(out.contains("5m"), "{out}");
    }
    let torn = file("b.yaml", "deadline: 5m\nsteps: [\n");
    let notes = warden(&["workflow", "put", "uploads", &torn]).await.failed(65);
    assert!(notes.contains("b.yaml:"), "{notes}");
    let wrong = file("c.toml", "deadline = \"0s\"");
    let notes = warden(&["workflow", "put", "uploads", &wrong]).await.failed(64);
    assert!(notes.contains("workflows.uploads.deadline"), "{notes}");
    let out = warden(&["workflow", "list"]).await.done();
    assert!(out.contains("uploads") && out.contains("api"), "{out}");
    assert!(daemon.terminate().success());

    file("warden.toml", "");
    let log = directory.path().join("refused.log");
    let said = DaemonProcess::start(process::serve(directory.path()), &log).err().expect("it is refused");
    assert!(said.contains("defined by the API: workflows.uploads.receivers[0]"), "{said}");
    file("warden.toml", &format!("[workflows.uploads]\n{config}"));
    let daemon = DaemonProcess::on(directory.path());
    ask(daemon.request(Method::GET, PATH)).await.json(200);
}
