//! Keys that stand still: they are told of, and where they hold the others up, a stream is given up to them.
//!
//! The service stops a stream at what is not acknowledged of it, whatever key that is of. What comes behind an event that
//! is never acknowledged would fill it for good. A key stays with the stream that has something of it ("Ordering messages",
//! 2026-11): so that stream is closed, what was handed on of the key is prolonged further on, by which the key stays away
//! from the next stream, and what was not is given back.

use crate::{
    error::HUB,
    shared::{Phase, Shared},
    stream::Reader,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// An event that has waited for its ack for so long is not just being worked on.
const STILL: Duration = Duration::from_secs(2);
/// Told after so long (C4).
const TOLD: Duration = Duration::from_secs(30);

/// Until the consumer closes.
pub(crate) async fn run(shared: &Arc<Shared>) {
    loop {
        sleep(LOOK).await;
        let keys = shared.keys().standing(TOLD, Instant::now());
        if keys > 0 {
            tracing::warn!(
                hub = HUB,
                subscription = %shared.subscription.name,
                keys,
                "the oldest event of a key, or of what has none, has waited 30 s for its ack, and what is behind it waits, too"
            );
        }
        if is_held_up(shared) || waits_for_much(shared) {
            give_up(shared).await;
        }
    }
}

fn is_held_up(shared: &Shared) -> bool {
    let bounds = shared.bounds();
    matches!(shared.phase(), Phase::Reading)
        && shared.keys().is_held_up(bounds, STILL, Instant::now())
}

/// What was nacked and has not come again is forgotten where there is no stream: between two of them.
fn waits_for_much(shared: &Shared) -> bool {
    matches!(shared.phase(), Phase::Reading) && shared.keys().waits_for_much(shared.bounds())
}

async fn give_up(shared: &Arc<Shared>) {
    let mut moving = shared.moving.lock().await;
    let Some(reader) = moving.take_if(|_| is_held_up(shared) || waits_for_much(shared)) else {
        return;
    };
    reader.stop().await;
    // It may have failed for good meanwhile.
    if !matches!(shared.phase(), Phase::Reading) {
        return;
    }
    // A dead-letter policy would count what the application has never seen.
    let shed = match shared.subscription.buries {
        Some(_) => Vec::new(),
        None => shared.keys().shed(STILL, Instant::now()),
    };
    tracing::debug!(
        subscription = %shared.subscription.name,
        keys = shed.len(),
        "keys that stand still hold the others up, or much that was nacked has not come again: the stream is given up"
    );
    *moving = Some(Reader::start(shared));
    drop(moving);
    // What can't be told comes again when its time is over, since that is not prolonged.
    let nacked = timeout(shared.subscription.ack_deadline, shared.nack(shed)).await;
    if !matches!(nacked, Ok(Ok(()))) {
        tracing::warn!(?nacked, "a nack could not be told");
    }
}
