//! UpdateShardCount as Kinesis does it, by splits and merges.
//!
//! ferrokinesis 0.7 closes every shard and opens new ones that name no parents, so that nobody could read them in order.

use std::time::Duration;

use ferrokinesis::actions::{Operation, dispatch};
use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::store::Store;
use ferrokinesis::types::{Shard, StreamStatus};
use serde_json::{Value, json};

/// Splits and merges until the open shards divide the hash keys evenly by `target`. Nothing may be put meanwhile.
pub(super) async fn update_shard_count(
    store: &Store,
    stream: &str,
    target: u32,
) -> Result<Value, KinesisErrorResponse> {
    let before = open(store, stream).await?;
    check(before.len(), target)?;
    let wanted: Vec<u128> = boundaries(target)
        .into_iter()
        .map(|start| near(&before, start))
        .collect();
    for start in &wanted {
        let shards = open(store, stream).await?;
        let inside = |shard: &&Shard| {
            shard.hash_key_range.start_u128() < *start && *start <= shard.hash_key_range.end_u128()
        };
        if let Some(shard) = shards.iter().find(inside) {
            let request = json!({
                "StreamName": stream,
                "ShardToSplit": shard.shard_id,
                "NewStartingHashKey": start.to_string(),
            });
            dispatch(store, Operation::SplitShard, request).await?;
            settle(store, stream).await?;
        }
    }
    loop {
        let shards = open(store, stream).await?;
        let superfluous = |pair: &&[Shard]| !wanted.contains(&pair[1].hash_key_range.start_u128());
        let Some([left, right]) = shards.windows(2).find(superfluous) else {
            break;
        };
        let request = json!({
            "StreamName": stream,
            "ShardToMerge": left.shard_id,
            "AdjacentShardToMerge": right.shard_id,
        });
        dispatch(store, Operation::MergeShards, request).await?;
        settle(store, stream).await?;
    }
    Ok(json!({
        "StreamName": stream,
        "CurrentShardCount": before.len(),
        "TargetShardCount": target,
    }))
}

/// Waits until a stream is neither CREATING nor UPDATING nor DELETING, and nothing of the change is left to be done.
pub(super) async fn settle(store: &Store, stream: &str) -> Result<(), KinesisErrorResponse> {
    // The change runs in a task of ferrokinesis's own, which tells nobody when it is done.
    while store.get_stream(stream).await?.stream_status != StreamStatus::Active {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    finish(store, stream).await;
    Ok(())
}

/// Waits until a change is complete. A stream is ACTIVE a moment before its new shards count what is put into them, and until
/// they do, all records get the same number and overwrite each other.
pub(super) async fn finish(store: &Store, stream: &str) {
    // Changes hold a lock until they are complete. A split that is always refused, as no shard can be split at its beginning,
    // takes it too, and changes nothing.
    let refused = json!({
        "StreamName": stream,
        "ShardToSplit": "shardId-000000000000",
        "NewStartingHashKey": "0",
    });
    let _ = dispatch(store, Operation::SplitShard, refused).await;
}

/// At most twice as many, at least half (API reference, UpdateShardCount, 2026-11).
fn check(now: usize, target: u32) -> Result<(), KinesisErrorResponse> {
    let target = usize::try_from(target).unwrap_or(usize::MAX);
    if (now.div_ceil(2)..=2 * now).contains(&target) {
        return Ok(());
    }
    Err(KinesisErrorResponse::client_error(
        "InvalidArgumentException",
        Some(&format!(
            "UpdateShardCount cannot go from {now} to {target} shards: at least half and at most twice as many"
        )),
    ))
}

/// The open shards, by hash key.
async fn open(store: &Store, stream: &str) -> Result<Vec<Shard>, KinesisErrorResponse> {
    let stream = store.get_stream(stream).await?;
    if stream.stream_status != StreamStatus::Active {
        return Err(KinesisErrorResponse::stream_not_active(
            &stream.stream_name,
            &store.aws_account_id,
        ));
    }
    let mut open = stream.shards;
    open.retain(|shard| shard.sequence_number_range.ending_sequence_number.is_none());
    open.sort_by_key(|shard| shard.hash_key_range.start_u128());
    Ok(open)
}

/// The start of a shard that is there, where it differs by no more than the rounding of uneven divisions.
fn near(shards: &[Shard], start: u128) -> u128 {
    const ROUNDING: u128 = 1 << 20;
    let starts = shards.iter().map(|shard| shard.hash_key_range.start_u128());
    let mut close = starts.filter(|there| there.abs_diff(start) < ROUNDING);
    close.next().unwrap_or(start)
}

/// Where each of `count` even ranges begins, as CreateStream divides them too.
fn boundaries(count: u32) -> Vec<u128> {
    let count = u128::from(count.max(1));
    // 2^128 doesn't fit: one less, and the remainder decides whether a whole step is missing.
    let rest = u128::from(u128::MAX % count == count - 1);
    let step = (u128::MAX / count).saturating_add(rest);
    (0..count).map(|n| n * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_even() {
        assert_eq!(boundaries(1), [0]);
        assert_eq!(boundaries(2), [0, 1 << 127]);
        assert_eq!(boundaries(4), [0, 1 << 126, 1 << 127, 3 << 126]);
        // 2^128 / 3, rounded down.
        let third = 113_427_455_640_312_821_154_458_202_477_256_070_485;
        assert_eq!(boundaries(3), [0, third, 2 * third]);
    }

    #[test]
    fn half_to_twice() {
        for (now, target, fits) in [
            (4, 2, true),
            (4, 8, true),
            (4, 1, false),
            (4, 9, false),
            (3, 2, true),
            (3, 1, false),
            (1, 2, true),
        ] {
            assert_eq!(check(now, target).is_ok(), fits, "{now} to {target}");
        }
    }
}
