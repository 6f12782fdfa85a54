//! Reads a topic to its end, then again from the start, and shows that both saw the same:
//!
//!     cargo run -p anyhub-examples --bin replay -- kafka://localhost:9092/tweets

use std::time::Duration;

use anyhub::{Consumer, ConsumerOptions, Event, Partition, Point, Position};
use tokio::time::timeout;

const SILENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (hub, topic) = anyhub_examples::open().await?;
    anyhub_examples::play_both_sides(&*hub, &topic).await?;

    // What is there now: reading ends when each partition has been read up to here.
    let ends: Vec<_> = hub.admin().describe_topic(&topic).await?.partitions;
    let ends: Vec<_> = ends
        .into_iter()
        .filter(|partition| partition.first != partition.next)
        .filter_map(|partition| Some((partition.partition, partition.next?)))
        .collect();

    // Without a group: a private reader of all partitions, which commits nothing.
    let mut consumer = hub.consumer(&topic, ConsumerOptions::new()).await?;
    let first = read_to(&mut *consumer, &ends).await?;
    consumer.seek(Point::Start).await?;
    let second = read_to(&mut *consumer, &ends).await?;
    anyhow::ensure!(first == second, "the replay differs");
    println!("read {} events twice, the same both times", first.len());
    consumer.close().await?;
    Ok(hub.close().await?)
}

/// Reads until every partition is at its end; the events in order of partition and position.
async fn read_to(
    consumer: &mut dyn Consumer,
    ends: &[(Partition, Position)],
) -> anyhow::Result<Vec<(Partition, String, Event)>> {
    let mut left: Vec<_> = ends.to_vec();
    let mut read = Vec::new();
    while !left.is_empty() {
        // What stood last may come no more (compaction): then a silence is the end.
        let Ok(batch) = timeout(SILENCE, consumer.receive(100)).await else {
            break;
        };
        let batch = batch?;
        // A private reader's acks are not kept, but they make room for what comes.
        consumer.acks().ack(&batch.tokens());
        for delivery in batch.deliveries {
            let next = delivery.position.as_offset().map(|at| at + 1);
            left.retain(|(partition, end)| {
                *partition != delivery.partition || next < end.as_offset()
            });
            let position = format!("{:>20}", delivery.position.to_string());
            read.push((delivery.partition, position, delivery.event));
        }
    }
    read.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    Ok(read)
}
