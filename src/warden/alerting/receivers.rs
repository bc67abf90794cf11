//! Receivers and what goes to them, as people look after it.

use super::Alerting;
use crate::model::{Attempt, Delivery, DeliveryId};
use crate::notifier::{Receiver, ReceiverStatus, UnknownReceiver};
use crate::store::{DeliveryPage, ListDeliveries};
use crate::warden::WardenError;

impl Alerting {
    /// How all receivers are doing, by name: those of the configuration, and any other that was to be told something.
    pub fn receiver_statuses(&self) -> Vec<ReceiverStatus> {
        self.notifier.statuses()
    }

    /// A receiver as the configuration describes it.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.get(name)
    }

    /// Sends a receiver a notification that says that it is a test, and waits for what comes of it.
    ///
    /// # Errors
    /// When the configuration names no such receiver. A test that fails is no error.
    pub async fn test_receiver(&self, name: &str) -> Result<Attempt, WardenError> {
        let url = format!("{}/v1/receivers", self.external_url);
        self.notifier.test(name, url).await.map_err(|UnknownReceiver| not_found(name))
    }

    /// Lets everything that waits for a receiver go at once, whatever kept it back.
    ///
    /// # Errors
    /// When the configuration names no such receiver.
    pub fn resume_receiver(&self, name: &str) -> Result<(), WardenError> {
        self.notifier.resume(name).map_err(|UnknownReceiver| not_found(name))
    }

    /// A delivery. It is looked for among all.
    ///
    /// # Errors
    /// When there is none, or the store cannot read.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Delivery, WardenError> {
        self.store.delivery(id).await?.ok_or(WardenError::DeliveryNotFound)
    }

    /// A page of the deliveries of all incidents, the newest first.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn list_deliveries(&self, question: ListDeliveries) -> Result<DeliveryPage, WardenError> {
        Ok(self.store.list_deliveries(question).await?)
    }

    /// Has a delivery sent again that was delivered or given up: under the same id, and for another day.
    ///
    /// # Errors
    /// When there is none, it is pending, its incident is over and it does not say so, or the store cannot note it.
    pub async fn resend(&self, id: DeliveryId) -> Result<Delivery, WardenError> {
        Ok(self.notifier.resend(id, self.clock.now()).await?)
    }
}

fn not_found(name: &str) -> WardenError {
    WardenError::ReceiverNotFound(name.to_owned())
}
