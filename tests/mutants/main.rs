//! Plants bugs in the daemon, one at a time, and checks that the simulation or the crashes of the store find
//! each.
//!
//! All of them are compiled once, into a copy of the sources, each behind a switch that is set at the start
//! of a run. A planted bug that no seed finds is a hole in the tests, and so is one that is found by an
//! unexpected check. A bug whose quoted lines are not in the sources is an error: update the quote.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `MUTANT_SEEDS` | how many seeds of the simulation each bug has to hide from | 2000 |
//! | `MUTANT_CRASHES` | how many seeds of the crashes | 6 |
//! | `MUTANTS` | only those whose names contain this | all |

mod planted;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use planted::{Planted, Proof};
use warden::model::{Clock as _, SystemClock};

const SEEDS: &str = "2000";
const CRASHES: &str = "6";
/// Without a bug, they only show that none is switched on: the simulation itself tries many more.
const SEEDS_WITHOUT_BUG: &str = "100";
/// How long one bug may take, in seconds: a bug may well keep a story from its end.
const PATIENCE: &str = "600";
/// What `timeout` exits with when that is over.
const OUT_OF_PATIENCE: i32 = 124;
/// How much is shown of what was found, in characters.
const FOUND_SHOWN: usize = 300;

/// What the copy has besides: it tells which bug is switched on.
const SWITCH: &str = "
/// Which planted bug is switched on.
pub mod planted {
    /// Whether it is this one.
    pub fn is(number: usize) -> bool {
        static SWITCHED_ON: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
        *SWITCHED_ON.get_or_init(|| std::env::var(\"MUTANT\").ok()?.parse().ok()) == Some(number)
    }
}
";

#[test]
fn every_planted_bug_is_found_and_none_where_there_is_none() {
    let copy = directory().join("mutants");
    copy_sources(&copy);
    for (number, (_, bug)) in planted::all().enumerate() {
        plant(&copy, number, bug);
    }
    let built = build(&copy);
    let clock = SystemClock::new();
    let only = std::env::var("MUTANTS").unwrap_or_default();
    for proof in [Proof::Simulation, Proof::Crashes] {
        let began = clock.now();
        assert_eq!(built.run(proof, None), None, "there is no bug, or one that was not planted");
        show(&format!("{proof:?} without a bug: {:.1} s", clock.now().since(began).as_secs_f32()));
    }
    let mut missed = Vec::new();
    for (number, (proof, Planted { name, caught_by, .. })) in planted::all().enumerate() {
        if !name.contains(&only) {
            continue;
        }
        let began = clock.now();
        let found = built.run(proof, Some(number));
        let took = clock.now().since(began).as_secs_f32();
        let wrong = match found {
            Some(found) if caught_by.iter().any(|words| found.contains(words)) => {
                let found: String = found.chars().take(FOUND_SHOWN).collect();
                show(&format!("found in {took:.1} s: {name}\n       {found}"));
                continue;
            }
            Some(found) => format!("{name}: not {caught_by:?}, but {found}"),
            None => format!("{name}: no seed found it"),
        };
        show(&format!("missed in {took:.1} s: {wrong}"));
        missed.push(wrong);
    }
    assert!(missed.is_empty(), "nothing looks for these planted bugs: {missed:#?}");
}

/// At once, while what a test prints is kept until its end.
fn show(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Where the copy is, and what the proofs leave.
fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Everything that cargo needs to build the simulation.
fn copy_sources(copy: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if copy.exists() {
        fs::remove_dir_all(copy).expect("the copy of before can be removed");
    }
    fs::create_dir_all(copy).expect("a directory");
    for name in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(root.join(name), copy.join(name)).expect("it can be copied");
    }
    for name in ["api", "clients", "src", "config", "tests", "benches"] {
        copy_directory(&root.join(name), &copy.join(name));
    }
    // Under other names, so that what is built of it takes no other build's place.
    for name in ["Cargo.toml", "Cargo.lock", "api/Cargo.toml", "clients/rust/Cargo.toml"] {
        let text = fs::read_to_string(copy.join(name)).expect("what was copied");
        let text = text.replace("name = \"process-warden\"", "name = \"process-warden-mutants\"");
        let text = text.replace("process-warden-api", "process-warden-mutants-api");
        let text = text.replace("process-warden-client", "process-warden-mutants-client");
        fs::write(copy.join(name), text).expect("it can be written");
    }
    let library = copy.join("src/lib.rs");
    let text = fs::read_to_string(&library).expect("the library's root") + SWITCH;
    fs::write(library, text).expect("it can be written");
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_directory(&from, &to);
        } else {
            fs::copy(&from, &to).expect("it can be copied");
        }
    }
}

/// Puts a bug in its place, behind its switch.
fn plant(copy: &Path, number: usize, bug: &Planted) {
    let Planted { name, file, original, planted, .. } = bug;
    let path = copy.join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {file}: {error}"));
    let places = text.matches(original).count();
    assert_eq!(places, 1, "{file} has {places} places for this bug, which must be planted anew: {name}");
    let planted = planted.replace("BUG", &format!("crate::planted::is({number})"));
    fs::write(&path, text.replacen(original, &planted, 1)).expect("it can be written");
}

/// The proofs of the copy, as programs.
struct Built {
    simulation: PathBuf,
    crashes: PathBuf,
}

/// Builds them. What the copy depends on is built already, for this very test.
fn build(copy: &Path) -> Built {
    let target = directory().parent().expect("the target directory");
    let output = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--test", "simulation", "--test", "crashes", "--no-run"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .expect("cargo runs");
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let executable = |name: &str| {
        let mut executables = messages.lines().filter_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let path = message["executable"].as_str()?.to_owned();
            (message["target"]["name"] == name).then_some(PathBuf::from(path))
        });
        executables.next_back().expect("cargo names what it has built")
    };
    Built { simulation: executable("simulation"), crashes: executable("crashes") }
}

impl Built {
    /// Runs a proof; gives what it found, if it found anything.
    fn run(&self, proof: Proof, mutant: Option<usize>) -> Option<String> {
        let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let mut command = Command::new("timeout");
        // No bug, no hurry: 0 is for ever.
        command.arg(if mutant.is_some() { PATIENCE } else { "0" });
        match proof {
            Proof::Simulation => {
                command.arg(&self.simulation);
                let seeds = match mutant {
                    Some(_) => setting("MUTANT_SEEDS", SEEDS),
                    None => SEEDS_WITHOUT_BUG.to_owned(),
                };
                command.arg("no_story_breaks_a_promise").env("SEEDS", seeds);
            }
            Proof::Crashes => {
                command.arg(&self.crashes);
                command.arg("whatever_a_crash_leaves_holds_what_was_acknowledged");
                // What a failed seed leaves is of no use here.
                command.env("CRASHES", setting("MUTANT_CRASHES", CRASHES)).env("CRASHES_KEEP", "0");
            }
        }
        command.arg("--exact");
        for name in ["SEED", "FIRST_SEED", "MUTANT"] {
            command.env_remove(name);
        }
        if let Some(mutant) = mutant {
            command.env("MUTANT", mutant.to_string());
        }
        let output = command.output().expect("the proof runs");
        if output.status.code() == Some(OUT_OF_PATIENCE) {
            return Some(format!("not at its end after {PATIENCE} s"));
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = said.lines().find(|line| line.starts_with("seed "));
        match (output.status.success(), found) {
            (true, _) => None,
            (false, Some(found)) => Some(found.to_owned()),
            (false, None) => panic!("the proof has failed:\n{said}"),
        }
    }
}
