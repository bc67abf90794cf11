//! Fuzz check of the configuration. See [`crate::fuzzing`].

use std::str::from_utf8;

use super::{Config, ConfigFile, Environment, Origin, Sources};

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
        Err(error) => {
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
    }
}
