//! A shell command as the handler of a step.
//!
//! It runs in the same way as that of `recover`: payload on stdin, the item in variables, its end judged by
//! the same rules. What is new are exit codes for a step that is skipped, interrupted or ignored, and
//! progress in files. When its lease is lost, the handler is dropped, which kills the command.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use warden_api::Item;
use warden_client::worker::{Done, Job, Outcome, StepError, interrupt, skip};
use warden_client::{CancellationToken, Client};

use super::progress_files::ProgressFiles;
use crate::cli::commands::worker::environment::{
    SHARED_PROGRESS_FILE, closed_variables, daemon_variable, variables,
};
use crate::cli::commands::worker::events::EventSender;
use crate::cli::commands::worker::process::{CommandLine, Output, Process, StopLevel, raise, reached};
use crate::cli::commands::worker::stdout::StdoutHandler;
use crate::cli::commands::worker::tail::last_line;
use crate::cli::commands::worker::verdict::{End, Verdict};
use crate::cli::terminal::table::escaped;

/// Exit codes beside those that [`Verdict`] knows. From 64 to 78 there is none: those mean the same in every
/// program, also in this one.
const SKIP: i32 = 100;
const INTERRUPT: i32 = 101;
const IGNORE: i32 = 102;

/// How long an item is left when its command could not be started, or was stopped by others. Without a pause
/// it would be claimed again at once, and again.
const NOT_STARTED: Duration = Duration::from_secs(10);

/// What all commands of a worker have in common.
pub struct Surroundings {
    pub client: Client,
    /// The longest run; `None` is unlimited.
    pub timeout: Option<Duration>,
    /// How often changed progress is saved.
    pub save_interval: Duration,
    pub output: Output,
    pub events: EventSender,
    pub stop: watch::Receiver<StopLevel>,
}

/// The command in a shell.
pub fn shell(command: &str) -> CommandLine {
    CommandLine { program: "sh".into(), arguments: vec!["-c".into(), command.into()] }
}

/// Runs the command for a step.
pub async fn run_step(
    line: Arc<CommandLine>,
    around: Arc<Surroundings>,
    job: Job,
) -> Result<Outcome, StepError> {
    let payload = job.payload().await?;
    let mut files = ProgressFiles::write(&job).await?;
    let mut environment = variables(job.lease());
    environment.extend(files.variables());
    environment.push(daemon_variable(&around.client));
    let process = Process::start(&line, &environment, around.output)
        .map_err(|error| untried("its command cannot be started", &error))?;
    let (stop, stopping) = watch::channel(StopLevel::Run);
    let mut stdout = StdoutHandler::new(false, around.events.clone());
    let mut running = std::pin::pin!(process.run(payload, stopping, &mut stdout));
    let mut timer = std::pin::pin!(async {
        match around.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    });
    let mut orders = around.stop.clone();
    let (mut end, mut heard) = (None, StopLevel::Drain);
    let over = CancellationToken::new();
    let watching = async {
        let _over = over.clone().drop_guard();
        loop {
            tokio::select! {
                ended = &mut running => break ended,
                () = &mut timer, if end.is_none() => {
                    end = around.timeout.map(End::TimedOut);
                    raise(&stop, StopLevel::Terminate);
                }
                order = reached(&mut orders, stronger(heard)), if heard < StopLevel::Kill => {
                    end.get_or_insert(End::Interrupted);
                    raise(&stop, order);
                    heard = order;
                }
            }
        }
    };
    // Side by side: a save that waits for the daemon holds up neither the command nor its end by a signal.
    let (ended, ()) = tokio::join!(watching, files.keep_saving(&job, around.save_interval, &over));
    let (status, said) = ended.map_err(|error| untried("its command cannot be watched", &error))?;
    let (end, said) = (end.unwrap_or(End::Exited(status)), said.text());
    // A command that stops itself with progress yields, and others go on at once. One without would be run
    // again and again.
    let stops_itself = end != End::Interrupted && matches!(Verdict::of(&end, &said), Verdict::Untried(_));
    let yields = stops_itself && !around.output.has_no_reader() && files.have_gone_on(&job).await;
    let result = judge(&end, &said, around.output, yields);
    match files.finish(&job).await {
        // A command that failed may have been writing it.
        Err(error) if result.is_ok() => Err(error),
        _ => result,
    }
}

/// An error of this machine, such as a full disk: it says nothing of the item, which is tried again later.
pub fn untried(what: &str, error: &io::Error) -> StepError {
    StepError::released(format!("{what}: {error}")).after(NOT_STARTED)
}

/// The next higher level that ends the command.
fn stronger(order: StopLevel) -> StopLevel {
    if order < StopLevel::Terminate { StopLevel::Terminate } else { StopLevel::Kill }
}

/// What the end of the command means for its item.
fn judge(end: &End, said: &str, output: Output, yields: bool) -> Result<Outcome, StepError> {
    let message = || last_line(said).unwrap_or_default();
    match code(end) {
        Some(SKIP) => return Ok(skip(message())),
        Some(INTERRUPT) => return Ok(interrupt(message())),
        Some(code @ IGNORE) => {
            let said = if said.is_empty() { "stderr was empty" } else { said };
            return Err(StepError::ignorable(said).kind(format!("exit {code}")));
        }
        _ => {}
    }
    match Verdict::of(end, said) {
        Verdict::Done => Ok(Done),
        // Some programs fail on a closed stdout instead of being ended by SIGPIPE.
        Verdict::Failed { .. } if output.has_no_reader() => {
            Err(StepError::released("stdout was closed").after(NOT_STARTED))
        }
        Verdict::Failed { kind, message, retryable: true } => Err(StepError::retryable(message).kind(kind)),
        Verdict::Failed { kind, message, retryable: false } => Err(StepError::fatal(message).kind(kind)),
        // When the worker ends, others may go on at once as well.
        Verdict::Untried(reason) if yields || *end == End::Interrupted => Err(StepError::released(reason)),
        Verdict::Untried(reason) | Verdict::Lost(reason) => {
            Err(StepError::released(reason).after(NOT_STARTED))
        }
    }
}

fn code(end: &End) -> Option<i32> {
    match end {
        End::Exited(status) => ExitStatus::code(status),
        _ => None,
    }
}

/// Runs the command for an item that is closed; what goes wrong is only told.
pub async fn run_closed(line: Arc<CommandLine>, around: Arc<Surroundings>, item: Item) {
    let told = match closed(&line, &around, &item).await {
        Ok(Verdict::Done) => return,
        Ok(verdict) => verdict.reason(),
        Err(error) => error.to_string(),
    };
    let told = format!("{}/{} is closed, but its --on-close command failed: {told}", item.workflow, item.id);
    around.events.message(escaped(&told));
}

async fn closed(line: &CommandLine, around: &Surroundings, item: &Item) -> io::Result<Verdict> {
    let directory = tempfile::Builder::new().prefix("warden-").tempdir()?;
    let progress = directory.path().join("shared.json");
    tokio::fs::write(&progress, serde_json::to_vec(&item.progress)?).await?;
    let mut environment = closed_variables(item);
    environment.push((SHARED_PROGRESS_FILE.to_owned(), progress.display().to_string()));
    environment.push(daemon_variable(&around.client));
    let process = Process::start(line, &environment, around.output)?;
    let mut stdout = StdoutHandler::new(false, around.events.clone());
    let (status, said) = process.run(Default::default(), around.stop.clone(), &mut stdout).await?;
    Ok(Verdict::of(&End::Exited(status), &said.text()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn judged(code: i32, said: &str) -> String {
        let end = End::Exited(ExitStatus::from_raw(code << 8));
        match judge(&end, said, Output::Lines, false) {
            Ok(outcome) => format!("{outcome:?}"),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn an_exit_code_says_what_becomes_of_the_step() {
        assert_eq!(judged(0, "no"), format!("{Done:?}"));
        assert_eq!(judged(100, "trying\nnothing there"), format!("{:?}", skip("nothing there")));
        assert_eq!(judged(101, ""), format!("{:?}", interrupt("")));
        for (code, reaction, kind) in [(75, "Retry", "exit 75"), (102, "Ignore", "exit 102")] {
            let told = judged(code, "no host");
            assert!(told.contains(reaction) && told.contains(kind) && told.contains("no host"), "{told}");
        }
        for code in (1..128).filter(|code| ![75, 100, 101, 102].contains(code)) {
            assert!(judged(code, "").contains("Fail"), "{code}");
        }
        for code in [129, 130, 141, 143] {
            assert!(judged(code, "").contains("Release"), "{code}");
        }
    }

    #[test]
    fn a_command_that_was_ended_says_nothing_by_its_exit_code() {
        let told = |end: End| format!("{:?}", judge(&end, "no", Output::Lines, false).unwrap_err());
        assert!(told(End::Interrupted).contains("Release"));
        assert!(told(End::TimedOut(Duration::from_secs(5))).contains("Retry"));
    }
}
