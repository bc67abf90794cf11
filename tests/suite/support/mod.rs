//! What the tests stand on: daemons in this process with a clock that is moved by hand, daemons as processes of their
//! own, and receivers that are real HTTP servers. Ports are chosen by the system; nothing sleeps.

pub mod answer;
pub mod daemon;
pub mod interference;
pub mod process;
pub mod proxy;
pub mod receiver;
mod schema;
pub mod wire;

pub use answer::{Answer, ask};
pub use daemon::TestDaemon;
pub use process::DaemonProcess;
pub use proxy::{Fate, Proxy};
pub use receiver::TestReceiver;
pub use wire::Wire;

use std::future::Future;
use std::time::Duration;

/// How long anything that must happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that must happen, and fails by name when it does not.
pub async fn within_patience<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}

/// Asks again until the answer is there. For what a process does on its own account and tells nobody about.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    within_patience(what, async {
        loop {
            if let Some(value) = ask().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// A client for tests: no proxies, no redirects.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .tls_certs_only([])
        .build()
        .expect("a plain client can be built")
}
