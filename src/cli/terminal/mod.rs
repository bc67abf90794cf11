//! Input from the terminal and output to it. Uses nothing else of the command line.

pub mod age;
pub mod console;
pub mod count;
pub mod exit;
pub mod progress;
pub mod signals;
pub mod sink;
pub mod table;

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people
    Table,
    /// A JSON document: what the daemon answers, where it answers with one
    Json,
}
