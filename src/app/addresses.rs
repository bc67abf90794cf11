//! Resolves the host names in the configuration, to warn of addresses that are refused.

use std::time::Duration;

use futures_util::future::join_all;

use crate::config::Destination;
use crate::http::Server;
use crate::model::Warning;
use crate::outbound::check_name;

/// The longest resolution. Names that take longer are not warned of.
const PATIENCE: Duration = Duration::from_secs(5);

/// Warnings of names with only refused addresses.
pub async fn look_up(destinations: &[Destination]) -> Vec<Warning> {
    let judged = destinations.iter().map(async |destination| {
        let checking = check_name(destination.endpoint().url(), destination.networks());
        let refused = tokio::time::timeout(PATIENCE, checking).await.ok()?.err()?;
        Some(destination.refused(&refused))
    });
    join_all(judged).await.into_iter().flatten().collect()
}

/// The same, which the server shows until the next look-up.
pub(super) async fn look_up_for(server: &Server, destinations: &[Destination]) -> Vec<Warning> {
    let begun = server.begin_look_up();
    let warnings = look_up(destinations).await;
    server.looked_up(begun, warnings.clone());
    warnings
}
