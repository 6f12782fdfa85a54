//! Google's own fake, where it can be had.

use anyhub_local::PsTest;
use tokio::task::spawn_blocking;

/// One of its own. None, said aloud, where there is none; with `CI` that is a failure.
pub(crate) async fn start(test: &str) -> Option<PsTest> {
    match spawn_blocking(|| PsTest::start(None, |_| {})).await {
        Ok(Ok(server)) => Some(server),
        Ok(Err(why)) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED {test}: no pstest here: {why}");
            None
        }
        Ok(Err(why)) => panic!("pstest is required here but can't be had: {why}"),
        Err(panicked) => panic!("{panicked}"),
    }
}
