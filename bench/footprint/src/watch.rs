//! What both processes have in memory.

use crate::{Outcome, Stage, load::Done, resident, server::Server};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::time::sleep;

pub(crate) const REPORT: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
/// What is compared is the median of what was seen within such a time, second by second.
const WINDOW: usize = 10;
/// By how much a process may grow.
pub(crate) const MOST: f64 = 0.05;

/// What both had in memory, second by second, and whether retention was full in time.
pub(crate) struct Seen {
    pub(crate) ours: Vec<u64>,
    pub(crate) theirs: Vec<u64>,
    pub(crate) full: bool,
}

/// Looks at both processes, every second.
pub(crate) async fn watch<S: Stage>(
    server: &mut Server,
    done: &Done,
    time: Duration,
) -> Outcome<Seen> {
    let began = Instant::now();
    let mut seen = Seen {
        ours: Vec::new(),
        theirs: Vec::new(),
        full: false,
    };
    let mut stored = 0;
    let mut last = (0, 0, 0);
    for second in 1..=time.as_secs() {
        let due = began + Duration::from_secs(second);
        sleep(due.saturating_duration_since(Instant::now())).await;
        let (ours, theirs) = (resident("self").unwrap_or_default(), server.resident()?);
        seen.ours.push(ours);
        seen.theirs.push(theirs);
        let counts = server.counts()?;
        // Full: it throws away as much as comes in.
        seen.full |= second <= REPORT.as_secs()
            && counts.stored > 0
            && counts.stored.abs_diff(stored) < counts.stored / 50;
        stored = counts.stored;
        if second % REPORT.as_secs() == 0 || second == time.as_secs() {
            let received = done.received.load(Ordering::Relaxed);
            let per_second = |now: u64, before: u64| (now - before) / (second - last.0);
            println!(
                "{second:>4} s: anyhub {:>4} MiB, {} {:>4} MiB, of it {} MiB of events; {} events/s in, {} received, \
                 overtaken by retention {} times",
                ours / 1024,
                S::NAME,
                theirs / 1024,
                stored >> 20,
                per_second(counts.came, last.1),
                per_second(received, last.2),
                done.overtaken.load(Ordering::Relaxed)
            );
            // Memory of what stands still says nothing.
            if received == last.2 {
                return Err(
                    format!("nothing was received between {} s and {second} s", last.0).into(),
                );
            }
            last = (second, counts.came, received);
        }
    }
    Ok(seen)
}

/// By how much the end is above the first minute's end.
pub(crate) fn growth(seen: &[u64]) -> f64 {
    let median = |seen: &[u64]| {
        let mut seen = seen.to_vec();
        seen.sort_unstable();
        seen[seen.len() / 2] as f64
    };
    let early = MINUTE.as_secs() as usize;
    median(&seen[seen.len() - WINDOW..]) / median(&seen[early..early + WINDOW]) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_of_the_end_against_the_end_of_the_first_minute() {
        let seen: Vec<u64> = (0..90).map(|second| 100 + second.min(65)).collect();
        assert_eq!(growth(&seen), 0.0);
        let seen: Vec<u64> = (0..90)
            .map(|second| if second < 75 { 100 } else { 110 })
            .collect();
        assert!((growth(&seen) - 0.1).abs() < 1e-9);
    }
}
