//! A connection to a peer in its own protocol.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::{Client, Failure, Ids, Reception};

/// Room for an answer to a single item; a batch makes the buffer grow once.
const BUFFER: usize = 4 * 1024;

/// What is said and heard over one connection. There is never more than one request under way, be it a
/// pipeline of many.
pub trait Dialect: Send + 'static {
    /// What is said first; empty where the peer wants nothing. It is answered like a request.
    fn greeting(&mut self) -> Vec<u8>;

    /// Makes the next request ready.
    fn prepare(&mut self, ids: &Ids);

    /// The request that was made ready.
    fn request(&self) -> &[u8];

    /// Judges what is whole at the front of `received`; how many bytes that was.
    fn hear(&mut self, received: &[u8]) -> Result<usize, Failure>;

    /// Whether all of the answer to the request was heard.
    fn is_answered(&self) -> bool;
}

/// A client that speaks a dialect.
pub struct Wire<D> {
    address: SocketAddr,
    stream: TcpStream,
    received: Vec<u8>,
    dialect: D,
}

impl<D: Dialect> Wire<D> {
    /// Connects and greets.
    pub async fn open(address: SocketAddr, mut dialect: D) -> Result<Self, Failure> {
        let greeting = dialect.greeting();
        let stream = connect(address).await?;
        let mut wire = Self { address, stream, received: Vec::with_capacity(BUFFER), dialect };
        wire.say(&greeting).await?;
        Ok(wire)
    }

    /// So many of them, each with a dialect of its own.
    pub async fn open_many(
        address: SocketAddr,
        count: usize,
        dialect: impl Fn() -> D,
    ) -> Result<Vec<Self>, Failure> {
        let mut wires = Vec::with_capacity(count);
        for _ in 0..count {
            wires.push(Self::open(address, dialect()).await?);
        }
        Ok(wires)
    }

    async fn say(&mut self, message: &[u8]) -> Result<(), Failure> {
        if message.is_empty() {
            return Ok(());
        }
        converse(&mut self.stream, &mut self.received, Said::These(message), &mut self.dialect).await
    }
}

impl<D: Dialect> Client for Wire<D> {
    fn prepare(&mut self, ids: &Ids) -> bool {
        self.dialect.prepare(ids);
        true
    }

    async fn exchange(&mut self) -> Result<Reception, Failure> {
        converse(&mut self.stream, &mut self.received, Said::Request, &mut self.dialect).await?;
        Ok(Reception::Accepted)
    }

    async fn reconnect(&mut self) -> Result<(), Failure> {
        let greeting = self.dialect.greeting();
        self.stream = connect(self.address).await?;
        self.received.clear();
        self.say(&greeting).await
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address).await.map_err(Failure::system("connecting"))?;
    stream.set_nodelay(true).map_err(Failure::system("setting TCP_NODELAY"))?;
    Ok(stream)
}

enum Said<'a> {
    These(&'a [u8]),
    Request,
}

/// Sends and hears at once, since a pipeline is answered while it is still being sent.
async fn converse(
    stream: &mut TcpStream,
    received: &mut Vec<u8>,
    said: Said<'_>,
    dialect: &mut impl Dialect,
) -> Result<(), Failure> {
    let (mut reader, mut writer) = stream.split();
    let mut sent = 0;
    while !dialect.is_answered() {
        let message = match said {
            Said::These(message) => message,
            Said::Request => dialect.request(),
        };
        tokio::select! {
            biased;
            written = writer.write(&message[sent..]), if sent < message.len() => {
                sent += written.map_err(Failure::system("sending a request"))?;
            }
            read = reader.read_buf(received) => {
                if read.map_err(Failure::system("receiving an answer"))? == 0 {
                    return Err(Failure::Answer("the server closed the connection before its end".into()));
                }
                let heard = dialect.hear(received)?;
                received.drain(..heard);
            }
        }
    }
    match received.len() {
        0 => Ok(()),
        more => Err(Failure::Answer(format!("{more} bytes follow it"))),
    }
}

/// A line of an answer without its end, and where the next one begins; `None` when it is not whole yet.
pub fn line(received: &[u8]) -> Option<(&[u8], usize)> {
    let end = memchr::memchr(b'\n', received)?;
    let line = &received[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}
