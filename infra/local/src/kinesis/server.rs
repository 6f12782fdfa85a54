//! The connections: plain HTTP/1.1 and HTTP/2 with prior knowledge (h2c), told apart by their first bytes.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::header::{HeaderValue, SERVER};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::{Notify, oneshot};

use super::layer::{Layer, Outcome};

/// How long a client may take to receive what is under way when the server stops.
const STOP: Duration = Duration::from_secs(1);
/// More than there is work for: ferrokinesis's subscriptions hold locks across waits, and a thread that blocks on one must not
/// be the last that could go on with who holds it.
const WORKERS: usize = 8;
/// HTTP/2 windows that a whole PutRecords fits into.
const WINDOW: u32 = 8 * 1024 * 1024;

/// By which a client can tell it from others.
const NAME: HeaderValue = HeaderValue::from_static("anyhub-local");

/// A server that runs in threads of its own.
#[derive(Debug)]
pub(super) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(listener: TcpListener, layer: Arc<Layer>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let name = thread_name(listener.local_addr()?);
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name(&name)
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        // The thread owns the runtime: to drop one is forbidden in async code, from where a server may be dropped.
        let thread = thread::Builder::new()
            .name(name)
            .spawn(move || run(runtime, listener, layer, stopped))?;
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

/// The threads are known by it, so it is one server's alone, and the 15 bytes that Linux keeps.
pub(super) fn thread_name(address: SocketAddr) -> String {
    format!("kinesis-{}", address.port())
}

fn run(runtime: Runtime, listener: TcpListener, layer: Arc<Layer>, stopped: oneshot::Receiver<()>) {
    let trimmed = Arc::clone(&layer);
    runtime.spawn(async move { trimmed.trim().await });
    runtime.block_on(async {
        tokio::select! {
            _ = stopped => {}
            () = accept(listener, layer) => {}
        }
    });
    runtime.shutdown_timeout(STOP);
}

async fn accept(listener: TcpListener, layer: Arc<Layer>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&layer)));
            }
            // Out of file descriptors, most likely: some will be given back.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Serves one connection until either side ends it, or a fault cuts it.
async fn connection(stream: TcpStream, layer: Arc<Layer>) {
    let _ = stream.set_nodelay(true);
    let _open = Open::new(Arc::clone(&layer));
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

/// Counts a connection for as long as it is open.
struct Open(Arc<Layer>);

impl Open {
    fn new(layer: Arc<Layer>) -> Self {
        layer.counters.add(|counts| {
            counts.connections += 1;
            counts.open_connections += 1;
        });
        Open(layer)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counters.add(|counts| counts.open_connections -= 1);
    }
}
