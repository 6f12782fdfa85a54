//! One clock for all processes of this machine.

use rustix::time::{ClockId, clock_gettime};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    time::Duration,
};

/// The machine's monotonic clock.
pub(crate) fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is negative: it counts from the start of the machine.
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// What a future comes to, and when it was looked at for the last time: however long the thread is
/// held up right after, what it brings was decided then.
pub(crate) async fn stamped<F: Future>(future: F) -> (Duration, F::Output) {
    let mut future = pin!(future);
    poll_fn(|context| {
        let at = now();
        future.as_mut().poll(context).map(|output| (at, output))
    })
    .await
}
