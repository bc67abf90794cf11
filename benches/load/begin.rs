//! Startup and exit shared by the benches.

use std::process::ExitCode;

use super::failure::Failure;
use super::noop;
use super::settings::Settings;

/// Runs `measure` with the settings of the environment; a failure is printed. With the argument of the peer
/// that does nothing the program is that peer instead.
pub fn begin(measure: impl FnOnce(&Settings) -> Result<(), Failure>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some(noop::ARGUMENT) => noop::serve(),
        _ => settings(&arguments).and_then(|settings| measure(&settings)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nthe bench has failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// `cargo bench` passes `--bench`. Without it we run as one of the tests (`cargo test --all-targets`), with
/// whatever arguments the tests were given, and a smoke is all that is wanted.
fn settings(arguments: &[String]) -> Result<Settings, Failure> {
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Settings::from_environment(true);
    }
    match arguments.iter().find(|argument| *argument != "--bench") {
        Some(argument) => Err(Failure::Settings(format!(
            "unknown argument {argument:?}; choose what is measured with variables instead, see the head of \
             the bench"
        ))),
        None => Settings::from_environment(false),
    }
}
