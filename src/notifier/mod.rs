//! (being built)

pub mod backoff;
pub mod guard;
pub mod outbound;
pub mod signature;
