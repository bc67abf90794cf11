//! Process Warden: workflow assurance as a daemon.
//!
//! An application hands the warden a copy of each item before its pipeline starts, and deletes it when the
//! item is done. An item that is not deleted in time raises an alert, and its stored copy can be fetched to
//! resume the workflow.
//!
//! The layers, from the top down; a layer calls only those below it:
//!
//! | module | what it is for |
//! |---|---|
//! | [`cli`] | subcommands, requests to a daemon, the terminal; the only place that prints for people |
//! | [`app`] | open, bind, recover, run, drain |
//! | [`http`] | routes by resource; the only place that knows status codes |
//! | [`config`] | the settings: their layers and validation, resolved into the types of the layers below |
//! | [`warden`] | the services: decide, commit through the store, keep derived state |
//! | [`incident`] | grouping and notification policy; pure |
//! | [`notifier`] | drains the outbox: formats, order, retry, circuit breaker |
//! | [`outbound`] | the outgoing call: signing, rate, transport, address guard |
//! | [`timer`] | the wheel, a pure data structure |
//! | [`store`] | the traits of a store and its engines: sled and memory |
//! | [`model`] | items, workflows, incidents, ids, time; pure transitions that take `now` |
//!
//! For tests, and with the feature `fuzzing`, there is `fuzzing`: requirements for everything that decodes
//! bytes from outside.

pub mod app;
pub mod cli;
pub mod config;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod http;
pub mod incident;
pub mod model;
pub mod notifier;
pub mod outbound;
pub mod store;
pub mod timer;
pub mod warden;
