//! Against real servers on real sockets: most of what is tested is how reqwest is configured.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A timeout that only a bug reaches.
const PATIENCE: Duration = Duration::from_secs(60);

fn request(url: &str) -> OutboundRequest {
    OutboundRequest {
        receiver: "oncall".into(),
        method: Method::POST,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        timeout: PATIENCE,
        transport: anywhere(),
    }
}

/// Any address will do.
fn anywhere() -> Arc<Transport> {
    Arc::new(Transport { allow_private: true, ..Transport::default() })
}

/// Public addresses, and these networks.
fn guarded(networks: &[&str]) -> Arc<Transport> {
    let allow_networks = networks.iter().map(|text| text.parse().unwrap()).collect();
    Arc::new(Transport { allow_networks, ..Transport::default() })
}

async fn post(url: &str) -> Result<OutboundResponse, OutboundError> {
    HttpOutbound::new().unwrap().send(request(url)).await
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    (listener, address)
}

/// Reads one request with a `Content-Length`.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "half a request");
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            return text.into_owned();
        }
    }
}

/// A receiver that answers every request with these bytes and closes. Returns its address and the number of
/// requests.
async fn receiver(answer: impl Into<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let (listener, address) = listen().await;
    let answer = answer.into();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            counted.fetch_add(1, Ordering::SeqCst);
            stream.write_all(&answer).await.unwrap();
        }
    });
    (address, requests)
}

#[tokio::test]
async fn a_receiver_gets_the_request_as_it_was_given() {
    let (listener, address) = listen().await;
    let receiver = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        request
    });
    let mut request = request(&format!("http://user:password@{address}/hook?team=a"));
    request.headers.insert("webhook-id", "dlv_1".parse().unwrap());
    request.body = Bytes::from_static(b"{\"a\": \xc3\xa4}");

    let answer = HttpOutbound::new().unwrap().send(request).await.unwrap();

    assert_eq!(
        answer,
        OutboundResponse { status: 204, retry_after: None, location: None, excerpt: String::new() }
    );
    let received = receiver.await.unwrap();
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /hook?team=a HTTP/1.1");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "accept: */*",
            "authorization: Basic dXNlcjpwYXNzd29yZA==",
            "content-length: 9",
            &format!("host: {address}"),
            concat!("user-agent: process-warden/", env!("CARGO_PKG_VERSION")),
            "webhook-id: dlv_1",
        ]
    );
    assert_eq!(body, "{\"a\": ä}");
}

#[tokio::test]
async fn any_status_is_an_answer_and_comes_with_its_retry_after_and_its_body() {
    let (address, _) =
        receiver("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 120\r\nContent-Length: 6\r\n\r\nbusy\0\n")
            .await;
    let answer = post(&format!("http://{address}/")).await.unwrap();
    let expected = OutboundResponse {
        status: 503,
        retry_after: Some("120".into()),
        location: None,
        excerpt: "busy\u{fffd}\n".into(),
    };
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let answer =
            format!("HTTP/1.1 {status} Elsewhere\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
        let (address, requests) = receiver(answer).await;
        assert_eq!(post(&format!("http://{address}/")).await.unwrap().status, status);
        assert_eq!(requests.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_in_time_is_given_up() {
    let (_listener, address) = listen().await;
    let timeout = Duration::from_millis(50);
    let error = HttpOutbound::new()
        .unwrap()
        .send(OutboundRequest { timeout, ..request(&format!("http://{address}/")) })
        .await
        .unwrap_err();
    assert_eq!(error, OutboundError::Timeout(timeout));
    assert_eq!(error.to_string(), "no answer within 50ms");
}

#[tokio::test]
async fn nobody_listening_is_an_error_that_says_where() {
    let (listener, address) = listen().await;
    drop(listener);
    let error = post(&format!("http://user:password@{address}/path-token?query-token")).await.unwrap_err();
    let message = format!("no connection to http://{address}: Connection refused (os error 111)");
    assert_eq!(error.to_string(), message);
    assert!(matches!(error, OutboundError::Connect(_)));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_an_error_that_says_so() {
    // Longer than a label may be, so that no name server is asked.
    let host = "x".repeat(64);
    for transport in [anywhere(), guarded(&[])] {
        let request = OutboundRequest { transport, ..request(&format!("http://{host}/")) };
        let error = HttpOutbound::new().unwrap().send(request).await.unwrap_err();
        let expected = format!("no connection to http://{host}: its name cannot be resolved: ");
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(matches!(error, OutboundError::Connect(_)));
    }
}

#[tokio::test]
async fn a_connection_closed_before_the_answer_is_an_error() {
    for answer in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-"] {
        let (address, _) = receiver(answer).await;
        let error = post(&format!("http://{address}/")).await.unwrap_err();
        let expected =
            format!("no valid answer from http://{address}: connection closed before message completed");
        assert_eq!(error, OutboundError::Other(expected));
    }
}

#[tokio::test]
async fn a_connection_reset_before_the_answer_is_an_error() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Closing with a part of the request unread resets the connection.
        stream.read_u8().await.unwrap();
    });
    let error = post(&format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(error, OutboundError::Other(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_an_error() {
    let (address, _) = receiver("220 mail.example.com ESMTP\r\n").await;
    let error = post(&format!("http://{address}/")).await.unwrap_err();
    let expected = format!("no valid answer from http://{address}: invalid HTTP version parsed");
    assert_eq!(error, OutboundError::Other(expected));
}

#[tokio::test]
async fn a_scheme_other_than_http_is_an_error() {
    let error = post("ftp://user:password@127.0.0.1/").await.unwrap_err();
    let expected = "no valid answer from ftp://127.0.0.1: URL scheme is not allowed";
    assert_eq!(error, OutboundError::Other(expected.into()));
}

#[tokio::test]
async fn of_an_endless_answer_the_beginning_is_kept_and_the_connection_closed() {
    let (listener, address) = listen().await;
    let receiver = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 1 << 16]).await.is_ok() {}
    });
    let answer = post(&format!("http://{address}/")).await.unwrap();
    assert_eq!((answer.status, answer.excerpt), (200, "x".repeat(EXCERPT_MAX)));
    tokio::time::timeout(PATIENCE, receiver).await.expect("the connection was left open").unwrap();
}

#[tokio::test]
async fn a_status_counts_even_if_the_body_breaks_off() {
    let (address, _) = receiver("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
    let answer = post(&format!("http://{address}/")).await.unwrap();
    assert_eq!((answer.status, answer.excerpt), (200, "half".into()));
}

#[tokio::test]
async fn a_status_counts_even_if_the_body_stalls() {
    let (listener, address) = listen().await;
    let receiver = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
        // Waits until the client gives up.
        stream.read_u8().await.unwrap_err();
    });
    let request =
        OutboundRequest { timeout: Duration::from_secs(1), ..request(&format!("http://{address}/")) };
    let answer = HttpOutbound::new().unwrap().send(request).await.unwrap();
    assert_eq!((answer.status, answer.excerpt), (200, "half".into()));
    tokio::time::timeout(PATIENCE, receiver).await.expect("the connection was left open").unwrap();
}

#[test]
fn an_excerpt_is_text_that_is_short_and_safe_to_show() {
    assert_eq!(shown("größe\t1\n".as_bytes()), "größe\t1\n");
    assert_eq!(shown(b"\x1b[2J\xff\r\x7f"), "\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}");
    assert_eq!(shown(&[0xff; EXCERPT_MAX]), "\u{fffd}".repeat(EXCERPT_MAX / 3));
}

#[tokio::test]
async fn this_machine_is_not_called_unless_the_receiver_allows_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let outbound = HttpOutbound::new().unwrap();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST"]
    {
        let request =
            OutboundRequest { transport: guarded(&[]), ..request(&format!("http://{host}:{port}/")) };
        let error = outbound.send(request).await.unwrap_err();
        assert!(matches!(error, OutboundError::Refused(_)), "{host}: {error:?}");
        assert!(error.to_string().contains("`allow_private = true`"), "{error}");
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody connected");
}

#[tokio::test]
async fn this_machine_is_called_by_a_receiver_that_names_its_network() {
    let outbound = HttpOutbound::new().unwrap();
    let (address, _) = receiver("HTTP/1.1 204 No Content\r\n\r\n").await;
    let port = address.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let request = |networks| OutboundRequest {
            transport: guarded(networks),
            ..request(&format!("http://{host}:{port}/"))
        };
        assert_eq!(outbound.send(request(&["10.0.0.0/8", "127.0.0.0/8"])).await.unwrap().status, 204);
        let error = outbound.send(request(&["10.0.0.0/8"])).await.unwrap_err();
        assert!(matches!(error, OutboundError::Refused(_)), "{host}: {error:?}");
    }
}

#[tokio::test]
async fn the_warden_itself_is_not_called_even_where_receivers_may_be_anywhere() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let own = listener.local_addr().unwrap();
    let (other, _) = receiver("HTTP/1.1 204 No Content\r\n\r\n").await;
    let outbound = HttpOutbound::new().unwrap();
    // A client that was created before the warden listened must not be used afterwards.
    assert_eq!(
        outbound.send(request(&format!("http://localhost:{}/", port_of(&other)))).await.unwrap().status,
        204
    );
    outbound.listens_on(own);
    let port = own.port();
    for host in ["127.0.0.1", "0.0.0.0", "127.1", "[::ffff:127.0.0.1]", "localhost"] {
        for transport in [anywhere(), guarded(&["0.0.0.0/0", "::/0"])] {
            let request = OutboundRequest { transport, ..request(&format!("http://{host}:{port}/v1/batch")) };
            let error = outbound.send(request).await.unwrap_err();
            assert!(matches!(error, OutboundError::Refused(_)), "{host}: {error:?}");
            assert!(error.to_string().contains("never calls itself"), "{error}");
        }
    }
    let proxied = |proxy: String, to: String| {
        let proxy = Some(proxy.parse().unwrap());
        let transport = Arc::new(Transport { allow_private: true, proxy, ..Transport::default() });
        OutboundRequest { transport, ..request(&to) }
    };
    for (proxy, to) in [
        (format!("http://127.0.0.1:{port}"), "http://192.0.2.1/".to_owned()),
        (format!("http://localhost:{port}"), "http://192.0.2.1/".to_owned()),
        (format!("http://{other}"), format!("http://127.0.0.1:{port}/")),
        (format!("http://{other}"), format!("http://localhost:{port}/")),
    ] {
        let error = outbound.send(proxied(proxy, to)).await.unwrap_err();
        assert!(matches!(error, OutboundError::Refused(_)), "{error:?}");
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody connected");
    assert_eq!(outbound.send(request(&format!("http://{other}/"))).await.unwrap().status, 204);
}

fn port_of(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

#[tokio::test]
async fn receivers_that_are_reached_in_the_same_way_share_a_client_and_others_do_not() {
    let outbound = HttpOutbound::new().unwrap();
    let (address, _) = receiver("HTTP/1.1 204 No Content\r\n\r\n").await;
    let networks: [&[&str]; 4] = [&["127.0.0.0/8"], &["127.0.0.1/32"], &["127.0.0.0/8"], &["127.0.0.1/32"]];
    for networks in networks {
        let request =
            OutboundRequest { transport: guarded(networks), ..request(&format!("http://{address}/")) };
        outbound.send(request).await.unwrap();
    }
    // One of them is the default transport's.
    assert_eq!(outbound.clients.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_connection_to_a_private_receiver_does_not_serve_one_that_allows_none() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    });
    let url = format!("http://localhost:{}/", address.rsplit(':').next().unwrap());
    let outbound = HttpOutbound::new().unwrap();
    assert_eq!(outbound.send(request(&url)).await.unwrap().status, 204);
    let forbidden = OutboundRequest { transport: guarded(&[]), ..request(&url) };
    assert!(matches!(outbound.send(forbidden).await, Err(OutboundError::Refused(_))));
}

#[test]
fn debug_output_shows_neither_the_secrets_of_a_url_nor_the_headers() {
    let mut request = request("https://user:password@example.com/path-token?query-token");
    request.headers.insert("authorization", "Bearer header-token".parse().unwrap());
    let text = format!("{request:?}");
    assert!(text.contains("https://example.com"), "{text}");
    for secret in ["user", "password", "token"] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// Runs itself again in a child process, since the environment belongs to the whole process.
#[test]
fn without_ca_certificates_and_in_spite_of_a_proxy_in_the_environment_http_works() {
    const INNER: &str = "WARDEN_TEST_WITHOUT_CA_CERTIFICATES";
    if std::env::var_os(INNER).is_some() {
        tokio::runtime::Runtime::new().unwrap().block_on(post_without_ca_certificates());
        return;
    }
    let name = "outbound::tests::\
                without_ca_certificates_and_in_spite_of_a_proxy_in_the_environment_http_works";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(INNER, "1")
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("http_proxy", "http://127.0.0.1:1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

async fn post_without_ca_certificates() {
    let outbound = HttpOutbound::new().unwrap();
    assert!(!outbound.system_roots);
    let (address, _) = receiver("HTTP/1.1 200 OK\r\n\r\n").await;
    assert_eq!(outbound.send(request(&format!("http://{address}/"))).await.unwrap().status, 200);

    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"not TLS").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await
    });
    let error = outbound.send(request(&format!("https://{address}/"))).await.unwrap_err();
    assert!(matches!(error, OutboundError::Connect(_)), "{error:?}");
    assert!(
        error.to_string().contains("TLS failed") && error.to_string().contains("ca-certificates"),
        "{error}"
    );
}
