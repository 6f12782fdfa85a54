//! The threads of a server, and the connections that it takes in.

use std::io;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

/// How long what is under way may take when the server stops.
const STOP: Duration = Duration::from_secs(1);

/// A server that runs in threads of its own, until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Server(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Starts `workers` threads called `name`, which serve every connection with `serve`; `upkeep` goes on beside.
    pub(crate) fn start<U, S, F>(
        listener: TcpListener,
        name: &str,
        workers: usize,
        upkeep: U,
        serve: S,
    ) -> io::Result<Self>
    where
        U: Future<Output = ()> + Send + 'static,
        S: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        listener.set_nonblocking(true)?;
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name(name)
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        // The thread owns the runtime: to drop one is forbidden in async code, from where a server may be dropped.
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.spawn(upkeep);
                run(runtime, listener, serve, stopped);
            })?;
        Ok(Server(Mutex::new(Some(Running { stop, thread }))))
    }

    /// Cuts the connections and waits until the threads are gone, at most a second. A second call does nothing.
    pub(crate) fn stop(&self) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Running { stop, thread }) = running.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run<F>(
    runtime: Runtime,
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
    stopped: oneshot::Receiver<()>,
) where
    F: Future<Output = ()> + Send + 'static,
{
    runtime.block_on(async {
        tokio::select! {
            _ = stopped => {}
            () = accept(listener, serve) => {}
        }
    });
    runtime.shutdown_timeout(STOP);
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream));
            }
            // Out of file descriptors, most likely: some will be given back.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
