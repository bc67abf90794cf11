//! The guard against server-side request forgery: which addresses notifications may go to.
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
//!
//! Deliberately absent: ports and names (a public address is all that is asked for), and the translation
//! prefixes (NAT64) that a network chooses for itself, which cannot be told from the outside.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
            ", and only public addresses are notified unless the receiver sets `allow_private = true`"
        )
    }
}

impl std::error::Error for RefusedHost {}

/// Checks a URL whose host is an address, in whatever spelling. A host that is a name passes: it is for
/// [`GuardedResolver`] to check.
///
/// # Errors
///
/// The address is not public.
pub fn check_literal(url: &Url) -> Result<(), RefusedHost> {
    let host = url.host_str().unwrap_or_default();
    let unbracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match unbracketed.parse::<IpAddr>() {
        Ok(address) if !is_public(address) => {
            Err(RefusedHost { host: host.to_owned(), addresses: vec![address] })
        }
        _ => Ok(()),
    }
}

/// The public ones among the addresses of `host`, in their order.
///
/// # Errors
///
/// There are addresses, and none of them is public.
fn keep_public(host: &str, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, RefusedHost> {
    let (public, refused): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| is_public(address.ip()));
    if public.is_empty() && !refused.is_empty() {
        let addresses = refused.iter().map(SocketAddr::ip).collect();
        return Err(RefusedHost { host: host.to_owned(), addresses });
    }
    Ok(public)
}

/// Resolves names as the system does, and drops every address that is not public. Its error is a
/// [`RefusedHost`] if that leaves none, or else that of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is the connector's affair: it replaces 0 by that of the URL or of its scheme.
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public = keep_public(name.as_str(), addresses)?;
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_network_that_is_not_public_is_refused_from_its_first_to_its_last_address() {
        for (first, last, reason) in [
            ("0.0.0.0", "0.255.255.255", "unspecified"),
            ("10.0.0.0", "10.255.255.255", "private"),
            ("100.64.0.0", "100.127.255.255", "shared by a provider's customers"),
            ("127.0.0.0", "127.255.255.255", "loopback"),
            ("169.254.0.0", "169.254.255.255", "link-local"),
            ("172.16.0.0", "172.31.255.255", "private"),
            ("192.0.0.0", "192.0.0.255", "reserved for protocols"),
            ("192.0.2.0", "192.0.2.255", "for documentation"),
            ("192.88.99.0", "192.88.99.255", "a 6to4 relay"),
            ("192.168.0.0", "192.168.255.255", "private"),
            ("198.18.0.0", "198.19.255.255", "for benchmarks"),
            ("198.51.100.0", "198.51.100.255", "for documentation"),
            ("203.0.113.0", "203.0.113.255", "for documentation"),
            ("224.0.0.0", "239.255.255.255", "multicast"),
            ("240.0.0.0", "255.255.255.254", "reserved"),
            ("255.255.255.255", "255.255.255.255", "broadcast"),
            ("::", "::", "unspecified"),
            ("::1", "::1", "loopback"),
            ("::2", "::ffff:ffff", "outside the public address space"),
            ("::127.0.0.1", "::8.8.8.8", "outside the public address space"),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "outside the public address space"),
            ("100::", "100::ffff:ffff:ffff:ffff", "outside the public address space"),
            ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "a Teredo tunnel"),
            ("2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved for protocols"),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "for documentation"),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "for documentation"),
            ("4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "outside the public address space"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique-local"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
        ] {
            assert_eq!(why_refused(address(first)), Some(reason), "{first}");
            assert_eq!(why_refused(address(last)), Some(reason), "{last}");
        }
    }

    #[test]
    fn the_neighbours_of_refused_networks_are_public() {
        for text in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2000::",
            "2001:200::",
            "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::",
            "2606:4700:4700::1111",
            "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "3fff:1000::",
        ] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_that_stands_for_an_ipv4_address_is_judged_by_it() {
        for (text, reason) in [
            ("::ffff:127.0.0.1", Some("loopback")),
            ("::ffff:169.254.169.254", Some("link-local")),
            ("::ffff:8.8.8.8", None),
            ("64:ff9b::10.0.0.1", Some("private")),
            ("64:ff9b::8.8.8.8", None),
            ("2002:7f00:1::", Some("loopback")),
            ("2002:c0a8:101:1::1", Some("private")),
            ("2002:808:808::1", None),
        ] {
            assert_eq!(why_refused(address(text)), reason, "{text}");
        }
    }

    #[test]
    fn every_spelling_of_a_loopback_address_in_a_url_is_refused() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.0.1.",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "%31%32%37.0.0.1",
            "127。0。0。1",
            "１２７.0.0.1",
            "user:password@127.0.0.1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
        ] {
            let url = Url::parse(&format!("http://{host}:9000/hook")).unwrap();
            let refused = check_literal(&url).expect_err(host);
            assert_eq!(why_refused(refused.addresses[0]), Some("loopback"), "{host}");
        }
    }

    #[test]
    fn public_addresses_and_names_pass_the_check_of_literals() {
        for host in ["8.8.8.8", "[2606:4700:4700::1111]", "example.com", "localhost", "127.0.0.1.example.com"]
        {
            assert_eq!(check_literal(&Url::parse(&format!("https://{host}/")).unwrap()), Ok(()), "{host}");
        }
    }

    #[test]
    fn of_a_name_with_public_and_private_addresses_only_the_public_ones_are_left() {
        let all: Vec<SocketAddr> = ["10.0.0.1:0", "8.8.8.8:0", "[::1]:0", "[2606:4700::1]:0"]
            .map(|text| text.parse().unwrap())
            .into();
        assert_eq!(keep_public("example.com", all.clone()), Ok(vec![all[1], all[3]]));
    }

    #[test]
    fn a_name_with_private_addresses_alone_is_refused_by_a_message_that_says_the_way_out() {
        let addresses = ["10.0.0.1:0", "[fd00::1]:0"].map(|text| text.parse().unwrap()).into();
        let refused = keep_public("hook.internal", addresses).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`hook.internal` leads to 10.0.0.1 (private), fd00::1 (unique-local), and only public addresses \
             are notified unless the receiver sets `allow_private = true`"
        );
    }

    #[tokio::test]
    async fn the_resolver_refuses_a_name_of_this_machine() {
        let error = GuardedResolver.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert_eq!(error.downcast_ref::<RefusedHost>().unwrap().host, "localhost");
    }
}
