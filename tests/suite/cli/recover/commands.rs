//! The input of a command, and the effect of its exit code on the item.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Scene, in_state, item, lose};
use crate::support::TestDaemon;

#[tokio::test]
async fn a_payload_comes_byte_for_byte_and_the_item_is_closed_when_the_command_is_done() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let binary: Vec<u8> = (0..300_000u32).map(|number| (number.wrapping_mul(number) >> 7) as u8).collect();
    let payloads = [("binary", binary), ("text", "ä\r\n\n".into()), ("empty", Vec::new())];
    for (id, payload) in &payloads {
        daemon.create("uploads", id, "?deadline=0s", payload.clone()).await;
    }
    let said = scene.recovered(&daemon, "", "cat > \"$WARDEN_ITEM_ID\"").await;
    assert!(
        said.notes.starts_with("done 3, failed 0, to be retried 0, lost 0, skipped 0, in "),
        "{}",
        said.notes
    );
    assert_eq!(said.done(), "");
    for (id, payload) in payloads {
        assert_eq!(std::fs::read(scene.path(id)).unwrap(), payload, "{id}");
        let item = item(&daemon, id).await;
        assert_eq!((&item["state"], &item["outcome"]), (&json!("closed"), &json!("success")), "{item}");
    }
    let none = scene.recovered(&daemon, "", "exit 1").await;
    assert_eq!(none.notes, "No items to recover.\n");
    none.done();
}

#[tokio::test]
async fn a_command_need_not_read_its_input() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    daemon.create("uploads", "large", "?deadline=0s", vec![b'x'; 1 << 20]).await;
    scene.recovered(&daemon, "", "exit 0").await.done();
    assert_eq!(in_state(&daemon, "closed").await, ["large"]);
}

#[tokio::test]
async fn a_command_is_told_which_item_it_is_for() {
    let steps = "[workflows.uploads]\nsteps = [\"copy\", \"backup\"]";
    let (daemon, scene) = (TestDaemon::builder().config(steps).start().await, Scene::new());
    let request = daemon
        .request(
            Method::PUT,
            "/v1/workflows/uploads/items/a%2F%C3%A4?deadline=0s&label=region:eu \
             west&label=x.y:1&label=x-y:\"2\"",
        )
        .header("content-type", "text/plain; charset=utf-8")
        .header("content-encoding", "br, gzip")
        .body("payload");
    assert_eq!(request.send().await.unwrap().status(), 201);
    let script = "env | grep '^WARDEN_' | grep -v '^WARDEN_URL=' | LC_ALL=C sort > env; cat > payload";
    let mut recover = scene.recover(&daemon.url(""), "", script);
    recover.env("WARDEN_LABEL_OF_SOMETHING_ELSE", "old");
    super::run(recover).await.done();
    let lines = scene.lines("env");
    let (lease, rest): (Vec<String>, _) =
        lines.into_iter().partition(|line| line.starts_with("WARDEN_LEASE="));
    assert!(lease[0].starts_with("WARDEN_LEASE=lse_"), "{lease:?}");
    let expected = [
        "WARDEN_ATTEMPT=1",
        "WARDEN_CONTENT_ENCODING=br, gzip",
        "WARDEN_CONTENT_TYPE=text/plain; charset=utf-8",
        "WARDEN_ITEM_FILE=uploads@a__@c7a62da568caa14b7eaeab4024056d16",
        "WARDEN_ITEM_ID=a/ä",
        r#"WARDEN_LABELS={"region":"eu west","x-y":"\"2\"","x.y":"1"}"#,
        "WARDEN_LABEL_REGION=eu west",
        "WARDEN_LABEL_X_Y=1",
        "WARDEN_STEP=copy",
        "WARDEN_WORKFLOW=uploads",
    ];
    assert_eq!(rest, expected);
    assert_eq!(std::fs::read(scene.path("payload")).unwrap(), b"payload", "nobody decodes it");
}

#[tokio::test]
async fn an_exit_code_says_done_later_or_failed_and_the_item_shows_what_was_said() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["done", "later", "failed", "killed", "silent"]).await;
    let script = "case $WARDEN_ITEM_ID in \
        done) echo fine >&2;; \
        later) echo busy >&2; exit 75;; \
        failed) echo trying >&2; printf 'no \\033[1mhost\\377\\n' >&2; exit 3;; \
        killed) kill -9 $$;; \
        silent) exit 1;; esac";
    let said = scene.recovered(&daemon, "", script).await.failed(1);
    let lines: Vec<&str> = said.lines().collect();
    for line in [
        "uploads/later to be retried: exit 75: busy",
        "uploads/failed failed: exit 3: no \u{fffd}[1mhost\u{fffd}",
        "uploads/killed failed: signal 9: stderr was empty",
        "uploads/silent failed: exit 1: stderr was empty",
        "warden: not done: 4 of 5 items",
    ] {
        assert!(lines.contains(&line), "{line}: {said}");
    }
    assert!(said.contains("done 1, failed 3, to be retried 1, lost 0, skipped 0, in "), "{said}");
    for (id, state, error) in [
        ("done", "closed", None),
        ("later", "overdue", Some(("exit 75", "busy", true))),
        ("failed", "failed", Some(("exit 3", "trying\nno \u{fffd}[1mhost\u{fffd}", false))),
        ("killed", "failed", Some(("signal 9", "stderr was empty", false))),
        ("silent", "failed", Some(("exit 1", "stderr was empty", false))),
    ] {
        let item = item(&daemon, id).await;
        assert_eq!((&item["state"], &item["lease"]), (&json!(state), &Value::Null), "{item}");
        let errors = item["errors"].as_array().unwrap();
        let told = errors.first().map(|error| {
            let text = |name: &str| error[name].as_str().unwrap();
            (text("type"), text("message"), error["retryable"].as_bool().unwrap())
        });
        assert_eq!(told, error, "{item}");
    }
    assert!(!item(&daemon, "later").await["retry_at"].is_null());
}

#[tokio::test]
async fn what_a_command_writes_to_stdout_is_handed_through_and_a_json_summary_stands_alone() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a", "b"]).await;
    let said = scene.recovered(&daemon, "--max 1", "cat; echo; echo aside >&2").await;
    assert_eq!(said.done(), "a\n");
    let said = scene.recovered(&daemon, "--output json", "echo $WARDEN_ITEM_ID; echo no >&2; exit 2").await;
    assert_eq!(said.code, 1);
    assert!(said.notes.contains("b\n"), "what it wrote is on stderr: {}", said.notes);
    let mut summary: Value = serde_json::from_str(&said.out).unwrap();
    let seconds = summary["seconds"].take().as_f64().unwrap();
    assert!(seconds > 0.0 && seconds < 30.0, "{seconds}");
    let not_done = json!([{"workflow": "uploads", "id": "b", "ending": "failed", "reason": "exit 2: no"}]);
    let expected = json!({"done": 0, "failed": 1, "to_be_retried": 0, "lost": 0, "skipped": 0,
        "interrupted": false, "seconds": null, "not_done": not_done});
    assert_eq!(summary, expected);
}

#[tokio::test]
async fn a_done_item_goes_to_its_next_step_is_closed_or_stays_as_the_flag_says() {
    let steps = "[workflows.uploads]\nsteps = [\"copy\", \"backup\"]";
    let (daemon, scene) = (TestDaemon::builder().config(steps).start().await, Scene::new());
    for (flag, state, step) in
        [("complete", "overdue", "backup"), ("close", "closed", "copy"), ("keep", "overdue", "copy")]
    {
        daemon.create("uploads", flag, "?deadline=0s", "payload").await;
        let flags = format!("--step copy --on-success {flag}");
        let said = scene.recovered(&daemon, &flags, "echo $WARDEN_ITEM_ID").await;
        assert_eq!(said.done(), format!("{flag}\n"));
        let known = item(&daemon, flag).await;
        let (found, at, lease) = (&known["state"], &known["step"], &known["lease"]);
        assert_eq!((found, at, lease), (&json!(state), &json!(step), &Value::Null), "{known}");
        daemon.close("uploads", flag).await;
    }
}

#[tokio::test]
async fn a_command_that_closes_its_item_itself_is_done() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a"]).await;
    let script = format!("{} close uploads $WARDEN_ITEM_ID", env!("CARGO_BIN_EXE_warden"));
    let said = scene.recovered(&daemon, "", &script).await;
    assert!(said.notes.starts_with("done 1, "), "{}", said.notes);
    said.done();
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_all_that_it_started_and_its_item_is_tried_again_later()
{
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a"]).await;
    let script = "echo starting >&2; sleep 60 & echo $! > started; wait";
    let said = scene.recovered(&daemon, "--timeout 500ms", script).await.failed(1);
    assert!(said.contains("uploads/a to be retried: timeout: starting\n"), "{said}");
    let item = item(&daemon, "a").await;
    let error = &item["errors"][0];
    assert_eq!((&error["type"], &error["retryable"]), (&json!("timeout"), &json!(true)), "{item}");
    assert_eq!(error["message"], "killed after 500ms\nstarting");
    assert!(!super::runs(&scene.lines("started")[0]));
}

#[tokio::test]
async fn a_command_that_is_not_there_claims_nothing() {
    let daemon = TestDaemon::start().await;
    lose(&daemon, &["a"]).await;
    let before = item(&daemon, "a").await["version"].clone();
    for program in ["/no/such/program", "no-such-program"] {
        let said = super::run(super::command(&daemon.url(""), &["recover", "--", program])).await.failed(64);
        assert!(said.starts_with(&format!("warden: there is no command {program}: ")), "{said}");
    }
    let said = super::run(super::command(&daemon.url(""), &["recover", "--", "/dev/null"])).await.failed(77);
    assert_eq!(said, "warden: cannot run /dev/null: it is not an executable file\n");
    assert_eq!(item(&daemon, "a").await["version"], before);
}

#[tokio::test]
async fn a_command_that_cannot_start_stops_everything_and_harms_nothing() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a", "b", "c"]).await;
    let program = scene.path("program");
    std::fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = program.to_str().unwrap();
    let words = ["recover", "--concurrency", "2", "--", program];
    let said = super::run(super::command(&daemon.url(""), &words)).await.failed(64);
    assert!(said.contains(&format!("cannot run {program}: No such file")), "{said}");
    assert!(said.contains("skipped 2, in "), "no more were claimed than could begin: {said}");
    for id in ["a", "b", "c"] {
        let item = item(&daemon, id).await;
        assert_eq!(
            (&item["state"], &item["lease"], &item["errors"]),
            (&json!("overdue"), &Value::Null, &json!([]))
        );
    }
    scene.recovered(&daemon, "", "exit 0").await.done();
    assert_eq!(in_state(&daemon, "closed").await, ["a", "b", "c"]);
}
