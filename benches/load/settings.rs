//! Settings of a bench from environment variables.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::failure::Failure;

/// See the table at the head of each bench for the variables.
pub struct Settings {
    /// Load in one round of a cell.
    pub round: Duration,
    pub rounds: usize,
    /// A cell's name must start with one of these; none: every cell.
    pub only: Vec<String>,
    pub directory: PathBuf,
    pub smoke: bool,
}

impl Settings {
    /// Reads the variables; `smoke` asks for a smoke whatever they say.
    pub fn from_environment(smoke: bool) -> Result<Self, Failure> {
        let smoke = smoke || variable::<u8>("BENCH_SMOKE")?.is_some_and(|value| value != 0);
        let seconds = variable("BENCH_SECONDS")?.unwrap_or(if smoke { 0.1 } else { 5.0 });
        let rounds = variable("BENCH_ROUNDS")?.unwrap_or(if smoke { 1 } else { 5 });
        if rounds == 0 {
            return Err(Failure::Settings("BENCH_ROUNDS is 0; at least one round is needed".into()));
        }
        let round = Duration::try_from_secs_f64(seconds / rounds as f64)
            .map_err(|error| Failure::Settings(format!("BENCH_SECONDS is {seconds}: {error}")))?;
        let only = text("BENCH_ONLY").unwrap_or_default();
        let only =
            only.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let directory =
            PathBuf::from(text("BENCH_DIR").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()));
        std::fs::create_dir_all(&directory).map_err(Failure::system("making BENCH_DIR"))?;
        Ok(Self { round, rounds, only, directory, smoke })
    }

    /// Whether a cell of this name is wanted.
    pub fn chooses(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.starts_with(word.as_str()))
    }
}

/// What a variable says. An empty one counts as one that is not set.
pub fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The same as a number.
pub fn variable<T: FromStr>(name: &str) -> Result<Option<T>, Failure> {
    let Some(value) = text(name) else { return Ok(None) };
    match value.parse() {
        Ok(parsed) => Ok(Some(parsed)),
        Err(_) => Err(Failure::Settings(format!("{name} is {value:?}, which is no number"))),
    }
}
