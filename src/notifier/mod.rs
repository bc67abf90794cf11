//! (being built)

pub mod signature;
