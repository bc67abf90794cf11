use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn names(directory: &Path) -> BTreeSet<String> {
    entries(directory).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn whatever_fuzzing_has_kept_is_dealt_with_and_in_time() {
    let mut broken = Vec::new();
    for Target { name, demand } in TARGETS {
        let inputs = entries(&fuzz().join("corpus").join(name));
        assert!(inputs.len() > 3, "{name} has a corpus");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            #[expect(clippy::disallowed_methods, reason = "it is measured how long this machine takes")]
            let began = Instant::now();
            let met = catch_unwind(|| demand(&bytes)).is_ok();
            // Far more than any of them takes.
            if !met || began.elapsed() > Duration::from_secs(20) {
                broken.push(input);
            }
        }
    }
    assert!(broken.is_empty(), "see above for what became of {broken:#?}");
}

#[test]
fn every_target_has_a_program_and_a_corpus_and_no_other_has() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len(), "no name stands for two");
    assert_eq!(names(&fuzz().join("fuzz_targets")), targets);
    assert_eq!(names(&fuzz().join("corpus")), targets);
    let manifest: toml::Table = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap().parse().unwrap();
    let programs = manifest["bin"].as_array().unwrap();
    assert_eq!(
        programs.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(),
        targets
    );
}
