//! (being built)

pub mod backoff;
pub mod guard;
pub mod signature;
