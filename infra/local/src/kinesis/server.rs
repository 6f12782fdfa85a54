//! The connections: plain HTTP/1.1 and HTTP/2 with prior knowledge (h2c), told apart by their first bytes.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use hyper::header::{HeaderValue, SERVER};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::layer::{Layer, Outcome};
use crate::in_process::Server;

/// More than there is work for: ferrokinesis's subscriptions hold locks across waits, and a thread that blocks on one must not
/// be the last that could go on with who holds it.
const WORKERS: usize = 8;
/// HTTP/2 windows that a whole PutRecords fits into.
const WINDOW: u32 = 8 * 1024 * 1024;

/// By which a client can tell it from others.
const NAME: HeaderValue = HeaderValue::from_static("anyhub-local");

/// Serves the layer in threads of its own.
pub(super) fn start(listener: TcpListener, layer: Arc<Layer>) -> io::Result<Server> {
    let name = thread_name(listener.local_addr()?);
    let trimmed = Arc::clone(&layer);
    let upkeep = async move { trimmed.trim().await };
    Server::start(listener, &name, WORKERS, upkeep, move |stream| {
        connection(stream, Arc::clone(&layer))
    })
}

/// The threads are known by it, so it is one server's alone, and the 15 bytes that Linux keeps.
pub(super) fn thread_name(address: SocketAddr) -> String {
    format!("kinesis-{}", address.port())
}

/// Serves one connection until either side ends it, or a fault cuts it.
async fn connection(stream: TcpStream, layer: Arc<Layer>) {
    let counters = &layer.counters;
    counters.add(|counts| counts.connections += 1);
    let _open = counters.open(|counts| &mut counts.open_connections);
    let cut = Arc::new(Notify::new());
    let service = service_fn(|request| {
        let (layer, cut) = (Arc::clone(&layer), Arc::clone(&cut));
        async move {
            match layer.serve(request).await {
                Outcome::Answer(mut response) => {
                    response.headers_mut().insert(SERVER, NAME);
                    Ok::<_, Infallible>(response)
                }
                Outcome::Cut => {
                    cut.notify_one();
                    std::future::pending().await
                }
            }
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW);
    tokio::select! {
        // A connection that ends in an error has nobody left to hear of it.
        _ = builder.serve_connection(TokioIo::new(stream), service) => {}
        () = cut.notified() => {}
    }
}
