//! The configuration as a whole: text in, settings or problems out.

mod defaults;
mod directory;
mod events;
mod layers;
mod problems;
mod receivers;
mod warnings;

use super::*;

const FILE: &str = "warden.toml";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn file(text: &str) -> Sources {
    Sources { file: Some(ConfigFile::from_text(FILE, text)), ..Sources::default() }
}

fn environment(variables: &[(&str, &str)]) -> Sources {
    Sources { environment: variables.iter().copied().collect(), ..Sources::default() }
}

fn load(sources: Sources) -> Config {
    Config::load(sources).unwrap_or_else(|error| panic!("{error}"))
}

/// The problems, one on each line.
fn problems(sources: Sources) -> Vec<String> {
    match Config::load(sources) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

/// The only problem of a file.
fn problem(text: &str) -> String {
    let problems = problems(file(text));
    assert_eq!(problems.len(), 1, "{problems:#?}\n{text}");
    problems.into_iter().next().unwrap()
}
