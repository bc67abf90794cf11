//! Where the work runs: on a thread of its own, beside its display.

use crate::cli::commands::error::CliError;

/// Runs the work on a runtime of its own and the display on this one: a stopped terminal must not stop the
/// heartbeats.
pub async fn beside<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
    shown: impl Future<Output = ()>,
) -> Result<T, CliError> {
    let failed = |error: &dyn std::error::Error| CliError::Start(error.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    let working = runtime.spawn(work);
    shown.await;
    let outcome = working.await;
    // All work is done; blocked threads are abandoned.
    runtime.shutdown_background();
    outcome.map_err(|error| failed(&error))
}
