//! The guard against server-side request forgery: which addresses may be called.
//!
//! Whoever may name a receiver could otherwise make the warden, which stands inside the network, talk to
//! what only the inside can reach: a cloud's metadata service, a database, the warden itself. Invariants:
//!
//! - The address that is checked is the address that is connected to. Names are checked where they are
//!   resolved for the connection ([`GuardedResolver`]), so a name that changes its address in between gains
//!   nothing.
//! - A URL whose host is an address never meets a resolver and is checked by [`check_literal`]. The URL is
//!   normalised by then, so `0x7f.1`, `2130706433` and `[::ffff:127.0.0.1]` are seen for what they are.
//! - For IPv6 the list is one of what is allowed: global unicast, without what is carved out of it.
//! - A receiver may name networks of its own in which it is to be found although they are not public. They widen
//!   both checks alike, and an IPv4 address in the clothes of IPv6 is sought among the IPv4 networks only.
//!
//! Deliberately absent: ports and names (a public address is all that is asked for), and the translation
//! prefixes (NAT64) that a network chooses for itself, which cannot be told from the outside.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The IPv4 networks that are not public: (network, length of its prefix, what it is).
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

/// The IPv6 networks that are not public, as far as it helps to call them by their names.
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

/// IPv6 networks whose addresses lead to an IPv4 address, and where in them it lies (bits to the right of
/// it).
const EMBEDDING_V6: [(Ipv6Addr, u32, u32); 3] = [
    // IPv4-mapped: the same socket address in other clothes.
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 0),
    // NAT64, the well-known prefix.
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 0),
    // 6to4.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 80),
];

/// All that is allocated for global unicast; whatever lies outside is refused, IPv4-compatible addresses
/// among it.
const GLOBAL_UNICAST_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Whether an address is a public one, to which any receiver may point.
pub fn is_public(address: IpAddr) -> bool {
    why_refused(address).is_none()
}

/// What keeps an address from being public, in a word or two; `None` if it is public. An IPv6 address that
/// stands for an IPv4 one (mapped, NAT64, 6to4) is judged by that.
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
    if let Some(&(.., shift)) = EMBEDDING_V6.iter().find(|&&(network, prefix, _)| within(network, prefix)) {
        return why_refused_v4(Ipv4Addr::from_bits((address.to_bits() >> shift) as u32));
    }
    if let Some(&(.., reason)) = REFUSED_V6.iter().find(|&&(network, prefix, _)| within(network, prefix)) {
        return Some(reason);
    }
    let (network, prefix) = GLOBAL_UNICAST_V6;
    if within(network, prefix) { None } else { Some("outside the public address space") }
}

/// A host all of whose addresses are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedHost {
    /// The host as the URL names it: a name or an address.
    pub host: String,
    /// What it leads to; never empty, and none of it public.
    pub addresses: Vec<IpAddr>,
}

impl fmt::Display for RefusedHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` leads to ", self.host)?;
        for (position, &address) in self.addresses.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(formatter, "{separator}{address} ({})", why_refused(address).unwrap_or("public"))?;
        }
        write!(
            formatter,
            ", and only public addresses are called unless its table in the configuration sets \
             `allow_private = true` or names their network in `allow_networks`"
        )
    }
}

impl std::error::Error for RefusedHost {}

/// Whether a receiver that names these networks may be at this address.
fn is_allowed(address: IpAddr, networks: &[IpNet]) -> bool {
    let plain = address.to_canonical();
    is_public(address) || networks.iter().any(|network| network.contains(&plain))
}

/// Checks a URL whose host is an address, in whatever spelling. A host that is a name passes: it is for
/// [`GuardedResolver`] to check.
///
/// # Errors
///
/// The address is not public, nor in one of `networks`.
pub fn check_literal(url: &Url, networks: &[IpNet]) -> Result<(), RefusedHost> {
    let host = url.host_str().unwrap_or_default();
    let unbracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match unbracketed.parse::<IpAddr>() {
        Ok(address) if !is_allowed(address, networks) => {
            Err(RefusedHost { host: host.to_owned(), addresses: vec![address] })
        }
        _ => Ok(()),
    }
}

/// Those among the addresses of `host` that are public or in one of `networks`, in their order.
///
/// # Errors
///
/// There are addresses, and none of them is allowed.
fn keep_allowed(
    host: &str,
    addresses: Vec<SocketAddr>,
    networks: &[IpNet],
) -> Result<Vec<SocketAddr>, RefusedHost> {
    let (allowed, refused): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| is_allowed(address.ip(), networks));
    if allowed.is_empty() && !refused.is_empty() {
        let addresses = refused.iter().map(SocketAddr::ip).collect();
        return Err(RefusedHost { host: host.to_owned(), addresses });
    }
    Ok(allowed)
}

/// Resolves names as the system does, and drops every address that is not allowed. Its error is a
/// [`RefusedHost`] if that leaves none, or else that of the system.
#[derive(Debug, Clone, Default)]
pub struct GuardedResolver {
    networks: Arc<[IpNet]>,
}

impl GuardedResolver {
    /// A resolver that allows public addresses and those in `networks`.
    pub fn new(networks: &[IpNet]) -> Self {
        Self { networks: networks.into() }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.networks.clone();
        Box::pin(async move {
            // The port is the connector's affair: it replaces 0 by that of the URL or of its scheme.
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = keep_allowed(name.as_str(), addresses, &networks)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
