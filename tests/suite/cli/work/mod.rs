//! `warden work`: the real binary runs real shell commands for the steps of a daemon's items.

mod endings;
mod losses;
mod progress;
mod steps;

use std::process::Command;

use serde_json::Value;

use super::recover::{Running, Scene};
use super::{Said, command, run};
use crate::support::TestDaemon;

/// An error of the last step that is ignored ends the item.
const ETL: &str = r#"
[workflows.etl]
steps = ["extract", "clean", { name = "load", on_ignorable = "end" }]
"#;

async fn etl() -> TestDaemon {
    TestDaemon::builder().config(ETL).start().await
}

/// `warden work` on this daemon with these flags and commands.
fn work(daemon: &TestDaemon, scene: &Scene, flags: &str, steps: &[(&str, &str)]) -> Command {
    let steps: Vec<String> = steps.iter().map(|(step, script)| format!("--step={step}={script}")).collect();
    let mut words = vec!["work", "--workflow", "etl"];
    words.extend(flags.split_whitespace());
    words.extend(steps.iter().map(String::as_str));
    let mut command = command(&daemon.url(""), &words);
    command.current_dir(scene.path(""));
    command
}

/// Works until nothing is left.
async fn worked(daemon: &TestDaemon, scene: &Scene, flags: &str, steps: &[(&str, &str)]) -> Said {
    run(work(daemon, scene, &format!("--until-empty {flags}"), steps)).await
}

fn start(daemon: &TestDaemon, scene: &Scene, flags: &str, steps: &[(&str, &str)]) -> Running {
    scene.spawn(work(daemon, scene, flags, steps))
}

async fn item(daemon: &TestDaemon, id: &str) -> Value {
    daemon.get(&format!("/v1/workflows/etl/items/{id}")).await
}
