//! Runs one phase: starts the producers, watches, and waits until all that was acknowledged has
//! arrived.

use std::{
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed},
    },
    time::Duration,
};

use anyhub_core::Result;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    clock::seconds,
    phase::{Kind, Phase},
    process::{self, Spent},
    produce::Sender,
    session::Session,
    source::Plan,
};
use crate::{
    progress::{Progress, Snapshot},
    report::Point,
};

/// Nothing acknowledged for so long, though something was sent: the hub is gone.
const UNANSWERED: Duration = Duration::from_secs(40);
/// Nothing delivered for so long, though something is due: it will not come (check 17).
const STALLED: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });
/// After the last event that was due: what still comes is a duplicate or a phantom.
const QUIET: Duration = Duration::from_millis(200);
/// Quiet is not waited for longer than this: a hub may redeliver for ever, or have said a place at
/// which there is nothing.
const UNQUIET: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(20);
/// How often a person is told.
const TELL: Duration = Duration::from_millis(100);
/// The first event of a schedule is due a moment after all producers were started.
const LEAD_NS: u64 = 5_000_000;

/// What a phase came to, beside what stands in it.
#[derive(Debug, Default)]
pub(super) struct Driven {
    pub(super) series: Vec<Point>,
    /// Why it ended before its time.
    pub(super) failed: Option<String>,
    pub(super) spent: Spent,
    pub(super) rss_max_bytes: u64,
    /// All that was acknowledged has arrived.
    pub(super) drained: bool,
}

/// What all phases of a run have in common.
pub(super) struct Driver<'a> {
    pub(super) session: &'a Session,
    /// Payloads are padded to its length.
    pub(super) padding: Arc<[u8]>,
    /// Events handed over in one call, at most.
    pub(super) batch: usize,
    pub(super) progress: &'a Progress,
    /// Ends the sending; what was sent is still waited for.
    pub(super) stop: &'a CancellationToken,
}

impl Driver<'_> {
    /// Sends the events of `plan` and waits for them. `rate` makes it an open loop over all producers;
    /// `at_most` ends the sending early.
    pub(super) async fn drive(
        &self,
        phase: &Arc<Phase>,
        plan: Plan,
        rate: Option<f64>,
        at_most: Option<Duration>,
    ) -> Driven {
        let Self {
            session,
            progress,
            stop,
            ..
        } = self;
        let halt = stop.child_token();
        let server = session.server.as_deref();
        let begun = Spent::so_far(server);
        session.reading.begin(phase.clone());
        let start_ns = phase.clock.now_ns() + LEAD_NS;
        let total: u64 = plan.sources.iter().map(|source| source.total()).sum();
        let mut senders = JoinSet::new();
        for ((source, producer), number) in
            plan.sources.into_iter().zip(&session.producers).zip(0u16..)
        {
            let share = source.total() as f64 / total.max(1) as f64;
            let sender = Sender {
                number,
                producer: producer.clone(),
                source,
                phase: phase.clone(),
                keys: session.reading.keys.clone(),
                padding: self.padding.clone(),
                batch: self.batch,
                halt: halt.clone(),
            };
            senders.spawn(sender.run(rate.map(|rate| rate * share), start_ns));
        }
        let mut watch = Watch::new(phase, progress, total);
        let mut driven = Driven::default();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let limit = sleep(at_most.unwrap_or(Duration::MAX));
        tokio::pin!(limit);
        loop {
            tokio::select! {
                sent = senders.join_next() => match sent {
                    None => break,
                    Some(sent) => if let Some(why) = why(sent) {
                        driven.failed.get_or_insert(why);
                        halt.cancel();
                    }
                },
                _ = ticks.tick() => {
                    watch.look();
                    if session.broken.is_cancelled() {
                        halt.cancel();
                    }
                    if watch.unanswered_for() > UNANSWERED && !halt.is_cancelled() {
                        driven.failed.get_or_insert_with(|| {
                            let why = phase.first_trouble().unwrap_or_else(|| "no answer".into());
                            format!("nothing was acknowledged for {} s: {why}", UNANSWERED.as_secs())
                        });
                        halt.cancel();
                    }
                }
                () = &mut limit, if at_most.is_some() && !halt.is_cancelled() => halt.cancel(),
            }
        }
        driven.drained = drain(session, phase, &mut watch, &mut ticks).await;
        watch.point();
        driven.series = watch.series;
        driven.rss_max_bytes = watch.rss_max_bytes;
        driven.spent = Spent::so_far(server).since(&begun);
        driven
    }
}

fn why(sent: std::result::Result<Result<()>, tokio::task::JoinError>) -> Option<String> {
    match sent {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("a producer's task broke off".into()),
    }
}

/// Waits until every acknowledged event has come, from where its receipt says, and a little longer;
/// false if it stalled.
async fn drain(
    session: &Session,
    phase: &Phase,
    watch: &mut Watch<'_>,
    ticks: &mut tokio::time::Interval,
) -> bool {
    let counters = &phase.counters;
    let (mut complete, mut counted) = (None, None);
    let (mut deliveries, mut moved) = (0, Instant::now());
    let (mut seen, mut progressed) = (0, Instant::now());
    loop {
        ticks.tick().await;
        watch.look();
        let now = counters.deliveries.load(Acquire);
        if now != deliveries {
            (deliveries, moved) = (now, Instant::now());
        }
        if counters.seen.load(Relaxed) != seen {
            (seen, progressed) = (counters.seen.load(Relaxed), Instant::now());
        }
        // The exact count walks through all events: only when it may have come to 0.
        if complete.is_none()
            && deliveries >= counters.acked.load(Relaxed)
            && counted != Some(deliveries)
        {
            counted = Some(deliveries);
            complete = (phase.ledger.outstanding() == 0).then(Instant::now);
        }
        if let Some(since) = complete {
            let quiet = moved.elapsed() >= QUIET && phase.ledger.unconfirmed() == 0
                // A consumer that waits for more goes idle.
                || phase.kind == Kind::LeadIn;
            if quiet || since.elapsed() > UNQUIET {
                return true;
            }
        }
        if session.broken.is_cancelled() || progressed.elapsed() > STALLED {
            return phase.ledger.outstanding() == 0;
        }
    }
}

/// Looks at the counters now and then.
struct Watch<'a> {
    phase: &'a Phase,
    progress: &'a Progress,
    total: u64,
    series: Vec<Point>,
    /// When, published and received at the last point.
    last: (u64, u64, u64),
    told: (Instant, u64),
    answered: (Instant, u64),
    rss_max_bytes: u64,
}

impl<'a> Watch<'a> {
    fn new(phase: &'a Phase, progress: &'a Progress, total: u64) -> Self {
        let now = Instant::now();
        Self {
            phase,
            progress,
            total,
            series: Vec::new(),
            last: (phase.clock.now_ns(), 0, 0),
            told: (now, 0),
            answered: (now, 0),
            rss_max_bytes: 0,
        }
    }

    fn look(&mut self) {
        let counters = &self.phase.counters;
        let answers = counters.acked.load(Relaxed);
        if answers != self.answered.1 || answers == counters.sent.load(Relaxed) {
            self.answered = (Instant::now(), answers);
        }
        let now = self.phase.clock.now_ns();
        if now.saturating_sub(self.last.0) >= self.spacing(now) {
            self.point();
        }
        if self.told.0.elapsed() >= TELL {
            let seen = counters.seen.load(Relaxed);
            let took = self.told.0.elapsed().as_secs_f64();
            self.progress.update(Snapshot {
                done: seen.min(self.total),
                rate_per_s: seen.saturating_sub(self.told.1) as f64 / took,
                backlog: self.phase.backlog(),
                p99_us: self.series.last().and_then(|point| point.p99_us),
            });
            self.told = (Instant::now(), seen);
            self.rss_max_bytes = self
                .rss_max_bytes
                .max(process::resident_bytes().unwrap_or_default());
        }
    }

    fn unanswered_for(&self) -> Duration {
        self.answered.0.elapsed()
    }

    /// How far apart points are: close together at first, since a fast hub is done in a moment;
    /// never made wider afterwards, since percentiles can't be averaged.
    fn spacing(&self, now: u64) -> u64 {
        const MS: u64 = 1_000_000;
        if self.phase.kind != Kind::Throughput {
            return 500 * MS;
        }
        let start = self.phase.counters.first_submit_ns.load(Relaxed);
        match now.saturating_sub(start) / MS {
            0..1_000 => 20 * MS,
            1_000..10_000 => 100 * MS,
            _ => 1_000 * MS,
        }
    }

    /// Adds a point, if anything was sent yet.
    fn point(&mut self) {
        let counters = &self.phase.counters;
        let start = counters.first_submit_ns.load(Relaxed);
        let now = self.phase.clock.now_ns();
        let (published, received) = (counters.acked.load(Relaxed), counters.seen.load(Relaxed));
        let idle = published == self.last.1 && received == self.last.2;
        // The last point may come some time after the last event.
        if start > now || (idle && self.phase.backlog() == 0) {
            return;
        }
        self.series.push(Point {
            t_s: seconds(now - start),
            published: published - self.last.1,
            received: received - self.last.2,
            backlog: self.phase.backlog(),
            p99_us: self.phase.p99_lately(),
        });
        self.last = (now, published, received);
    }
}
