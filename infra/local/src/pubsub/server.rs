//! The connections: plain HTTP/1.1 and HTTP/2 with prior knowledge (h2c), told apart by their first bytes; gRPC and JSON, told
//! apart by their content type.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;

use super::service::Service;
use super::{grpc, rest};
use crate::in_process::Server;

const WORKERS: usize = 2;
/// HTTP/2 windows that a whole publish request fits into.
const WINDOW: u32 = 16 * 1024 * 1024;
/// Requests side by side on a connection. Source: as Google's front ends say in their settings (2026-11).
const STREAMS: u32 = 100;
/// How often deadlines are looked at.
const EXPIRE: Duration = Duration::from_millis(20);
/// How often it is looked for messages that are past retention.
const TRIM: Duration = Duration::from_secs(1);

/// By which a client can tell it from others.
const NAME: HeaderValue = HeaderValue::from_static("anyhub-local");

/// Serves in threads of its own.
pub(super) fn start(listener: TcpListener, service: Arc<Service>) -> io::Result<Server> {
    let name = thread_name(listener.local_addr()?);
    let kept = Arc::clone(&service);
    let upkeep = async move {
        let mut trimmed = Instant::now();
        loop {
            tokio::time::sleep(EXPIRE).await;
            kept.expire();
            if trimmed.elapsed() >= TRIM.min(kept.terms.second) {
                kept.trim();
                trimmed = Instant::now();
            }
        }
    };
    Server::start(listener, &name, WORKERS, upkeep, move |stream| {
        connection(stream, Arc::clone(&service))
    })
}

/// The threads are known by it, so it is one server's alone, and the 15 bytes that Linux keeps.
pub(super) fn thread_name(address: SocketAddr) -> String {
    format!("pubsub-{}", address.port())
}

/// Serves one connection until either side ends it.
async fn connection(stream: TcpStream, service: Arc<Service>) {
    let counters = &service.counters;
    counters.add(|counts| counts.connections += 1);
    let _open = counters.open(|counts| &mut counts.open_connections);
    let answer = service_fn(|request: Request<Incoming>| {
        let service = Arc::clone(&service);
        async move {
            let mut response = match is_grpc(&request) {
                true => grpc::serve(service, request).await,
                false => rest::serve(service, request).await,
            };
            response.headers_mut().insert(header::SERVER, NAME);
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .max_concurrent_streams(STREAMS);
    // A connection that ends in an error has nobody left to hear of it.
    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
