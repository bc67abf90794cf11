//! Parameters in the formats of those who read them.

use reqwest::Method;
use serde_json::{Value, json};

use super::{daemon, open, succeed};

const CONFIG: &str = r#"
[workflows.nightly]
params = { env = "prod", note = "it's \"fine\" $HOME `x` \\ end", limit = 3, dry = false, list = [1, 2] }
[workflows.nightly.jobs.job-2]
initial_from = "2025-12-31T00:00:00Z"
section = "folder.WF:nightly.ST:s_job2"
params = { param1 = "hello", when = "2016-01-01", yes = "no" }
[workflows.nightly.jobs.job1]
"#;

#[tokio::test]
async fn parameters_are_answered_with_the_run_and_read_again_later() {
    let daemon = daemon(CONFIG).await;
    let run = open(&daemon, "nightly").await;
    let params = &run["params"];
    assert_eq!(params["shared"]["limit"], 3);
    assert_eq!(params["jobs"]["job1"], json!({"from": null, "to": "2026-01-01T00:00:00.000Z"}));
    assert_eq!(params["jobs"]["job-2"]["param1"], "hello");
    let path = "/v1/workflows/nightly/params";
    let read = daemon.get(path).await;
    assert_eq!((&read["shared"], &read["jobs"]), (&params["shared"], &params["jobs"]));
    assert_eq!((&read["run"], &read["status"]), (&run["id"], &json!("open")));
    succeed(&daemon, "nightly").await;
    open(&daemon, "nightly").await;
    let of_first = daemon.get(&format!("{path}?run={}", run["id"].as_str().unwrap())).await;
    assert_eq!((&of_first["number"], &of_first["status"]), (&json!(1), &json!("success")));
    daemon.ask(Method::GET, &format!("{path}?run=nothing")).await.refused(404, "run-not-found");
}

#[tokio::test]
async fn a_workflow_shows_what_it_asks_of_its_runs() {
    let config = format!(
        "{CONFIG}reprocess = \"1h\"\ntruncate = \"day\"\ntimezone = \"Europe/Berlin\"
        [workflows.report]
        requires = [\"nightly\", {{ workflow = \"load\", within = \"12h\", else = \"held\" }}]
        single = \"allow\"\nhold_after = 3\nruns_retention = \"30d\"\nruns_max = 50\n[workflows.plain]\n"
    );
    let daemon = daemon(&config).await;
    let nightly = daemon.get("/v1/workflows/nightly").await;
    assert_eq!((&nightly["runs"], &nightly["params"]["limit"]), (&json!(true), &json!(3)));
    assert_eq!(
        nightly["jobs"],
        json!({
            "job-2": {"reprocess": "0s", "truncate": null, "timezone": "UTC",
                "initial_from": "2025-12-31T00:00:00.000Z", "section": "folder.WF:nightly.ST:s_job2",
                "params": {"param1": "hello", "when": "2016-01-01", "yes": "no"}},
            "job1": {"reprocess": "1h", "truncate": "day", "timezone": "Europe/Berlin",
                "initial_from": null, "section": null, "params": {}},
        })
    );
    let report = daemon.get("/v1/workflows/report").await;
    assert_eq!(
        report["requires"],
        json!([{"workflow": "nightly", "within": null, "else": "refuse"},
            {"workflow": "load", "within": "12h", "else": "held"}])
    );
    assert_eq!((&report["single"], &report["hold_after"]), (&json!("allow"), &json!(3)));
    assert_eq!((&report["runs_retention"], &report["runs_max"]), (&json!("30days"), &json!(50)));
    let listed = daemon.get("/v1/workflows").await["data"].clone();
    assert_eq!((&listed[0]["name"], &listed[0]["jobs"]), (&json!("nightly"), &Value::Null));
    assert_eq!((&listed[1]["name"], &listed[1]["runs"]), (&json!("plain"), &json!(false)));
}

#[tokio::test]
async fn a_shell_reads_exactly_what_was_configured() {
    let daemon = daemon(CONFIG).await;
    let run = open(&daemon, "nightly").await;
    let answer = daemon.ask(Method::GET, "/v1/workflows/nightly/params?format=env").await;
    let script = "eval \"$1\"; printf '%s\\n' \"$WARDEN_SHARED_NOTE\" \"$WARDEN_JOB_JOB_2_FROM\" \
         \"$WARDEN_JOB_JOB1_FROM\" \"$WARDEN_SHARED_LIST\" \"$WARDEN_SHARED_DRY\" \"$WARDEN_RUN_ID\"";
    let output = std::process::Command::new("sh").args(["-c", script, "sh", answer.text()]).output().unwrap();
    let lines: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    let note = "it's \"fine\" $HOME `x` \\ end";
    let id = run["id"].as_str().unwrap();
    assert_eq!(lines, [note, "2025-12-31T00:00:00.000Z", "", "[1,2]", "false", id]);
}

#[tokio::test]
async fn yaml_keeps_texts_that_look_like_something_else() {
    let daemon = daemon(CONFIG).await;
    open(&daemon, "nightly").await;
    let answer = daemon.ask(Method::GET, "/v1/workflows/nightly/params?format=yaml").await;
    let text = answer.text();
    for line in
        ["    when: \"2016-01-01\"", "    \"yes\": \"no\"", "  limit: 3", "  dry: false", "    from: null"]
    {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn a_parameter_file_refuses_what_it_cannot_hold() {
    let config = "[workflows.nightly]\nparams = { note = \"two\\nlines\" }\n[workflows.nightly.jobs.job1]";
    let daemon = daemon(config).await;
    open(&daemon, "nightly").await;
    let answer = daemon.ask(Method::GET, "/v1/workflows/nightly/params?format=infa").await;
    assert!(answer.refused(400, "invalid-request").contains("note"));
    let daemon = self::daemon(CONFIG).await;
    open(&daemon, "nightly").await;
    let answer = daemon.ask(Method::GET, "/v1/workflows/nightly/params?format=infa").await;
    let text = answer.text();
    assert!(text.starts_with("\n[Global]\n$$dry=False\n$$env=prod\n$$limit=3\n"), "{text}");
    assert!(text.contains("\n[folder.WF:nightly.ST:s_job2]\n") && text.contains("\n[job1]\n"), "{text}");
    assert!(text.contains("$$from_date=None\n"), "{text}");
}

#[tokio::test]
async fn two_parameters_with_the_same_variable_are_refused() {
    let config = "[workflows.nightly]\nparams = { \"a-b\" = 1, a_b = 2 }";
    let daemon = daemon(config).await;
    open(&daemon, "nightly").await;
    let answer = daemon.ask(Method::GET, "/v1/workflows/nightly/params?format=env").await;
    assert!(answer.refused(400, "invalid-request").contains("WARDEN_SHARED_A_B"));
    let _: Value = daemon.get("/v1/workflows/nightly/params").await;
}
