//! The address of a daemon that stops, or has yet to come.

use tokio::net::TcpSocket;

/// An address that nobody else gets, whether a daemon listens there or not.
pub struct Address {
    text: String,
    /// Bound, but does not listen. A daemon can listen there all the same: like this socket it lets the
    /// address be used again.
    _socket: TcpSocket,
}

impl Address {
    /// Takes one of the system's choice.
    pub fn reserve() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option of sockets");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let text = socket.local_addr().expect("an address").to_string();
        Self { text, _socket: socket }
    }

    /// As a daemon is told it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As clients are told it.
    pub fn url(&self) -> String {
        format!("http://{}", self.text)
    }
}
