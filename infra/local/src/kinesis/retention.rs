//! How long a stream keeps its records, and the shards that were closed: as many hours as Kinesis would, each as long as told.
//!
//! ferrokinesis 0.7 hides records after real hours, and keeps closed shards for ever. Times of arrival and of closing have
//! whole seconds there, so here everything stays for up to a second too long, and goes never early.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrokinesis::actions::Operation;
use ferrokinesis::sequence::{parse_sequence, shard_ix_to_hex};
use ferrokinesis::store::Store;
use ferrokinesis::types::{Shard, Stream};
use serde_json::Value;
use tokio::sync::Notify;

use super::answer::Whole;
use super::parity::{Place, now};

/// As long as in AWS, and the longest that can be told.
pub(super) const REAL_HOUR: Duration = Duration::from_secs(3_600);

/// Records looked at together.
const SOME: usize = 1_000;

/// How long streams keep what is in them.
#[derive(Debug)]
pub(super) struct Retention {
    /// How long an hour of retention lasts.
    hour: Duration,
    /// Streams that keep their records for a time of their own.
    own: Mutex<HashMap<String, Duration>>,
    changed: Notify,
}

impl Retention {
    pub(super) fn new(hour: Duration) -> Self {
        Retention {
            hour,
            own: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn keep(&self, stream: &str, time: Duration) {
        self.own().insert(stream.to_owned(), time);
        self.changed.notify_one();
    }

    fn own(&self) -> MutexGuard<'_, HashMap<String, Duration>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is time to [`trim`](Self::trim): every hour, which is a 24th of what is kept at least.
    pub(super) async fn due(&self) {
        let shortest = self.own().values().map(|time| *time / 24).min();
        let interval = shortest.map_or(self.hour, |own| own.min(self.hour));
        tokio::select! {
            () = tokio::time::sleep(interval.max(Duration::from_millis(10))) => {}
            () = self.changed.notified() => {}
        }
    }

    /// Deletes all records that are past retention. Nothing may be put or read meanwhile.
    pub(super) async fn trim(&self, store: &Store) {
        for name in store.list_stream_names().await {
            let Ok(stream) = store.get_stream(&name).await else {
                continue;
            };
            let horizon = self.horizon(&stream);
            for (_, index) in stream.shards.iter().zip(0..) {
                trim_shard(store, &name, index, horizon).await;
            }
        }
    }

    /// True if a shard was closed so long ago that none of its records is kept; Kinesis calls that EXPIRED, and no longer
    /// knows the shard (developer guide, "Take care of shard routing, data persistence, and shard state after a reshard", 2026-11).
    pub(super) async fn is_over(&self, store: &Store, place: &Place) -> bool {
        match store.get_stream(&place.stream).await {
            Ok(stream) => self
                .over(&stream)
                .any(|shard| shard.shard_id == place.shard),
            Err(_) => false,
        }
    }

    /// Takes such shards out of an answer that lists shards.
    pub(super) async fn unlist(&self, store: &Store, stream: &str, answer: &mut Whole) {
        let (Ok(stream), Some(mut value)) = (store.get_stream(stream).await, answer.json()) else {
            return;
        };
        let over: Vec<&str> = self
            .over(&stream)
            .map(|shard| shard.shard_id.as_str())
            .collect();
        let shards = match value.get_mut("StreamDescription") {
            Some(description) => description.get_mut("Shards"),
            None => value.get_mut("Shards"),
        };
        if let (false, Some(Value::Array(shards))) = (over.is_empty(), shards) {
            shards.retain(|shard| {
                shard["ShardId"]
                    .as_str()
                    .is_none_or(|id| !over.contains(&id))
            });
            answer.set(value.to_string().into_bytes());
        }
    }

    fn over<'a>(&self, stream: &'a Stream) -> impl Iterator<Item = &'a Shard> + use<'a> {
        let horizon = self.horizon(stream);
        stream.shards.iter().filter(move |shard| {
            let end = shard
                .sequence_number_range
                .ending_sequence_number
                .as_deref();
            let closed = end.and_then(|end| parse_sequence(end).ok()?.seq_time);
            #[allow(clippy::cast_precision_loss)] // milliseconds since 1970
            closed.is_some_and(|millis| (millis as f64) / 1_000.0 < horizon)
        })
    }

    /// What arrived in a second before this one is past retention; seconds since 1970.
    fn horizon(&self, stream: &Stream) -> f64 {
        let own = self.own().get(&stream.stream_name).copied();
        let kept = own.unwrap_or(self.hour * stream.retention_period_hours);
        now() - kept.as_secs_f64() - 1.0
    }
}

async fn trim_shard(store: &Store, stream: &str, index: i64, horizon: f64) {
    let from = format!("{}/", shard_ix_to_hex(index));
    let to = shard_ix_to_hex(index + 1);
    // Most often there is nothing to trim, which the oldest one tells.
    let mut some = 1;
    loop {
        let oldest = store
            .get_records_range_limited(stream, &from, &to, some)
            .await;
        let past = oldest
            .into_iter()
            .take_while(|(_, record)| record.approximate_arrival_timestamp < horizon);
        let keys: Vec<String> = past.map(|(key, _)| key).collect();
        store.delete_record_keys(stream, &keys).await;
        if keys.len() < some {
            return;
        }
        some = SOME;
    }
}

/// The shard that a request other than GetRecords reads from, if it does.
pub(super) fn place(operation: Operation, request: &Value) -> Option<Place> {
    let stream = match operation {
        Operation::GetShardIterator => request["StreamName"].as_str()?,
        // arn:aws:kinesis:REGION:ACCOUNT:stream/NAME/consumer/CONSUMER:TIME
        Operation::SubscribeToShard => request["ConsumerARN"].as_str()?.split('/').nth(1)?,
        _ => return None,
    };
    Some(Place {
        stream: stream.to_owned(),
        shard: request["ShardId"].as_str()?.to_owned(),
    })
}

/// True if the answers of an operation list shards.
pub(super) fn lists_shards(operation: Operation) -> bool {
    matches!(operation, Operation::ListShards | Operation::DescribeStream)
}
