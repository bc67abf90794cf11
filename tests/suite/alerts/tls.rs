//! Receivers with a private certificate authority, with client certificates, or behind a proxy.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::raw::{RawReceiver, read_request};
use super::*;

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Certified {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certificate(&self) -> String {
        AsRef::<rcgen::Certificate>::as_ref(&self.0).pem()
    }

    fn certify(&self, name: &str) -> Certified {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        Certified { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate().as_bytes()).unwrap()).unwrap();
        roots
    }

    /// A server of that name; if it wants to know who calls, only whom this authority knows.
    fn server(&self, name: &str, wants_to_know: bool) -> TlsAcceptor {
        let Certified { certificate, key } = self.certify(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if wants_to_know {
            let roots = Arc::new(self.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }
}

/// Answers one request and gives it; `None` when the two sides do not come to terms.
async fn serve(acceptor: &TlsAcceptor, stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<String> {
    let mut stream = acceptor.accept(stream).await.ok()?;
    let request = read_request(&mut stream).await;
    stream.write_all(NO_CONTENT).await.unwrap();
    let _ = stream.shutdown().await;
    Some(request)
}

/// A daemon that tells this address, of which the configuration says more.
async fn telling(url: &str, more: &str) -> TestDaemon {
    let config = format!(
        "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{url}\"\nallow_private = true\n\
         {more}"
    );
    TestDaemon::builder().config(&config).start().await
}

/// Loses an item, and gives the incident when it is time to tell.
async fn due(daemon: &TestDaemon) -> Value {
    lose(daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    incident
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The address of a receiver, by the name that its certificate has.
fn https(receiver: &RawReceiver) -> String {
    receiver.url().replace("http://127.0.0.1", "https://localhost")
}

#[tokio::test]
async fn a_receiver_with_a_certificate_of_its_own_authority_is_told_if_that_is_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = authority.server("localhost", false);
    let receiver = RawReceiver::start().await;
    let ca_file = write(directory.path(), "ca.pem", &authority.certificate());
    let daemon = telling(&https(&receiver), &format!("ca_file = \"{ca_file}\"")).await;
    let incident = due(&daemon).await;
    let request = serve(&server, receiver.connection().await).await.unwrap();
    assert!(
        request.starts_with("POST /hook HTTP/1.1\r\n") && request.contains("incident.opened"),
        "{request}"
    );
    assert_eq!(delivery_tried(&daemon, id(&incident), 1).await["status"], "delivered");
}

#[tokio::test]
async fn a_receiver_with_a_certificate_that_nobody_vouches_for_is_not_told_anything() {
    let directory = tempfile::tempdir().unwrap();
    let server = Authority::new().server("localhost", false);
    let other = write(directory.path(), "ca.pem", &Authority::new().certificate());
    for more in ["", &format!("ca_file = \"{other}\"")] {
        let receiver = RawReceiver::start().await;
        let daemon = telling(&https(&receiver), more).await;
        let incident = due(&daemon).await;
        assert_eq!(serve(&server, receiver.connection().await).await, None);
        let tried = delivery_tried(&daemon, id(&incident), 1).await;
        let error = tried["attempts"][0]["error"].as_str().unwrap();
        assert!(error.contains("TLS failed: invalid peer certificate: "), "{error}");
        assert_eq!(tried["status"], "pending");
    }
}

#[tokio::test]
async fn a_receiver_that_wants_to_know_who_calls_is_shown_the_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = authority.server("localhost", true);
    let ca_file = write(directory.path(), "ca.pem", &authority.certificate());
    let warden = authority.certify("warden");
    let certificate = write(directory.path(), "client.pem", &warden.certificate);
    let key = write(directory.path(), "client.key", &warden.key);
    let identity = format!("client_certificate = \"{certificate}\"\nclient_key = \"{key}\"");

    let receiver = RawReceiver::start().await;
    let daemon = telling(&https(&receiver), &format!("ca_file = \"{ca_file}\"\n{identity}")).await;
    let incident = due(&daemon).await;
    assert!(serve(&server, receiver.connection().await).await.unwrap().contains("incident.opened"));
    assert_eq!(delivery_tried(&daemon, id(&incident), 1).await["status"], "delivered");

    // Without one it is not let in.
    let receiver = RawReceiver::start().await;
    let daemon = telling(&https(&receiver), &format!("ca_file = \"{ca_file}\"")).await;
    let incident = due(&daemon).await;
    assert_eq!(serve(&server, receiver.connection().await).await, None);
    let tried = delivery_tried(&daemon, id(&incident), 1).await;
    assert_eq!((&tried["status"], &tried["attempts"][0]["status"]), (&json!("pending"), &Value::Null));
}

#[tokio::test]
async fn a_receiver_behind_a_proxy_is_told_by_a_name_that_only_the_proxy_knows() {
    let proxy = RawReceiver::start().await;
    let address = proxy.url().replace("http://", "http://warden:pass@").replace("/hook", "");
    let daemon = telling("http://receiver.invalid/hook?a=b", &format!("proxy = \"{address}\"")).await;
    let incident = due(&daemon).await;
    let request = proxy.request().await;
    assert_eq!(request.line(), "POST http://receiver.invalid/hook?a=b HTTP/1.1");
    assert_eq!(request.header("host"), "receiver.invalid");
    assert_eq!(request.header("proxy-authorization"), "Basic d2FyZGVuOnBhc3M=");
    assert!(request.body().contains("incident.opened"));
    request.answer(NO_CONTENT).await;
    assert_eq!(delivery_tried(&daemon, id(&incident), 1).await["status"], "delivered");
}

#[tokio::test]
async fn through_a_proxy_tls_goes_from_end_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = authority.server("receiver.invalid", false);
    let ca_file = write(directory.path(), "ca.pem", &authority.certificate());
    let proxy = RawReceiver::start().await;
    let more = format!("ca_file = \"{ca_file}\"\nproxy = \"{}\"", proxy.url());
    let daemon = telling("https://receiver.invalid/hook", &more).await;
    let incident = due(&daemon).await;
    let mut connection = proxy.connection().await;
    let asked = read_request(&mut connection).await;
    assert!(asked.starts_with("CONNECT receiver.invalid:443 HTTP/1.1\r\n"), "{asked}");
    connection.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
    let request = serve(&server, connection).await.unwrap();
    assert!(
        request.starts_with("POST /hook HTTP/1.1\r\n") && request.contains("incident.opened"),
        "{request}"
    );
    assert_eq!(delivery_tried(&daemon, id(&incident), 1).await["status"], "delivered");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_failed_attempt_that_names_it_and_not_its_password() {
    let proxy = RawReceiver::start().await;
    let address = proxy.url().replace("http://", "http://warden:s3cret@").replace("/hook", "");
    let daemon = telling("https://receiver.invalid/hook", &format!("proxy = \"{address}\"")).await;
    let incident = due(&daemon).await;
    let mut connection = proxy.connection().await;
    read_request(&mut connection).await;
    connection.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let tried = delivery_tried(&daemon, id(&incident), 1).await;
    let error = tried["attempts"][0]["error"].as_str().unwrap();
    let start = format!("no connection to https://receiver.invalid through the proxy {}: ", proxy.url());
    assert!(error.starts_with(start.replace("/hook", "").as_str()), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_receiver_in_a_network_that_is_named_is_told_though_it_is_private() {
    let receiver = RawReceiver::start().await;
    let config = format!(
        "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{}\"\nallow_networks = \
         [\"127.0.0.0/8\"]",
        receiver.url().replace("127.0.0.1", "localhost")
    );
    let daemon = TestDaemon::builder().config(&config).start().await;
    due(&daemon).await;
    let request = receiver.request().await;
    assert!(request.body().contains("incident.opened"));
    request.answer(NO_CONTENT).await;
}
