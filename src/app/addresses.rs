//! Looking up what the addresses in the configuration lead to, before anybody has to be told.

use std::time::Duration;

use futures_util::future::join_all;

use crate::config::Destination;
use crate::model::Warning;
use crate::outbound::check_name;

/// How long a name may take. What is not known by then is not warned of.
const PATIENCE: Duration = Duration::from_secs(5);

/// The warnings of those that lead only to where no call is made.
pub async fn look_up(destinations: &[Destination]) -> Vec<Warning> {
    let judged = destinations.iter().map(async |destination| {
        let checking = check_name(destination.endpoint().url(), destination.networks());
        let refused = tokio::time::timeout(PATIENCE, checking).await.ok()?.err()?;
        Some(destination.refused(&refused))
    });
    join_all(judged).await.into_iter().flatten().collect()
}
