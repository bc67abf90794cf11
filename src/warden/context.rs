//! What all services work with.

use std::sync::Arc;

use super::Workflows;
use super::census::Census;
use crate::model::{Clock, Random};
use crate::store::Store;

/// Where services commit, what the store feeds for all of them, time and randomness. A constructor takes what
/// its service needs.
#[derive(Clone)]
pub struct Context {
    pub store: Arc<dyn Store>,
    pub workflows: Arc<Workflows>,
    pub census: Arc<Census>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}
