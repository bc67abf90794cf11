//! Requests to a running daemon, sent by [`warden_client`]. Uses nothing of the command line but `terminal`.

mod clock;
pub mod connection;
pub mod pages;
pub mod wording;
