//! Consumes as a member of the group `demo`, eight keys side by side and each key in order, until
//! Ctrl-C or until so many events were handled:
//!
//!     cargo run -p anyhub-examples --bin consume -- kafka://localhost:9092/tweets 10

use anyhow::Context;
use anyhub::{ConsumerExt, ConsumerOptions};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let count = match std::env::args().nth(2) {
        Some(count) => count.parse().context("COUNT is not a number")?,
        None => u64::MAX,
    };
    let (hub, topic) = anyhub_examples::open().await?;
    anyhub_examples::play_both_sides(&*hub, &topic).await?;
    // On the memory hub nobody else will publish.
    let count = if hub.name() == "memory" {
        count.min(10)
    } else {
        count
    };

    let (handled, enough) = (AtomicU64::new(0), Notify::new());
    let stop = async {
        tokio::select! {
            () = enough.notified() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let options = ConsumerOptions::new().group("demo");
    let mut consumer = hub.consumer(&topic, options).await?;
    // Ok acknowledges; an Err would nack, and the key would come again from that event on.
    let work = consumer.for_each_keyed(8, stop, async |delivery| {
        println!("{:?}", delivery.event);
        if handled.fetch_add(1, Ordering::Relaxed) + 1 >= count {
            enough.notify_one();
        }
        Ok(())
    });
    work.await?;
    consumer.close().await?;
    Ok(hub.close().await?)
}
