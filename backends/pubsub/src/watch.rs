//! Whether the subscription is still what it was: a stream does not tell that its topic was deleted.

use crate::shared::{Phase, Shared};
use anyhub_core::ErrorKind;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// It is looked after so long without an event, then ever more seldom: a project has 6,000 such questions a minute
/// (Pub/Sub documentation, "Quotas and limits", 2026-11), and may have many consumers to whom nothing comes.
const QUIET: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(60);

/// When something came last.
#[derive(Debug)]
pub(crate) struct Watch(Mutex<Instant>);

impl Default for Watch {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Watch {
    /// Something came, or the subscription was looked at otherwise.
    pub(crate) fn came(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the consumer closes.
pub(crate) async fn run(shared: &Shared) {
    let watch = &shared.subscription.watch;
    let (mut since, mut pause) = (watch.last(), QUIET);
    loop {
        let last = watch.last();
        if last != since {
            (since, pause) = (last, QUIET);
            // What came during the pause counts from when it came.
            sleep(QUIET.saturating_sub(last.elapsed())).await;
        } else {
            sleep(pause).await;
        }
        // What is here to be received comes first.
        if watch.last() != since || !is_idle(shared) {
            continue;
        }
        look(shared, since).await;
        pause = (pause * 2).min(LONGEST);
    }
}

fn is_idle(shared: &Shared) -> bool {
    matches!(shared.phase(), Phase::Reading) && !shared.keys().is_ready()
}

/// The consumer fails where it can't read any more.
async fn look(shared: &Shared, since: Instant) {
    let (line, subscription) = (&shared.line, &shared.subscription);
    let found = line
        .look_at_subscription("receive", &subscription.name)
        .await;
    let error = match found {
        Ok(Some(found)) => match subscription.check(&found, "receive") {
            Err(error) => error,
            Ok(()) => return,
        },
        Err(error) if error.kind() == ErrorKind::NotFound => error,
        Ok(None) | Err(_) => return,
    };
    let mut reader = shared.moving.lock().await;
    // A seek may have found it otherwise meanwhile.
    if subscription.watch.last() != since || !is_idle(shared) {
        return;
    }
    shared.fail(error);
    if let Some(reader) = reader.take() {
        reader.stop().await;
    }
}
