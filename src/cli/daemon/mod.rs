//! Requests to a running daemon. Uses nothing of the command line but `terminal`.

pub mod client;
pub mod connection;
pub mod pages;
