//! The listener, and what becomes of a connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connection;
use super::hub::Namespace;
use crate::in_process::Server;

const WORKERS: usize = 2;
/// How often it is looked for events that are past retention.
const TRIM: Duration = Duration::from_secs(1);
/// Python's client reads a connection's segment size and sets it again, and above 32,767 Linux refuses that; on loopback it
/// would be just around it.
const SEGMENT: u32 = 16_384;

/// Serves the namespace in threads of its own.
pub(super) fn start(
    listener: TcpListener,
    namespace: Arc<Namespace>,
    tls: Option<TlsAcceptor>,
) -> io::Result<Server> {
    let name = thread_name(listener.local_addr()?);
    let trimmed = Arc::clone(&namespace);
    let upkeep = async move {
        loop {
            tokio::time::sleep(TRIM).await;
            trimmed.trim();
        }
    };
    Server::start(listener, &name, WORKERS, upkeep, move |stream| {
        serve(stream, Arc::clone(&namespace), tls.clone())
    })
}

/// The threads are known by it, so it is one server's alone, and the 15 bytes that Linux keeps.
pub(super) fn thread_name(address: SocketAddr) -> String {
    format!("eventhubs-{}", address.port())
}

/// Listens on a port of 127.0.0.1, 0 for any.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    // As the standard library does it: a port whose last connections still linger can be had again.
    socket.set_reuse_address(true)?;
    socket.set_tcp_mss(SEGMENT)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    Ok(socket.into())
}

async fn serve(stream: TcpStream, namespace: Arc<Namespace>, tls: Option<TlsAcceptor>) {
    let counters = &namespace.counters;
    counters.add(|counts| counts.connections += 1);
    let _open = counters.open(|counts| &mut counts.open_connections);
    let is_full = counters.read().open_connections > namespace.connections;
    match tls {
        None => connection::serve(stream, namespace, is_full).await,
        Some(tls) => {
            // One that fails at the handshake has been told so.
            if let Ok(Ok(stream)) = timeout(connection::IDLE, tls.accept(stream)).await {
                connection::serve(stream, namespace, is_full).await;
            }
        }
    }
}
