//! What is done with leases.

/// What is done with a lease in the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Settlement {
    /// The step is done, or the whole item.
    Complete {
        /// Whether the item is done altogether, whatever steps are left.
        close: bool,
    },
    /// It went wrong.
    Fail {
        /// The sort of error.
        kind: String,
        /// What happened.
        message: String,
        /// Whether it may be tried again without anybody's doing.
        retryable: bool,
    },
    /// It is given back as if nobody had claimed it.
    Release,
}
