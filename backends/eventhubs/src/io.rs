//! A thread with a runtime of its own, on which the SDK runs: on a runtime of many threads its sends
//! may hang for ever, as it notes what it has sent only after it has handed it on (fe2o3-amqp 0.16).

use crate::error::HUB;
use anyhub_core::{Error, ErrorKind, Result};
use anyhub_groups::Task;
use std::{
    fmt,
    future::Future,
    io,
    sync::{Arc, mpsc},
    thread,
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
    task::JoinHandle,
};

/// The thread ends with the last clone, and what still runs on it with the thread.
#[derive(Clone)]
pub(crate) struct Io(Arc<Inner>);

struct Inner {
    handle: Handle,
    /// Dropped, it ends the thread.
    _stop: oneshot::Sender<()>,
}

/// The SDK decodes an event by recursion without a limit (serde_amqp 0.16), and a stack that is too small
/// ends the process. An event of 1 MiB, the most outside of dedicated clusters, may hold values within
/// values to a depth of 524,288, at 2 bytes each: a described value whose descriptor is `ulong0`. Each of
/// these takes 816 bytes of stack, 428 MiB in all; other kinds take less in all, a map of 3 bytes 1,136
/// (measured, x86-64, optimised, 2026-11). Built for debugging, a level takes 9 to 13 KiB, and a tenth of
/// that depth fits. What is not used is address space alone.
const STACK: usize = 512 << 20;
/// Where address space is short, it is this at least: what threads have elsewhere.
const STACK_LEAST: usize = 2 << 20;

/// What a thread runs, and when it ends.
type Runs = (Runtime, oneshot::Receiver<()>);

/// A thread that waits for what it is to run.
fn begin(stack: usize) -> io::Result<mpsc::Sender<Runs>> {
    let (give, given) = mpsc::channel::<Runs>();
    let name = "anyhub-eventhubs".to_owned();
    let thread = thread::Builder::new().name(name).stack_size(stack);
    thread.spawn(move || {
        if let Ok((runtime, stopped)) = given.recv() {
            // An Err: the last clone is gone.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        }
    })?;
    Ok(give)
}

/// One with as much of a stack as is to be had.
fn begin_with_most() -> io::Result<mpsc::Sender<Runs>> {
    let mut stack = STACK;
    loop {
        match begin(stack) {
            Err(_) if stack > STACK_LEAST => stack /= 2,
            Ok(thread) if stack < STACK => {
                tracing::warn!(
                    hub = HUB,
                    bytes = stack,
                    "there is little address space for a stack: an event of values nested deep may end the process"
                );
                return Ok(thread);
            }
            thread => return thread,
        }
    }
}

impl Io {
    /// Unexpected if no thread is to be had.
    pub(crate) fn start(operation: &'static str) -> Result<Self> {
        let failed = |error: io::Error| {
            let message = format!("there is no thread to be had: {error}");
            Error::new(ErrorKind::Unexpected, HUB, operation, message).with_source(error)
        };
        let thread = begin_with_most().map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        // An Err: the thread has not waited, which it always does.
        let _ = thread.send((runtime, stopped));
        Ok(Self(Arc::new(Inner {
            handle,
            _stop: stop,
        })))
    }

    /// Starts a task there.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.0.handle.spawn(future)
    }

    /// Runs it there. Unexpected if it panics.
    ///
    /// Dropped, what runs is dropped too.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        future: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = self.spawn(future);
        let _ending = Task::new(task.abort_handle());
        task.await.unwrap_or_else(|error| {
            let message = format!("the SDK has failed: {error}");
            Err(Error::new(ErrorKind::Unexpected, HUB, operation, message).with_source(error))
        })
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Io")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_lives() {
        let io = Io::start("test").unwrap();
        let failed = io.run("test", async { panic!("from outside") });
        let failed: Result<()> = failed.await;
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unexpected);
        let name = io.run("test", async {
            Ok(thread::current().name().map(str::to_owned))
        });
        assert_eq!(name.await.unwrap().as_deref(), Some("anyhub-eventhubs"));
    }

    #[tokio::test]
    async fn what_runs_ends_with_who_waits_and_with_the_thread() {
        let io = Io::start("test").unwrap();
        for whole in [false, true] {
            let (held, dropped) = oneshot::channel::<()>();
            let running = io.spawn(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
            if whole {
                drop(io);
                dropped.await.unwrap_err();
                return;
            }
            drop(Task::new(running.abort_handle()));
            dropped.await.unwrap_err();
        }
    }
}
