//! A connection to one server, in that server's protocol.

use std::future::Future;
use std::net::SocketAddr;

use super::connection::Connection;
use super::failure::Failure;
use super::ids::Ids;
use super::script::{Reception, Script, Workload};

/// A connection with its requests, one under way at a time.
pub trait Client: Send + 'static {
    /// Makes the next request ready; false when there is nothing left to ask for.
    fn prepare(&mut self, ids: &Ids) -> bool;

    /// Sends it, waits for the whole answer and judges it.
    fn exchange(&mut self) -> impl Future<Output = Result<Reception, Failure>> + Send;

    /// Begins anew after a request was shed: it may have been before the whole of it was sent, and then the
    /// connection is of no more use.
    fn reconnect(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// The client of the daemon and of the peer that does nothing.
pub struct HttpClient {
    address: SocketAddr,
    connection: Connection,
    script: Script,
}

impl HttpClient {
    pub async fn open(address: SocketAddr, workload: Workload) -> Result<Self, Failure> {
        Ok(Self { address, connection: Connection::open(address).await?, script: Script::new(workload) })
    }

    /// So many of them.
    pub async fn open_many(
        address: SocketAddr,
        workload: Workload,
        count: usize,
    ) -> Result<Vec<Self>, Failure> {
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            clients.push(Self::open(address, workload).await?);
        }
        Ok(clients)
    }
}

impl Client for HttpClient {
    fn prepare(&mut self, ids: &Ids) -> bool {
        self.script.next(ids)
    }

    async fn exchange(&mut self) -> Result<Reception, Failure> {
        let status = self.connection.exchange(self.script.request()).await?;
        self.script.settle(status, self.connection.body())
    }

    async fn reconnect(&mut self) -> Result<(), Failure> {
        self.connection = Connection::open(self.address).await?;
        Ok(())
    }
}
