//! Reading a topic through the traits.

use crate::compare::{Found, Log};
use anyhub_core::{Consumer, ConsumerOptions, Delivery, Hub, Point};
use anyhub_eventhubs::EventHubsHub;
use anyhub_interop::Told;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::timeout;

/// For what has to come; nothing waits for as long where all is well.
const DEADLINE: Duration = Duration::from_secs(60);

/// All events, each partition to the end that it has now.
pub(crate) async fn whole(hub: &EventHubsHub, topic: &str) -> Told<Log> {
    let told = hub.admin().describe_topic(topic).await;
    let partitions = told.map_err(|error| error.to_string())?.partitions;
    let end = |end: &anyhub_core::PartitionInfo| end.next.as_ref()?.as_offset();
    let ends: Option<Vec<i64>> = partitions.iter().map(end).collect();
    let ends = ends.ok_or("a partition has no end")?;
    let mut reader = open(hub, topic, Point::Start).await?;
    let mut log: Log = vec![Vec::new(); ends.len()];
    let left = |log: &Log| {
        let lengths = log.iter().zip(&ends);
        lengths
            .map(|(found, end)| end - found.len() as i64)
            .sum::<i64>()
    };
    while left(&log) > 0 {
        for delivery in next(&mut *reader, || format!("{} events", left(&log))).await? {
            let found = found(delivery)?;
            let partition = found
                .partition
                .as_number()
                .and_then(|number| log.get_mut(number as usize));
            partition.ok_or("a partition is none")?.push(found);
        }
    }
    reader.close().await.map_err(|error| error.to_string())?;
    Ok(log)
}

/// A reader that starts there gets these first of their partitions: the log's events of these numbers.
pub(crate) async fn begins_with(
    hub: &EventHubsHub,
    topic: &str,
    start: Point,
    log: &Log,
    firsts: &[(usize, usize)],
) -> Told<()> {
    let of_log = |&(partition, sequence): &(usize, usize)| log[partition].get(sequence);
    let mut expected: Vec<&Found> = firsts.iter().filter_map(of_log).collect();
    let mut reader = open(hub, topic, start.clone()).await?;
    while !expected.is_empty() {
        for delivery in next(&mut *reader, || format!("the start at {start:?}")).await? {
            let same = |expected: &&Found| expected.partition == delivery.partition;
            let Some(index) = expected.iter().position(same) else {
                continue;
            };
            let (first, expected) = (found(delivery)?, expected.swap_remove(index));
            if first != *expected {
                return Err(format!(
                    "began {start:?} with {first}\n  expected {expected}"
                ));
            }
        }
    }
    reader.close().await.map_err(|error| error.to_string())
}

async fn open(hub: &EventHubsHub, topic: &str, start: Point) -> Told<Box<dyn Consumer>> {
    let reader = hub
        .consumer(topic, ConsumerOptions::new().start(start))
        .await;
    reader.map_err(|error| error.to_string())
}

async fn next(reader: &mut dyn Consumer, what: impl Fn() -> String) -> Told<Vec<Delivery>> {
    let batch = timeout(DEADLINE, reader.receive(1_000)).await;
    let batch = batch.map_err(|_| format!("nothing comes any more: waited for {}", what()))?;
    let batch = batch.map_err(|error| error.to_string())?;
    reader.acks().ack(&batch.tokens());
    Ok(batch.deliveries)
}

fn found(delivery: Delivery) -> Told<Found> {
    let since = delivery
        .published
        .map(|time| time.duration_since(UNIX_EPOCH));
    let time = since.and_then(Result::ok).ok_or("an event has no time")?;
    Ok(Found {
        partition: delivery.partition,
        sequence: delivery
            .position
            .as_offset()
            .ok_or("a position is no number")?,
        time: time.as_millis() as u64,
        event: delivery.event,
    })
}
