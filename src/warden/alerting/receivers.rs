//! Receivers and their deliveries, for operators.

use std::sync::Arc;

use super::Alerting;
use crate::model::{Attempt, Delivery, DeliveryId};
use crate::notifier::{Receiver, ReceiverStatus, UnknownReceiver};
use crate::store::{DeliveryPage, ListDeliveries};
use crate::warden::WardenError;

impl Alerting {
    /// The status of all receivers by name: the configured ones, and others that have deliveries.
    pub fn receiver_statuses(&self) -> Vec<ReceiverStatus> {
        self.notifier.statuses()
    }

    /// A configured receiver.
    pub fn receiver(&self, name: &str) -> Option<Arc<Receiver>> {
        self.notifier.receiver(name)
    }

    /// Sends a test notification and returns the attempt. Fails only when the receiver is not configured; an
    /// unsuccessful attempt is not an error.
    pub async fn test_receiver(&self, name: &str) -> Result<Attempt, WardenError> {
        let url = format!("{}/v1/receivers", self.external_url);
        self.notifier.test(name, url).await.map_err(|UnknownReceiver| not_found(name))
    }

    /// Ends the back-off of a receiver, so that all its pending deliveries are attempted at once.
    pub fn resume_receiver(&self, name: &str) -> Result<(), WardenError> {
        self.notifier.resume(name).map_err(|UnknownReceiver| not_found(name))
    }

    /// Costs a scan of all deliveries.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Delivery, WardenError> {
        self.store.delivery(id).await?.ok_or(WardenError::DeliveryNotFound)
    }

    /// The deliveries of all incidents, newest first.
    pub async fn list_deliveries(&self, question: ListDeliveries) -> Result<DeliveryPage, WardenError> {
        Ok(self.store.list_deliveries(question).await?)
    }

    /// Sends a delivered or dead delivery again, with the same id, for up to another day. Fails if it is
    /// pending, or reports an incident as open that is resolved or the other way round.
    pub async fn resend(&self, id: DeliveryId) -> Result<Delivery, WardenError> {
        Ok(self.notifier.resend(id, self.clock.now()).await?)
    }
}

fn not_found(name: &str) -> WardenError {
    WardenError::ReceiverNotFound(name.to_owned())
}
