//! Items go through their steps.

use serde_json::{Value, json};

use super::{Scene, command, etl, item, run, work, worked};

const NOTE: &str = "echo $WARDEN_ITEM_ID $WARDEN_STEP >> log";

#[tokio::test]
async fn each_step_of_an_item_runs_once_and_in_order_with_its_payload() {
    let (daemon, scene) = (etl().await, Scene::new());
    for id in ["a", "b", "c", "d", "e"] {
        daemon.create("etl", id, "", format!("payload of {id}\n")).await;
    }
    let extract = format!("cat >> payloads; {NOTE}");
    let steps = [("extract", extract.as_str()), ("clean", NOTE), ("load", NOTE)];
    let on_close = "--on-close=echo${IFS}$WARDEN_ITEM_ID${IFS}$WARDEN_OUTCOME>>closed";
    let (_, notes) = worked(&daemon, &scene, &format!("--concurrency 4 {on_close}"), &steps).await.ended(0);
    assert!(notes.starts_with("steps: 15 done, in "), "{notes}");
    for id in ["a", "b", "c", "d", "e"] {
        let lines = scene.lines("log").into_iter().filter(|line| line.starts_with(id));
        let expected = ["extract", "clean", "load"].map(|step| format!("{id} {step}"));
        assert_eq!(lines.collect::<Vec<_>>(), expected);
        assert_eq!(item(&daemon, id).await["outcome"], "success");
    }
    assert_eq!(scene.sorted("payloads"), ["a", "b", "c", "d", "e"].map(|id| format!("payload of {id}")));
    assert_eq!(scene.sorted("closed"), ["a", "b", "c", "d", "e"].map(|id| format!("{id} success")));
}

#[tokio::test]
async fn a_step_without_a_command_is_left_or_skipped() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    worked(&daemon, &scene, "", &[("load", NOTE)]).await.done();
    assert_eq!((item(&daemon, "a").await["step"].as_str(), scene.lines("log").len()), (Some("extract"), 0));
    let (_, notes) = worked(&daemon, &scene, "--unknown skip", &[("load", NOTE)]).await.ended(0);
    assert!(
        notes.contains("etl/a at extract skipped: no worker has a handler for the step extract\n"),
        "{notes}"
    );
    assert!(notes.contains("steps: 1 done, 2 skipped, in "), "{notes}");
    assert_eq!(
        (item(&daemon, "a").await["state"].as_str(), scene.lines("log")),
        (Some("closed"), vec!["a load".to_owned()])
    );
}

#[tokio::test]
async fn only_so_many_runs_or_only_one_item() {
    let (daemon, scene) = (etl().await, Scene::new());
    for id in ["a", "b", "c"] {
        daemon.create("etl", id, "", "x").await;
    }
    let steps = [("extract", NOTE), ("clean", NOTE), ("load", NOTE)];
    run(work(&daemon, &scene, "--max 2", &steps)).await.done();
    assert_eq!(scene.lines("log").len(), 2);
    run(work(&daemon, &scene, "--item c", &steps)).await.done();
    assert_eq!(scene.lines("log")[2..], ["c extract", "c clean", "c load"]);
    let (_, notes) = run(work(&daemon, &scene, "--item c", &steps)).await.ended(0);
    assert!(notes.contains("Nothing to do: etl c is closed.\n"), "{notes}");
    run(work(&daemon, &scene, "--item gone", &steps)).await.ended(1);
}

#[tokio::test]
async fn a_dry_run_shows_what_there_is_and_runs_nothing() {
    let (daemon, scene) = (etl().await, Scene::new());
    for id in ["a", "b"] {
        daemon.create("etl", id, "", "x").await;
    }
    let out = run(work(&daemon, &scene, "--dry-run", &[("extract", NOTE)])).await.done();
    assert!(out.contains("items        2\n") && out.contains("by step      2 extract\n"), "{out}");
    let out = run(work(&daemon, &scene, "--dry-run --item a", &[])).await.done();
    assert_eq!(out, "etl a is open at extract\n");
    let said = run(work(&daemon, &scene, "--dry-run --item a --output json", &[])).await;
    assert_eq!(said.json()["id"], "a");
    assert_eq!((scene.lines("log").len(), &item(&daemon, "a").await["lease"]), (0, &json!(null)));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_claimed() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    for (steps, said) in [
        (&[][..], "name the steps to work on with --step STEP=COMMAND"),
        (&[("load", "true"), ("load", "false")], "the step load is given twice"),
        (&[("extract", "./gone.sh --fast")], "there is no command ./gone.sh"),
    ] {
        let notes = worked(&daemon, &scene, "", steps).await.failed(64);
        assert!(notes.contains(said), "{notes}");
    }
    let bad = command(&daemon.url(""), &["work", "--workflow", "etl", "--step", "load"]);
    assert!(run(bad).await.failed(64).contains("write the step, = and its command"));
    assert_eq!(item(&daemon, "a").await["step_attempts"], 0);
}

#[tokio::test]
async fn the_summary_can_be_read_by_programs() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    let said =
        worked(&daemon, &scene, "--output json", &[("extract", "echo noise"), ("clean", "exit 100")]).await;
    let summary = said.json();
    assert_eq!(
        (&summary["done"], &summary["skipped"], &summary["failed"]),
        (&json!(1), &json!(1), &json!(0))
    );
    let nothing = run(work(&daemon, &scene, "--item a --output json", &[("clean", "true")])).await;
    let (out, notes) = nothing.ended(1);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["done"], 0);
    assert!(notes.contains("Nothing to do: etl a is open at load.\n"), "{notes}");
}
