//! The life of the daemon: open, bind, recover, run, drain.
//!
//! [`Daemon`] is all of it with its surroundings injected, for tests and the demo. [`run`] is the daemon for
//! the service manager, with the real clock, network and signals.

mod addresses;
mod reload;
mod startup;
mod storage;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use self::addresses::look_up;
use self::addresses::look_up_for;
pub use self::reload::ReadConfig;
use self::reload::{Reloader, log_warnings};
pub use self::storage::check_data;
use crate::config::{Config, ConfigError, Destination};
use crate::http::{Listener, ListenerError, Server};
use crate::model::{Clock, Random, SystemClock, SystemRandom, Warning};
use crate::outbound::{HttpOutbound, Outbound};
use crate::store::{OnDamage, OpenError, Store, StoreError, engine};
use crate::warden::{Loops, Parts, Warden, WardenSettings, stored_definitions};

/// The interval of checking the health of the store.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// The open files that are not available for connections, or half of all if there are fewer than twice as
/// many.
const FILES_KEPT: u64 = 256;

/// Why the daemon could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Listen(#[from] ListenerError),
    /// A workflow that a client defined does not fit this configuration.
    #[error(
        "a workflow that a client defined does not fit the configuration: correct that, or define the \
         workflow in a file\n{0}"
    )]
    Definition(ConfigError),
    /// The client for outgoing calls could not be set up.
    #[error("outgoing calls cannot be set up: {0}")]
    Outbound(String),
    /// A commit exceeds `storage.stall_timeout`.
    #[error(
        "a commit has been under way for {0:?}, longer than storage.stall_timeout: the disk does not answer; \
         acknowledged writes are safe, others must be repeated"
    )]
    Stalled(Duration),
    /// A loop ended that must not.
    #[error("an internal loop ended unexpectedly; the log says why")]
    LoopEnded,
    /// A system call failed.
    #[error("a system call failed: {0}")]
    System(#[from] std::io::Error),
}

/// What a daemon depends on, for tests to replace.
pub struct Surroundings {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub outbound: Arc<dyn Outbound>,
    pub store: Arc<dyn Store>,
    /// Where the configuration is read anew.
    pub configuration: ReadConfig,
}

impl Surroundings {
    /// The real surroundings for this configuration, which is read anew by `configuration`.
    pub fn real(config: &Config, on_damage: OnDamage, configuration: ReadConfig) -> Result<Self, AppError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let outbound = HttpOutbound::new().map_err(|error| AppError::Outbound(error.to_string()))?;
        let store = engine::open(&storage::settings(config, on_damage), clock.clone())?;
        let (random, outbound) = (Arc::new(SystemRandom), Arc::new(outbound));
        Ok(Self { clock, random, outbound, store, configuration })
    }

    /// The parts of the domain service. Links in notifications use `address` unless the configuration has
    /// another URL.
    pub fn parts(self, config: &Config, address: SocketAddr) -> Parts {
        let Self { clock, random, outbound, store, .. } = self;
        let external_url = config.server.external_url.clone().unwrap_or_else(|| format!("http://{address}"));
        Parts {
            store,
            policies: config.policies.clone(),
            receivers: config.receivers.clone(),
            outbound,
            clock,
            random,
            settings: WardenSettings {
                payload_max: config.limits.payload_max,
                waiting_claims_max: config.limits.waiting_claims_max,
                external_url,
                heartbeat: config.heartbeat.clone(),
                replay: config.replay.clone(),
                redrives: config.redrives.clone(),
                artifacts: config.artifacts.clone(),
            },
        }
    }
}

/// A running daemon.
pub struct Daemon {
    address: SocketAddr,
    warden: Arc<Warden>,
    store: Arc<dyn Store>,
    server: Arc<Server>,
    serving: JoinHandle<()>,
    /// SIGHUP came since the last reload.
    signalled: Arc<Notify>,
    changing: AbortOnDropHandle<()>,
    loops: Loops,
    stop: CancellationToken,
    stall_timeout: Duration,
    /// Of the configuration, with the definitions of clients, at the start.
    warnings: Vec<Warning>,
    destinations: Vec<Destination>,
}

impl Daemon {
    /// Binds, recovers and serves. When it returns, requests are answered; earlier connections wait. It binds
    /// first, as links in notifications contain the address, and notifications may be due as soon as the
    /// store is recovered.
    pub async fn start(config: &Config, surroundings: Surroundings) -> Result<Self, AppError> {
        let (store, read) = (surroundings.store.clone(), surroundings.configuration.clone());
        let config = &with_stored(config, &*store).await?;
        let listener = Listener::bind(config.server.listen).await?;
        let address = listener.address();
        surroundings.outbound.listens_on(address);
        let (warden, loops) = Warden::start(surroundings.parts(config, address)).await?;
        let (changes, asked) = mpsc::channel(reload::WAITING_MAX);
        let signalled = Arc::new(Notify::new());
        let server = Server::new(warden.clone(), config, address, changes);
        let reloader = Reloader {
            read,
            running: config.clone(),
            in_force: config.clone(),
            warden: warden.clone(),
            server: server.clone(),
        };
        let changing = AbortOnDropHandle::new(tokio::spawn(reloader.run(asked, signalled.clone())));
        let stop = CancellationToken::new();
        let (router, limits, patience) =
            (server.router(), config.limits.clone(), config.server.shutdown_timeout);
        let until = stop.clone();
        let serving = tokio::spawn(async move { listener.serve(router, &limits, patience, until).await });
        let stall_timeout = config.storage.stall_timeout;
        let (warnings, destinations) = (config.warnings.clone(), config.destinations.clone());
        Ok(Self {
            address,
            warden,
            store,
            server,
            serving,
            signalled,
            changing,
            loops,
            stop,
            stall_timeout,
            warnings,
            destinations,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn warden(&self) -> &Arc<Warden> {
        &self.warden
    }

    /// Logs warnings. Names are resolved for that, which may take a while and does not block anything.
    fn warn(&self) -> impl Future<Output = ()> + use<> {
        log_warnings(&self.warnings);
        log_warnings(&self.warden.health.warnings());
        let (server, destinations) = (self.server.clone(), self.destinations.clone());
        async move { log_warnings(&look_up_for(&server, &destinations).await) }
    }

    /// Reads the configuration anew. The outcome is logged.
    fn reload(&self) {
        self.signalled.notify_one();
    }

    /// The error that stops the daemon, if there is one.
    pub fn failure(&self) -> Option<AppError> {
        let status = self.store.status();
        match status.fatal {
            Some(reason) => Some(AppError::Store(StoreError::Fatal(reason))),
            None if status.busy_for > self.stall_timeout => Some(AppError::Stalled(status.busy_for)),
            None => None,
        }
    }

    /// Completes with the error that stops the daemon. Until then `healthy` is called several times a second.
    pub async fn failed(&mut self, mut healthy: impl FnMut()) -> AppError {
        let mut check = tokio::time::interval(CHECK_EVERY);
        loop {
            tokio::select! {
                () = self.loops.ended() => return self.failure().unwrap_or(AppError::LoopEnded),
                _ = check.tick() => match self.failure() {
                    Some(failure) => return failure,
                    None => healthy(),
                },
            }
        }
    }

    /// Accepts no more requests, finishes and commits those in flight, and releases everything.
    pub async fn stop(self) {
        self.server.drain();
        self.stop.cancel();
        let _ = self.serving.await;
        drop(self.changing);
        self.loops.stop().await;
        let store = self.store;
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

/// Runs the daemon until SIGTERM, SIGINT or an error. SIGHUP reloads the configuration. After a failure of
/// the store it does not wait for its thread, which may hang: what was acknowledged is safe.
pub async fn run(mut config: Config, on_damage: OnDamage, read: ReadConfig) -> Result<(), AppError> {
    let files = raise_file_limit();
    config.limits.connections_max = connections_within(files, config.limits.connections_max);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut daemon = tokio::select! {
        started = open(&config, on_damage, read) => started?,
        // Nothing was accepted yet, and being killed while opening is safe.
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    // stdout may be closed; the log has the address too.
    let _ = writeln!(std::io::stdout(), "listening on http://{}", daemon.address())
        .and_then(|()| std::io::stdout().flush());
    for line in startup::lines(&config, &daemon) {
        tracing::info!("{line}");
    }
    notify_service_manager(&[sd_notify::NotifyState::Ready]);
    let _looking_up = AbortOnDropHandle::new(tokio::spawn(daemon.warn()));
    let watchdog = sd_notify::watchdog_enabled().is_some();
    let healthy = || {
        if watchdog {
            notify_service_manager(&[sd_notify::NotifyState::Watchdog]);
        }
    };
    loop {
        tokio::select! {
            failure = daemon.failed(healthy) => {
                // Dropping the store would wait for its thread, which may hang for ever.
                std::mem::forget(daemon);
                return Err(failure);
            }
            _ = terminate.recv() => break tracing::info!("terminated"),
            _ = interrupt.recv() => break tracing::info!("interrupted"),
            _ = hangup.recv() => daemon.reload(),
        }
    }
    notify_service_manager(&[sd_notify::NotifyState::Stopping]);
    let (store, patience) =
        (daemon.store.clone(), config.server.shutdown_timeout + config.storage.stall_timeout);
    if tokio::time::timeout(patience, daemon.stop()).await.is_err() {
        let busy_for = store.status().busy_for;
        // Dropping the store would wait for its thread, which may hang for ever.
        std::mem::forget(store);
        return Err(AppError::Stalled(busy_for));
    }
    if let Some(reason) = store.status().fatal {
        return Err(AppError::Store(StoreError::Fatal(reason)));
    }
    tracing::info!("stopped");
    Ok(())
}

/// The configuration with the workflows that clients defined.
async fn with_stored(config: &Config, store: &dyn Store) -> Result<Config, AppError> {
    let definitions = stored_definitions(store).await?;
    if definitions.is_empty() {
        return Ok(config.clone());
    }
    let merged = config.with_definitions(definitions).and_then(|merged| merged.within(config));
    Ok(merged.map_err(AppError::Definition)?.0)
}

async fn open(config: &Config, on_damage: OnDamage, read: ReadConfig) -> Result<Daemon, AppError> {
    let opening = config.clone();
    let surroundings = tokio::task::spawn_blocking(move || Surroundings::real(&opening, on_damage, read))
        .await
        .map_err(std::io::Error::other)??;
    Daemon::start(config, surroundings).await
}

fn notify_service_manager(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

/// Raises the soft limit of open files, which is 1024 on most systems and needed for each connection. Returns
/// the new limit, `None` if there is none.
fn raise_file_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::debug!(%error, "the limit of open files could not be raised");
    }
    getrlimit(Resource::Nofile).current
}

/// The number of connections for this limit of files, at most the configured one, so that files remain for
/// the store and for notifications.
fn connections_within(files: Option<u64>, configured: usize) -> usize {
    let Some(files) = files else { return configured };
    let kept = FILES_KEPT.min(files / 2);
    let most = usize::try_from(files - kept).unwrap_or(usize::MAX);
    if most < configured {
        tracing::warn!(
            "limits.connections_max is {configured}, but the system grants {files} open files: at most \
             {most} connections are served at once; raise the limit (ulimit -n, or LimitNOFILE of systemd) \
             or lower the setting"
        );
    }
    configured.min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_what_the_daemon_needs_besides() {
        for (files, configured, connections) in [
            (None, 16_384, 16_384),
            (Some(65_536), 16_384, 16_384),
            (Some(1024), 16_384, 768),
            (Some(256), 16_384, 128),
            (Some(1024), 100, 100),
        ] {
            assert_eq!(connections_within(files, configured), connections, "{files:?}, {configured}");
        }
    }
}
