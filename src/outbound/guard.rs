//! The guard against server-side request forgery: which addresses may be called.
//!
//! Without it, whoever names a receiver could make the warden, which runs inside the network, call what only
//! the inside can reach: a cloud's metadata service, a database, the warden itself. Invariants:
//!
//! - The address that is checked is the address that is connected to. Names are checked where they are
//!   resolved for the connection ([`GuardedResolver`]), so that changing a name's address in between has no
//!   effect.
//! - A URL whose host is an address is never resolved and is checked by [`check_literal`]. URLs are
//!   normalized, so that `0x7f.1`, `2130706433` and `[::ffff:127.0.0.1]` are recognized.
//! - For IPv6 there is an allow list: global unicast, without the networks reserved within it.
//! - A receiver may allow non-public networks of its own. They apply to both checks; an IPv4 address embedded
//!   in an IPv6 one is compared with IPv4 networks only.
//! - The daemon's own address ([`OwnAddresses`]) is never called, whatever is allowed.
//!
//! Deliberately absent: restrictions of ports and names (an address has to be public, nothing else), and
//! NAT64 prefixes that a network chooses itself, which cannot be recognized.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::own::OwnAddresses;

/// Non-public IPv4 networks: address, prefix length, and name.
const REFUSED_V4: [(Ipv4Addr, u32, &str); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a provider's customers"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a 6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::BROADCAST, 32, "broadcast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// Non-public IPv6 networks that have a name worth showing.
const REFUSED_V6: [(Ipv6Addr, u32, &str); 10] = [
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "a Teredo tunnel"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved for protocols"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "for documentation"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "for documentation"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "unique-local"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "site-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

/// IPv6 networks with embedded IPv4 addresses, and the number of bits to the right of those.
const EMBEDDING_V6: [(Ipv6Addr, u32, u32); 3] = [
    // IPv4-mapped.
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 0),
    // NAT64, the well-known prefix.
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 0),
    // 6to4.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 80),
];

/// Everything outside is refused, including IPv4-compatible addresses.
const GLOBAL_UNICAST_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

pub fn is_public(address: IpAddr) -> bool {
    why_refused(address).is_none()
}

/// The reason why an address is not public; `None` if it is. An IPv6 address with an embedded IPv4 one
/// (mapped, NAT64, 6to4) is judged by that.
pub fn why_refused(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => why_refused_v4(address),
        IpAddr::V6(address) => why_refused_v6(address),
    }
}

fn why_refused_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within =
        |network: Ipv4Addr, prefix: u32| (address.to_bits() ^ network.to_bits()) >> (32 - prefix) == 0;
    REFUSED_V4.iter().find(|&&(network, prefix, _)| within(network, prefix)).map(|&(_, _, reason)| reason)
}

fn why_refused_v6(address: Ipv6Addr) -> Option<&'static str> {
    let within =
        |network: Ipv6Addr, prefix: u32| (address.to_bits() ^ network.to_bits()) >> (128 - prefix) == 0;
    if let Some(address) = embedded_v4(address) {
        return why_refused_v4(address);
    }
    if let Some(&(.., reason)) = REFUSED_V6.iter().find(|&&(network, prefix, _)| within(network, prefix)) {
        return Some(reason);
    }
    let (network, prefix) = GLOBAL_UNICAST_V6;
    if within(network, prefix) { None } else { Some("outside the public address space") }
}

/// The IPv4 address embedded in an IPv6 one: mapped, NAT64 or 6to4.
pub(super) fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let within =
        |network: Ipv6Addr, prefix: u32| (address.to_bits() ^ network.to_bits()) >> (128 - prefix) == 0;
    let embedding = EMBEDDING_V6.iter().find(|&&(network, prefix, _)| within(network, prefix));
    embedding.map(|&(.., shift)| Ipv4Addr::from_bits((address.to_bits() >> shift) as u32))
}

/// A host whose addresses are all refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedHost {
    /// The name or address in the URL.
    pub host: String,
    /// The refused addresses; never empty.
    pub addresses: Vec<IpAddr>,
    /// Whether the reason is that the daemon itself listens there.
    pub is_own: bool,
}

impl fmt::Display for RefusedHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` leads to ", self.host)?;
        for (position, &address) in self.addresses.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(formatter, "{separator}{address} ({})", why_refused(address).unwrap_or("public"))?;
        }
        if self.is_own {
            return formatter.write_str(", where this warden itself listens, and it never calls itself");
        }
        write!(
            formatter,
            ", and only public addresses are called unless its table in the configuration sets \
             `allow_private = true` or names their network in `allow_networks`"
        )
    }
}

impl std::error::Error for RefusedHost {}

/// Whether a receiver that allows these networks may be at this address.
fn is_allowed(address: IpAddr, networks: &[IpNet]) -> bool {
    let plain = address.to_canonical();
    is_public(address) || networks.iter().any(|network| network.contains(&plain))
}

/// Checks a URL whose host is an address, in any spelling. A name passes: [`GuardedResolver`] checks it.
///
/// # Errors
/// The address is neither public nor in one of `networks`.
pub fn check_literal(url: &Url, networks: &[IpNet]) -> Result<(), RefusedHost> {
    match literal(url) {
        Some(address) if !is_allowed(address, networks) => {
            let host = url.host_str().unwrap_or_default().to_owned();
            Err(RefusedHost { host, addresses: vec![address], is_own: false })
        }
        _ => Ok(()),
    }
}

/// The host of a URL, if it is an address.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let unbracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    unbracketed.parse().ok()
}

/// Checks that a URL whose host is an address does not lead to the daemon itself. A name passes.
pub fn check_own_literal(url: &Url, own: &OwnAddresses) -> Result<(), RefusedHost> {
    match (literal(url), url.port_or_known_default()) {
        (Some(address), Some(port)) if own.contains(SocketAddr::new(address, port)) => {
            let host = url.host_str().unwrap_or_default().to_owned();
            Err(RefusedHost { host, addresses: vec![address], is_own: true })
        }
        _ => Ok(()),
    }
}

/// Checks for a call through a proxy that the URL's name does not lead to the daemon itself: the proxy
/// resolves it again, and one on this machine would connect to the daemon.
pub async fn check_own_name(url: &Url, own: &OwnAddresses) -> Result<(), RefusedHost> {
    check_own_literal(url, own)?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Ok(()) };
    if literal(url).is_some() || !own.has_port(port) {
        return Ok(());
    }
    // A name that cannot be resolved here may be known to the proxy.
    let Ok(found) = tokio::net::lookup_host((host, port)).await else { return Ok(()) };
    let addresses: Vec<IpAddr> =
        found.filter(|address| own.contains(*address)).map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Ok(());
    }
    Err(RefusedHost { host: host.to_owned(), addresses, is_own: true })
}

/// Keeps the addresses of `host` that are public or in one of `networks`, in order.
///
/// # Errors
/// None of the addresses is allowed.
fn keep_allowed(
    host: &str,
    addresses: Vec<SocketAddr>,
    networks: &[IpNet],
) -> Result<Vec<SocketAddr>, RefusedHost> {
    let (allowed, refused): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| is_allowed(address.ip(), networks));
    if allowed.is_empty() && !refused.is_empty() {
        let addresses = refused.iter().map(SocketAddr::ip).collect();
        return Err(RefusedHost { host: host.to_owned(), addresses, is_own: false });
    }
    Ok(allowed)
}

/// Keeps the addresses of `host` at which the daemon itself does not listen on this port, in order.
///
/// # Errors
/// It listens at all of them.
fn keep_others(
    host: &str,
    addresses: Vec<SocketAddr>,
    own: &OwnAddresses,
    port: u16,
) -> Result<Vec<SocketAddr>, RefusedHost> {
    let is_own = |address: &SocketAddr| own.contains(SocketAddr::new(address.ip(), port));
    let (refused, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(is_own);
    if others.is_empty() && !refused.is_empty() {
        let addresses = refused.iter().map(SocketAddr::ip).collect();
        return Err(RefusedHost { host: host.to_owned(), addresses, is_own: true });
    }
    Ok(others)
}

/// Resolves the host of a URL and checks its addresses like a call would. A name that cannot be resolved
/// passes.
///
/// # Errors
/// None of the addresses is public or in one of `networks`.
pub async fn check_name(url: &Url, networks: &[IpNet]) -> Result<(), RefusedHost> {
    check_literal(url, networks)?;
    let Some(host) = url.domain() else { return Ok(()) };
    let Ok(addresses) = tokio::net::lookup_host((host, 0)).await else { return Ok(()) };
    keep_allowed(host, addresses.collect(), networks).map(|_| ())
}

/// Resolves names like the system does, without the addresses that are not allowed. Its error is a
/// [`RefusedHost`] if none is left, or that of the system.
#[derive(Debug, Clone)]
pub struct GuardedResolver {
    /// Networks that are allowed besides public addresses; `None` allows everything.
    networks: Option<Arc<[IpNet]>>,
    /// The daemon's addresses, and the port that is connected to, if the daemon listens on that.
    own: Option<(Arc<OwnAddresses>, u16)>,
}

impl GuardedResolver {
    pub fn new(networks: &[IpNet]) -> Self {
        Self { networks: Some(networks.into()), own: None }
    }

    /// Allows every address.
    pub fn anywhere() -> Self {
        Self { networks: None, own: None }
    }

    /// Also refuses the daemon itself, for connections to this port.
    #[must_use]
    pub fn without_own(self, own: Arc<OwnAddresses>, port: u16) -> Self {
        Self { own: Some((own, port)), ..self }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { networks, own } = self.clone();
        Box::pin(async move {
            // The connector replaces port 0 by that of the URL.
            let mut addresses = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if let Some(networks) = networks {
                addresses = keep_allowed(name.as_str(), addresses, &networks)?;
            }
            if let Some((own, port)) = own {
                addresses = keep_others(name.as_str(), addresses, &own, port)?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
