//! Puts together a hub's row of the report from its phases.

use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, SystemTime},
};

use anyhub_core::Hub;

use super::{clock::seconds, drive::Driven, phase::Phase, process::Spent, score::Scored};
use crate::{
    histogram::Histogram,
    job::Job,
    report::{self, BoundBy, FAILED_EVENTS, Measured, PhaseRun, RanOn, Sentiment, Status, Verdict},
    sentiment::Tally,
    verify::{Findings, Promise, verdict},
};

/// Within this part of what the memory hub reached, it is the harness that sets the speed.
const HARNESS: f64 = 0.7;
const MIB: f64 = 1_048_576.0;

/// A row that grows phase by phase.
pub(super) struct Row {
    row: report::Hub,
    findings: Findings,
    /// Findings of the warm-ups, which are judged but not counted.
    warm_up: Findings,
    /// Times a consumer was handed what was not its own.
    pub(super) overlaps: u64,
    latencies: Vec<(report::Latency, Times)>,
    throughputs: Vec<report::Throughput>,
    /// Of the throughput phases; of the latency phases while there is none.
    tally: Tally,
    tally_of_latency: Tally,
    digests: Vec<Option<String>>,
    spent: Spent,
    /// On so many events.
    spent_on: u64,
    /// The server runs in this process.
    pub(super) server_inside: bool,
    rss_max_bytes: u64,
    idempotent: bool,
    notes: Vec<String>,
}

/// The distributions of a latency phase.
struct Times {
    publish: Histogram,
    delay: Histogram,
    end_to_end: Histogram,
}

impl Row {
    pub(super) fn new(row: report::Hub) -> Self {
        Self {
            row,
            findings: Findings::default(),
            warm_up: Findings::default(),
            overlaps: 0,
            latencies: Vec::new(),
            throughputs: Vec::new(),
            tally: Tally::default(),
            tally_of_latency: Tally::default(),
            digests: Vec::new(),
            spent: Spent::default(),
            spent_on: 0,
            server_inside: false,
            rss_max_bytes: 0,
            idempotent: false,
            notes: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.row.name
    }

    /// Whether it broke on the way or never ran.
    pub(super) fn has_failed(&self) -> bool {
        self.row.status != Status::Ok
    }

    pub(super) fn fail(&mut self, why: String) {
        self.row.status = Status::Failed;
        self.row.why = Some(why);
    }

    /// Something that a reader of the report has to know.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(super) fn usage(&mut self, hub: &dyn Hub) {
        self.idempotent = hub.capabilities().idempotent_producer;
        let units: BTreeMap<String, u64> = hub
            .usage()
            .iter()
            .map(|(unit, amount)| (unit.to_owned(), amount))
            .collect();
        self.row.usage = Some(report::Usage {
            counted: !units.is_empty(),
            units,
        });
    }

    /// A warm-up is verified like the rest, and counts in the verdict alone.
    pub(super) fn warmed_up(&mut self, phase: &Phase, name: impl Fn(u32) -> String) {
        self.trouble(phase);
        self.warm_up.add(phase.finish(name));
    }

    pub(super) fn latency(
        &mut self,
        phase: &Phase,
        driven: Driven,
        run: u32,
        job: &Job,
        name: impl Fn(u32) -> String,
    ) {
        let (publish, delay) = phase.sending_times();
        let times = Times {
            publish,
            delay,
            end_to_end: phase.end_to_end(),
        };
        let counters = &phase.counters;
        let sent = counters.sent.load(Relaxed);
        let began = counters.first_submit_ns.load(Relaxed);
        let took = seconds(counters.last_submit_ns.load(Relaxed).saturating_sub(began));
        let measured = report::Latency {
            // n events have n - 1 spaces between them.
            rate_per_s: if took > 0.0 {
                sent.saturating_sub(1) as f64 / took
            } else {
                0.0
            },
            events: sent,
            publish_us: times.publish.summary(),
            schedule_delay_us: times.delay.summary(),
            end_to_end_us: times.end_to_end.summary(),
        };
        let histograms = self.logs(
            &times,
            run,
            phase.clock.wall(began),
            Duration::from_secs_f64(took),
            job,
        );
        self.row.runs.push(PhaseRun {
            phase: report::Phase::Latency,
            run,
            measured: Measured::Latency(measured.clone()),
            series: driven.series,
            faults: Vec::new(),
            histograms,
        });
        self.latencies.push((measured, times));
        self.tally_of_latency.merge(&phase.tally());
        self.rss_max_bytes = self.rss_max_bytes.max(driven.rss_max_bytes);
        if self.throughputs.is_empty() {
            self.spent.add(&driven.spent);
            self.spent_on += sent;
        }
        self.trouble(phase);
        self.findings.add(phase.finish(name));
    }

    pub(super) fn throughput(
        &mut self,
        phase: &Phase,
        driven: Driven,
        run: u32,
        scored: Option<Scored>,
        name: impl Fn(u32) -> String,
    ) {
        let counters = &phase.counters;
        let began = counters.first_submit_ns.load(Relaxed);
        let (acked, seen) = (counters.acked.load(Relaxed), counters.seen.load(Relaxed));
        let bytes = counters.seen_bytes.load(Relaxed);
        let mean_bytes = if seen > 0 {
            bytes as f64 / seen as f64
        } else {
            0.0
        };
        let rate = |events: u64, last: u64| {
            let took = seconds(last.saturating_sub(began));
            if took > 0.0 {
                events as f64 / took
            } else {
                0.0
            }
        };
        let publish = rate(acked, counters.last_ack_ns.load(Relaxed));
        let receive = rate(seen, counters.last_seen_ns.load(Relaxed));
        let measured = report::Throughput {
            events: seen,
            bytes,
            publish_events_per_s: publish,
            publish_mib_per_s: publish * mean_bytes / MIB,
            receive_events_per_s: receive,
            receive_mib_per_s: receive * mean_bytes / MIB,
            bound_by: BoundBy::Unknown,
        };
        self.row.runs.push(PhaseRun {
            phase: report::Phase::Throughput,
            run,
            measured: Measured::Throughput(measured.clone()),
            series: driven.series,
            faults: Vec::new(),
            histograms: BTreeMap::new(),
        });
        if self.throughputs.is_empty() {
            // What the latency phase spent was mostly waiting for the next event.
            (self.spent, self.spent_on) = (Spent::default(), 0);
        }
        self.throughputs.push(measured);
        self.spent.add(&driven.spent);
        self.spent_on += seen;
        self.rss_max_bytes = self.rss_max_bytes.max(driven.rss_max_bytes);
        self.trouble(phase);
        let findings = phase.finish(name);
        let all_known = findings.failed + findings.indeterminate + findings.lost == 0
            && findings.sent == phase.ledger.len();
        if let Some(scored) = &scored {
            self.tally.merge(&scored.tally);
        }
        self.digests.push(
            scored
                .and_then(|scored| scored.digest)
                .filter(|_| all_known),
        );
        self.findings.add(findings);
    }

    fn trouble(&mut self, phase: &Phase) {
        if let Some(trouble) = phase.first_trouble() {
            self.notes
                .push(format!("first send that did not end well: {trouble}"));
        }
    }

    /// Writes the histograms beside the report; one that can't be written is told and left out.
    fn logs(
        &self,
        times: &Times,
        run: u32,
        began: SystemTime,
        took: Duration,
        job: &Job,
    ) -> BTreeMap<String, String> {
        let all = [
            ("publish_us", &times.publish),
            ("schedule_delay_us", &times.delay),
            ("end_to_end_us", &times.end_to_end),
        ];
        let mut written = BTreeMap::new();
        for (measure, histogram) in all {
            let file = format!("{}-latency-{run}-{measure}.hlog", self.row.name);
            match histogram
                .log(began, took)
                .and_then(|log| fs::write(job.folder.join(&file), log))
            {
                Ok(()) => drop(written.insert(measure.to_owned(), file)),
                Err(error) => job
                    .progress
                    .note(&format!("{file} could not be written: {error}")),
            }
        }
        written
    }

    /// The row as it stands in the report.
    pub(super) fn finish(mut self, job: &Job, interrupted: bool) -> report::Hub {
        if self.row.status == Status::Skipped {
            return self.row;
        }
        if self.findings.sent + self.warm_up.sent == 0
            && self.row.status == Status::Ok
            && interrupted
        {
            self.row.status = Status::Skipped;
            self.row.why = Some("interrupted before it ran".into());
            return self.row;
        }
        self.row.latency = self.median_latency();
        self.row.throughput = median_throughput(&self.throughputs);
        self.row.delivery = (self.findings.sent > 0).then(|| self.delivery(job));
        self.row.sentiment = self.sentiment();
        self.row.process = (self.spent_on > 0).then(|| report::Process {
            cpu_s: self.spent.cpu.as_secs_f64(),
            cpu_ns_per_event: self.spent.cpu.as_nanos() as f64 / self.spent_on as f64,
            rss_max_bytes: self.rss_max_bytes,
            server_in_process: self.server_inside,
            server_cpu_s: self
                .spent
                .server
                .filter(|_| self.server_inside)
                .map(|cpu| cpu.as_secs_f64()),
        });
        if interrupted {
            self.notes.push("the run was interrupted".into());
        }
        if self.row.why.is_none() && !self.notes.is_empty() {
            self.notes.dedup();
            self.row.why = Some(self.notes.join("; "));
        }
        self.row
    }

    fn delivery(&mut self, job: &Job) -> report::Delivery {
        let promise = Promise {
            guarantee: job.workload.guarantee,
            idempotent: self.idempotent,
        };
        let mut why = verdict(&self.findings, self.overlaps, promise);
        let (failed, sent) = (self.findings.failed, self.findings.sent);
        if self.row.status == Status::Failed && failed > 0 {
            why.push(format!(
                "the hub failed on the way: {failed} of {sent} sends were refused or given up"
            ));
        }
        if self.warm_up.sent > 0 {
            why.extend(
                verdict(&self.warm_up, 0, promise)
                    .into_iter()
                    .map(|line| format!("warm-up: {line}")),
            );
        }
        if !why.is_empty() {
            self.write_findings(job);
        }
        let all = &self.findings;
        report::Delivery {
            sent: all.sent,
            acked: all.acked,
            failed: all.failed,
            indeterminate: all.indeterminate,
            delivered: all.delivered,
            lost: all.lost,
            duplicates_in_log: all.duplicates_in_log,
            redelivered: all.redelivered,
            phantom: all.phantom,
            corrupt: all.corrupt,
            gaps: all.gaps,
            order_violations: all.order_violations,
            replay_violations: all.replay_violations,
            position_violations: all.position_violations,
            two_owners: self.overlaps,
            keys: all.keys,
            verdict: if why.is_empty() {
                Verdict::Pass
            } else {
                Verdict::Fail
            },
            why,
        }
    }

    /// The events of a failed verdict, one a line, beside the report.
    fn write_findings(&self, job: &Job) {
        let mut lines = String::new();
        for finding in self.findings.first.iter().chain(&self.warm_up.first) {
            // A Finding is made of text and numbers: it is always JSON.
            lines.push_str(&serde_json::to_string(finding).unwrap_or_default());
            lines.push('\n');
        }
        let file = format!("{}{FAILED_EVENTS}", self.row.name);
        match fs::write(job.folder.join(&file), lines) {
            Ok(()) => job.progress.note(&format!(
                "{}: the events of the failed verdict are in {file}",
                self.row.name
            )),
            Err(error) => job
                .progress
                .note(&format!("{file} could not be written: {error}")),
        }
    }

    fn sentiment(&self) -> Option<Sentiment> {
        let tally = if self.throughputs.is_empty() {
            &self.tally_of_latency
        } else {
            &self.tally
        };
        // Every run sends the same events, so every digest has to be the same.
        let first = self.digests.first().cloned().flatten();
        let digest = first.filter(|first| {
            self.digests
                .iter()
                .all(|digest| digest.as_ref() == Some(first))
        });
        (tally.scored > 0).then(|| Sentiment {
            scored: tally.scored,
            positive: tally.positive,
            neutral: tally.neutral,
            negative: tally.negative,
            mean: tally.mean(),
            digest,
        })
    }

    /// The median rate, and the percentiles of all runs together.
    fn median_latency(&self) -> Option<report::Latency> {
        let merged = |of: fn(&Times) -> &Histogram| {
            let mut all = Histogram::new();
            self.latencies
                .iter()
                .for_each(|(_, times)| all.merge(of(times)));
            all.summary()
        };
        (!self.latencies.is_empty()).then(|| report::Latency {
            rate_per_s: median(self.latencies.iter().map(|(latency, _)| latency.rate_per_s)),
            events: self
                .latencies
                .iter()
                .map(|(latency, _)| latency.events)
                .sum(),
            publish_us: merged(|times| &times.publish),
            schedule_delay_us: merged(|times| &times.delay),
            end_to_end_us: merged(|times| &times.end_to_end),
        })
    }
}

fn median_throughput(runs: &[report::Throughput]) -> Option<report::Throughput> {
    let of = |field: fn(&report::Throughput) -> f64| median(runs.iter().map(field));
    (!runs.is_empty()).then(|| report::Throughput {
        events: of(|run| run.events as f64) as u64,
        bytes: of(|run| run.bytes as f64) as u64,
        publish_events_per_s: of(|run| run.publish_events_per_s),
        publish_mib_per_s: of(|run| run.publish_mib_per_s),
        receive_events_per_s: of(|run| run.receive_events_per_s),
        receive_mib_per_s: of(|run| run.receive_mib_per_s),
        bound_by: BoundBy::Unknown,
    })
}

/// The mean of the two in the middle where there is an even number.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

/// Says what set the speed of each hub, now that it is known what the memory hub reached.
pub(super) fn compare(hubs: &mut [report::Hub]) {
    let reach = |hub: &report::Hub| {
        hub.throughput
            .as_ref()
            .map(|reached| reached.receive_events_per_s)
    };
    let ceiling = hubs
        .iter()
        .filter(|hub| hub.ran_on == RanOn::Memory)
        .filter_map(reach)
        .reduce(f64::max);
    for hub in hubs {
        let quota = hub.limits.on && hub.limits.quota.is_some();
        let judge = |rate: f64| match ceiling {
            Some(ceiling) if rate >= HARNESS * ceiling => BoundBy::Harness,
            _ if quota => BoundBy::Quota,
            Some(_) => BoundBy::Hub,
            None => BoundBy::Unknown,
        };
        if let Some(all) = &mut hub.throughput {
            all.bound_by = judge(all.receive_events_per_s);
        }
        for run in &mut hub.runs {
            if let Measured::Throughput(one) = &mut run.measured {
                one.bound_by = judge(one.receive_events_per_s);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median([].into_iter()), 0.0);
    }
}
