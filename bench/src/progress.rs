//! What is happening now, on stderr: a live line on a terminal, one plain line every few seconds elsewhere.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::redact::redact;
use crate::report::Phase;
use crate::units;

/// How often a line is printed where there is no terminal to redraw.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// A moment of a running phase. The runner hands one over about ten times a second; what is shown, and how often, is decided here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshot {
    /// Events done, out of the phase's total.
    pub done: u64,
    /// Events per second over the last moments.
    pub rate_per_s: f64,
    /// Sent and not yet received.
    pub backlog: u64,
    /// End-to-end p99 over the last moments, where something was received.
    pub p99_us: Option<u64>,
}

/// Tells a person how far the run is. Cheap to call from any thread.
#[derive(Debug)]
pub struct Progress {
    sink: Sink,
    now: Mutex<Option<Running>>,
}

enum Sink {
    Hidden,
    Terminal(ProgressBar),
    Plain(Mutex<Box<dyn Write + Send>>),
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hidden => "Hidden",
            Self::Terminal(_) => "Terminal",
            Self::Plain(_) => "Plain",
        })
    }
}

#[derive(Debug)]
struct Running {
    label: String,
    total: u64,
    started: Instant,
    printed: Instant,
}

impl Progress {
    /// On stderr, live where that is a terminal.
    pub fn stderr() -> Self {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8));
            if let Ok(style) =
                ProgressStyle::with_template("{prefix} {bar:24} {percent:>3}%  {msg}")
            {
                bar.set_style(style.progress_chars("=> "));
            }
            Self::new(Sink::Terminal(bar))
        } else {
            Self::plain(Box::new(std::io::stderr()))
        }
    }

    /// Says nothing; for tests and for use as a library.
    pub fn hidden() -> Self {
        Self::new(Sink::Hidden)
    }

    /// One plain line every few seconds to `out`.
    pub fn plain(out: Box<dyn Write + Send>) -> Self {
        Self::new(Sink::Plain(Mutex::new(out)))
    }

    fn new(sink: Sink) -> Self {
        Self {
            sink,
            now: Mutex::new(None),
        }
    }

    /// A line of its own: a hub is starting, a hub was skipped.
    pub fn note(&self, line: &str) {
        match &self.sink {
            Sink::Hidden => {}
            // A bar that is not shown yet would be drawn by being suspended.
            Sink::Terminal(bar) if lock(&self.now).is_some() => bar.suspend(|| to_stderr(line)),
            Sink::Terminal(_) => to_stderr(line),
            Sink::Plain(out) => print_line(out, line),
        }
    }

    /// A phase of `total` events begins on `hub`; `run` counts from 1 and is shown only where there are several.
    pub fn phase(&self, hub: &str, phase: Phase, run: u32, runs: u32, total: u64) {
        let mut label = format!("{hub} {}", phase.as_str());
        if runs > 1 {
            label.push_str(&format!(" {run}/{runs}"));
        }
        self.begin(label, total);
    }

    /// Something else that takes a while begins, such as `kafka warm-up`.
    pub fn begin(&self, label: String, total: u64) {
        let at = Instant::now();
        match &self.sink {
            Sink::Hidden => {}
            Sink::Terminal(bar) => {
                bar.reset();
                bar.set_length(total);
                bar.set_prefix(format!("{label:<20}"));
                bar.set_message("");
            }
            Sink::Plain(out) => {
                print_line(out, &format!("{label}: {} events", units::count(total)))
            }
        }
        *lock(&self.now) = Some(Running {
            label,
            total,
            started: at,
            printed: at,
        });
    }

    /// How it stands.
    pub fn update(&self, snapshot: Snapshot) {
        let mut now = lock(&self.now);
        let Some(running) = now.as_mut() else { return };
        match &self.sink {
            Sink::Hidden => {}
            Sink::Terminal(bar) => {
                bar.set_position(snapshot.done);
                bar.set_message(describe(
                    &snapshot,
                    running.total,
                    running.started.elapsed(),
                ));
            }
            Sink::Plain(out) => {
                if running.printed.elapsed() >= PLAIN_EVERY {
                    running.printed = Instant::now();
                    let text = describe(&snapshot, running.total, running.started.elapsed());
                    let percent = (snapshot.done * 100)
                        .checked_div(running.total)
                        .unwrap_or(100);
                    print_line(out, &format!("{}: {percent}%, {text}", running.label));
                }
            }
        }
    }

    /// The phase is over, with what it came to in a few words.
    pub fn finish(&self, outcome: &str) {
        let Some(running) = lock(&self.now).take() else {
            return;
        };
        let line = format!(
            "{}: {outcome} ({:.1} s)",
            running.label,
            running.started.elapsed().as_secs_f64()
        );
        match &self.sink {
            Sink::Hidden => {}
            Sink::Terminal(bar) => {
                bar.suspend(|| to_stderr(&line));
                bar.finish_and_clear();
            }
            Sink::Plain(out) => print_line(out, &line),
        }
    }
}

fn describe(now: &Snapshot, total: u64, elapsed: Duration) -> String {
    let mut text = format!(
        "{}/s, backlog {}",
        units::count(now.rate_per_s as u64),
        units::count(now.backlog)
    );
    if let Some(p99) = now.p99_us {
        text.push_str(&format!(", p99 {}", units::micros(p99)));
    }
    let left = total.saturating_sub(now.done);
    // From the average so far: steadier than the rate of the last moments.
    if now.done > 0 && left > 0 {
        let seconds = elapsed.as_secs_f64() * left as f64 / now.done as f64;
        text.push_str(&format!(", {seconds:.0} s left"));
    }
    text
}

/// A line beside the data. `eprintln!` would panic where stderr can't be written, and then there
/// is nobody to tell.
pub(crate) fn to_stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", redact(line));
}

/// A reader of stderr that went away must not end the run.
fn print_line(out: &Mutex<Box<dyn Write + Send>>, line: &str) {
    let mut out = lock(out);
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_rate_backlog_p99_and_time_left() {
        let now = Snapshot {
            done: 50_000,
            rate_per_s: 12_345.6,
            backlog: 1_200,
            p99_us: Some(4_210),
        };
        let text = describe(&now, 200_000, Duration::from_secs(5));
        assert_eq!(text, "12,345/s, backlog 1,200, p99 4.21 ms, 15 s left");
    }

    #[test]
    fn says_nothing_of_what_is_not_known() {
        assert_eq!(
            describe(&Snapshot::default(), 10, Duration::from_secs(1)),
            "0/s, backlog 0"
        );
    }

    #[test]
    fn a_phase_of_no_events_does_not_divide_by_zero() {
        let progress = Progress::plain(Box::new(std::io::sink()));
        progress.update(Snapshot::default());
        progress.phase("memory", Phase::Latency, 1, 1, 0);
        progress.update(Snapshot::default());
        progress.finish("nothing to do");
    }
}
