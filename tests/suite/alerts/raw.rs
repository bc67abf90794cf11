//! A receiver that a test controls byte by byte.

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::within_patience;

/// A socket that listens.
pub struct RawReceiver {
    listener: TcpListener,
}

/// A request that waits for its answer.
pub struct RawRequest {
    stream: TcpStream,
    text: String,
}

impl RawReceiver {
    /// A receiver on a port of the system's.
    pub async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a port") }
    }

    /// A receiver on a socket that listens already.
    pub fn on(listener: TcpListener) -> Self {
        Self { listener }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.listener.local_addr().expect("an address"))
    }

    /// The next request.
    pub async fn request(&self) -> RawRequest {
        let mut stream = self.connection().await;
        let text = read_request(&mut stream).await;
        RawRequest { stream, text }
    }

    /// Whether nobody is at the door.
    pub fn is_idle(&self) -> bool {
        self.listener.accept().now_or_never().is_none()
    }

    /// The next connection, of which nothing is read.
    pub async fn connection(&self) -> TcpStream {
        within_patience("a connection", self.listener.accept()).await.expect("a connection").0
    }
}

/// Reads one request whole, also one without a body.
pub async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    within_patience("a request", async {
        let mut read = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if length.map_or(Ok(0), str::parse) == Ok(body.len()) {
                    return text;
                }
            }
            assert_ne!(stream.read_buf(&mut read).await.expect("bytes"), 0, "half a request");
        }
    })
    .await
}

impl RawRequest {
    /// Its first line.
    pub fn line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        self.text
            .lines()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap_or_else(|| panic!("{name} is missing"))
    }

    /// The body.
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// Answers with these bytes and closes. The other side may have gone meanwhile.
    pub async fn answer(mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
        let _ = self.stream.shutdown().await;
    }
}
