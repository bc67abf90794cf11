//! (being built)

pub mod backoff;
pub mod signature;
