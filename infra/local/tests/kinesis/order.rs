//! Readers see every record once and in order, whatever happens beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhub_local::Kinesis;
use aws_sdk_kinesis::types::ChildShard;

use super::client::{Shards, client};

const WRITERS: usize = 6;
const BATCHES: usize = 20;
/// So many that ferrokinesis gives way to other tasks in the midst of storing a batch.
const BATCH: usize = 400;
const PUTS: usize = WRITERS * BATCHES;
/// Changes of the shard count, each of up to four splits and merges.
const RESHARDS: usize = 30;

/// Reads all shards, parents before children, until nothing can come any more.
struct Reader<'a> {
    stream: &'a Shards,
    shards: Vec<(String, Option<String>)>,
    children: Vec<ChildShard>,
    read: Vec<usize>,
}

impl<'a> Reader<'a> {
    async fn new(stream: &'a Shards) -> Self {
        let mut reader = Reader {
            stream,
            shards: Vec::new(),
            children: Vec::new(),
            read: Vec::new(),
        };
        for shard in stream.list().await {
            reader.begin(shard.shard_id).await;
        }
        reader
    }

    async fn begin(&mut self, shard: String) {
        if self.shards.iter().all(|(known, _)| *known != shard) {
            let iterator = self.stream.iterator(&shard).await;
            self.shards.push((shard, Some(iterator)));
        }
    }

    /// A GetRecords for each shard; true if it has brought anything.
    async fn round(&mut self) -> bool {
        let before = self.read.len();
        for (shard, iterator) in &mut self.shards {
            let Some(next) = iterator.take() else {
                continue;
            };
            let answer = self.stream.read(&next).await.unwrap();
            let mut last = None;
            for record in answer.records() {
                let sequence = Some(record.sequence_number.clone());
                assert!(last < sequence, "{shard}: {last:?} before {sequence:?}");
                last = sequence;
                let data = String::from_utf8(record.data.as_ref().to_vec()).unwrap();
                self.read.push(data.parse().unwrap());
            }
            if answer.next_shard_iterator.is_none() {
                assert!(!answer.child_shards().is_empty(), "{shard} is childless");
                self.children.extend_from_slice(answer.child_shards());
            }
            *iterator = answer.next_shard_iterator;
        }
        // A merged shard follows both of its parents.
        let shards = &self.shards;
        let ended = |parent: &String| {
            shards
                .iter()
                .any(|(shard, next)| shard == parent && next.is_none())
        };
        let ready = |child: &mut ChildShard| child.parent_shards().iter().all(ended);
        let ready: Vec<_> = self.children.extract_if(.., ready).collect();
        let found = !ready.is_empty();
        for child in ready {
            self.begin(child.shard_id).await;
        }
        found || self.read.len() > before
    }

    /// True if all shards that still give something are open ones.
    async fn is_at_the_tips(&self) -> bool {
        let open = self.stream.open().await;
        let read = self.shards.iter().filter(|(_, next)| next.is_some());
        let mut read: Vec<_> = read.map(|(shard, _)| shard.as_str()).collect();
        let mut open: Vec<_> = open.iter().map(|shard| shard.shard_id()).collect();
        read.sort_unstable();
        open.sort_unstable();
        read == open
    }
}

async fn write(stream: Shards, writer: usize, done: Arc<AtomicUsize>) {
    for batch in 0..BATCHES {
        let first = (writer * BATCHES + batch) * BATCH;
        let put = stream
            .put(&format!("key-{writer}"), first..first + BATCH)
            .await;
        assert_eq!(put.unwrap().failed_record_count(), Some(0));
        done.fetch_add(1, Ordering::SeqCst);
    }
}

async fn reshard(stream: Shards, done: Arc<AtomicUsize>) {
    let counts = [2, 4, 3, 2, 1].into_iter().cycle().take(RESHARDS);
    for (nth, count) in counts.enumerate() {
        while done.load(Ordering::SeqCst) < nth * PUTS / RESHARDS {
            tokio::task::yield_now().await;
        }
        stream.resize(count).await.unwrap();
    }
}

/// ferrokinesis by itself numbers a record before it stores it, and opens shards before it counts in them: side by side, a
/// reader passes some records for ever, and some are written over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_miss_nothing_while_many_put_and_shards_split() {
    let kinesis = Kinesis::builder().start().unwrap();
    let client = client(&kinesis);
    let stream = Shards::create(&client, "s", 1).await;
    let mut reader = Reader::new(&stream).await;
    let done = Arc::new(AtomicUsize::new(0));
    let mut tasks: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(stream.clone(), writer, Arc::clone(&done))))
        .collect();
    tasks.push(tokio::spawn(reshard(stream.clone(), Arc::clone(&done))));
    let read = async {
        loop {
            let over = tasks.iter().all(|task| task.is_finished());
            let news = reader.round().await;
            if over && !news && reader.is_at_the_tips().await {
                break;
            }
        }
    };
    // It takes a second or two.
    tokio::time::timeout(Duration::from_secs(120), read)
        .await
        .expect("the server has stopped to answer");
    for task in tasks {
        task.await.unwrap();
    }

    // Each writer has one key: its numbers come in order, across all reshards.
    let mut read = reader.read;
    for writer in 0..WRITERS {
        let own = read.iter().filter(|n| *n / (BATCHES * BATCH) == writer);
        assert!(own.is_sorted(), "writer {writer}");
    }
    read.sort_unstable();
    let all: Vec<_> = (0..PUTS * BATCH).collect();
    assert!(read == all, "{} of {} records", read.len(), all.len());
    assert_eq!(kinesis.counts().records_put, all.len() as u64);
    assert_eq!(stream.open().await.len(), 1);
}
