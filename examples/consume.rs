//! Consumes as a member of the group `demo`, eight keys side by side and each key in order, until
//! Ctrl-C or until so many events were handled:
//!
//!     cargo run -p anyhub-examples --bin consume -- kafka://localhost:9092/tweets 10

use anyhub::{ConsumerExt, ConsumerOptions, Hub};
use anyhub_examples::At;
use clap::Parser;
use std::num::NonZeroU64;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// After so long with nothing, it is said that something is awaited.
const SAID: Duration = Duration::from_secs(2);

/// Consumes as a member of the group `demo`, until Ctrl-C or until so many events were handled
#[derive(Parser)]
#[command(after_help = "Example:\n  consume 'kafka://localhost:9092/tweets' 10")]
struct Arguments {
    #[command(flatten)]
    at: At,
    /// How many events, 1 or more [default: until Ctrl-C; on the memory hub 10]
    #[arg(value_parser = count)]
    count: Option<NonZeroU64>,
}

fn count(text: &str) -> Result<NonZeroU64, &'static str> {
    text.parse().map_err(|_| "it is a whole number, 1 or more")
}

#[tokio::main]
async fn main() -> ExitCode {
    anyhub_examples::told(run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let count = arguments.count.map_or(u64::MAX, NonZeroU64::get);
    let (hub, topic) = arguments.at.open().await?;
    let done = consume(&*hub, &topic, count).await;
    anyhub_examples::closed(&*hub, done).await
}

async fn consume(hub: &dyn Hub, topic: &str, count: u64) -> anyhow::Result<()> {
    anyhub_examples::play_both_sides(hub, topic).await?;
    // On the memory hub nobody else will publish.
    let count = if hub.name() == "memory" {
        count.min(10)
    } else {
        count
    };

    let (handled, enough) = (AtomicU64::new(0), Notify::new());
    let ended = async {
        tokio::select! {
            () = enough.notified() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let stop = async {
        let mut ended = pin!(ended);
        if timeout(SAID, &mut ended).await.is_ok() {
            return;
        }
        if handled.load(Ordering::Relaxed) == 0 {
            eprintln!(
                "waiting: for events, or for partitions that another member of the group still holds"
            );
        }
        ended.await;
    };
    let options = ConsumerOptions::new().group("demo");
    let mut consumer = hub.consumer(topic, options).await?;
    // Ok acknowledges; an Err would nack, and the key would come again from that event on.
    let work = consumer.for_each_keyed(8, stop, async |delivery| {
        println!("{:?}", delivery.event);
        if handled.fetch_add(1, Ordering::Relaxed) + 1 >= count {
            enough.notify_one();
        }
        Ok(())
    });
    let done = work.await;
    // After an error too: otherwise others wait until its leases run out.
    let closed = consumer.close().await;
    Ok(done.and(closed)?)
}
