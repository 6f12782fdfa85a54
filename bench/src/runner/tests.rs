//! Whole runs on the memory hub, and on the memory hub behind a wrapper that breaks one thing:
//! the verdict has to name it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhub_core::{Event, Hub, ProducerOptions, memory::MemoryHub};
use tokio_util::sync::CancellationToken;

mod faulty;

use faulty::{Defect, Faulty};

use super::{Ready, phase::lock, run_ready};
use crate::{
    hubs::Given,
    job::{Job, Measured, RunId},
    progress::Progress,
    report::{self, FAILED_EVENTS, RanOn, Status, Verdict},
    tweets::Tweets,
    workload::{Phases, Workload},
};

fn workload(phase: Phases) -> Workload {
    Workload {
        events: 5_000,
        rate: 2_000.0,
        duration: Duration::from_millis(500),
        warmup: Duration::ZERO,
        keys: 50,
        phase,
        ..Workload::default()
    }
}

fn row(name: &str) -> report::Hub {
    report::Hub {
        name: name.into(),
        provider: "memory".into(),
        url: None,
        ran_on: RanOn::Memory,
        server: None,
        client: None,
        limits: report::Limits {
            on: false,
            quota: None,
        },
        status: Status::Ok,
        why: None,
        latency: None,
        throughput: None,
        runs: Vec::new(),
        delivery: None,
        sentiment: None,
        usage: None,
        cost: None,
        process: None,
    }
}

/// Runs `workload` on as many hubs as there are defects.
async fn measure(
    workload: Workload,
    defects: &[Defect],
    stop: &CancellationToken,
) -> (Measured, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let job = Job {
        id: RunId::random(),
        workload,
        tweets: Tweets::generated(7),
        seed: 7,
        folder: folder.path().to_owned(),
        progress: Arc::new(Progress::hidden()),
        limits_on: true,
    };
    let rows = defects
        .iter()
        .map(|defect| {
            let inner =
                MemoryHub::from_url(&"memory:/?retention=consumed".parse().unwrap()).unwrap();
            let ready = Ready {
                hub: Arc::new(Faulty {
                    inner,
                    defect: *defect,
                }),
                given: None,
                server: None,
            };
            (row(&format!("{defect:?}").to_lowercase()), Some(ready))
        })
        .collect();
    (run_ready(&job, rows, stop).await, folder)
}

async fn one(workload: Workload, defect: Defect) -> report::Hub {
    measure(workload, &[defect], &CancellationToken::new())
        .await
        .0
        .hubs
        .remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_hub_passes_and_every_sample_counts() {
    let workload = Workload {
        runs: 2,
        producers: 3,
        consumers: 2,
        payload: 300,
        warmup: Duration::from_millis(100),
        ..workload(Phases::Both)
    };
    let (measured, folder) = measure(
        workload,
        &[Defect::None, Defect::None],
        &CancellationToken::new(),
    )
    .await;
    let digests: Vec<_> = measured
        .hubs
        .iter()
        .map(|hub| hub.sentiment.as_ref().unwrap().digest.clone().unwrap())
        .collect();
    assert_eq!(digests[0], digests[1], "each hub did the same work");
    for hub in &measured.hubs {
        assert_eq!((hub.status, &hub.why), (Status::Ok, &None));
        let delivery = hub.delivery.as_ref().unwrap();
        assert_eq!((delivery.verdict, &delivery.why), (Verdict::Pass, &vec![]));
        assert_eq!(
            (delivery.sent, delivery.acked, delivery.delivered),
            (12_000, 12_000, 12_000)
        );
        let latency = hub.latency.as_ref().unwrap();
        assert_eq!(latency.events, 2_000);
        for times in [
            &latency.publish_us,
            &latency.schedule_delay_us,
            &latency.end_to_end_us,
        ] {
            assert_eq!((times.count, times.negative), (2_000, 0));
        }
        // How fast it really was is this machine's matter.
        assert!(latency.rate_per_s > 0.0, "{}", latency.rate_per_s);
        let throughput = hub.throughput.as_ref().unwrap();
        assert_eq!((throughput.events, throughput.bytes), (5_000, 5_000 * 300));
        assert!(throughput.receive_events_per_s > 0.0 && throughput.publish_events_per_s > 0.0);
        assert_eq!(hub.runs.len(), 4);
        assert!(hub.runs.iter().all(|run| !run.series.is_empty()));
        for run in &hub.runs {
            let (published, received) = run.series.iter().fold((0, 0), |sum, point| {
                (sum.0 + point.published, sum.1 + point.received)
            });
            let sent = if run.phase == report::Phase::Latency {
                1_000
            } else {
                5_000
            };
            assert_eq!((published, received), (sent, sent), "{:?}", run.phase);
            assert!(
                run.histograms
                    .values()
                    .all(|file| folder.path().join(file).is_file())
            );
        }
        let sentiment = hub.sentiment.as_ref().unwrap();
        assert_eq!(sentiment.scored, 10_000);
        assert_eq!(
            sentiment.positive + sentiment.neutral + sentiment.negative,
            10_000
        );
        assert!(hub.process.as_ref().unwrap().cpu_s > 0.0);
    }
    assert_eq!(
        (
            measured.workload.payload_bytes_p50,
            measured.workload.payload_bytes_max
        ),
        (300, 300)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_defect_is_named() {
    type Counter = fn(&report::Delivery) -> u64;
    let cases: [(Defect, Counter, &str); 8] = [
        (Defect::Drop, |all| all.lost, "never received"),
        (
            Defect::CopyInLog,
            |all| all.duplicates_in_log,
            "written more than once",
        ),
        (
            Defect::Swap,
            |all| all.order_violations,
            "after a later event",
        ),
        (Defect::FlipBit, |all| all.corrupt, "damaged"),
        (Defect::OtherKey, |all| all.corrupt, "damaged"),
        (Defect::FailThoughWritten, |all| all.phantom, "never sent"),
        (
            Defect::OtherPosition,
            |all| all.delivered,
            "at a position that is not theirs",
        ),
        (Defect::SamePositionAgain, |all| all.redelivered, ""),
    ];
    let defects: Vec<Defect> = cases.iter().map(|case| case.0).collect();
    let (measured, folder) = measure(
        workload(Phases::Throughput),
        &defects,
        &CancellationToken::new(),
    )
    .await;
    for (hub, (defect, counter, says)) in measured.hubs.iter().zip(cases) {
        let delivery = hub.delivery.as_ref().unwrap();
        assert!(counter(delivery) >= 5, "{defect:?}: {delivery:?}");
        if says.is_empty() {
            assert_eq!(
                delivery.verdict,
                Verdict::Pass,
                "a redelivery is allowed: {delivery:?}"
            );
            continue;
        }
        assert_eq!(delivery.verdict, Verdict::Fail, "{defect:?}");
        assert!(
            delivery.why.iter().any(|why| why.contains(says)),
            "{defect:?}: {:?}",
            delivery.why
        );
        let file = folder.path().join(format!("{}{FAILED_EVENTS}", hub.name));
        let events = std::fs::read_to_string(file).unwrap();
        assert!(events.lines().count() >= 5, "{defect:?}");
        let first: serde_json::Value =
            serde_json::from_str(events.lines().next().unwrap()).unwrap();
        assert!(
            first["key"].as_str().unwrap().starts_with("user-"),
            "{first}"
        );
        // And nothing else is blamed.
        let untouched = [
            delivery.lost,
            delivery.order_violations,
            delivery.corrupt,
            delivery.phantom,
        ];
        assert!(
            untouched.iter().filter(|count| **count > 0).count() <= 1,
            "{defect:?}: {delivery:?}"
        );
    }
}

/// A producer that had no answer sends again, and its receipt names the second copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_copy_that_a_receipt_names_is_waited_for() {
    let hub = one(workload(Phases::Throughput), Defect::LateCopy).await;
    let delivery = hub.delivery.unwrap();
    assert_eq!(delivery.position_violations, 0, "{delivery:?}");
    assert_eq!(delivery.duplicates_in_log, 500, "{delivery:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indeterminate_sends_are_legal_but_leave_no_digest() {
    let hub = one(workload(Phases::Throughput), Defect::Indeterminate).await;
    let delivery = hub.delivery.unwrap();
    assert_eq!(delivery.verdict, Verdict::Pass, "{:?}", delivery.why);
    assert!(delivery.indeterminate > 0);
    assert_eq!(delivery.delivered, delivery.sent);
    assert_eq!(hub.sentiment.unwrap().digest, None);
    assert!(
        hub.why.unwrap().contains("no answer"),
        "the first error is told"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_goes_away_fails_and_the_others_go_on() {
    let (measured, _folder) = measure(
        workload(Phases::Throughput),
        &[Defect::Vanish, Defect::BreakConsumer, Defect::None],
        &CancellationToken::new(),
    )
    .await;
    let [vanished, broken, sound] = measured.hubs.try_into().unwrap();
    assert_eq!(vanished.status, Status::Failed);
    assert!(vanished.why.unwrap().contains("the hub is gone"));
    let delivery = vanished.delivery.unwrap();
    assert_eq!(
        (delivery.sent, delivery.acked, delivery.lost),
        (2_000, 2_000, 0),
        "what was taken counts"
    );
    assert_eq!(broken.status, Status::Failed);
    assert!(
        broken.why.as_ref().unwrap().contains("the consumer broke"),
        "{:?}",
        broken.why
    );
    assert_eq!(sound.delivery.unwrap().verdict, Verdict::Pass);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_drains_and_passes_on_what_it_sent() {
    let stop = CancellationToken::new();
    let later = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        later.cancel();
    });
    let long = Workload {
        duration: Duration::from_secs(60),
        ..workload(Phases::Both)
    };
    let (measured, _folder) = measure(long, &[Defect::None, Defect::None], &stop).await;
    let delivery = measured.hubs[0].delivery.as_ref().unwrap();
    assert!(
        delivery.sent > 0 && delivery.sent < 5_000,
        "{}",
        delivery.sent
    );
    assert_eq!(
        (delivery.acked, delivery.delivered, delivery.verdict),
        (delivery.sent, delivery.sent, Verdict::Pass)
    );
    assert!(measured.hubs[0].throughput.is_none());
    assert_eq!(measured.hubs[1].status, Status::Skipped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_there_is_used_and_left_alone() {
    let hub =
        Arc::new(MemoryHub::from_url(&"memory:/theirs?partitions=3".parse().unwrap()).unwrap());
    let producer = hub
        .producer("theirs", ProducerOptions::new())
        .await
        .unwrap();
    let theirs = Mutex::new(0);
    let folder = tempfile::tempdir().unwrap();
    let job = Job {
        id: RunId::random(),
        workload: workload(Phases::Latency),
        tweets: Tweets::generated(7),
        seed: 7,
        folder: folder.path().to_owned(),
        progress: Arc::new(Progress::hidden()),
        limits_on: true,
    };
    let ready = Ready {
        hub: hub.clone(),
        given: Some(Given {
            topic: "theirs".into(),
            group: None,
        }),
        server: None,
    };
    let stop = CancellationToken::new();
    let rows = vec![(row("memory"), Some(ready))];
    let others = async {
        loop {
            producer
                .submit(vec![Event::new("somebody else's")])
                .await
                .unwrap()
                .await;
            *lock(&theirs) += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let measured = tokio::select! {
        measured = run_ready(&job, rows, &stop) => measured,
        () = others => unreachable!("it never ends"),
    };
    let delivery = measured.hubs[0].delivery.as_ref().unwrap();
    assert_eq!(
        (delivery.verdict, delivery.delivered, delivery.phantom),
        (Verdict::Pass, 1_000, 0)
    );
    assert!(
        measured.hubs[0]
            .why
            .as_ref()
            .unwrap()
            .contains("events of others"),
        "{:?}",
        measured.hubs[0].why
    );
    assert!(*lock(&theirs) > 10);
}
