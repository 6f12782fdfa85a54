//! A thread with a runtime of its own, on which the SDK runs: on a runtime of many threads its sends
//! may hang for ever, as it notes what it has sent only after it has handed it on (fe2o3-amqp 0.16).

use crate::error::HUB;
use anyhub_core::{Error, ErrorKind, Result};
use anyhub_groups::Task;
use std::{fmt, future::Future, sync::Arc, thread};
use tokio::{
    runtime::{Builder, Handle},
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

impl Io {
    /// Unexpected if no thread is to be had.
    pub(crate) fn start(operation: &'static str) -> Result<Self> {
        let failed = |error: std::io::Error| {
            let message = format!("there is no thread to be had: {error}");
            Error::new(ErrorKind::Unexpected, HUB, operation, message).with_source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("anyhub-eventhubs".to_owned())
            .spawn(move || {
                // An Err: the last clone is gone.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .map_err(failed)?;
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
