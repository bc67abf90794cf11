//! Warnings: valid settings that are probably mistakes, mostly because nobody would be notified.

pub use warden_api::warning::WarningCode;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub code: WarningCode,
    /// Where, what, and how to fix it, in one line.
    pub message: String,
}
