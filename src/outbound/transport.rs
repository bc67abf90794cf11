//! How a receiver is reached: allowed addresses, trusted certificates, client certificate, proxy.
//!
//! Certificates and keys are read and checked once, when the configuration is loaded; a [`Transport`] holds
//! only usable ones. Neither a key nor the password of a proxy is ever shown.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::{Certificate, Client, Identity, Proxy, Url, redirect};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::endpoint::Endpoint;
use super::guard::{self, GuardedResolver, RefusedHost};
use super::own::OwnAddresses;

/// How long an idle connection is kept. Shorter than the idle timeout of receivers, 5 s for some: a request
/// that is sent while the receiver closes the connection fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Receivers with equal transports share connections, others never do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Transport {
    /// Whether the receiver may be at any address.
    pub allow_private: bool,
    /// Non-public networks that are allowed.
    pub allow_networks: Vec<IpNet>,
    /// The CA certificates that are trusted; `None` for those of the system.
    pub roots: Option<Roots>,
    /// The client certificate.
    pub identity: Option<ClientIdentity>,
    /// It resolves names itself, so `allow_private` is required with it.
    pub proxy: Option<Endpoint>,
}

/// Why certificates or keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    #[error("holds no certificate in the PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    #[error("holds a certificate that cannot be used: {0}")]
    Certificate(String),
    #[error("holds no private key in the PEM form (-----BEGIN PRIVATE KEY-----) without a password")]
    NoKey,
    /// Certificate and key do not belong together.
    #[error("cannot be used together with its key: {0}")]
    Identity(String),
}

/// CA certificates.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Roots(Arc<[u8]>);

impl Roots {
    /// Parses a PEM bundle.
    ///
    /// # Errors
    /// It has no certificate, or an invalid one.
    pub fn parse(pem: &[u8]) -> Result<Self, TransportError> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(pem)? {
            store.add(certificate).map_err(|error| TransportError::Certificate(error.to_string()))?;
        }
        Ok(Self(pem.into()))
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Roots(…)")
    }
}

/// A client certificate with its key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientIdentity(Arc<[u8]>);

impl ClientIdentity {
    /// Parses a certificate chain, that of the client first, and its private key, both in PEM.
    ///
    /// # Errors
    /// One of them is missing or invalid, or they do not belong together.
    pub fn parse(chain: &[u8], key: &[u8]) -> Result<Self, TransportError> {
        let certificates = certificates(chain)?;
        let private_key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TransportError::NoKey)?;
        let unusable = |error: &dyn fmt::Display| TransportError::Identity(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_root_certificates(RootCertStore::empty())
                    .with_client_auth_cert(certificates, private_key)
            })
            .map_err(|error| unusable(&error))?;
        let pem = [chain, b"\n", key].concat();
        Identity::from_pem(&pem).map_err(|error| unusable(&error))?;
        Ok(Self(pem.into()))
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientIdentity(…)")
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| TransportError::Certificate(error.to_string()))?;
    if found.is_empty() { Err(TransportError::NoCertificate) } else { Ok(found) }
}

impl Transport {
    /// Checks a URL whose host is an address; a name is checked when it is resolved.
    pub fn check(&self, url: &Url) -> Result<(), RefusedHost> {
        if self.allow_private { Ok(()) } else { guard::check_literal(url, &self.allow_networks) }
    }

    /// The URL that is connected to: the given one, or the proxy's.
    pub(super) fn connects_to<'a>(&'a self, url: &'a Url) -> &'a Url {
        self.proxy.as_ref().map_or(url, Endpoint::url)
    }

    /// A client for this transport. Without `system_roots` only [`Roots`] are trusted. For a connection to a
    /// port on which the daemon listens, `own` holds its addresses and that port.
    pub(super) fn client(
        &self,
        system_roots: bool,
        own: Option<(Arc<OwnAddresses>, u16)>,
    ) -> reqwest::Result<Client> {
        let mut builder = Client::builder()
            .user_agent(concat!("process-warden/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            // A proxy from the environment would bypass the guard.
            .no_proxy()
            .pool_idle_timeout(IDLE_TIMEOUT);
        let resolver = match self.allow_private {
            true => GuardedResolver::anywhere(),
            false => GuardedResolver::new(&self.allow_networks),
        };
        builder = builder.dns_resolver(match own {
            Some((own, port)) => resolver.without_own(own, port),
            None => resolver,
        });
        if let Some(Roots(pem)) = &self.roots {
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem)?);
        } else if !system_roots {
            builder = builder.tls_certs_only([]);
        }
        if let Some(ClientIdentity(pem)) = &self.identity {
            builder = builder.identity(Identity::from_pem(pem)?);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(Proxy::all(proxy.url().clone())?);
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn roots_are_one_or_more_certificates_in_pem() {
        let (one, other) = (certificate().0, certificate().0);
        assert!(Roots::parse(one.as_bytes()).is_ok());
        assert!(Roots::parse(format!("My authority\n{one}\n{other}").as_bytes()).is_ok());
        for nothing in ["", "-----BEGIN", &certificate().1] {
            assert_eq!(
                Roots::parse(nothing.as_bytes()).unwrap_err(),
                TransportError::NoCertificate,
                "{nothing}"
            );
        }
        let spoilt = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(Roots::parse(spoilt.as_bytes()), Err(TransportError::Certificate(_))));
    }

    #[test]
    fn an_identity_is_a_certificate_with_its_own_key() {
        let (certificate, key) = certificate();
        assert!(ClientIdentity::parse(certificate.as_bytes(), key.as_bytes()).is_ok());
        let missing = ClientIdentity::parse(key.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(missing, TransportError::NoCertificate);
        let missing = ClientIdentity::parse(certificate.as_bytes(), certificate.as_bytes()).unwrap_err();
        assert_eq!(missing, TransportError::NoKey);
        let foreign = KeyPair::generate().unwrap().serialize_pem();
        let error = ClientIdentity::parse(certificate.as_bytes(), foreign.as_bytes()).unwrap_err();
        assert!(matches!(error, TransportError::Identity(_)), "{error}");
    }

    #[test]
    fn neither_a_key_nor_the_password_of_a_proxy_is_shown() {
        let (certificate, key) = certificate();
        let transport = Transport {
            roots: Some(Roots::parse(certificate.as_bytes()).unwrap()),
            identity: Some(ClientIdentity::parse(certificate.as_bytes(), key.as_bytes()).unwrap()),
            proxy: Some("http://user:password@proxy.internal:3128/".parse().unwrap()),
            ..Transport::default()
        };
        let shown = format!("{transport:?}");
        assert!(shown.contains("Endpoint(http://proxy.internal:3128…)"), "{shown}");
        for secret in ["BEGIN", "user", "password", "45, 45"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
