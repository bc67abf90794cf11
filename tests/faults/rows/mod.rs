//! The rows of the matrix.

mod artifacts;
mod clocks;
mod connections;
mod damage;
mod descriptors;
mod failing_disk;
mod full_disk;
mod kills;
mod memory;
mod power_cuts;
mod receivers;
mod reloads;
mod unread;
mod volumes;

use futures_util::future::BoxFuture;

use super::gate::Passage;
use super::trial::{Skipped, Trial};

/// A row of the matrix.
pub struct Row {
    /// What it is called by.
    pub name: &'static str,
    /// What is done, in a few words.
    pub what: &'static str,
    /// Whether it can be tried beside others.
    pub company: Company,
    /// Tries it. It fails by a panic.
    pub attempt: fn(Trial) -> Attempt,
}

type Attempt = BoxFuture<'static, Result<(), Skipped>>;

/// What a row can be tried beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Nothing: it takes what the machine has, or its instants would be others.
    Alone,
    /// Others that mostly wait, too.
    Others,
}

const fn row(name: &'static str, what: &'static str, company: Company, attempt: fn(Trial) -> Attempt) -> Row {
    Row { name, what, company, attempt }
}

use Company::{Alone, Others};

/// All rows, in the order of the table.
pub const ALL: &[Row] = &[
    row("kill", "kill -9 under load", Alone, |trial| Box::pin(kills::under_load(trial))),
    row("kill-opening", "kill -9 before it is ready", Alone, |trial| Box::pin(kills::while_opening(trial))),
    row("stop", "SIGTERM under load", Alone, |trial| Box::pin(kills::told_to_stop(trial))),
    row("power", "power cut under load, payloads to 1 MiB", Alone, |trial| {
        Box::pin(power_cuts::under_load(trial))
    }),
    row("power-checkpoint", "power cut during checkpoints", Alone, |trial| {
        Box::pin(power_cuts::amid_checkpoints(trial))
    }),
    row("power-artifacts", "power cut amid changes of 200 artifacts each", Alone, |trial| {
        Box::pin(artifacts::changed_together(trial))
    }),
    row("kill-reload", "kill -9 while the configuration changes, under load", Alone, |trial| {
        Box::pin(reloads::under_load(trial))
    }),
    row("disk-full", "another process fills the disk", Alone, |trial| {
        Box::pin(full_disk::filled_by_others(trial))
    }),
    row("volumes", "items fill a volume", Alone, |trial| Box::pin(volumes::filled_by_items(trial))),
    row("disk-thin", "the disk has less space than it reports: EIO", Alone, |trial| {
        Box::pin(failing_disk::thin(trial))
    }),
    row("read-only", "the kernel remounts read-only", Alone, |trial| {
        Box::pin(failing_disk::read_only(trial))
    }),
    row("write-errors", "pwrite or writev fails with EIO, half written", Alone, |trial| {
        Box::pin(failing_disk::write_errors(trial))
    }),
    row("sync-errors", "fdatasync or sync_file_range fails with EIO", Alone, |trial| {
        Box::pin(failing_disk::sync_errors(trial))
    }),
    row("read-errors", "a bad sector during the start", Alone, |trial| {
        Box::pin(failing_disk::read_errors(trial))
    }),
    row("damage", "a byte is flipped, or a file truncated", Alone, |trial| Box::pin(damage::of_files(trial))),
    row("idle", "10,000 idle connections", Alone, |trial| Box::pin(connections::idle(trial))),
    row("descriptors", "more connections than file descriptors", Alone, |trial| {
        Box::pin(descriptors::exhausted(trial))
    }),
    row("memory", "less memory than the load needs", Alone, |trial| Box::pin(memory::limited(trial))),
    row("clock", "the wall clock jumps by hours, also over a restart", Others, |trial| {
        Box::pin(clocks::jumping(trial))
    }),
    row("clock-wrong", "the wall clock is wrong at the start and corrected later", Others, |trial| {
        Box::pin(clocks::wrong_at_the_start(trial))
    }),
    row("receiver-down", "the receiver does not listen", Others, |trial| {
        Box::pin(receivers::bad_day(trial, Passage::Down))
    }),
    row("receiver-slow", "the receiver accepts and never answers", Others, |trial| {
        Box::pin(receivers::bad_day(trial, Passage::Silent))
    }),
    row("receiver-resetting", "the receiver resets every connection", Others, |trial| {
        Box::pin(receivers::bad_day(trial, Passage::Resetting))
    }),
    row("slow-heads", "heads that arrive a byte at a time", Others, |trial| {
        Box::pin(connections::slow_heads(trial))
    }),
    row("slow-bodies", "bodies of 1 MiB that arrive slowly", Others, |trial| {
        Box::pin(connections::slow_bodies(trial))
    }),
    row("unread", "lists and exports that are not read, and a stop meanwhile", Alone, |trial| {
        Box::pin(unread::answers(trial))
    }),
];
