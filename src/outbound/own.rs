//! The addresses on which the daemon itself listens. They are never called: whoever configures a target could
//! otherwise have the daemon do, from its own machine, what it would refuse them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{PoisonError, RwLock};

use super::guard::embedded_v4;

/// Empty until the daemon listens.
#[derive(Debug, Default)]
pub struct OwnAddresses(RwLock<Vec<SocketAddr>>);

impl OwnAddresses {
    pub fn add(&self, address: SocketAddr) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    /// Whether the daemon listens on this port at any address. Only then an address has to be checked.
    pub fn has_port(&self, port: u16) -> bool {
        self.listening().iter().any(|own| own.port() == port)
    }

    /// Whether a connection to this address would reach the daemon itself.
    pub fn contains(&self, address: SocketAddr) -> bool {
        let is_reached = |own: &SocketAddr| own.port() == address.port() && reaches(address.ip(), own.ip());
        self.listening().iter().any(is_reached)
    }

    fn listening(&self) -> Vec<SocketAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a connection to `target` reaches a socket that is bound to `own`.
fn reaches(target: IpAddr, own: IpAddr) -> bool {
    let target = match plain(target) {
        // The system connects to loopback instead.
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    match own.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => target.is_ipv4() && is_of_this_machine(target),
        // Such a socket accepts IPv4 connections as well.
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => is_of_this_machine(target),
        own => own == target,
    }
}

/// The IPv4 address that is embedded in an IPv6 address, or the address itself.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => embedded_v4(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Whether the address belongs to this machine: then the system would connect to it from that same address.
/// Sends nothing.
fn is_of_this_machine(address: IpAddr) -> bool {
    let from: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind((from, 0))?;
        // Any port will do.
        socket.connect((address, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    address.is_loopback() || source().is_ok_and(|source| source == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(listen: &str) -> OwnAddresses {
        let own = OwnAddresses::default();
        own.add(listen.parse().unwrap());
        own
    }

    fn contains(own: &OwnAddresses, address: &str) -> bool {
        own.contains(address.parse().unwrap())
    }

    /// An address of this machine other than loopback, if it has one.
    fn interface() -> Option<IpAddr> {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        // Nothing is sent.
        socket.connect("192.0.2.1:9").ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback())
    }

    #[test]
    fn one_that_listens_at_one_address_is_reached_by_that_in_all_its_forms() {
        let own = own("127.0.0.1:8470");
        for reached in ["127.0.0.1:8470", "[::ffff:127.0.0.1]:8470", "0.0.0.0:8470", "[64:ff9b::7f00:1]:8470"]
        {
            assert!(contains(&own, reached), "{reached}");
        }
        for other in ["127.0.0.1:8471", "127.0.0.2:8470", "[::1]:8470", "[::]:8470", "8.8.8.8:8470"] {
            assert!(!contains(&own, other), "{other}");
        }
        assert!(own.has_port(8470) && !own.has_port(8471));
    }

    #[test]
    fn one_that_listens_everywhere_is_reached_by_every_address_of_the_machine() {
        let (v4, both) = (own("0.0.0.0:8470"), own("[::]:8470"));
        for own in [&v4, &both] {
            for reached in ["127.0.0.1:8470", "127.9.9.9:8470", "0.0.0.0:8470", "[::ffff:127.0.0.1]:8470"] {
                assert!(contains(own, reached), "{reached}");
            }
            for other in ["127.0.0.1:80", "192.0.2.1:8470", "8.8.8.8:8470", "[2606:4700::1]:8470"] {
                assert!(!contains(own, other), "{other}");
            }
            if let Some(interface) = interface() {
                assert!(own.contains(SocketAddr::new(interface, 8470)), "{interface}");
                assert!(!own.contains(SocketAddr::new(interface, 8471)), "{interface}");
            }
        }
        assert!(contains(&both, "[::1]:8470") && contains(&both, "[::]:8470"));
        assert!(!contains(&v4, "[::1]:8470"));
    }

    #[test]
    fn before_it_listens_nothing_is_its_own() {
        assert!(!OwnAddresses::default().contains("127.0.0.1:8470".parse().unwrap()));
    }
}
