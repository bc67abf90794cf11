//! The fault matrix: the real binary under faults, with the results in a table.
//!
//! `cargo test --test faults` runs every row and prints the table at the end, even if a row has failed. It
//! exits with an error if anything acknowledged was lost, or a row failed. `docs/faults.md` describes the
//! rows.
//!
//! | variable | meaning |
//! |---|---|
//! | `FAULTS` | `long`: many more rounds; a number: so many rounds of each row that has rounds |
//! | `FAULTS_ONLY` | only the rows whose name contains one of these, as in `kill,power` |
//! | `FAULTS_SEED` | a number: the row `damage` chooses the same kinds of damage at the same places again |
//! | `FAULTS_REQUIRED` | `1`: a row that cannot be tried here has failed, instead of being skipped |
//!
//! It accepts the arguments of an ordinary test program where they make sense, so that `cargo test NAME`
//! works. Deliberately absent: faults inside the daemon, which the suite covers.

#![allow(clippy::unwrap_used, reason = "in a test a panic is an answer")]

mod choice;
mod gate;
mod load;
mod mount;
mod rows;
mod scene;
mod shim;
mod support;
mod table;
mod trial;

use std::process::ExitCode;
use std::time::Duration;

use choice::{Choice, Extent, Wish};
use futures_util::future::join_all;
use rows::{Company, Row};
use table::Line;
use trial::{Ending, Trial};

fn main() -> ExitCode {
    let choice = match Choice::of_this_process() {
        Ok(choice) => choice,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let rows: Vec<&Row> = rows::ALL.iter().filter(|row| choice.takes(row.name)).collect();
    if choice.wish == Wish::List {
        rows.iter().for_each(|row| println!("{}: test", row.name));
        return ExitCode::SUCCESS;
    }
    if rows.is_empty() {
        println!("the fault matrix has no row of that name");
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let lines = runtime.block_on(try_all(&rows, &choice));
    // A row that was given up may have left a thread that waits for ever.
    runtime.shutdown_background();
    println!("\n{}", table::render(&lines));
    if lines.iter().all(Line::is_good) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tries first the rows that need the machine for themselves, one after the other, and then all others at
/// once.
async fn try_all(rows: &[&Row], choice: &Choice) -> Vec<Line> {
    raise_file_limit();
    let mut lines = Vec::new();
    for row in rows.iter().filter(|row| row.company == Company::Alone) {
        lines.push(attempt(row, choice).await);
    }
    let others = rows.iter().filter(|row| row.company == Company::Others);
    lines.extend(join_all(others.map(|row| attempt(row, choice))).await);
    // In the order in which the matrix has them.
    lines.sort_by_key(|line| rows.iter().position(|row| row.name == line.name));
    lines
}

async fn attempt(row: &Row, choice: &Choice) -> Line {
    let trial = Trial::new(choice.extent);
    let attempt = tokio::spawn((row.attempt)(trial.clone()));
    let abort = attempt.abort_handle();
    let patience = patience(choice.extent);
    let ending = match tokio::time::timeout(patience, attempt).await {
        Ok(Ok(Ok(()))) => Ending::Tried,
        Ok(Ok(Err(skipped))) if choice.required => Ending::Failed(format!("cannot be tried: {}", skipped.0)),
        Ok(Ok(Err(skipped))) => Ending::Skipped(skipped.0),
        Ok(Err(panic)) => Ending::Failed(message(panic)),
        Err(_) => {
            abort.abort();
            Ending::Failed(format!("not at its end after {patience:?}"))
        }
    };
    let line = Line::new(row, trial.account(), ending);
    println!("{}", line.brief());
    line
}

/// How long a row may take on a busy machine, all its rounds together.
fn patience(extent: Extent) -> Duration {
    const SHORT: Duration = Duration::from_secs(10 * 60);
    match extent {
        Extent::Short => SHORT,
        Extent::Long => 12 * SHORT,
        Extent::Rounds(rounds) => SHORT + SHORT / 10 * rounds,
    }
}

fn message(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "it was broken off".into() };
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("it panicked").to_owned(),
    }
}

/// Each end of a connection takes a file descriptor of its own process; this one needs as many as the
/// daemons.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, the rows that need more say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
