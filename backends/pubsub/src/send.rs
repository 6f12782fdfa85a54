//! Requests out, and answers in.

use crate::{
    client::{ATTEMPT, Line},
    error::HUB,
    outbox::{Answer, Outbox, Request, Step},
};
use anyhub_core::{Error, ErrorKind};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::{sync::Notify, time::sleep_until};

/// What a producer and its task share; it lives until all that was admitted is told.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) line: Line,
    /// The topic's full name.
    pub(crate) topic: Arc<str>,
    outbox: Mutex<Outbox>,
    bell: Notify,
}

impl Core {
    pub(crate) fn new(line: Line, topic: Arc<str>, outbox: Outbox) -> Self {
        Self {
            line,
            topic,
            outbox: Mutex::new(outbox),
            bell: Notify::new(),
        }
    }

    /// Changes what waits, and has the task look at it.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Outbox) -> T) -> T {
        let changed = change(&mut self.outbox());
        self.bell.notify_one();
        changed
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends until the producer is gone and all is told. One task for all requests: none for each, and no box for a
/// message.
pub(crate) async fn run(core: Arc<Core>) {
    let mut flying = FuturesUnordered::new();
    loop {
        let step = core.outbox().next(Instant::now());
        let until = match step {
            Step::Send(request) => {
                flying.push(send(&core, request));
                continue;
            }
            Step::Gone => return,
            Step::Wait(until) => until,
        };
        let alarm = async {
            match until {
                Some(until) => sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((request, answer)) = flying.next() => {
                core.outbox().answered(request, answer, Instant::now(), rand::random());
            }
            () = core.bell.notified() => {}
            () = alarm => {}
        }
    }
}

async fn send(core: &Core, request: Request) -> (Request, Answer) {
    let left = request.deadline.saturating_duration_since(Instant::now());
    let entries = request.entries.clone();
    let count = entries.len();
    let published = core
        .line
        .publish(&core.topic, entries, left.min(ATTEMPT))
        .await;
    let ids = published.as_ref().map_or(&[][..], Vec::as_slice);
    let bytes = request.bytes() + ids.iter().map(String::len).sum::<usize>();
    let answer = match published {
        Ok(ids) if ids.len() == count => Answer::Written,
        Ok(ids) => {
            let written = ids.len();
            let message = format!("{written} messages were told to be written, of {count}");
            let error = Error::new(ErrorKind::Unexpected, HUB, "submit", message);
            Answer::Refused(error.with_indeterminate())
        }
        Err(failure) if failure.passing => Answer::Failed {
            maybe: failure.maybe,
            error: failure.error,
        },
        Err(failure) => Answer::Refused(failure.error),
    };
    if matches!(answer, Answer::Written | Answer::Failed { maybe: true, .. }) {
        // What may have been written may be billed.
        core.line.counters().published(count, bytes);
    }
    (request, answer)
}
