//! Recovery: claiming items, working on them under a lease, and what people do to items that are stuck.

mod claims;
mod leases;
mod retries;
mod selections;

use std::sync::Arc;

use self::claims::Claims;
pub use self::claims::{ClaimItems, WAIT_MAX, place_after};
pub use self::leases::{CompleteStep, FailAttempt, LeaseCounts, TTL, TTL_DEFAULT};
pub use self::retries::RetryItems;
pub use self::selections::{Act, Acted, Continuation, SELECTION_MAX, Selection};
use super::Workflows;
use super::census::Census;
use super::context::Context;
use crate::model::{Clock, Random};
use crate::store::Store;

pub struct Recovery {
    store: Arc<dyn Store>,
    census: Arc<Census>,
    workflows: Arc<Workflows>,
    claims: Claims,
    counts: LeaseCounts,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Recovery {
    /// `waiting_max` is the most claims that may wait at a time.
    pub(super) fn new(context: &Context, waiting_max: usize) -> Self {
        let Context { store, workflows, census, clock, random } = context.clone();
        let (claims, counts) = (Claims::new(waiting_max), LeaseCounts::default());
        Self { store, census, workflows, claims, counts, clock, random }
    }
}
