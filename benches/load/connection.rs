//! One HTTP/1.1 keep-alive connection, with only the parts of the protocol that the bench needs.
//!
//! At most one request is in flight, so at most one answer is in the buffer. Deliberately absent: interim
//! (1xx) answers, trailers, bodies delimited by the end of the connection.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

use super::failure::Failure;

/// Room for an answer to a single item; a batch makes the buffer grow once.
const BUFFER: usize = 4 * 1024;
const HEADERS_MAX: usize = 32;

/// An open connection and the last answer that came over it.
pub struct Connection {
    stream: TcpStream,
    answer: Answer,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await.map_err(Failure::system("connecting"))?;
        stream.set_nodelay(true).map_err(Failure::system("setting TCP_NODELAY"))?;
        let answer = Answer { received: Vec::with_capacity(BUFFER), body: Vec::new() };
        Ok(Self { stream, answer })
    }

    /// Sends a whole request and reads the whole answer; returns its status.
    ///
    /// Both go on at once, since a batch is answered while it is still being sent. An error in sending is
    /// left for the receiving side to find: a server that refuses early closes its end, and its answer says
    /// why.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<u16, Failure> {
        let (mut reader, mut writer) = self.stream.split();
        let answered = self.answer.read(&mut reader);
        tokio::pin!(answered);
        tokio::select! {
            biased;
            _ = writer.write_all(request) => answered.await,
            status = &mut answered => status,
        }
    }

    /// The same for a request with one right status; returns the body of the answer.
    pub async fn ask(&mut self, request: &[u8], expected: u16) -> Result<&[u8], Failure> {
        match self.exchange(request).await? {
            status if status == expected => Ok(self.body()),
            status => Err(Failure::unexpected(expected, status, self.body())),
        }
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        &self.answer.body
    }
}

/// A request that posts a document.
pub fn post(address: SocketAddr, path: &str, document: &str) -> Vec<u8> {
    let length = document.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: \
         {length}\r\n\r\n{document}"
    )
    .into_bytes()
}

struct Answer {
    received: Vec<u8>,
    body: Vec<u8>,
}

enum Framing {
    Length(usize),
    Chunked,
}

struct Head {
    length: usize,
    status: u16,
    framing: Framing,
}

impl Answer {
    async fn read(&mut self, reader: &mut ReadHalf<'_>) -> Result<u16, Failure> {
        self.received.clear();
        self.body.clear();
        let head = loop {
            self.receive(reader).await?;
            if let Some(head) = parse_head(&self.received)? {
                break head;
            }
        };
        let end = match head.framing {
            Framing::Length(length) => {
                let end = head.length + length;
                self.fill(reader, end).await?;
                self.body.extend_from_slice(&self.received[head.length..end]);
                end
            }
            Framing::Chunked => self.read_chunks(reader, head.length).await?,
        };
        if self.received.len() > end {
            return Err(Failure::Answer(format!("{} bytes follow it", self.received.len() - end)));
        }
        Ok(head.status)
    }

    /// Decodes the chunks that start at `at` into the body; returns where they end.
    async fn read_chunks(&mut self, reader: &mut ReadHalf<'_>, mut at: usize) -> Result<usize, Failure> {
        const LINE_END: usize = 2;
        loop {
            let parsed = httparse::parse_chunk_size(&self.received[at..]);
            match parsed.map_err(|_| Failure::Answer("a chunk's size is malformed".into()))? {
                httparse::Status::Partial => self.receive(reader).await?,
                httparse::Status::Complete((line, size)) => {
                    let size = usize::try_from(size).map_err(|error| Failure::Answer(error.to_string()))?;
                    let (start, end) = (at + line, at + line + size);
                    self.fill(reader, end + LINE_END).await?;
                    self.body.extend_from_slice(&self.received[start..end]);
                    at = end + LINE_END;
                    if size == 0 {
                        return Ok(at);
                    }
                }
            }
        }
    }

    async fn fill(&mut self, reader: &mut ReadHalf<'_>, length: usize) -> Result<(), Failure> {
        while self.received.len() < length {
            self.receive(reader).await?;
        }
        Ok(())
    }

    async fn receive(&mut self, reader: &mut ReadHalf<'_>) -> Result<(), Failure> {
        match reader.read_buf(&mut self.received).await.map_err(Failure::system("receiving an answer"))? {
            0 => Err(Failure::Answer("the server closed the connection before its end".into())),
            _ => Ok(()),
        }
    }
}

/// `None` when the head is not all there yet.
fn parse_head(received: &[u8]) -> Result<Option<Head>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(received).map_err(|error| Failure::Answer(error.to_string()))?;
    let (httparse::Status::Complete(length), Some(status)) = (parsed, response.code) else {
        return Ok(None);
    };
    let mut framing = Framing::Length(0);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(parse_length(header.value)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        }
    }
    Ok(Some(Head { length, status, framing }))
}

fn parse_length(value: &[u8]) -> Result<usize, Failure> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| Failure::Answer("its Content-Length is no number".into()))
}
