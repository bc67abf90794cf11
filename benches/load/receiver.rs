//! A receiver of notifications that accepts everything at once.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Instant, SystemTime};

use super::failure::Failure;

/// One notification, and when the whole of it was there: by the steady clock and by the wall's.
pub struct Notification {
    pub at: Instant,
    pub time: SystemTime,
    pub document: serde_json::Value,
}

/// Listens on a port of the system's choice until the program ends, a thread for each connection.
pub fn listen() -> Result<(SocketAddr, Receiver<Notification>), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Failure::system("binding a receiver"))?;
    let address = listener.local_addr().map_err(Failure::system("binding a receiver"))?;
    let (sender, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || serve(stream, &sender));
        }
    });
    Ok((address, told))
}

/// Until the daemon closes the connection. What cannot be read ends it too: nobody is told, and the bench
/// says so.
fn serve(stream: TcpStream, sender: &Sender<Notification>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (at, time) = (Instant::now(), SystemTime::now());
        writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
        let document = serde_json::from_slice(&body).ok()?;
        sender.send(Notification { at, time, document }).ok()?;
    }
}
