//! Hosts and origins, normalized for comparison.

use reqwest::Url;

/// The host in an authority, such as the value of a `Host` header: in lower case and without a trailing dot,
/// an IPv4 address as four numbers, an IPv6 address in brackets. `None` if it is no host with an optional
/// port.
pub fn host_of(authority: &str) -> Option<String> {
    // In a URL these would begin user information, an escape, or the next part.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"@/\\?#%*".contains(&byte);
    if !authority.bytes().all(is_plain) {
        return None;
    }
    host_in(&Url::parse(&format!("http://{authority}/")).ok()?)
}

/// The host of a URL, normalized likewise.
pub fn host_in(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(host.strip_suffix('.').unwrap_or(host)).filter(|host| !host.is_empty()).map(str::to_owned)
}

/// The `Origin` that a browser sends for pages at this URL; `None` unless it is `http` or `https`. Everything
/// but scheme, host and port is ignored.
pub fn origin_of(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_in_every_spelling_and_nothing_else_is_one() {
        for (authority, host) in [
            ("localhost", Some("localhost")),
            ("LocalHost.:8470", Some("localhost")),
            ("warden.example:443", Some("warden.example")),
            ("127.0.0.1:8470", Some("127.0.0.1")),
            ("127.1", Some("127.0.0.1")),
            ("[::1]:8470", Some("[::1]")),
            ("[0:0:0:0:0:0:0:1]", Some("[::1]")),
            ("", None),
            (".", None),
            (":8470", None),
            ("localhost:99999", None),
            ("localhost:port", None),
            ("::1", None),
            ("localhost@attacker.example", None),
            ("attacker.example@localhost", None),
            ("attacker.example/localhost", None),
            ("localhost\\attacker.example", None),
            ("localhost#.attacker.example", None),
            ("%6cocalhost", None),
            ("local host", None),
            ("localhost, attacker.example", None),
            ("[fe80::1%25eth0]", None),
        ] {
            assert_eq!(host_of(authority).as_deref(), host, "{authority}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_alone() {
        for (text, origin) in [
            ("https://ops.example", Some("https://ops.example")),
            ("HTTPS://Ops.Example:443/path?query", Some("https://ops.example")),
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("null", None),
            ("*", None),
            ("file:///etc/passwd", None),
            ("ops.example", None),
        ] {
            assert_eq!(origin_of(text).as_deref(), origin, "{text}");
        }
    }
}
