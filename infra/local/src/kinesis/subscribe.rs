//! SubscribeToShard. ferrokinesis 0.7 drops where a subscription is to begin before it looks at it, begins every one with the
//! oldest record, and names the children of a closed shard before its records are all given. So it only says whether there may
//! be a subscription; what is given, and from where on, is found here. JSON only.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode};
use ferrokinesis::event_stream::{encode_initial_response, encode_subscribe_event};
use ferrokinesis::sequence::{
    increment_sequence, parse_sequence, resolve_shard_id, shard_ix_to_hex,
};
use ferrokinesis::store::Store;
use futures_util::stream;
use serde_json::{Value, json};

use super::parity::{self, Place};

/// How often it is looked for new records.
const LOOK: Duration = Duration::from_millis(200);
/// Records of one event.
const SOME: usize = 1_000;

/// What GetShardIterator is to be asked, to find where a subscription begins.
pub(super) fn iterator_request(place: &Place, request: &Value) -> Value {
    let start = &request["StartingPosition"];
    let mut asked = json!({
        "StreamName": place.stream,
        "ShardId": place.shard,
        "ShardIteratorType": start["Type"],
    });
    for (from, to) in [
        ("SequenceNumber", "StartingSequenceNumber"),
        ("Timestamp", "Timestamp"),
    ] {
        if !start[from].is_null() {
            asked[to] = start[from].clone();
        }
    }
    asked
}

/// A subscription from the record of this number on.
struct Subscription {
    store: Store,
    place: Place,
    index: i64,
    next: String,
    ends: Instant,
    said: Said,
}

#[derive(PartialEq)]
enum Said {
    Nothing,
    Something,
    /// The shard is read to its end.
    All,
}

/// The answer: events until `time` is over or the shard is.
pub(super) fn answer(
    store: &Store,
    place: Place,
    next: String,
    time: Duration,
) -> Option<Response<Body>> {
    let (_, index) = resolve_shard_id(&place.shard).ok()?;
    let subscription = Subscription {
        store: store.clone(),
        place,
        index,
        next,
        ends: Instant::now() + time,
        said: Said::Nothing,
    };
    let events = stream::unfold(subscription, |mut subscription| async move {
        let frame = subscription.frame().await?;
        Some((Ok::<_, std::io::Error>(frame), subscription))
    });
    Response::builder()
        .status(StatusCode::OK)
        .header("Content-Type", "application/vnd.amazon.eventstream")
        .body(Body::from_stream(events))
        .ok()
}

impl Subscription {
    /// The next frame; None: it is over.
    async fn frame(&mut self) -> Option<Bytes> {
        match self.said {
            Said::Nothing => {
                self.said = Said::Something;
                return Some(encode_initial_response().into());
            }
            Said::Something => {}
            Said::All => return None,
        }
        let event = self.event().await?;
        if event["Records"].as_array().is_none_or(Vec::is_empty) {
            tokio::time::sleep(LOOK).await;
        }
        let payload = event.to_string().into_bytes();
        Some(encode_subscribe_event(&payload, "application/json").into())
    }

    async fn event(&mut self) -> Option<Value> {
        if Instant::now() >= self.ends {
            return None;
        }
        let stream = self.store.get_stream(&self.place.stream).await.ok()?;
        let shard = stream.shards.get(usize::try_from(self.index).ok()?)?;
        let closed = shard.sequence_number_range.ending_sequence_number.is_some();
        let from = format!("{}/{}", shard_ix_to_hex(self.index), self.next);
        let to = shard_ix_to_hex(self.index + 1);
        let found = self
            .store
            .get_records_range_limited(&self.place.stream, &from, &to, SOME)
            .await;
        let mut records = Vec::with_capacity(found.len());
        for (key, record) in &found {
            let number = key.split('/').nth(1)?;
            records.push(json!({
                "Data": record.data,
                "PartitionKey": record.partition_key,
                "SequenceNumber": number,
                "ApproximateArrivalTimestamp": record.approximate_arrival_timestamp,
            }));
            self.next = increment_sequence(&parse_sequence(number).ok()?, None);
        }
        let mut event = json!({
            "ContinuationSequenceNumber": self.next,
            "MillisBehindLatest": parity::behind(&self.store, &self.place, self.index, &self.next).await.unwrap_or(0),
        });
        if closed && records.is_empty() {
            self.said = Said::All;
            event["ChildShards"] = parity::children(&stream, &self.place.shard);
        }
        event["Records"] = Value::Array(records);
        Some(event)
    }
}
