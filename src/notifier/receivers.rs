//! The receivers in force.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use super::Receiver;

type ByName = HashMap<Arc<str>, Arc<Receiver>>;

/// Replaced as a whole when the configuration is reloaded.
#[derive(Debug)]
pub struct Receivers(RwLock<ByName>);

impl Receivers {
    pub fn new(receivers: &[Receiver]) -> Self {
        Self(RwLock::new(by_name(receivers)))
    }

    pub fn get(&self, name: &str) -> Option<Arc<Receiver>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Replaces all. Returns the names of those that have another URL, transport or headers, are new, or are
    /// gone.
    pub(super) fn replace(&self, receivers: &[Receiver]) -> Vec<Arc<str>> {
        let next = by_name(receivers);
        let mut in_force = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::replace(&mut *in_force, next.clone());
        drop(in_force);
        let stays = |name: &str| match (former.get(name), next.get(name)) {
            (Some(former), Some(next)) => former.is_called_like(next),
            _ => false,
        };
        let names: BTreeSet<&Arc<str>> = former.keys().chain(next.keys()).collect();
        names.into_iter().filter(|name| !stays(name)).cloned().collect()
    }
}

fn by_name(receivers: &[Receiver]) -> ByName {
    receivers.iter().map(|receiver| (receiver.name.clone(), Arc::new(receiver.clone()))).collect()
}
