//! What ferrokinesis 0.7 does otherwise than Kinesis, made good where a client would otherwise go wrong: requests before they
//! are carried out, and answers before they are given. JSON only.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use ferrokinesis::actions::Operation;
use ferrokinesis::sequence::{resolve_shard_id, shard_ix_to_hex};
use ferrokinesis::shard_iterator::decode_shard_iterator;
use ferrokinesis::store::Store;
use ferrokinesis::types::Stream;
use memchr::memmem;
use serde_json::{Value, json};

use super::answer::Whole;
use super::limits::LARGEST_ANSWER;

/// How many shards an on-demand stream begins with (Kinesis developer guide, "Choose the right mode", 2026-11).
const ON_DEMAND_SHARDS: u32 = 4;

/// Operations that Kinesis takes a stream's ARN for, and ferrokinesis only its name.
const BY_NAME: [Operation; 13] = [
    Operation::AddTagsToStream,
    Operation::DecreaseStreamRetentionPeriod,
    Operation::DeleteStream,
    Operation::DescribeStream,
    Operation::DescribeStreamSummary,
    Operation::GetShardIterator,
    Operation::IncreaseStreamRetentionPeriod,
    Operation::ListShards,
    Operation::ListTagsForStream,
    Operation::MergeShards,
    Operation::RemoveTagsFromStream,
    Operation::SplitShard,
    Operation::UpdateShardCount,
];

/// Why a request may not be carried out: the kind of the error, and its message.
pub(super) type Refusal = (&'static str, String);

/// Names the stream where only its ARN is given. An ARN of another account is refused, as without a policy it would be.
pub(super) fn name_stream(
    operation: Operation,
    request: &mut Value,
    account: &str,
) -> Result<(), Refusal> {
    let Some(arn) = request["StreamARN"].as_str() else {
        return Ok(());
    };
    // arn:aws:kinesis:REGION:ACCOUNT:stream/NAME
    let owner = arn.split(':').nth(4).unwrap_or_default();
    if owner != account {
        return Err((
            "AccessDeniedException",
            format!(
                "User: arn:aws:iam::{account}:root is not authorized to perform: kinesis:{operation} on resource: {arn}"
            ),
        ));
    }
    let name = arn.split_once('/').map(|(_, name)| name.to_owned());
    if let (true, None, Some(name)) = (
        BY_NAME.contains(&operation),
        request["StreamName"].as_str(),
        name,
    ) {
        request["StreamName"] = Value::String(name);
    }
    Ok(())
}

/// True if the request is for an on-demand stream; then it gets a number of shards, without which ferrokinesis refuses it.
pub(super) fn is_on_demand(request: &mut Value) -> bool {
    let on_demand = request["StreamModeDetails"]["StreamMode"] == "ON_DEMAND";
    if on_demand {
        request["ShardCount"] = json!(ON_DEMAND_SHARDS);
    }
    on_demand
}

/// A start at a time later than the last record's is a start at the tip: ferrokinesis would begin with the oldest record. Its
/// times of arrival have whole seconds, so the start has too, or it would pass over what arrived within its second.
pub(super) async fn start_at_time(store: &Store, request: &mut Value) {
    let (Some(stream), Some(shard), Some(at)) = (
        request["StreamName"].as_str(),
        request["ShardId"].as_str(),
        request["Timestamp"].as_f64(),
    ) else {
        return;
    };
    if request["ShardIteratorType"] != "AT_TIMESTAMP" || at > now() {
        return;
    }
    let Ok((_, index)) = resolve_shard_id(shard) else {
        return;
    };
    let (from, to) = (
        format!("{}/", shard_ix_to_hex(index)),
        shard_ix_to_hex(index + 1),
    );
    let found = store
        .find_first_record_at_timestamp(stream, &from, &to, at.floor())
        .await;
    if found.is_some() {
        request["Timestamp"] = json!(at.floor());
    } else {
        request["ShardIteratorType"] = json!("LATEST");
        request["Timestamp"].take();
    }
}

/// Where a request reads.
pub(super) struct Place {
    pub(super) stream: String,
    pub(super) shard: String,
}

/// Where the iterator of an answer stands.
pub(super) fn iterator_stands(answer: &Whole) -> Option<String> {
    let answer = answer.json()?;
    let iterator = answer["ShardIterator"].as_str()?;
    let (_, _, _, number) = decode_shard_iterator(iterator).ok()?;
    Some(number)
}

/// The stream and shard of the iterator in a GetRecords request.
pub(super) fn place(request: &Value) -> Option<Place> {
    let iterator = request["ShardIterator"].as_str()?;
    let (_, stream, shard, _) = decode_shard_iterator(iterator).ok()?;
    Some(Place { stream, shard })
}

/// How many records of an answer there is room for in 10 MiB, if not for all.
pub(super) fn records_that_fit(answer: &Whole) -> Option<usize> {
    // Data travels in base64: a body of less can't hold more.
    if answer.body.len() <= LARGEST_ANSWER {
        return None;
    }
    let answer = answer.json()?;
    let records = answer["Records"].as_array()?;
    let mut room = LARGEST_ANSWER;
    let fit = records.iter().take_while(|record| {
        let left = room.checked_sub(size(record));
        room = left.unwrap_or(0);
        left.is_some()
    });
    let fit = fit.count().max(1);
    (fit < records.len()).then_some(fit)
}

/// The bytes of data and keys in an answer of GetRecords.
pub(super) fn bytes_read(answer: &Whole) -> usize {
    let answer = answer.json().unwrap_or_default();
    let records = answer["Records"].as_array();
    records.map_or(0, |records| records.iter().map(size).sum())
}

fn size(record: &Value) -> usize {
    let text = |field: &str| record[field].as_str().unwrap_or_default();
    let data = text("Data");
    let padding = data.len() - data.trim_end_matches('=').len();
    (data.len() / 4 * 3).saturating_sub(padding) + text("PartitionKey").len()
}

/// Adds what ferrokinesis leaves out of an answer of GetRecords: how far behind it is, and the children of a shard at its end.
pub(super) async fn complete(store: &Store, request: &Value, answer: &mut Whole) {
    const AT_TIP: &[u8] = br#"{"MillisBehindLatest":0,"#;
    const NEXT: &[u8] = br#""NextShardIterator":""#;
    let Some(start) = memmem::find(&answer.body, NEXT) else {
        add_children(store, request, answer).await;
        return;
    };
    let Some(rest) = answer.body.strip_prefix(AT_TIP) else {
        return;
    };
    let next = answer.body.get(start + NEXT.len()..).unwrap_or_default();
    let next = next.split(|byte| *byte == b'"').next().unwrap_or_default();
    let behind = match std::str::from_utf8(next) {
        Ok(next) => millis_behind(store, next).await,
        Err(_) => None,
    };
    if let Some(behind) = behind {
        let mut body = format!(r#"{{"MillisBehindLatest":{behind},"#).into_bytes();
        body.extend_from_slice(rest);
        answer.set(body);
    }
}

/// How long ago the record that an iterator is at arrived; None if there is none.
async fn millis_behind(store: &Store, next: &str) -> Option<u64> {
    let (_, stream, shard, sequence) = decode_shard_iterator(next).ok()?;
    let (_, index) = resolve_shard_id(&shard).ok()?;
    behind(store, &Place { stream, shard }, index, &sequence).await
}

/// How long ago the first record from this number on arrived; None if there is none.
pub(super) async fn behind(store: &Store, place: &Place, index: i64, next: &str) -> Option<u64> {
    let from = format!("{}/{next}", shard_ix_to_hex(index));
    let unread = store
        .get_records_range_limited(&place.stream, &from, &shard_ix_to_hex(index + 1), 1)
        .await;
    let (_, record) = unread.first()?;
    let behind = (now() - record.approximate_arrival_timestamp) * 1000.0;
    // Times of arrival have whole seconds: what came just now may seem to come from the future.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some(behind.max(1.0) as u64)
}

async fn add_children(store: &Store, request: &Value, answer: &mut Whole) {
    let (Some(place), Some(mut value)) = (place(request), answer.json()) else {
        return;
    };
    let Ok(stream) = store.get_stream(&place.stream).await else {
        return;
    };
    value["ChildShards"] = children(&stream, &place.shard);
    answer.set(value.to_string().into_bytes());
}

/// The shards that came from this one.
pub(super) fn children(stream: &Stream, shard: &str) -> Value {
    let children = stream.shards.iter().filter_map(|child| {
        let parents = [&child.parent_shard_id, &child.adjacent_parent_shard_id];
        let parents: Vec<_> = parents.into_iter().flatten().collect();
        parents.iter().any(|parent| *parent == shard).then(|| {
            json!({
                "ShardId": child.shard_id,
                "ParentShards": parents,
                "HashKeyRange": child.hash_key_range,
            })
        })
    });
    children.collect()
}

/// How many records an answer says were written: each has its sequence number, in JSON and in CBOR.
pub(super) fn records_written(body: &Bytes) -> u64 {
    memmem::find_iter(body, "SequenceNumber").count() as u64
}

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
