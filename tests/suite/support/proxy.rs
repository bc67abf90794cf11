//! A faulty network between a client and a daemon.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of a connection. Places are counted in bytes of what comes from the daemon.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// It breaks there.
    Break(u64),
    /// Nothing more comes from there on.
    Stall(u64),
    /// The lowest bit of the byte there is turned over.
    Flip(u64),
}

/// A network that listens.
pub struct Proxy {
    url: String,
    server: JoinHandle<()>,
}

impl Proxy {
    /// Carries connections to the daemon at this address. The first ones have these fates, one each.
    pub async fn start(daemon: &str, fates: impl IntoIterator<Item = Fate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let daemon = daemon.trim_start_matches("http://").to_owned();
        let fates = Arc::new(Mutex::new(fates.into_iter().collect::<VecDeque<_>>()));
        let server = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let fate = fates.lock().expect("not poisoned").pop_front();
                let daemon = TcpStream::connect(&daemon).await.expect("the daemon listens");
                tokio::spawn(carry(client, daemon, fate));
            }
        });
        Self { url, server }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn carry(mut client: TcpStream, mut daemon: TcpStream, fate: Option<Fate>) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_daemon, mut to_daemon) = daemon.split();
    let there = copy(&mut from_client, &mut to_daemon);
    let back = async {
        match fate {
            None => copy(&mut from_daemon, &mut to_client).await.map(|_| ()),
            Some(Fate::Break(place)) => {
                copy(&mut (&mut from_daemon).take(place), &mut to_client).await.map(|_| ())
            }
            Some(Fate::Stall(place)) => {
                copy(&mut (&mut from_daemon).take(place), &mut to_client).await?;
                pending().await
            }
            Some(Fate::Flip(place)) => {
                copy(&mut (&mut from_daemon).take(place), &mut to_client).await?;
                let byte = from_daemon.read_u8().await?;
                to_client.write_u8(byte ^ 1).await?;
                copy(&mut from_daemon, &mut to_client).await.map(|_| ())
            }
        }
    };
    // Whichever ends first ends both: the connections are dropped. That they break is what they are for.
    tokio::select! {
        _ = there => {}
        _ = back => {}
    }
}
