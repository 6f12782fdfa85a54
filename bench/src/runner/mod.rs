//! Runs the workload on every hub, through the traits alone.
//!
//! The hubs take turns, A B C A B C, over the runs. A run on a hub is: open, warm up, lead in, the
//! latency phase, the throughput phase, close. Every phase has a run number of its own in its payloads and
//! a ledger of its own, so that a straggler is never taken for an event of the next phase.
//!
//! **latency**: an open loop. Events are due on an ideal schedule and timed from when they were
//! due; each is scored as it arrives.
//!
//! **throughput**: as fast as the producers take them, each timed when it was handed over. The
//! received texts are kept and scored after the clock has stopped.

mod clock;
mod consume;
mod drive;
mod phase;
mod process;
mod produce;
mod recheck;
mod row;
mod score;
mod session;
mod source;
mod spool;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhub_core::Hub;
use tokio_util::sync::CancellationToken;

use self::{
    clock::Clock,
    drive::{Driven, Driver},
    phase::{Kind, Phase},
    row::Row,
    score::Watch,
    session::Session,
    source::{Plan, padding},
};
use crate::{
    hubs::{Given, Running},
    job::{Entry, Job, Measured},
    keys::KeySpace,
    progress::Snapshot,
    report,
    tweets::Tweets,
    verify::Ledger,
    workload::Workload,
};

/// Events of a warm-up, at most; its time ends it earlier on a slow hub.
const WARM_UP_EVENTS: u64 = 500_000;

/// Runs the job. Hubs that are not running keep their rows; one that fails on the way says why in
/// its row, and the others go on. `stop` ends the sending and leaves out what has not begun; what
/// was sent is still waited for.
pub async fn run(job: &Job, entries: Vec<Entry>, stop: &CancellationToken) -> Measured {
    let ready = |running: Running| Ready {
        hub: running.hub.clone(),
        given: running.given.clone(),
        server: Some(Arc::new(running)),
    };
    let rows = entries
        .into_iter()
        .map(|Entry { row, running }| (row, running.map(ready)));
    run_ready(job, rows.collect(), stop).await
}

/// A hub that answers.
struct Ready {
    hub: Arc<dyn Hub>,
    given: Option<Given>,
    /// Ends when this is dropped; None where it is not ours.
    server: Option<Arc<Running>>,
}

impl Ready {
    fn has_server_inside(&self) -> bool {
        self.server
            .as_ref()
            .is_some_and(|running| running.has_server_inside())
    }
}

async fn run_ready(
    job: &Job,
    rows: Vec<(report::Hub, Option<Ready>)>,
    stop: &CancellationToken,
) -> Measured {
    let bench = Bench::new(job);
    let mut rows: Vec<(Row, Option<Ready>)> = rows
        .into_iter()
        .map(|(row, ready)| (Row::new(row), ready))
        .collect();
    for run in 1..=job.workload.runs {
        for (row, ready) in &mut rows {
            let Some(ready) = ready else { continue };
            if stop.is_cancelled() || row.has_failed() {
                continue;
            }
            if let Err(why) = bench.run(row, ready, run, stop).await {
                job.progress.note(&format!("{}: failed, {why}", row.name()));
                row.fail(why);
            }
        }
    }
    let mut hubs = Vec::new();
    for (row, ready) in rows {
        if let Some(ready) = ready {
            // The server goes with it, so a hub that does not close can't stay.
            let _ = session::within(Duration::from_secs(10), "close", ready.hub.close()).await;
        }
        hubs.push(row.finish(job, stop.is_cancelled()));
    }
    row::compare(&mut hubs);
    Measured {
        id: job.id.to_string(),
        workload: bench.workload,
        hubs,
    }
}

/// What is the same for every hub and every run.
struct Bench<'a> {
    job: &'a Job,
    clock: Clock,
    keys: Arc<KeySpace>,
    padding: Arc<[u8]>,
    workload: report::Workload,
}

impl<'a> Bench<'a> {
    fn new(job: &'a Job) -> Self {
        let workload = &job.workload;
        Self {
            job,
            clock: Clock::start(),
            keys: Arc::new(KeySpace::new(workload.keys, workload.skew, job.seed)),
            padding: padding(workload.payload as usize, job.seed),
            workload: describe(workload, &job.tweets),
        }
    }

    /// One run on one hub.
    async fn run(
        &self,
        row: &mut Row,
        ready: &Ready,
        run: u32,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let Job {
            workload, progress, ..
        } = self.job;
        let producers = self.keys.shares(workload.producers).len();
        let name = self.job.id.name(run);
        let opened = Session::open(
            ready.hub.clone(),
            ready.given.as_ref(),
            name,
            workload,
            producers,
            self.keys.clone(),
            self.clock,
        );
        let mut session = opened.await.map_err(|error| error.to_string())?;
        session.server.clone_from(&ready.server);
        let limits = session.producers.first().map(|producer| producer.limits());
        let largest = self.workload.payload_bytes_max as usize
            + self.keys.name(self.keys.len() - 1).map_or(0, <[u8]>::len);
        let phases = match limits {
            Some(limits) if largest > limits.event_bytes => Err(format!(
                "its largest event has {} bytes, and these have up to {largest}: give a smaller --payload or shorter tweets",
                limits.event_bytes
            )),
            _ => self.phases(row, &session, run, stop).await,
        };
        // Only now, since their last events may have come twice meanwhile.
        for phase in session.reading.unmeasured() {
            row.warmed_up(&phase, |key| self.name(key));
        }
        let before = row.overlaps;
        row.overlaps = before + session.reading.overlaps();
        if session.reading.overtaken() > 0 {
            session.notes.push(format!(
                "retention overtook the consumers {} times",
                session.reading.overtaken()
            ));
        }
        if session.reading.foreign() > 0 {
            session.notes.push(format!(
                "{} events of others were on the topic and not counted",
                session.reading.foreign()
            ));
        }
        let closed = session.close().await.map_err(|error| error.to_string());
        for note in session.notes.drain(..) {
            progress.note(&format!("{}: {note}", row.name()));
            row.note(note);
        }
        row.usage(&*session.hub);
        row.server_inside = ready.has_server_inside();
        phases.and(closed)
    }

    async fn phases(
        &self,
        row: &mut Row,
        session: &Session,
        run: u32,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let workload = &self.job.workload;
        if !workload.warmup.is_zero() {
            let events = workload.events.clamp(1_000, WARM_UP_EVENTS);
            self.phase(row, session, Kind::WarmUp, run, events, stop)
                .await?;
        }
        if workload.phase.latency() && !workload.warmup.is_zero() && !stop.is_cancelled() {
            let events = workload.rate * workload.warmup.as_secs_f64();
            let events = (events as u64).clamp(1, WARM_UP_EVENTS);
            self.phase(row, session, Kind::LeadIn, run, events, stop)
                .await?;
        }
        if workload.phase.latency() && !stop.is_cancelled() {
            self.phase(row, session, Kind::Latency, run, workload.scheduled(), stop)
                .await?;
        }
        if workload.phase.throughput() && !stop.is_cancelled() {
            self.phase(row, session, Kind::Throughput, run, workload.events, stop)
                .await?;
        }
        Ok(())
    }

    async fn phase(
        &self,
        row: &mut Row,
        session: &Session,
        kind: Kind,
        run: u32,
        events: u64,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let Job {
            workload,
            progress,
            tweets,
            seed,
            ..
        } = self.job;
        let plan = Plan::new(&self.keys, tweets, workload.producers, events, *seed, kind);
        let ledger = Ledger::new(
            self.job.id.number() | u64::from(run & 0x3fff) << 2 | kind as u64,
            &plan.counts,
        );
        let phase = Arc::new(Phase::new(
            kind,
            self.clock,
            ledger,
            session.producers.len(),
            workload.consumers as usize,
        ));
        match kind {
            Kind::WarmUp => progress.begin(format!("{} warm-up", row.name()), events),
            Kind::LeadIn => progress.begin(format!("{} lead-in", row.name()), events),
            Kind::Latency => progress.phase(
                row.name(),
                report::Phase::Latency,
                run,
                workload.runs,
                events,
            ),
            Kind::Throughput => progress.phase(
                row.name(),
                report::Phase::Throughput,
                run,
                workload.runs,
                events,
            ),
        }
        let driver = Driver {
            session,
            padding: self.padding.clone(),
            batch: workload.batch as usize,
            progress,
            stop,
        };
        let rate = matches!(kind, Kind::Latency | Kind::LeadIn).then_some(workload.rate);
        let at_most = (!kind.is_measured()).then_some(workload.warmup);
        let mut driven = driver.drive(&phase, plan, rate, at_most).await;
        progress.finish(&outcome(&phase));
        if !driven.drained && !session.broken.is_cancelled() && phase.ledger.outstanding() > 0 {
            self.look_for_lost(row, session, &phase).await;
        }
        let counters = &phase.counters;
        // A hub that has given up sends is not asked for more: each would wait for its deadline.
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        let unanswered = count(&counters.failed) > 0
            || count(&counters.acked) == 0 && count(&counters.unacked) > 0;
        let failed = driven
            .failed
            .take()
            .or_else(|| phase.first_trouble().filter(|_| unanswered));
        if kind.is_measured() {
            self.record(row, &phase, driven, run, stop).await;
        }
        match failed.or_else(|| session.why_broken()) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    async fn look_for_lost(&self, row: &mut Row, session: &Session, phase: &Phase) {
        let missing = phase.ledger.outstanding();
        self.job.progress.note(&format!(
            "{}: {missing} acknowledged events are missing; reading the topic again",
            row.name()
        ));
        let told = match recheck::recheck(&session.hub, &session.topic, phase, &self.keys).await {
            Ok(found) => format!(
                "a fresh read of what the topic still keeps found {found} of the {missing} missing events"
            ),
            Err(error) => format!("a fresh read for the {missing} missing events failed: {error}"),
        };
        row.note(told);
    }

    /// Scores, and adds the phase to the row.
    async fn record(
        &self,
        row: &mut Row,
        phase: &Arc<Phase>,
        driven: Driven,
        run: u32,
        stop: &CancellationToken,
    ) {
        match phase.kind {
            Kind::Throughput => {
                let scored = self.score(row, phase, stop).await;
                row.throughput(phase, driven, run, scored, |key| self.name(key));
            }
            _ => row.latency(phase, driven, run, self.job, |key| self.name(key)),
        }
    }

    async fn score(
        &self,
        row: &mut Row,
        phase: &Arc<Phase>,
        stop: &CancellationToken,
    ) -> Option<score::Scored> {
        let progress = &self.job.progress;
        let total = phase.counters.seen.load(Relaxed);
        progress.begin(format!("{} scoring", row.name()), total);
        let watch = Arc::new(Watch::default());
        let (spools, keys) = (phase.take_spools(), self.keys.clone());
        let (own, shared) = (phase.clone(), watch.clone());
        let mut scoring = tokio::task::spawn_blocking(move || {
            score::score(&own, spools, &shared, |key| {
                keys.name(key).unwrap_or_default().to_vec()
            })
        });
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        let mut told = 0;
        let scored = loop {
            tokio::select! {
                scored = &mut scoring => break scored,
                _ = ticks.tick() => {
                    let done = watch.scored.load(Relaxed);
                    progress.update(Snapshot { done, rate_per_s: (done - told) as f64 * 10.0, backlog: total.saturating_sub(done), p99_us: None });
                    told = done;
                }
                () = stop.cancelled(), if !watch.stop.load(Relaxed) => watch.stop.store(true, Relaxed),
            }
        };
        match scored {
            Ok(Ok(scored)) => {
                progress.finish(&format!(
                    "{} texts",
                    crate::units::count(scored.tally.scored)
                ));
                Some(scored)
            }
            Ok(Err(error)) => {
                progress.finish("not scored");
                row.note(format!("the texts could not be kept for scoring: {error}"));
                None
            }
            Err(_) => {
                progress.finish("not scored");
                row.note("the scorer broke off".into());
                None
            }
        }
    }

    fn name(&self, key: u32) -> String {
        String::from_utf8_lossy(self.keys.name(key).unwrap_or_default()).into_owned()
    }
}

/// What a phase came to, in a few words.
fn outcome(phase: &Phase) -> String {
    let counters = &phase.counters;
    let (sent, acked, seen) = (
        counters.sent.load(Relaxed),
        counters.acked.load(Relaxed),
        counters.seen.load(Relaxed),
    );
    let mut text = format!(
        "{} sent, {} acked, {} received",
        crate::units::count(sent),
        crate::units::count(acked),
        crate::units::count(seen)
    );
    if phase.kind == Kind::Throughput {
        let took = clock::seconds(
            counters
                .last_seen_ns
                .load(Relaxed)
                .saturating_sub(counters.first_submit_ns.load(Relaxed)),
        );
        if took > 0.0 {
            text.push_str(&format!(
                ", {}/s",
                crate::units::count((seen as f64 / took) as u64)
            ));
        }
    }
    text
}

fn describe(workload: &Workload, tweets: &Tweets) -> report::Workload {
    let (median, longest) = tweets.lengths();
    let bytes = |text| crate::payload::payload_bytes(text, workload.payload as usize) as u64;
    report::Workload {
        name: workload.name.clone(),
        events: workload.events,
        rate_per_s: workload.rate,
        duration_s: workload.duration.as_secs_f64(),
        keys: workload.keys.into(),
        skew: workload.skew,
        payload_bytes_p50: bytes(median),
        payload_bytes_max: bytes(longest),
        tweets: report::Tweets {
            source: tweets.source().to_owned(),
            sha256: tweets.sha256().to_owned(),
            count: tweets.len() as u64,
        },
        partitions: workload.partitions,
        producers: workload.producers,
        consumers: workload.consumers,
        batch: workload.batch,
        guarantee: workload.guarantee.as_str().to_owned(),
        faults: Vec::new(),
    }
}
