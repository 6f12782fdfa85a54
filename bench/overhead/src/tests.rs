#![allow(clippy::unwrap_used)]

use crate::{Arguments, BATCH, Bench, Clock, Filled, InFlight, Result, Run, Ways};
use anyhub_core::{Retention, memory::MemoryHub};

fn parse(given: &[&str]) -> Result<Arguments> {
    Arguments::parse(given.iter().map(|it| (*it).to_owned()), &["--bootstrap"])
}

fn bench(hub: MemoryHub) -> Bench {
    let arguments = parse(&["--bench", "--pairs", "4", "--seconds", "0.01"]).unwrap();
    let keeps = Retention::new().bytes(1 << 20);
    let bench = Bench::new(hub, &arguments, 10).unwrap();
    bench.warm_up(1).retention(keeps)
}

#[test]
fn arguments_are_what_was_asked() {
    let parsed = parse(&["--sizes", "1,20", "--only", "receive", "--bootstrap", "a:1"]).unwrap();
    assert_eq!(parsed.sizes, [1, 20]);
    let made = |comparisons: &[&'static str]| {
        let mut made = Vec::new();
        let each = parsed.each(comparisons, |what, size, lines| {
            made.push((what, size));
            lines.push(format!("{what} {size}"));
            Ok(())
        });
        each.map(|lines| (made, lines))
    };
    let (compared, lines) = made(&["publish", "receive"]).unwrap();
    assert_eq!(compared, [("receive", 1), ("receive", 20)]);
    assert_eq!(lines, ["receive 1", "receive 20"]);
    let refused = made(&["publish", "publish-best"]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "--only: there are publish, publish-best"
    );
    assert_eq!(parsed.other("--bootstrap"), Some("a:1"));
    assert_eq!(parse(&[]).unwrap().other("--bootstrap"), None);
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for (given, said) in [
        (
            &["--pear", "1"][..],
            "no option --pear: there are --pairs, ",
        ),
        (&["--pairs"], "--pairs wants a value"),
        (&["--pairs", "0"], "above 0"),
        (&["--seconds", "-1"], "negative"),
        (&["--sizes", ""], "empty"),
    ] {
        let error = parse(given).unwrap_err().to_string();
        assert!(error.contains(said), "{given:?}: {error}");
    }
}

/// Counts how often it is asked for what; ours goes at half of raw's speed.
#[derive(Default)]
struct Counted {
    raw: u64,
    ours: u64,
    today: u64,
}

fn run(micros: u64) -> Run {
    Run {
        events: 1_000,
        elapsed: std::time::Duration::from_micros(micros),
        cpu: std::time::Duration::from_micros(micros * 2),
    }
}

impl Ways for Counted {
    fn raw(&mut self, _: &Bench) -> Result<Run> {
        self.raw += 1;
        Ok(run(1_000))
    }

    fn ours(&mut self, _: &Bench) -> Result<Run> {
        self.ours += 1;
        Ok(run(2_000))
    }

    fn today(&mut self, _: &Bench) -> Result<Option<(&'static str, Run)>> {
        self.today += 1;
        Ok(Some(("a loop", run(4_000))))
    }
}

#[test]
fn ways_are_compared_in_pairs() {
    let (mut ways, mut lines) = (Counted::default(), Vec::new());
    let bench = bench(MemoryHub::new());
    bench.compare("publish", &mut ways, &mut lines).unwrap();
    // A pair to warm up, then four; today's way at the first and the fourth.
    assert_eq!((ways.raw, ways.ours, ways.today), (5, 5, 2));
    assert_eq!(
        lines,
        [
            "ratio publish 10 0.50 0.50 0.50",
            "cpu_ns publish 10 2000 2000 2000"
        ]
    );
}

#[test]
fn anyhub_publishes_until_all_is_written() {
    let bench = bench(MemoryHub::new());
    let in_flight = InFlight {
        batches: 10,
        at_once: 5,
    };
    let run = bench.publish(in_flight).unwrap();
    assert!(run.events >= BATCH as u64 && run.elapsed >= bench.time);
    bench.close().unwrap();
}

#[test]
fn anyhub_reads_all_that_was_filled_in() {
    let bench = bench(MemoryHub::new());
    let filled = Filled::new(&bench, BATCH * 20 + 1, 3).unwrap();
    assert_eq!(filled.events, BATCH as u64 * 20);
    let whole = filled.receive(&bench, Clock::Opening).unwrap();
    assert_eq!(whole.events % filled.events, 0);
    let but_first = filled.receive(&bench, Clock::FirstBatch).unwrap();
    assert!(but_first.elapsed >= bench.time && but_first.events > 0);
    bench.close().unwrap();
}
