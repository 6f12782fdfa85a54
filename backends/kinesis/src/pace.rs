//! How often a shard is read: within its limits, and seldom when nothing comes.

use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The pauses between the reads of one shard.
///
/// A shard gives 5 GetRecords and 2 MiB a second, to all of its readers together (Amazon Kinesis
/// Data Streams developer guide, "Quotas and limits", 2026-11).
#[derive(Debug)]
pub(crate) struct Pace {
    /// What part of the limits is ours; None: no pauses but for those of an idle shard.
    share: Option<f64>,
    next: Instant,
    idle: Duration,
    /// When the first of the reads began that have brought nothing since.
    silent_since: Option<Instant>,
    throttled: u32,
}

const READ: Duration = Duration::from_millis(200);
const BYTES_PER_SECOND: f64 = 2.0 * 1024.0 * 1024.0;

/// An idle shard is read once a second, but as often as it may be in the first seconds of silence, as
/// between the events of a slow stream: those should not wait.
const PATIENCE: Duration = Duration::from_secs(5);
const IDLE_LONGEST: Duration = Duration::from_secs(1);
/// The first pause where no limits are kept. Shorter ones of a shard that is read to its end would take
/// from the others what their server can do.
const IDLE_FIRST_UNPACED: Duration = Duration::from_millis(20);

/// After a read that was refused for its rate.
const THROTTLED_LONGEST: Duration = Duration::from_secs(2);

impl Pace {
    pub(crate) fn new(share: Option<f64>) -> Self {
        Self {
            share,
            next: Instant::now(),
            idle: Duration::ZERO,
            silent_since: None,
            throttled: 0,
        }
    }

    /// Waits until the next read is due.
    pub(crate) async fn wait(&self) {
        sleep_until(self.next).await;
    }

    /// A read that began at `began` brought so many bytes; `more`: there is more to be had now.
    pub(crate) fn read(&mut self, began: Instant, bytes: usize, more: bool) {
        self.throttled = 0;
        let mut pause = Duration::ZERO;
        if let Some(share) = self.share {
            let took = Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND);
            pause = READ.max(took).div_f64(share);
        }
        if bytes == 0 && !more {
            let since = *self.silent_since.get_or_insert(began);
            let first = match self.share {
                Some(_) => READ,
                None => IDLE_FIRST_UNPACED,
            };
            let longest = match began.duration_since(since) < PATIENCE {
                true => READ,
                false => IDLE_LONGEST,
            };
            self.idle = (self.idle * 2).clamp(first, longest);
        } else {
            self.silent_since = None;
            self.idle = Duration::ZERO;
        }
        self.next = began + pause.max(self.idle);
    }

    /// A read was refused for its rate, or failed: the next one comes later, and later still.
    pub(crate) fn refused(&mut self, jitter: f64) {
        let pause = READ.saturating_mul(1 << self.throttled.min(5));
        self.throttled += 1;
        self.next = Instant::now() + pause.min(THROTTLED_LONGEST).mul_f64(0.5 + jitter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(pace: &Pace, began: Instant) -> Duration {
        pace.next - began
    }

    #[test]
    fn five_reads_a_second_of_which_each_has_its_share() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(1.0));
        pace.read(now, 100, true);
        assert_eq!(pause(&pace, now), READ);
        pace.read(now, 4 << 20, true);
        assert_eq!(pause(&pace, now), Duration::from_secs(2));
        let mut pace = Pace::new(Some(0.25));
        pace.read(now, 100, true);
        assert_eq!(pause(&pace, now), READ * 4);
        let mut pace = Pace::new(None);
        pace.read(now, 4 << 20, true);
        assert_eq!(pause(&pace, now), Duration::ZERO);
    }

    /// The pauses after reads that bring nothing, each begun when it is due.
    fn silence(pace: &mut Pace, mut began: Instant, reads: usize) -> Vec<u128> {
        let mut pauses = Vec::new();
        for _ in 0..reads {
            pace.read(began, 0, false);
            pauses.push(pause(pace, began).as_millis());
            began = pace.next;
        }
        pauses
    }

    #[test]
    fn an_idle_shard_is_read_once_a_second_after_five() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(1.0));
        for _ in 0..2 {
            let pauses = silence(&mut pace, now, 29);
            assert_eq!(pauses[..25], [200; 25]);
            assert_eq!(pauses[25..], [400, 800, 1_000, 1_000]);
            pace.read(now, 1, false);
            assert_eq!(pause(&pace, now), READ);
            // Empty pages on the way to what is there.
            pace.read(now, 0, true);
            assert_eq!(pause(&pace, now), READ);
        }
    }

    #[test]
    fn without_limits_the_first_pauses_are_short() {
        let now = Instant::now();
        let mut pace = Pace::new(None);
        let pauses = silence(&mut pace, now, 40);
        assert_eq!(pauses[..6], [20, 40, 80, 160, 200, 200]);
        assert_eq!(pauses[36..], [1_000; 4]);
        pace.read(now, 1, false);
        assert_eq!(pause(&pace, now), Duration::ZERO);
    }
}
