//! Shards that are split and merged, and split again, while events are written and two members read.

use crate::{config, hub, lineage::Book, server};
use anyhub_core::{Consumer, ConsumerOptions, Hub, TopicConfig};
use anyhub_kinesis::{
    Aggregation, KinesisHub, LeasesIn, NativeHub,
    aggregate::{Aggregate, HashRange},
};
use anyhub_members::{GROUP, Outcome, TOPIC, Writer, event};
use aws_sdk_kinesis::{
    Client,
    types::{Shard, ShardIteratorType},
};
use bytes::Bytes;
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_pcg::Pcg64Mcg;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

pub(crate) async fn run(aggregate: Aggregation, times: u32, rate: u32, seed: u64) -> Outcome {
    println!("reshard: aggregate={aggregate:?}, {times} changes, {rate} events/s, seed {seed}");
    let kinesis = server()?;
    let config = config(&kinesis.endpoint())
        .aggregate(aggregate)
        .leases(LeasesIn::Memory)
        .lease_time(Duration::from_secs(2));
    let hub = Arc::new(hub(config)?);
    let topic = TopicConfig::new(TOPIC).partitions(4);
    hub.admin().create_topic(&topic).await?;
    let book = Arc::new(Mutex::new(Book::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut members = Vec::new();
    for _ in 0..2 {
        let options = ConsumerOptions::new()
            .group(GROUP)
            .commit_interval(Duration::from_millis(100));
        let consumer = hub.consumer(TOPIC, options).await?;
        let (hub, book, stop) = (hub.clone(), book.clone(), stop.clone());
        members.push(tokio::spawn(read(hub, consumer, book, stop)));
    }
    let writer = Writer::start(&*hub, rate).await?;
    let client = client(&hub)?;
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let (mut splits, mut merges) = (0, 0);
    while splits + merges < times {
        sleep(Duration::from_millis(rng.random_range(200..600))).await;
        match change(&client, &mut rng).await? {
            Changed::Split => splits += 1,
            Changed::Merged => merges += 1,
            Changed::Nothing => {}
        }
    }
    let written = writer.finish().await?;
    let until = Instant::now() + Duration::from_secs(120);
    while book.lock().await.distinct() < written && Instant::now() < until {
        sleep(Duration::from_millis(100)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for member in members {
        member.await??;
    }
    let shards = shards(&client).await?;
    let visible = visible(&client, &shards).await?;
    let parents = shards.iter().flat_map(|shard| {
        let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
        let parents = parents.into_iter().flatten();
        parents.map(|parent| (shard.shard_id.as_str(), parent.as_str()))
    });
    let book = book.lock().await;
    let early = book.early(parents);
    let lost = written - book.distinct();
    let lost_by_filter = (0..written)
        .filter(|number| !visible.contains(number))
        .count();
    println!(
        "reshard: {splits} splits and {merges} merges, {} shards; {written} events written: {lost} lost, \
         {lost_by_filter} lost by KCL's filter, {} out of order, {} twice in the log; {early} children \
         before a parent; {} changes of owner, {} events came again, {} could have, {} that should not",
        shards.len(),
        book.out_of_order,
        book.twice,
        book.changes,
        book.again,
        book.outside,
        book.too_often,
    );
    let wrong =
        lost + lost_by_filter as u64 + book.out_of_order + early + book.too_often + book.twice;
    if wrong > 0 {
        return Err("events were lost, out of order or too often, or a child came first".into());
    }
    Ok(())
}

async fn read(
    hub: Arc<KinesisHub>,
    mut consumer: Box<dyn Consumer>,
    book: Arc<Mutex<Book>>,
    stop: Arc<AtomicBool>,
) -> Outcome {
    let acks = consumer.acks();
    while !stop.load(Ordering::Relaxed) {
        let Ok(batch) = timeout(Duration::from_millis(200), consumer.receive(200)).await else {
            continue;
        };
        let batch = batch?;
        let lag = match batch.changes.is_empty() {
            true => Vec::new(),
            false => hub.admin().lag(TOPIC, GROUP).await?,
        };
        let mut book = book.lock().await;
        book.came(&batch, &lag)?;
        acks.ack(&batch.tokens());
        book.acked(&batch);
    }
    Ok(consumer.close().await?)
}

fn client(hub: &KinesisHub) -> Outcome<Client> {
    let native = hub.native().downcast_ref::<NativeHub>();
    let client = native.and_then(NativeHub::client).cloned();
    client.ok_or_else(|| "the hub has no client".into())
}

enum Changed {
    Split,
    Merged,
    Nothing,
}

/// Splits a shard, or merges two that lie side by side.
async fn change(client: &Client, rng: &mut Pcg64Mcg) -> Outcome<Changed> {
    const FEWEST: usize = 2;
    const MOST: usize = 8;
    let mut open: Vec<(HashRange, String)> = shards(client)
        .await?
        .into_iter()
        .filter(|shard| {
            let numbers = shard.sequence_number_range.as_ref();
            numbers.is_some_and(|numbers| numbers.ending_sequence_number.is_none())
        })
        .filter_map(|shard| Some((range(&shard)?, shard.shard_id)))
        .collect();
    open.sort_by_key(|(range, _)| range.start());
    let splits = open.len() <= FEWEST || open.len() < MOST && rng.random_bool(0.5);
    if splits {
        let Some((range, shard)) = open.choose(rng) else {
            return Ok(Changed::Nothing);
        };
        let size = range.end() - range.start();
        if size < 1 << 64 {
            return Ok(Changed::Nothing);
        }
        // Not always in the middle.
        let at = range.start() + size / rng.random_range(2..5);
        let splitting = client
            .split_shard()
            .stream_name(TOPIC)
            .shard_to_split(shard);
        splitting
            .new_starting_hash_key(at.to_string())
            .send()
            .await?;
        return Ok(Changed::Split);
    }
    let nth = rng.random_range(0..open.len() - 1);
    let merging = client.merge_shards().stream_name(TOPIC);
    let merging = merging.shard_to_merge(&open[nth].1);
    merging
        .adjacent_shard_to_merge(&open[nth + 1].1)
        .send()
        .await?;
    Ok(Changed::Merged)
}

async fn shards(client: &Client) -> Outcome<Vec<Shard>> {
    let listed = client.list_shards().stream_name(TOPIC).send().await?;
    Ok(listed.shards.unwrap_or_default())
}

fn range(shard: &Shard) -> Option<HashRange> {
    let range = shard.hash_key_range.as_ref()?;
    HashRange::parse(range.starting_hash_key(), range.ending_hash_key())
}

/// The events in the log as any consumer with KCL's filter sees it, read by the SDK alone.
async fn visible(client: &Client, shards: &[Shard]) -> Outcome<HashSet<u64>> {
    let mut numbers = HashSet::new();
    for shard in shards {
        let range = range(shard).ok_or("a shard without a range")?;
        let asked = client
            .get_shard_iterator()
            .stream_name(TOPIC)
            .shard_id(&shard.shard_id);
        let asked = asked.shard_iterator_type(ShardIteratorType::TrimHorizon);
        let mut iterator = asked.send().await?.shard_iterator;
        while let Some(next) = iterator {
            // The stand-in keeps the limits of reading.
            let page = match client.get_records().shard_iterator(&next).send().await {
                Ok(page) => page,
                Err(_) => {
                    sleep(Duration::from_millis(200)).await;
                    iterator = Some(next);
                    continue;
                }
            };
            let empty = page.records.is_empty();
            for record in page.records {
                let data = Bytes::from(record.data.into_inner());
                match Aggregate::parse(&data) {
                    None => note(&data, &mut numbers),
                    Some(aggregate) if aggregate.lies_within(&range) => {
                        aggregate
                            .into_iter()
                            .for_each(|event| note(&event.payload, &mut numbers));
                    }
                    Some(_) => {}
                }
            }
            iterator = page.next_shard_iterator;
            if empty && page.millis_behind_latest == Some(0) {
                break;
            }
        }
    }
    Ok(numbers)
}

fn note(payload: &[u8], numbers: &mut HashSet<u64>) {
    let text = std::str::from_utf8(payload).unwrap_or_default();
    let number = text.get(..20).and_then(|digits| digits.parse().ok());
    if let Some(number) = number.filter(|number| *event(*number).payload == *payload) {
        numbers.insert(number);
    }
}
