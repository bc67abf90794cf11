//! The subcommands. Each is a struct that clap fills in; `run` executes it.

mod archive;
pub mod args;
mod artifact;
mod cancel;
mod check;
mod close;
mod create;
mod data;
mod deliveries;
mod demo;
mod end_run;
mod error;
mod export;
mod extend;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hold;
mod import;
mod incident;
mod incident_actions;
mod incidents;
mod items;
mod list;
mod open;
mod params;
mod payload;
mod preview;
mod progress;
mod recover;
mod reload;
mod replay;
mod retry;
mod run;
mod run_flags;
mod runs;
#[cfg(test)]
mod sample;
mod selection;
mod serve;
mod show;
mod silence;
mod spool;
mod status;
mod test_receiver;
mod token;
mod wait;
mod windows;
mod work;
mod worker;
mod workflow;

use std::future::Future;

use clap::Subcommand;

use self::error::CliError;
use super::terminal::console::Console;

#[derive(Subcommand)]
pub enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Check(check::Check),
    Reload(reload::Reload),
    Data(data::Data),
    Token(token::Token),
    Create(create::Create),
    Items(items::Items),
    Show(show::Show),
    Payload(payload::Payload),
    Close(close::Close),
    Extend(extend::Extend),
    Cancel(cancel::Cancel),
    Work(work::Work),
    Progress(progress::Progress),
    Run(run::Run),
    Spool(spool::SpoolCommand),
    Open(open::Open),
    CloseRun(end_run::CloseRun),
    FailRun(end_run::FailRun),
    Params(params::Params),
    Status(status::Status),
    Runs(runs::Runs),
    Windows(windows::Windows),
    Wait(wait::Wait),
    Hold(hold::Hold),
    Release(hold::Release),
    Recover(recover::Recover),
    Retry(retry::Retry),
    Replay(replay::Replay),
    Export(export::Export),
    Import(import::Import),
    Deliveries(deliveries::Deliveries),
    Resend(deliveries::Resend),
    TestReceiver(test_receiver::TestReceiver),
    Incidents(incidents::Incidents),
    Incident(incident::Incident),
    Ack(incident_actions::Ack),
    Snooze(incident_actions::Snooze),
    Comment(incident_actions::Comment),
    Silence(silence::Silence),
    Workflow(workflow::Workflow),
    Artifact(artifact::Artifact),
}

impl Command {
    pub fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Demo(demo) => block_on(demo.run(console)),
            Self::Check(check) => block_on(check.run(console)),
            Self::Reload(reload) => block_on(reload.run(console)),
            Self::Data(data) => block_on(data.run(console)),
            Self::Token(token) => token.run(console),
            Self::Create(create) => block_on(create.run(console)),
            Self::Items(items) => block_on(items.run(console)),
            Self::Show(show) => block_on(show.run(console)),
            Self::Payload(payload) => block_on(payload.run(console)),
            Self::Close(close) => block_on(close.run(console)),
            Self::Extend(extend) => block_on(extend.run(console)),
            Self::Cancel(cancel) => block_on(cancel.run(console)),
            Self::Work(work) => block_on(work.run(console)),
            Self::Progress(progress) => block_on(progress.run(console)),
            Self::Run(run) => block_on(run.run(console)),
            Self::Spool(spool) => block_on(spool.run(console)),
            Self::Open(open) => block_on(open.run(console)),
            Self::CloseRun(close) => block_on(close.run(console)),
            Self::FailRun(fail) => block_on(fail.run(console)),
            Self::Params(params) => block_on(params.run(console)),
            Self::Status(status) => block_on(status.run(console)),
            Self::Runs(runs) => block_on(runs.run(console)),
            Self::Windows(windows) => block_on(windows.run(console)),
            Self::Wait(wait) => block_on(wait.run(console)),
            Self::Hold(hold) => block_on(hold.run(console)),
            Self::Release(release) => block_on(release.run(console)),
            Self::Recover(recover) => block_on(recover.run(console)),
            Self::Retry(retry) => block_on(retry.run(console)),
            Self::Replay(replay) => block_on(replay.run(console)),
            Self::Export(export) => block_on(export.run(console)),
            Self::Import(import) => block_on(import.run(console)),
            Self::Deliveries(deliveries) => block_on(deliveries.run(console)),
            Self::Resend(resend) => block_on(resend.run(console)),
            Self::TestReceiver(test) => block_on(test.run(console)),
            Self::Incidents(incidents) => block_on(incidents.run(console)),
            Self::Incident(incident) => block_on(incident.run(console)),
            Self::Ack(ack) => block_on(ack.run(console)),
            Self::Snooze(snooze) => block_on(snooze.run(console)),
            Self::Comment(comment) => block_on(comment.run(console)),
            Self::Workflow(workflow) => block_on(workflow.run(console)),
            Self::Silence(silence) => block_on(silence.run(console)),
            Self::Artifact(artifact) => block_on(artifact.run(console)),
        }
    }
}

/// Runs a command on a runtime of its own.
fn block_on(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Start(error.to_string()))?;
    let result = runtime.block_on(command);
    // A thread may be blocked reading stdin.
    runtime.shutdown_background();
    result
}
