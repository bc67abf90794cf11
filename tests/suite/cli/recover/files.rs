//! File names from item ids: an id cannot choose a path.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::Scene;
use crate::support::TestDaemon;

#[tokio::test]
async fn the_file_of_an_item_is_in_the_directory_whatever_its_id_and_is_its_own() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let long = "x".repeat(256);
    let ids = [
        "../x",
        "/etc/warden",
        ".hidden",
        "-rf",
        "a b",
        "a",
        "A",
        "a.",
        "$(touch y)",
        "é",
        "e\u{301}",
        &long,
    ];
    let line = |id: &str| {
        json!({"op": "create", "workflow": "uploads", "id": id, "payload": id, "deadline": "0s"}).to_string()
    };
    let mut lines: Vec<String> = ids.map(line).into();
    lines.push(
        json!({"op": "create", "workflow": "Uploads", "id": "a", "payload": "other", "deadline": "0s"})
            .to_string(),
    );
    daemon.send(Method::POST, "/v1/batch", lines.join("\n")).await.lines(200);
    std::fs::create_dir(scene.path("recovered")).unwrap();
    scene.recovered(&daemon, "", "cat > \"recovered/$WARDEN_ITEM_FILE\"").await.done();
    let names = std::fs::read_dir(scene.path("recovered")).unwrap();
    let names: Vec<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let read = |name: &String| std::fs::read_to_string(scene.path("recovered").join(name)).unwrap();
    let found: BTreeSet<String> = names.iter().map(read).collect();
    let expected: BTreeSet<String> = ids.iter().copied().chain(["other"]).map(str::to_owned).collect();
    assert_eq!(found, expected);
    let folded: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded.len(), ids.len() + 1, "{names:?}");
    assert_eq!(scene.lines("recovered/uploads@a"), ["a"], "an ordinary id stays readable");
    let beside: Vec<_> =
        std::fs::read_dir(scene.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["recovered"]);
}

#[tokio::test]
async fn in_a_batch_the_name_stands_in_the_item_s_line() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    daemon.create("uploads", "..%2Fx", "?deadline=0s", "payload").await;
    scene.recovered(&daemon, "--exec-batch 5", "cat > lines").await.done();
    let line: serde_json::Value = serde_json::from_str(&scene.lines("lines")[0]).unwrap();
    let file = line["file"].as_str().unwrap();
    assert!(file.starts_with("uploads@.._x@") && !file.contains('/'), "{file}");
}
