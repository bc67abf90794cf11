//! A proxy in front of a receiver that can fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Nobody listens.
    Down,
    /// Whoever comes is let in, and never answered.
    Silent,
    /// Whoever comes is let in, and thrown out.
    Resetting,
    /// The way is free.
    Free,
}

/// An address in front of a receiver.
pub struct Gate {
    url: String,
    passage: watch::Sender<Passage>,
    turned_away: Arc<AtomicU32>,
    keeper: JoinHandle<()>,
}

impl Gate {
    /// One in front of the receiver at this address.
    pub fn before(receiver: &str, passage: Passage) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let address = socket.local_addr().expect("an address");
        let (host, path) = receiver.trim_start_matches("http://").split_once('/').expect("an address");
        let (url, host) = (format!("http://{address}/{path}"), host.to_owned());
        let (passage, changes) = watch::channel(passage);
        let turned_away = Arc::new(AtomicU32::new(0));
        let keeper = tokio::spawn(keep(socket, host, changes, turned_away.clone()));
        Self { url, passage, turned_away, keeper }
    }

    /// What receivers are reached by.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes what becomes of whoever comes from now on, and lets go of whoever waits.
    pub fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }

    /// How many came while the way was not free and somebody listened.
    pub fn turned_away(&self) -> u32 {
        self.turned_away.load(Ordering::Relaxed)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(
    socket: TcpSocket,
    receiver: String,
    mut passage: watch::Receiver<Passage>,
    turned_away: Arc<AtomicU32>,
) {
    // The port is ours all the while, so that nobody else listens on it.
    if passage.wait_for(|passage| *passage != Passage::Down).await.is_err() {
        return;
    }
    let listener = socket.listen(1024).expect("a socket that listens");
    while let Ok((client, _)) = listener.accept().await {
        let now = *passage.borrow();
        if now != Passage::Free {
            turned_away.fetch_add(1, Ordering::Relaxed);
        }
        tokio::spawn(lead(client, receiver.clone(), passage.clone()));
    }
}

async fn lead(mut client: TcpStream, receiver: String, mut passage: watch::Receiver<Passage>) {
    let now = *passage.borrow_and_update();
    match now {
        Passage::Free => {
            let mut receiver = TcpStream::connect(receiver).await.expect("the receiver listens");
            // That it ends badly is for those on both sides to notice.
            let _ = copy_bidirectional(&mut client, &mut receiver).await;
        }
        Passage::Silent => {
            let _ = passage.changed().await;
        }
        Passage::Down | Passage::Resetting => {
            // Without lingering the end is a reset.
            let _ = client.set_zero_linger();
        }
    }
}
