//! Whether memory stays what it is: a producer and a consumer at full rate, the one never far ahead of the other, the server
//! in a process of its own, and what both processes have in memory, every 30 s.
//!
//! A backend's example brings its server and its hub, as a [`Stage`]. It ends with 1 where one of the processes has grown by
//! more than 5 % after the first minute, where retention is not full within 30 s, or where events fail or are overtaken by
//! retention. Linux tells what a process has in memory; elsewhere it ends with 2.

mod load;
mod resident;
mod server;
mod watch;

pub use load::{BYTES, TOPIC};
pub use resident::resident;

use anyhub_core::{ConsumerOptions, Hub};
use clap::{Parser, value_parser};
use load::Load;
use server::Server;
use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};
use watch::{REPORT, growth, watch};

/// What a step comes to. Whatever went wrong, it only says so.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// What a server has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Events in.
    pub came: u64,
    /// Bytes of events that it keeps.
    pub stored: u64,
}

/// A server of this machine, and a backend's hub on it.
pub trait Stage: Sized {
    /// The server's name.
    const NAME: &'static str;

    /// A server whose topics keep so little that they are full within 30 s, but more than 50,000 events, by which the producer may be ahead.
    fn start() -> Outcome<Self>;

    /// Where the other process finds it.
    fn endpoint(&self) -> String;

    /// What it has done so far.
    fn counts(&self) -> Counts;

    /// The hub on the server at `endpoint`, with [`TOPIC`] in it.
    fn hub(endpoint: &str) -> impl Future<Output = Outcome<Arc<dyn Hub>>>;

    /// How the consumer is opened.
    fn reads() -> ConsumerOptions;
}

/// Whether memory stays what it is at full rate
#[derive(Parser)]
#[command(after_help = "Example:\n  memory 600")]
struct Arguments {
    /// How long, 90 or more
    #[arg(default_value_t = 600, value_parser = value_parser!(u64).range(90..))]
    seconds: u64,
    /// Be the server
    #[arg(long = server::OPTION, hide = true)]
    is_server: bool,
}

/// Does it, and tells what came of it.
pub fn main<S: Stage>() -> ExitCode {
    let Arguments { seconds, is_server } = Arguments::parse();
    if !is_server && resident("self").is_none() {
        eprintln!("memory: this system doesn't tell what a process has in memory");
        return ExitCode::from(2);
    }
    let done = match is_server {
        true => server::serve::<S>().map(|()| true),
        false => run::<S>(Duration::from_secs(seconds)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("memory: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run<S: Stage>(time: Duration) -> Outcome<bool> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let mut server = Server::start()?;
        let hub = S::hub(&server.line()?).await?;
        let load = Load::start(&*hub, S::reads()).await?;
        let seen = watch::<S>(&mut server, &load.done, time).await?;
        let failed = load.stop().await?;
        let rate = server.counts()?.came as f64 / time.as_secs_f64();
        hub.close().await?;
        server.stop()?;
        let grown = [growth(&seen.ours), growth(&seen.theirs)];
        println!(
            "after the first minute: anyhub {:+.1} %, {} {:+.1} %; {rate:.0} events/s of {BYTES} B in, {failed} failed or \
             overtaken",
            grown[0] * 100.0,
            S::NAME,
            grown[1] * 100.0
        );
        if !seen.full {
            println!("retention was not full within {REPORT:?}: it shows nothing");
        }
        Ok(seen.full && failed == 0 && grown.iter().all(|grown| *grown <= watch::MOST))
    })
}
