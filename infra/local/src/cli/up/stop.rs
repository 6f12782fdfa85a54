//! What Ctrl-C and its like do to a running hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::{Failure, note};

pub(super) struct Stop {
    ready: Arc<AtomicBool>,
    pub(super) signals: mpsc::Receiver<()>,
}

impl Stop {
    pub(super) fn ready(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }
}

/// The first signal after the start asks the hub to stop in order. One during the start, or a second one, ends this process at
/// once, and the hub with it.
pub(super) fn stop_signals() -> Result<Stop, Failure> {
    let failed = |e| Failure {
        code: 1,
        message: format!("Ctrl-C can't be watched for: {e}"),
    };
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    let (send, receive) = mpsc::channel();
    let ready = Arc::new(AtomicBool::new(false));
    let stop = Stop {
        ready: Arc::clone(&ready),
        signals: receive,
    };
    let watch = move || {
        let mut asked = false;
        for signal in signals.forever() {
            if asked || !ready.load(Ordering::SeqCst) || send.send(()).is_err() {
                note("ended at once");
                // As a shell counts a death by a signal.
                std::process::exit(128 + signal);
            }
            asked = true;
        }
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(watch)
        .map_err(failed)?;
    Ok(stop)
}
