//! An ideal schedule: event i is due at the start plus i / rate, whatever became of those before.

use std::{
    io,
    sync::mpsc,
    thread,
    time::{Duration, Instant as SystemInstant},
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

/// An open loop: a sender that fell behind catches up at once, and the delay counts as latency.
#[derive(Debug)]
pub struct Schedule {
    start: Instant,
    per_s: f64,
    total: u64,
    given: u64,
    alarm: Option<Alarm>,
}

/// Events that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The number of the first one.
    pub first: u64,
    /// How many: 1 or more.
    pub count: u64,
}

impl Schedule {
    /// `total` events at `per_s` a second from `start` on. `per_s` is above 0.
    pub fn new(start: Instant, per_s: f64, total: u64) -> Self {
        Self {
            start,
            per_s,
            total,
            given: 0,
            alarm: None,
        }
    }

    /// The same, waking within about 0.1 ms of the time by a thread of its own. The runtime's
    /// timer wakes at the next whole millisecond, which would add half of one to every latency.
    pub fn precise(mut self) -> io::Result<Self> {
        self.alarm = Some(Alarm::new()?);
        Ok(self)
    }

    /// When event `number` is due, counted from the start. Computed anew for each, so nothing adds
    /// up.
    pub fn due_after(&self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.per_s)
    }

    /// Waits until an event is due and gives all that are, at most `most`; None after the last.
    ///
    /// What became due while it slept goes together, each with its own intended time. Cancel-safe.
    pub async fn next(&mut self, most: u64) -> Option<Due> {
        if self.given >= self.total {
            return None;
        }
        let first = self.given;
        let at = self.start + self.due_after(first);
        if at > Instant::now() {
            match &self.alarm {
                Some(alarm) => alarm.wait(at).await,
                None => sleep_until(at).await,
            }
        }
        let past = self.start.elapsed().as_secs_f64() * self.per_s;
        // Event n is due once n <= past; the first one is, though the product may round below it.
        let due = (past as u64)
            .saturating_add(1)
            .min(self.total)
            .max(first + 1);
        let count = (due - first).min(most.max(1));
        self.given += count;
        Some(Due { first, count })
    }
}

/// A thread that sleeps to within the system's own precision.
#[derive(Debug)]
struct Alarm {
    requests: mpsc::Sender<(SystemInstant, oneshot::Sender<()>)>,
}

impl Alarm {
    /// The runtime's timer is good enough up to so long before the time.
    const NEAR: Duration = Duration::from_millis(3);

    fn new() -> io::Result<Self> {
        let (requests, waiting) = mpsc::channel::<(SystemInstant, oneshot::Sender<()>)>();
        // It ends when this end of the channel is dropped.
        thread::Builder::new().name("alarm".into()).spawn(move || {
            while let Ok((at, wake)) = waiting.recv() {
                thread::sleep(at.saturating_duration_since(SystemInstant::now()));
                // Whoever waited may have gone.
                let _ = wake.send(());
            }
        })?;
        Ok(Self { requests })
    }

    async fn wait(&self, at: Instant) {
        if at - Self::NEAR > Instant::now() {
            sleep_until(at - Self::NEAR).await;
        }
        let (wake, woken) = oneshot::channel();
        let asked = self.requests.send((at.into_std(), wake));
        if asked.is_err() || woken.await.is_err() {
            sleep_until(at).await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::time::{advance, sleep};

    #[tokio::test(start_paused = true)]
    async fn never_drifts() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 333.0, 3_330);
        let mut sent = 0;
        while let Some(due) = schedule.next(100).await {
            assert_eq!(due.first, sent);
            for number in due.first..due.first + due.count {
                let late = start.elapsed().saturating_sub(schedule.due_after(number));
                let early = schedule.due_after(number).saturating_sub(start.elapsed());
                assert!(
                    early < Duration::from_micros(1),
                    "{number}: {early:?} early"
                );
                assert!(late < Duration::from_millis(2), "{number}: {late:?} late");
            }
            sent += due.count;
        }
        assert_eq!(sent, 3_330);
        let took = start.elapsed();
        assert!(
            took.abs_diff(Duration::from_secs(10)) < Duration::from_millis(5),
            "{took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sender_catches_up_at_once() {
        let mut schedule = Schedule::new(Instant::now(), 1_000.0, 100);
        assert_eq!(schedule.next(50).await.unwrap(), Due { first: 0, count: 1 });
        advance(Duration::from_millis(70)).await;
        assert_eq!(
            schedule.next(50).await.unwrap(),
            Due {
                first: 1,
                count: 50
            }
        );
        let before = Instant::now();
        let due = schedule.next(50).await.unwrap();
        assert_eq!(
            before.elapsed(),
            Duration::ZERO,
            "no wait for what is overdue"
        );
        assert!((19..=21).contains(&due.count), "{due:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_one_event_a_millisecond() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 100_000.0, 50_000);
        let mut sent = 0;
        while let Some(due) = schedule.next(u64::MAX).await {
            sent += due.count;
        }
        assert_eq!(sent, 50_000);
        assert!(
            start.elapsed() <= Duration::from_millis(502),
            "{:?}",
            start.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_wait_loses_no_event() {
        let mut schedule = Schedule::new(Instant::now(), 10.0, 5);
        let mut sent = 0;
        loop {
            tokio::select! {
                biased;
                due = schedule.next(1) => match due {
                    Some(due) => { assert_eq!(due.first, sent); sent += due.count; }
                    None => break,
                },
                () = sleep(Duration::from_millis(7)) => {}
            }
        }
        assert_eq!(sent, 5);
    }

    #[tokio::test]
    async fn the_alarm_is_never_early() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 700.0, 70).precise().unwrap();
        let mut sent = 0;
        while let Some(due) = schedule.next(1).await {
            let early = schedule
                .due_after(due.first)
                .saturating_sub(start.elapsed());
            assert_eq!(early, Duration::ZERO, "{}", due.first);
            sent += due.count;
        }
        assert_eq!(sent, 70);
    }
}
