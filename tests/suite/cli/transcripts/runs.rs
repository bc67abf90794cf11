//! Runs: open, close-run, fail-run, params, status, runs, windows, hold, release, wait.

use super::Transcript;
use crate::alerts::{HOUR, MINUTE};
use crate::support::TestDaemon;

const NIGHTLY: &str = "\
    [workflows.nightly]\n\
    single = \"refuse\"\n\
    hold_after = 2\n\
    [workflows.nightly.params]\n\
    env = \"prod\"\n\
    [workflows.nightly.jobs.orders]\n\
    initial_from = \"2025-12-31T00:00:00Z\"\n\
    reprocess = \"2h\"\n\
    params = { table = \"it's orders\" }\n\
    [workflows.nightly.jobs.stock]\n\
    [workflows.reports]\n\
    requires = [{ workflow = \"nightly\", within = \"1d\" }]\n\
    [workflows.mails]\n\
    requires = [{ workflow = \"nightly\", within = \"1d\", else = \"held\" }]\n";

#[tokio::test]
async fn a_run_is_opened_and_ended_by_the_name_of_its_workflow() {
    let daemon = TestDaemon::builder().config(NIGHTLY).start().await;
    let mut transcript = Transcript::new();
    transcript.file("order.json", "{\"orders\": 7}");
    for line in [
        "warden status nightly",
        "warden params nightly",
        "warden open nightly --id run-1 --label region:eu --source crm --target dwh --actor cron \
         --tool spark --process-type load --payload order.json --deadline 2h",
        "warden open nightly",
        "warden params nightly",
        "warden params nightly --format env",
        "eval \"$(warden params nightly --format env)\"; echo \"$WARDEN_JOB_ORDERS_TABLE since \
         $WARDEN_JOB_ORDERS_FROM\"",
        "warden params nightly --format infa --dates powercenter --run run-1",
        "warden params nightly --format yaml",
        "warden params nightly --run run-9",
        "warden close-run nightly --count read=10 --count written=9",
        "warden close-run nightly",
        "warden open nightly --id run-2 --format env",
        "warden fail-run nightly --message 'no such host' --type Unreachable --count read=3",
        "warden open nightly --id run-3 --output json --from 2025-12-01T00:00:00Z --to 2025-12-02T00:00:00Z",
        "warden close-run nightly --outcome discarded --output json",
        "warden close-run nightly --count read",
        "warden close-run nightly --count read=1 --count read=2",
        "warden open nightly --from 2025-12-01T00:00:00Z",
        "warden open nowhere",
        "warden close-run nowhere",
        "warden fail-run 'night ly'",
        "warden status nightly",
        "warden status nightly --output json",
        "warden runs nightly",
        "warden runs nightly --status failed,discarded",
        "warden runs nightly --source crm --actor cron --output json",
        "warden runs nightly --target nowhere",
        "warden runs nightly --limit 1",
        "warden runs nowhere",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("runs");
}

#[tokio::test]
async fn a_workflow_is_on_hold_until_it_is_released() {
    let daemon = TestDaemon::builder().config(NIGHTLY).start().await;
    let mut transcript = Transcript::new();
    for line in [
        "warden hold nightly --comment 'the disks are changed'",
        "warden open nightly --id run-1",
        "warden open nightly --id run-2",
        "warden params nightly",
        "warden status nightly",
        "warden runs nightly",
        "warden release nightly",
        "warden fail-run nightly",
        "warden open nightly --id run-3; warden fail-run nightly; \
         warden open nightly --id run-4 --format env",
        "warden status nightly",
        "warden release nightly --as success --output json",
        "warden release nightly --as failed",
        "warden hold nowhere",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("hold");
}

#[tokio::test]
async fn a_run_waits_for_those_that_its_workflow_requires() {
    let daemon = TestDaemon::builder().config(NIGHTLY).start().await;
    let mut transcript = Transcript::new();
    for line in [
        "warden open nightly --id run-1",
        "warden open reports",
        "warden open mails --id mail-1",
        "warden status mails",
        "warden close-run nightly",
        "warden runs mails",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("requirements");
}

#[tokio::test]
async fn windows_show_what_is_covered_and_what_is_not() {
    let daemon = TestDaemon::builder().config(NIGHTLY).start().await;
    let mut transcript = Transcript::new();
    transcript.enter(&daemon, "warden windows nightly").await;
    transcript.enter(&daemon, "warden open nightly > run; warden close-run nightly").await;
    daemon.advance(HOUR);
    let gap = "warden open nightly --from 2026-01-01T03:00:00Z --to 2026-01-01T04:00:00Z > run; \
               warden close-run nightly";
    transcript.aside("an hour later");
    for line in [
        gap,
        "warden windows nightly",
        "warden windows nightly --since 2026-01-01T00:00:00Z --output json",
        "warden windows nowhere",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("windows");
}

#[tokio::test]
async fn a_script_waits_for_the_success_of_today() {
    let daemon = TestDaemon::builder().config(NIGHTLY).start().await;
    let mut transcript = Transcript::new();
    for line in [
        "warden wait nightly --timeout 0s",
        "warden open nightly > run; warden close-run nightly",
        "warden wait nightly --since today --timezone Europe/Berlin --timeout 0s",
    ] {
        transcript.enter(&daemon, line).await;
    }
    daemon.advance(24 * HOUR + MINUTE);
    transcript.aside("a day later");
    for line in [
        "warden wait nightly --since today --timeout 0s",
        "warden wait nightly --since 2026-01-01T00:00:00Z --output json",
        "warden wait nightly --covers 2025-12-31T12:00:00Z",
        "warden open nightly > run; warden fail-run nightly",
        "warden wait nightly reports --fail-fast",
        "warden wait nightly --timeout 0s",
        "warden wait nightly nowhere --timeout 0s",
        "warden wait nightly --since yesterday",
        "warden wait nightly --timezone Berlin",
        "warden wait",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("wait");
}
