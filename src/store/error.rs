//! The errors of a store.

use std::sync::Arc;

#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue is full; nothing was written.
    #[error("too many changes are waiting for the disk")]
    Overloaded,
    /// The store is closing; nothing was written.
    #[error("the store is closing")]
    Closing,
    /// The engine failed, and the outcome is unknown. Nothing is acknowledged from now on.
    #[error("the store failed: {0}")]
    Fatal(Arc<str>),
}

/// Why a store cannot be opened. Its text has a remedy.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct OpenError {
    kind: OpenErrorKind,
    message: String,
}

/// What callers have to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenErrorKind {
    /// The system denies access.
    Denied,
    /// Reading or writing fails in another way.
    InputOutput,
    /// Another process has opened it. A retry may succeed.
    Locked,
    /// There is something else, or data of another version.
    Foreign,
    /// Data is damaged or missing.
    Damaged,
    /// There is less space than the settings need.
    TooSmall,
}

impl OpenError {
    /// The message consists of what is wrong and what to do about it.
    pub fn new(kind: OpenErrorKind, message: String) -> Self {
        Self { kind, message }
    }

    pub fn kind(&self) -> OpenErrorKind {
        self.kind
    }
}

/// What to do when data is damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDamage {
    /// Fail to open, and change nothing.
    #[default]
    Refuse,
    /// Serve what can be read, and log what cannot.
    Accept,
}
