//! The listener and its threads.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::connection;
use super::hub::Namespace;

/// How long what is under way may take when the server stops.
const STOP: Duration = Duration::from_secs(1);
const WORKERS: usize = 2;
/// How often it is looked for events that are past retention.
const TRIM: Duration = Duration::from_secs(1);
/// Python's client reads a connection's segment size and sets it again, and above 32,767 Linux refuses that; on loopback it
/// would be just around it.
const SEGMENT: u32 = 16_384;

/// A server that runs in threads of its own.
#[derive(Debug)]
pub(super) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(
        listener: TcpListener,
        namespace: Arc<Namespace>,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let name = format!("eventhubs-{}", listener.local_addr()?.port());
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name(&name)
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        // The thread owns the runtime: to drop one is forbidden in async code, from where a server may be dropped.
        let thread = thread::Builder::new()
            .name(name)
            .spawn(move || run(runtime, listener, namespace, tls, stopped))?;
        Ok(Server {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
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

fn run(
    runtime: Runtime,
    listener: TcpListener,
    namespace: Arc<Namespace>,
    tls: Option<TlsAcceptor>,
    stopped: oneshot::Receiver<()>,
) {
    let trimmed = Arc::clone(&namespace);
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(TRIM).await;
            trimmed.trim();
        }
    });
    runtime.block_on(async {
        tokio::select! {
            _ = stopped => {}
            () = accept(listener, namespace, tls) => {}
        }
    });
    runtime.shutdown_timeout(STOP);
}

async fn accept(listener: TcpListener, namespace: Arc<Namespace>, tls: Option<TlsAcceptor>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, Arc::clone(&namespace), tls.clone()));
            }
            // Out of file descriptors, most likely: some will be given back.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, namespace: Arc<Namespace>, tls: Option<TlsAcceptor>) {
    let _ = stream.set_nodelay(true);
    let _open = Open::new(Arc::clone(&namespace));
    match tls {
        None => connection::serve(stream, namespace).await,
        Some(tls) => {
            // One that fails at the handshake has been told so.
            if let Ok(stream) = tls.accept(stream).await {
                connection::serve(stream, namespace).await;
            }
        }
    }
}

/// Counts a connection for as long as it is open.
struct Open(Arc<Namespace>);

impl Open {
    fn new(namespace: Arc<Namespace>) -> Self {
        namespace.counters.add(|counts| {
            counts.connections += 1;
            counts.open_connections += 1;
        });
        Open(namespace)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let counters = &self.0.counters;
        counters.add(|counts| counts.open_connections -= 1);
    }
}
