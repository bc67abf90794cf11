//! Input from the terminal and output to it. Uses nothing else of the command line.

pub mod age;
pub mod console;
pub mod exit;
pub mod progress;
pub mod signals;
pub mod sink;
pub mod table;
