//! An HTTP client.

use super::PATIENCE;

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
