//! Ctrl-C: the first drains and still writes the report, the second quits.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::progress::Progress;

/// The token is cancelled by the first SIGINT or SIGTERM. Servers that were started end with this process, however it ends.
pub(super) fn watch(progress: Arc<Progress>) -> io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_cancelled() {
                progress.note("quitting at once, without a report");
                std::process::exit(Exit::Interrupted.code().into());
            }
            progress
                .note("interrupted: draining, then the report is written; once more quits at once");
            stop.cancel();
        }
    });
    Ok(token)
}
