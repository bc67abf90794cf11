//! The transport of a receiver: networks, certificates, a proxy.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{ReceiverDefaults, WrittenReceiver};
use crate::config::checks::{self, Checks};
use crate::config::path::SettingPath;
use crate::config::secret::{Secret, read_file};
use crate::outbound::Endpoint;
use crate::outbound::transport::{ClientIdentity, Roots, Transport, TransportError};

/// Enough for the CA certificates of a whole system, in bytes.
const PEM_MAX: u64 = 4 << 20;

impl WrittenReceiver {
    pub(super) fn transport(
        &self,
        checks: &mut Checks<'_>,
        table: &SettingPath,
        defaults: &ReceiverDefaults,
    ) -> Transport {
        let at = |key| table.key(key);
        let allow_private = self.allow_private.unwrap_or(defaults.allow_private);
        let allow_networks = match &self.allow_networks {
            Some(written) => networks(checks, &at("allow_networks"), written),
            None => defaults.allow_networks.clone(),
        };
        let roots = match &self.ca_file {
            Some(path) => roots(checks, &at("ca_file"), path),
            None => defaults.roots.clone(),
        };
        let identity = self.identity(checks, table);
        let proxy = match &self.proxy {
            Some(written) => proxy(checks, &at("proxy"), written),
            None => defaults.proxy.clone(),
        };
        if proxy.is_some() && !allow_private {
            let message = "needs `allow_private = true`: a proxy resolves the receiver's name itself, so \
                           that the warden cannot check that the address is public";
            checks.problem(&at("proxy"), message);
        }
        Transport { allow_private, allow_networks, roots, identity, proxy }
    }

    fn identity(&self, checks: &mut Checks<'_>, table: &SettingPath) -> Option<ClientIdentity> {
        let at = |key| table.key(key);
        match (&self.client_certificate, &self.client_key) {
            (None, None) => None,
            (Some(_), None) => {
                checks
                    .problem(&at("client_certificate"), "needs `client_key`, the file with its private key");
                None
            }
            (None, Some(_)) => {
                checks
                    .problem(&at("client_key"), "needs `client_certificate`, the file with its certificate");
                None
            }
            (Some(certificate), Some(key)) => {
                let chain = file(checks, &at("client_certificate"), certificate);
                let private_key = file(checks, &at("client_key"), key)?;
                let at_fault = |error: &TransportError| match error {
                    TransportError::NoKey => ("client_key", key),
                    _ => ("client_certificate", certificate),
                };
                let noted = |error| {
                    let (setting, file) = at_fault(&error);
                    checks.problem(&at(setting), format!("the file {file:?} {error}"));
                };
                ClientIdentity::parse(&chain?, &private_key).map_err(noted).ok()
            }
        }
    }
}

/// The networks that are allowed besides public ones. An address is a network of one.
pub(in crate::config) fn networks(
    checks: &mut Checks<'_>,
    path: &SettingPath,
    written: &[String],
) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) if network == network.trunc() => networks.push(network),
            Ok(network) => {
                let message = format!("{text:?} is an address within a network: write {}", network.trunc());
                checks.problem(&path.index(index), message);
            }
            Err(_) => {
                let message = format!("{text:?} is no network, such as \"10.20.0.0/16\" or \"fd00::/8\"");
                checks.problem(&path.index(index), message);
            }
        }
    }
    networks
}

/// The CA certificates in a file, if one is configured.
pub(in crate::config) fn roots(checks: &mut Checks<'_>, path: &SettingPath, written: &str) -> Option<Roots> {
    if written.is_empty() {
        return None;
    }
    let pem = file(checks, path, written)?;
    Roots::parse(&pem).map_err(|error| checks.problem(path, format!("the file {written:?} {error}"))).ok()
}

/// The proxy, if one is configured. Its URL may contain credentials.
pub(super) fn proxy(checks: &mut Checks<'_>, path: &SettingPath, written: &Secret) -> Option<Endpoint> {
    if written.is_empty() {
        return None;
    }
    checks.secret_url(path, written, checks::web_url).map(Endpoint::from)
}

fn file(checks: &mut Checks<'_>, path: &SettingPath, written: &str) -> Option<Vec<u8>> {
    read_file(written, PEM_MAX).map_err(|message| checks.problem(path, message)).ok()
}
