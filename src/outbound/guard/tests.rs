//! Which addresses pass, in any spelling.

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
        let refused = check_literal(&url, &[]).expect_err(host);
        assert_eq!(why_refused(refused.addresses[0]), Some("loopback"), "{host}");
    }
}

#[test]
fn public_addresses_and_names_pass_the_check_of_literals() {
    for host in ["8.8.8.8", "[2606:4700:4700::1111]", "example.com", "localhost", "127.0.0.1.example.com"] {
        let url = Url::parse(&format!("https://{host}/")).unwrap();
        assert_eq!(check_literal(&url, &[]), Ok(()), "{host}");
    }
}

#[test]
fn of_a_name_with_public_and_private_addresses_only_the_public_ones_are_left() {
    let all: Vec<SocketAddr> =
        ["10.0.0.1:0", "8.8.8.8:0", "[::1]:0", "[2606:4700::1]:0"].map(|text| text.parse().unwrap()).into();
    assert_eq!(keep_allowed("example.com", all.clone(), &[]), Ok(vec![all[1], all[3]]));
}

#[test]
fn a_name_with_private_addresses_alone_is_refused_by_a_message_that_says_the_way_out() {
    let addresses = ["10.0.0.1:0", "[fd00::1]:0"].map(|text| text.parse().unwrap()).into();
    let refused = keep_allowed("hook.internal", addresses, &[]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`hook.internal` leads to 10.0.0.1 (private), fd00::1 (unique-local), and only public addresses \
         are called unless its table in the configuration sets `allow_private = true` or names their \
         network in `allow_networks`"
    );
}

#[tokio::test]
async fn the_resolver_refuses_a_name_of_this_machine() {
    let error = GuardedResolver::new(&[]).resolve("localhost".parse().unwrap()).await.err().unwrap();
    assert_eq!(error.downcast_ref::<RefusedHost>().unwrap().host, "localhost");
}

fn networks(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_network_that_is_named_is_allowed_from_its_first_to_its_last_address_and_no_further() {
    let networks = networks(&["10.20.0.0/16", "fd00::/8", "192.168.7.7/32"]);
    for (text, allowed) in [
        ("10.20.0.0", true),
        ("10.20.255.255", true),
        ("10.19.255.255", false),
        ("10.21.0.0", false),
        ("192.168.7.7", true),
        ("192.168.7.8", false),
        ("127.0.0.1", false),
        ("8.8.8.8", true),
        ("fd00::1", true),
        ("fdff:ffff::1", true),
        ("fc00::1", false),
        ("::1", false),
        // The same address embedded in IPv6; a tunnel to it is not the same.
        ("::ffff:10.20.0.1", true),
        ("::ffff:10.21.0.1", false),
        ("64:ff9b::10.20.0.1", false),
    ] {
        assert_eq!(is_allowed(address(text), &networks), allowed, "{text}");
        let host = if text.contains(':') { format!("[{text}]") } else { text.to_owned() };
        let url = Url::parse(&format!("http://{host}:9000/hook")).unwrap();
        assert_eq!(check_literal(&url, &networks).is_ok(), allowed, "{text}");
        let resolved = keep_allowed("hook.internal", vec![SocketAddr::new(address(text), 0)], &networks);
        assert_eq!(resolved.is_ok(), allowed, "{text}");
    }
}

#[test]
fn all_of_ipv6_is_not_all_of_ipv4() {
    let networks = networks(&["::/0"]);
    assert!(is_allowed(address("::1"), &networks));
    for text in ["127.0.0.1", "::ffff:127.0.0.1"] {
        assert!(!is_allowed(address(text), &networks), "{text}");
    }
}

#[tokio::test]
async fn the_resolver_gives_addresses_in_a_network_that_is_named() {
    let resolver = GuardedResolver::new(&networks(&["127.0.0.0/8"]));
    let found: Vec<IpAddr> =
        resolver.resolve("localhost".parse().unwrap()).await.unwrap().map(|address| address.ip()).collect();
    assert_eq!(found, [address("127.0.0.1")]);
}

fn listening_on(address: &str) -> Arc<OwnAddresses> {
    let own = OwnAddresses::default();
    own.add(address.parse().unwrap());
    Arc::new(own)
}

#[test]
fn the_warden_itself_is_refused_in_every_spelling_of_its_address_and_another_port_is_not() {
    let own = listening_on("0.0.0.0:8470");
    for host in ["127.0.0.1", "127.1", "2130706433", "0.0.0.0", "127.8.8.8", "[::ffff:127.0.0.1]"] {
        let url = |port| Url::parse(&format!("http://{host}:{port}/v1/batch")).unwrap();
        let refused = check_own_literal(&url(8470), &own).expect_err(host);
        assert!(refused.to_string().ends_with("where this warden itself listens, and it never calls itself"));
        assert_eq!(check_own_literal(&url(8471), &own), Ok(()), "{host}");
    }
    let own = listening_on("127.0.0.1:80");
    assert!(check_own_literal(&Url::parse("http://127.0.0.1/").unwrap(), &own).is_err(), "the usual port");
    assert_eq!(check_own_literal(&Url::parse("https://127.0.0.1/").unwrap(), &own), Ok(()));
}

#[tokio::test]
async fn a_name_that_leads_to_the_warden_itself_is_refused_whatever_is_allowed() {
    let own = listening_on("[::]:8470");
    for resolver in
        [GuardedResolver::anywhere(), GuardedResolver::new(&networks(&["127.0.0.0/8", "::1/128"]))]
    {
        let other = resolver.clone().without_own(own.clone(), 8471);
        assert!(other.resolve("localhost".parse().unwrap()).await.is_ok());
        let itself = resolver.without_own(own.clone(), 8470);
        let error = itself.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(error.downcast_ref::<RefusedHost>().unwrap().is_own);
    }
    let url = |port| Url::parse(&format!("http://localhost:{port}/")).unwrap();
    assert!(check_own_name(&url(8470), &own).await.is_err());
    assert_eq!(check_own_name(&url(8471), &own).await, Ok(()));
}

#[test]
fn of_a_name_with_another_address_besides_only_that_is_left() {
    let own = listening_on("127.0.0.1:8470");
    let all: Vec<SocketAddr> = ["127.0.0.1:0", "192.0.2.7:0"].map(|text| text.parse().unwrap()).into();
    assert_eq!(keep_others("both.internal", all.clone(), &own, 8470), Ok(vec![all[1]]));
    assert_eq!(keep_others("both.internal", all.clone(), &own, 8471), Ok(all));
}
