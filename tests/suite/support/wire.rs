//! A raw connection, for malformed requests.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::answer::{Answer, Contract};
use super::{TestDaemon, within_patience};

/// What a narrow connection buffers, in bytes.
const NARROW: u32 = 8 * 1024;

/// An open connection to a daemon.
pub struct Wire {
    stream: TcpStream,
    origin: String,
    received: Vec<u8>,
}

impl Wire {
    /// Connects.
    pub async fn open(daemon: &TestDaemon) -> Self {
        let origin = daemon.url("");
        let address = origin.strip_prefix("http://").expect("an address");
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self { stream, origin, received: Vec::new() }
    }

    /// Connects, and has the system take little of what is not read.
    pub async fn open_narrow(daemon: &TestDaemon) -> Self {
        let origin = daemon.url("");
        let address = origin.strip_prefix("http://").expect("an address").parse().expect("an address");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(NARROW).expect("a small buffer");
        let stream = socket.connect(address).await.expect("a connection");
        Self { stream, origin, received: Vec::new() }
    }

    /// Sends bytes, all of them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within_patience("the daemon to take the bytes", self.stream.write_all(bytes.as_ref()))
            .await
            .expect("the daemon takes them");
    }

    /// Sends bytes, and says whether the daemon still took them.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.expect("a connection to shut down");
    }

    /// Resets the connection.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a connection to reset");
    }

    /// Reads the next answer, whose length must be told.
    pub async fn answer(&mut self) -> Answer {
        within_patience("an answer", async {
            loop {
                if let Some(answer) = self.take_answer() {
                    return answer;
                }
                assert!(self.receive().await > 0, "the connection ended amid {:?}", self.heard());
            }
        })
        .await
    }

    /// Waits until the head of an answer is there, and leaves it.
    pub async fn head(&mut self) {
        within_patience("the head of an answer", async {
            while !self.received.windows(4).any(|end| end == b"\r\n\r\n") {
                assert!(self.receive().await > 0, "the connection ended amid {:?}", self.heard());
            }
        })
        .await;
    }

    /// Sends the head of a request and its body, reads the answer, and holds it against the contract.
    pub async fn exchange(&mut self, method: Method, target: &[u8], headers: &str, body: &[u8]) -> Answer {
        let mut request = format!("{method} ").into_bytes();
        request.extend_from_slice(target);
        request.extend_from_slice(format!(" HTTP/1.1\r\nhost: warden\r\n{headers}\r\n").as_bytes());
        request.extend_from_slice(body);
        self.send(request).await;
        let answer = self.answer().await;
        let target = String::from_utf8_lossy(target);
        let path = target.split('?').next().unwrap_or_default();
        Contract::of(&self.origin).await.check(&method, path, &answer);
        answer
    }

    /// Waits until the daemon has closed the connection, and gives what it said before.
    pub async fn closed(&mut self) -> String {
        within_patience("the daemon to close the connection", async { while self.receive().await > 0 {} })
            .await;
        self.heard()
    }

    /// Receives about so many bytes and throws them away; false when the connection has ended, or was reset.
    pub async fn skip(&mut self, bytes: usize) -> bool {
        let mut buffer = vec![0; bytes];
        within_patience("more of the answer", self.stream.read(&mut buffer))
            .await
            .is_ok_and(|count| count > 0)
    }

    /// Receives something; zero when the connection has ended.
    async fn receive(&mut self) -> usize {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).await.expect("not a reset connection");
        self.received.extend_from_slice(&buffer[..count]);
        count
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// Takes an answer off what was received, if it is whole.
    fn take_answer(&mut self) -> Option<Answer> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(start) = head.parse(&self.received).expect("an HTTP answer") else {
            return None;
        };
        let status = head.code.expect("a status");
        let header = |header: &httparse::Header<'_>| {
            let name: HeaderName = header.name.parse().expect("a header name");
            (name, HeaderValue::from_bytes(header.value).expect("a header value"))
        };
        let headers: HeaderMap = head.headers.iter().map(header).collect();
        let length = headers.get("content-length").map(|value| value.to_str().expect("a text"));
        let length = length.map_or(0, |text| text.parse().expect("a length"));
        let body = self.received.get(start..start + length)?.to_vec();
        self.received.drain(..start + length);
        Some(Answer { status, headers, body })
    }
}
