//! Reads a topic to its end, then again from the start, and shows that both saw the same:
//!
//!     cargo run -p anyhub-examples --bin replay -- kafka://localhost:9092/tweets

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhub::{Consumer, ConsumerOptions, Event, Hub, Partition, Point, Position};
use anyhub_examples::At;
use clap::Parser;
use tokio::time::timeout;

const SILENCE: Duration = Duration::from_secs(5);
/// After so much of it, it is said that something is awaited.
const SAID: Duration = Duration::from_secs(2);

/// Reads a topic to its end, then again from the start, and shows that both saw the same
#[derive(Parser)]
#[command(after_help = "Example:\n  replay 'kafka://localhost:9092/tweets'")]
struct Arguments {
    #[command(flatten)]
    at: At,
}

#[tokio::main]
async fn main() -> ExitCode {
    anyhub_examples::told(run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (hub, topic) = arguments.at.open().await?;
    let done = replay(&*hub, &topic).await;
    anyhub_examples::closed(&*hub, done).await
}

async fn replay(hub: &dyn Hub, topic: &str) -> anyhow::Result<()> {
    anyhub_examples::play_both_sides(hub, topic).await?;
    let ends = ends_of(hub, topic).await?;

    // Without a group: a private reader of all partitions, which commits nothing.
    let mut consumer = hub.consumer(topic, ConsumerOptions::new()).await?;
    let first = read_to(&mut *consumer, &ends).await?;
    consumer.seek(Point::Start).await?;
    let second = read_to(&mut *consumer, &ends).await?;
    anyhow::ensure!(first == second, "the replay differs");
    println!("read {} events twice, the same both times", first.len());
    Ok(consumer.close().await?)
}

/// Where each partition with something in it ends now; none on a hub that tells no positions.
async fn ends_of(hub: &dyn Hub, topic: &str) -> anyhow::Result<Vec<(Partition, Position)>> {
    if !hub.capabilities().positions {
        return Ok(Vec::new());
    }
    let info = hub.admin().describe_topic(topic).await?;
    // What a time to come begins with is right behind the newest event.
    let later = SystemTime::now() + Duration::from_secs(3_600);
    let mut ends = hub.admin().positions_at(topic, later).await?;
    ends.retain(|(partition, end)| {
        let mut partitions = info.partitions.iter();
        let info = partitions.find(|info| info.partition == *partition);
        let first = info.and_then(|info| info.first.as_ref());
        first.is_some_and(|first| first != end)
    });
    Ok(ends)
}

/// Reads until every partition is at its end; the events in order of partition and position.
async fn read_to(
    consumer: &mut dyn Consumer,
    ends: &[(Partition, Position)],
) -> anyhow::Result<Vec<(Partition, Position, Event)>> {
    let mut left = ends.to_vec();
    let mut read = Vec::new();
    while ends.is_empty() || !left.is_empty() {
        // What stood last may come no more (compaction), or is not known: then a silence is the end.
        let batch = match timeout(SAID, consumer.receive(100)).await {
            Ok(batch) => batch?,
            Err(_) => {
                eprintln!("{} events so far, waiting for more", read.len());
                match timeout(SILENCE - SAID, consumer.receive(100)).await {
                    Ok(batch) => batch?,
                    Err(_) => break,
                }
            }
        };
        // A private reader's acks are not kept, but they make room for what comes.
        consumer.acks().ack(&batch.tokens());
        for delivery in batch.deliveries {
            let after = delivery.position.after();
            left.retain(|(partition, end)| {
                *partition != delivery.partition || after.cmp_in_partition(end).is_lt()
            });
            read.push((delivery.partition, delivery.position, delivery.event));
        }
    }
    read.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp_in_partition(&b.1)));
    Ok(read)
}
