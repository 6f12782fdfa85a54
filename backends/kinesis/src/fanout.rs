//! One shard read by SubscribeToShard: a stream of its own, pushed as records come.

use crate::{
    decode::Page,
    error::{HUB, failed},
    fetch::Origin,
    log::KinesisLog,
    reader::{Arrived, Reading, of_another_stream},
};
use anyhub_core::{Error, ErrorKind, Result};
use aws_sdk_kinesis::{
    primitives::DateTime,
    types::{ShardIteratorType, StartingPosition, SubscribeToShardEventStream},
};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep_until, timeout};

/// A second subscription to a shard within this is refused, a later one takes over (Amazon Kinesis
/// API reference, SubscribeToShard, 2026-11).
const AGAIN: Duration = Duration::from_secs(5);

/// Kinesis sends an event every few seconds, if only an empty one: a connection that brings none for so
/// long is dead, and nobody has said so. As long as KCL waits (its `ShardConsumer`, 2026-11).
const SILENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 35 });

/// What the last subscription brought may have waited here. One that began so long ago, which is far more
/// than the 5 minutes that it lasts, may have ended at a place that retention has passed since; records
/// are kept for a day at least. Then the next one begins at the last event that was read, which tells.
const LONG_AGO: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 3_600 });

/// Reads for as long as somebody wants it; an error ends one subscription, not the reading.
pub(crate) async fn follow(log: &KinesisLog, reading: &mut Reading, consumer: &str) -> Result<()> {
    loop {
        if reading.arrivals.room().await.is_none() {
            return Ok(());
        }
        let began = Instant::now();
        // A clock that was set back tells nothing.
        let lately = reading.subscribed.elapsed().is_ok_and(|ago| ago < LONG_AGO);
        if !lately && reading.continuation.is_some() && reading.begin.origin != Origin::Latest {
            reading.begin_anew();
        }
        let asked = subscribe(log, reading, consumer).await;
        if asked.is_ok() {
            reading.subscribed = SystemTime::now();
            reading.arrivals.opened();
        }
        let ended = match asked {
            Ok(mut events) => receive(log, reading, &mut events).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // Another subscription of this consumer, perhaps our own of a moment ago.
            Err(error) if error.is_retryable() || error.kind() == ErrorKind::AlreadyExists => {
                tracing::debug!(shard = %reading.shard.id, %error, "a subscription is tried again");
                reading.arrivals.failing(&error);
                sleep_until(began + AGAIN).await;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return reading.gone(log, error).await.map(drop);
            }
            Err(error) => return Err(of_another_stream(error)),
        }
    }
}

type Events = aws_sdk_kinesis::primitives::event_stream::EventReceiver<
    SubscribeToShardEventStream,
    aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError,
>;

async fn subscribe(log: &KinesisLog, reading: &Reading, consumer: &str) -> Result<Events> {
    let client = log.link.once("receive").await?;
    let position = match (&reading.continuation, reading.begin.origin) {
        (Some(number), _) => StartingPosition::builder()
            .r#type(ShardIteratorType::AfterSequenceNumber)
            .sequence_number(number),
        (None, Origin::Horizon) => {
            StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon)
        }
        (None, Origin::Latest) => StartingPosition::builder().r#type(ShardIteratorType::Latest),
        (None, Origin::Time(time)) => StartingPosition::builder()
            .r#type(ShardIteratorType::AtTimestamp)
            .timestamp(DateTime::from(time)),
        (None, Origin::Record(at)) => StartingPosition::builder()
            .r#type(ShardIteratorType::AtSequenceNumber)
            .sequence_number(at.number()),
    };
    let position = position
        .build()
        .map_err(|error| Error::new(ErrorKind::Unexpected, HUB, "receive", error.to_string()))?;
    let answer = client
        .subscribe_to_shard()
        .consumer_arn(consumer)
        .shard_id(reading.shard.id.as_ref())
        .starting_position(position)
        .send()
        .await;
    let answer = answer.map_err(|error| failed("receive", log.stream.topic(), error))?;
    Ok(answer.event_stream)
}

/// Takes in what one subscription brings; true: it is over, and the next one is due.
async fn receive(log: &KinesisLog, reading: &mut Reading, events: &mut Events) -> Result<bool> {
    let mut children = false;
    loop {
        let Ok(event) = timeout(SILENCE, events.recv()).await else {
            tracing::debug!(shard = %reading.shard.id, "a subscription has fallen silent");
            return Ok(true);
        };
        let event = event.map_err(|error| failed("receive", log.stream.topic(), error))?;
        let event = match event {
            None if children => {
                let mut arrived = Arrived {
                    gap: None,
                    page: Page::default(),
                };
                reading.missing_at_end(log, &mut arrived).await?;
                reading.arrivals.came(arrived, true);
                return Ok(false);
            }
            None => return Ok(true),
            Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => event,
            // What later versions of the service may say beside it.
            Some(_) => continue,
        };
        children |= !event.child_shards().is_empty();
        // Named with the last records, or, by some servers, before them.
        let ended = children && event.records.is_empty();
        let bytes = event.records.iter().map(|record| {
            record.data.as_ref().len() + record.partition_key.as_ref().map_or(0, String::len)
        });
        log.counters.fanned_out(bytes.sum());
        if !event.continuation_sequence_number.is_empty() {
            reading.continuation = Some(event.continuation_sequence_number);
        }
        let mut arrived = reading.arrived(event.records)?;
        if ended {
            reading.missing_at_end(log, &mut arrived).await?;
        }
        if !reading.arrivals.came(arrived, ended) || ended {
            return Ok(false);
        }
        // What waits beyond this waits in the connection, and then at Kinesis.
        if reading.arrivals.room().await.is_none() {
            return Ok(false);
        }
    }
}
