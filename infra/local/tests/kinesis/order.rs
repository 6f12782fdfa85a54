//! Readers see every record once and in order, whatever happens beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhub_local::Kinesis;
use aws_sdk_kinesis::Client;

use super::client::{Shards, client, numbered};

const WRITERS: usize = 6;
const BATCHES: usize = 40;
const BATCH: usize = 25;

/// Reads a shard to its end, and then its children; a number for each record, in the order in which they came.
async fn read_all(client: &Client, stream: &Shards, total: usize) -> Vec<String> {
    let mut shards: Vec<(String, Option<String>)> = Vec::new();
    for shard in stream.list().await {
        if shard.parent_shard_id.is_none() {
            let iterator = stream.iterator(shard.shard_id()).await;
            shards.push((shard.shard_id, Some(iterator)));
        }
    }
    let (mut read, mut children) = (Vec::new(), Vec::new());
    while read.len() < total {
        for (shard, iterator) in &mut shards {
            let Some(next) = iterator.take() else {
                continue;
            };
            let answer = client
                .get_records()
                .shard_iterator(next)
                .send()
                .await
                .unwrap();
            let mut last = None;
            for record in answer.records() {
                let sequence: Option<String> = Some(record.sequence_number.clone());
                assert!(last < sequence, "{shard}: {last:?} before {sequence:?}");
                last = sequence;
                read.push(String::from_utf8(record.data.as_ref().to_vec()).unwrap());
            }
            if answer.next_shard_iterator.is_none() {
                assert!(
                    !answer.child_shards().is_empty(),
                    "{shard} has ended without children"
                );
                children.extend(answer.child_shards().iter().cloned());
            }
            *iterator = answer.next_shard_iterator;
        }
        // A merged shard follows both of its parents.
        let ended = |parent: &String| {
            shards
                .iter()
                .any(|(shard, next)| shard == parent && next.is_none())
        };
        let ready: Vec<_> = children
            .extract_if(.., |child| child.parent_shards().iter().all(ended))
            .collect();
        for child in ready {
            if shards.iter().all(|(shard, _)| *shard != child.shard_id) {
                let iterator = stream.iterator(&child.shard_id).await;
                shards.push((child.shard_id, Some(iterator)));
            }
        }
    }
    read
}

/// ferrokinesis by itself numbers a record before it stores it: side by side, a reader passes some of them for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_miss_nothing_while_many_put_and_shards_split() {
    let kinesis = Arc::new(Kinesis::builder().start().unwrap());
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let done = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (client, done) = (client.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                for batch in 0..BATCHES {
                    let first = (writer * BATCHES + batch) * BATCH;
                    let records = numbered(&format!("key-{writer}"), first..first + BATCH);
                    let put = client
                        .put_records()
                        .stream_name("s")
                        .set_records(Some(records));
                    assert_eq!(put.send().await.unwrap().failed_record_count(), Some(0));
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let resharding = {
        let client = client.clone();
        tokio::spawn(async move {
            for (nth, count) in [2, 4, 3, 2, 1].into_iter().enumerate() {
                while done.load(Ordering::SeqCst) < (nth + 1) * WRITERS * BATCHES / 6 {
                    tokio::task::yield_now().await;
                }
                let update = client
                    .update_shard_count()
                    .stream_name("s")
                    .target_shard_count(count);
                update
                    .scaling_type(aws_sdk_kinesis::types::ScalingType::UniformScaling)
                    .send()
                    .await
                    .unwrap();
            }
        })
    };
    let total = WRITERS * BATCHES * BATCH;
    let mut read = read_all(&client, &stream, total).await;
    for writer in writers {
        writer.await.unwrap();
    }
    resharding.await.unwrap();

    // Each writer has one key: its numbers come in order, across all reshards.
    let numbers: Vec<usize> = read.iter().map(|n| n.parse().unwrap()).collect();
    for writer in 0..WRITERS {
        let own = numbers
            .iter()
            .copied()
            .filter(|n| n / (BATCHES * BATCH) == writer);
        assert!(own.is_sorted(), "writer {writer}");
    }
    read.sort();
    read.dedup();
    assert_eq!(read.len(), total);
    assert_eq!(kinesis.counts().records_put, total as u64);
    assert_eq!(stream.open().await.len(), 1);
}
