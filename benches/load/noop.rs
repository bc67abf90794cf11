//! The no-op peer: HTTP without the work of the daemon.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{post, put};
use axum::serve::ListenerExt;
use futures_util::stream;
use tokio::net::TcpListener;

use super::failure::Failure;

/// Given as the first argument, this program is that peer.
pub const ARGUMENT: &str = "serve-noop";

/// Bytes of answered lines in one chunk.
const CHUNK: usize = 64 * 1024;

/// Serves until it is killed, on a port of the system's choice, which it prints as the daemon does.
pub fn serve() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("starting the runtime"))?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Failure::system("binding"))?;
        let address = listener.local_addr().map_err(Failure::system("asking for the port"))?;
        println!("listening on http://{address}");
        // Without it the figures are the same on loopback; with it they cannot be blamed on its absence.
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        axum::serve(listener, router()).await.map_err(Failure::system("serving"))
    })
}

fn router() -> Router {
    Router::new()
        .route("/v1/workflows/{workflow}/items/{id}", put(create).delete(close))
        .route("/v1/batch", post(batch))
        // What a replay is sent to.
        .route("/replay", post(create))
        .layer(DefaultBodyLimit::disable())
}

async fn create(_payload: Bytes) -> StatusCode {
    StatusCode::CREATED
}

async fn close() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// A line for a line, in chunks, as the daemon may answer.
async fn batch(body: Bytes) -> Body {
    let mut answer = Vec::new();
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let created = line.starts_with(br#"{"op":"create""#);
        answer.extend_from_slice(if created { b"{\"status\":201}\n" } else { b"{\"status\":204}\n" });
    }
    let answer = Bytes::from(answer);
    let chunks = (0..answer.len()).step_by(CHUNK);
    let chunks: Vec<_> =
        chunks.map(|at| Ok::<_, Failure>(answer.slice(at..answer.len().min(at + CHUNK)))).collect();
    Body::from_stream(stream::iter(chunks))
}
