//! An invented report for the tests of its pictures: the figures are plausible, not measured.

use std::collections::BTreeMap;

use crate::report::*;

/// Four hubs: two sound ones, one that broke its promises and one that could not be reached.
pub(crate) fn sample() -> Report {
    Report {
        schema: SCHEMA,
        run: Run {
            id: "00000000-sample".into(),
            started_at: "2026-11-22T22:05:01Z".into(),
            seconds: 48.2,
            seed: 42,
            git: Some("0123456789ab".into()),
            version: "0.1.0".into(),
            command: "anyhub-bench run --hubs memory,kafka".into(),
            host: Host {
                os: "Sample OS 1, x86_64".into(),
                cpu: "Sample CPU".into(),
                cores: 2,
                memory_bytes: 8 << 30,
            },
        },
        workload: Workload {
            name: "tweet-sentiment".into(),
            events: 200_000,
            rate_per_s: 1_000.0,
            duration_s: 10.0,
            keys: 10_000,
            skew: 1.05,
            payload_bytes_p50: 196,
            payload_bytes_max: 331,
            tweets: Tweets {
                source: "sample texts".into(),
                sha256: "5a".repeat(32),
                count: 4_200,
            },
            partitions: 4,
            producers: 1,
            consumers: 1,
            batch: 100,
            guarantee: "at-least-once".into(),
            faults: vec![],
        },
        hubs: vec![
            hub("memory", RanOn::Memory, 14.0, 1_950_000.0, delivery(0)),
            hub("kafka", RanOn::Broker, 1_900.0, 118_000.0, delivery(0)),
            hub("broken", RanOn::StandIn, 5_200.0, 41_000.0, delivery(3)),
            away(),
        ],
    }
}

fn hub(name: &str, ran_on: RanOn, typical_us: f64, per_s: f64, delivery: Delivery) -> Hub {
    let latency = latency(typical_us);
    let throughput = throughput(
        per_s,
        if name == "memory" {
            BoundBy::Harness
        } else {
            BoundBy::Hub
        },
    );
    let series = |seconds: f64, rate: f64, waves: bool| {
        let points = (seconds * 10.0).ceil().max(1.0) as u32;
        let step = seconds / f64::from(points);
        (1..=points)
            .map(|i| {
                let wobble = if waves {
                    1.0 + 0.2 * (f64::from(i) * 1.7).sin()
                } else {
                    1.0
                };
                Point {
                    t_s: step * f64::from(i),
                    published: (rate * step * wobble) as u64,
                    received: (rate * step * (2.0 - wobble)) as u64,
                    backlog: (rate * step * wobble) as u64,
                    p99_us: Some(
                        (typical_us * 4.0 * (1.0 + 0.5 * (f64::from(i) * 0.9).cos())) as u64,
                    ),
                }
            })
            .collect()
    };
    let run = |phase: Phase, measured, series| PhaseRun {
        phase,
        run: 1,
        measured,
        series,
        faults: vec![],
        histograms: BTreeMap::from([(
            "end_to_end_us".into(),
            format!("{name}-{}-1-end_to_end_us.hlog", phase.as_str()),
        )]),
    };
    Hub {
        name: name.into(),
        provider: name.into(),
        url: Some(format!("{name}://127.0.0.1:9092")),
        ran_on,
        server: Some("sample server 1.0".into()),
        client: Some("sample client 1.0".into()),
        limits: Limits {
            on: false,
            quota: None,
        },
        status: Status::Ok,
        why: None,
        runs: vec![
            run(
                Phase::Latency,
                Measured::Latency(latency.clone()),
                series(10.0, 1_000.0, false),
            ),
            run(
                Phase::Throughput,
                Measured::Throughput(throughput.clone()),
                series(200_000.0 / per_s, per_s, true),
            ),
        ],
        latency: Some(latency),
        throughput: Some(throughput),
        delivery: Some(delivery),
        sentiment: Some(Sentiment {
            scored: 200_000,
            positive: 91_000,
            neutral: 50_000,
            negative: 59_000,
            mean: 0.0876,
            digest: (name != "broken").then(|| "c0ffee".repeat(10) + "cafe"),
        }),
        usage: Some(Usage {
            counted: false,
            units: BTreeMap::new(),
        }),
        cost: None,
        process: Some(Process {
            cpu_s: 1.9,
            cpu_ns_per_event: 4_600.0,
            rss_max_bytes: 96 << 20,
            server_in_process: ran_on == RanOn::StandIn,
            server_cpu_s: (ran_on == RanOn::StandIn).then_some(2.5),
        }),
    }
}

fn latency(typical_us: f64) -> Latency {
    let histogram = |scale: f64| {
        let at = |factor: f64| (typical_us * scale * factor) as u64;
        Histogram {
            count: 10_000,
            min: at(0.4),
            p50: at(1.0),
            p90: at(1.8),
            p99: at(3.8) + 5_195 * u64::from(typical_us == 1_900.0 && scale == 1.0),
            p999: at(9.0),
            p9999: at(14.0),
            max: at(17.0),
            mean: typical_us * scale * 1.3,
            negative: 0,
        }
    };
    Latency {
        rate_per_s: 1_000.0,
        events: 10_000,
        publish_us: histogram(0.8),
        schedule_delay_us: histogram(0.01),
        end_to_end_us: histogram(1.0),
    }
}

fn throughput(per_s: f64, bound_by: BoundBy) -> Throughput {
    let mib = |rate: f64| rate * 196.0 / 1_048_576.0;
    Throughput {
        events: 200_000,
        bytes: 200_000 * 196,
        publish_events_per_s: per_s * 1.05,
        publish_mib_per_s: mib(per_s * 1.05),
        receive_events_per_s: per_s,
        receive_mib_per_s: mib(per_s),
        bound_by,
    }
}

fn delivery(lost: u64) -> Delivery {
    Delivery {
        sent: 210_000,
        acked: 210_000,
        delivered: 210_000 - lost,
        lost,
        gaps: lost,
        keys: 9_214,
        verdict: if lost == 0 {
            Verdict::Pass
        } else {
            Verdict::Fail
        },
        why: (lost > 0)
            .then(|| {
                format!("{lost} acknowledged events never arrived, see broken-failed-events.ndjson")
            })
            .into_iter()
            .collect(),
        ..Delivery::default()
    }
}

fn away() -> Hub {
    Hub {
        name: "away".into(),
        provider: "kafka".into(),
        url: None,
        ran_on: RanOn::Broker,
        server: None,
        client: None,
        limits: Limits {
            on: false,
            quota: None,
        },
        status: Status::Skipped,
        why: Some("no Java 17 or newer was found: install openjdk-17-jre-headless".into()),
        latency: None,
        throughput: None,
        runs: vec![],
        delivery: None,
        sentiment: None,
        usage: None,
        cost: None,
        process: None,
    }
}
