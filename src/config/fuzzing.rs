//! Fuzz checks of the configuration. See [`crate::fuzzing`].

use std::str::from_utf8;
use std::sync::Arc;

use super::{Config, ConfigError, ConfigFile, Environment, Origin, Sources, definition_text};
use crate::model::WorkflowName;

const FILE: &str = "warden.toml";

/// A file, followed by variables with a NUL byte before each: each problem is one line with an origin, and
/// loading a valid configuration is deterministic.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let lines = file.split('\n').count();
    let environment: Environment = parts.filter_map(|part| part.split_once('=')).collect();
    let sources =
        Sources { file: Some(ConfigFile::from_text(FILE, file)), environment, ..Sources::default() };
    match Config::load(sources.clone()) {
        Ok(config) => {
            let again = Config::load(sources).expect("it could be read");
            assert_eq!(format!("{again:?}"), format!("{config:?}"));
            assert!(config.policies.configured.len() <= config.limits.workflows_max);
            let known = |name: &str| config.receivers.iter().any(|receiver| &*receiver.name == name);
            for policy in config.policies.configured.values().chain([&config.policies.default]) {
                assert!(policy.alerting.receivers.iter().all(|name| known(name)), "no alert goes nowhere");
            }
        }
        Err(error) => check_problems(&error, lines),
    }
}

/// The definition of a workflow in YAML: a problem is one line with a position in the text, the JSON of a
/// definition is read as the same one, and what a configuration does not accept is a problem of the client.
pub fn definitions(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    let lines = text.split('\n').count();
    let definition = match definition_text(FILE, text) {
        Ok(definition) => definition,
        Err(error) => return check_problems(&error, lines),
    };
    let json = serde_json::to_string(&definition).expect("it can be written");
    let again = definition_text(FILE, &json).expect("JSON is a part of YAML");
    assert_eq!(again, definition);
    let name = WorkflowName::new("uploads").expect("a name");
    let definitions = [(name, Arc::new(definition))].into();
    if let Err(error) = Config::load(Sources { definitions, ..Sources::default() }) {
        check_problems(&error, lines);
        assert!(error.problems().iter().all(|problem| problem.origin == Origin::Api));
    }
}

fn check_problems(error: &ConfigError, lines: usize) {
    assert!(!error.problems().is_empty());
    for problem in error.problems() {
        let shown = problem.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?} is one line");
        match &problem.origin {
            Origin::Defaults(_) => panic!("nobody can mend the defaults: {shown}"),
            // Another one is of a directory that the file names.
            Origin::File(name, Some(position)) if &**name == FILE => {
                assert!((1..=lines).contains(&position.line), "{shown}");
            }
            Origin::File(..) | Origin::Api | Origin::Variable(_) | Origin::CommandLine => {}
        }
    }
}
