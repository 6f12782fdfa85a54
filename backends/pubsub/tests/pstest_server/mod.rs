//! Google's own fake, which may end by itself where it is asked for what it can't do.

use anyhub_local::PsTest;
use std::ops::Deref;
use tokio::task::spawn_blocking;

/// A running one. Dropped, it leaves nothing behind, not even the log of one that has crashed.
#[derive(Debug)]
pub(crate) struct Server(PsTest);

impl Server {
    pub(crate) async fn start() -> Result<Self, String> {
        let started = spawn_blocking(|| PsTest::start(None, |_| {})).await;
        let server = started.map_err(|panicked| panicked.to_string())?;
        server.map(Self).map_err(|why| why.to_string())
    }
}

impl Deref for Server {
    type Target = PsTest;

    fn deref(&self) -> &PsTest {
        &self.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let log = self.log().to_owned();
        let crashed = self.failure().is_some();
        self.stop();
        if let Some(folder) = log.parent().filter(|_| crashed)
            && let Err(error) = std::fs::remove_dir_all(folder)
        {
            eprintln!("{}: {error}", folder.display());
        }
    }
}
