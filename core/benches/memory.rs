//! What an event costs on the memory hub: submit, receive and ack apart, and all three between two
//! threads. Batches of 100 events of 100 bytes over 4 partitions.
#![allow(clippy::unwrap_used, missing_docs)]

use anyhub_core::{
    AckToken, Consumer, ConsumerOptions, Event, Hub, Key, Point, Producer, ProducerOptions,
    memory::MemoryHub,
};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

const BATCH: usize = 100;

fn hub(options: &str) -> MemoryHub {
    let url = format!("memory:/tweets?partitions=4&{options}");
    MemoryHub::from_url(&url.parse().unwrap()).unwrap()
}

/// Events as a harness makes them: keys and payloads are slices of one buffer.
fn batch(nth: usize) -> Vec<Event> {
    let mut buffer = Vec::with_capacity(BATCH * 110);
    for event in 0..BATCH {
        buffer.extend_from_slice(format!("user-{:05}", (nth * 31 + event * 7) % 10_000).as_bytes());
        buffer.resize((event + 1) * 110, b'x');
    }
    let buffer = Bytes::from(buffer);
    (0..BATCH)
        .map(|event| {
            let at = event * 110;
            let key = Key::from(buffer.slice(at..at + 10));
            Event::new(buffer.slice(at + 10..at + 110)).with_key(key)
        })
        .collect()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn producer(runtime: &Runtime, hub: &MemoryHub) -> Arc<dyn Producer> {
    let producer = hub.producer("tweets", ProducerOptions::new());
    runtime.block_on(producer).unwrap()
}

fn consumer(runtime: &Runtime, hub: &MemoryHub) -> Box<dyn Consumer> {
    let options = ConsumerOptions::new().group("bench");
    runtime.block_on(hub.consumer("tweets", options)).unwrap()
}

fn apart(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("memory");
    group.throughput(Throughput::Elements(BATCH as u64));

    let hub = hub("retention_bytes=16777216");
    let writer = producer(&runtime, &hub);
    group.bench_function("submit", |b| {
        b.iter_batched(
            || batch(1),
            |batch| runtime.block_on(async { writer.submit(batch).await.unwrap().await }),
            BatchSize::SmallInput,
        );
    });

    for nth in 0..500 {
        let sent = writer.submit(batch(nth));
        runtime.block_on(async { sent.await.unwrap().await });
    }
    let mut reader = consumer(&runtime, &hub);
    let acks = reader.acks();
    let mut receive = |wait: &mut Duration, work: &mut dyn FnMut(&[AckToken])| loop {
        let begun = Instant::now();
        let batch = runtime.block_on(reader.receive(BATCH)).unwrap();
        *wait += begun.elapsed();
        if batch.deliveries.len() == BATCH {
            work(&batch.tokens());
            return batch;
        }
        acks.ack(&batch.tokens());
        if batch.deliveries.is_empty() {
            continue;
        }
        runtime.block_on(reader.seek(Point::Start)).unwrap();
    };
    group.bench_function("receive", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                receive(&mut spent, &mut |tokens| {
                    acks.ack(tokens);
                });
            }
            spent
        });
    });
    group.bench_function("ack", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                receive(&mut Duration::default(), &mut |tokens| {
                    let begun = Instant::now();
                    acks.ack(tokens);
                    spent += begun.elapsed();
                });
            }
            spent
        });
    });
    group.finish();
}

/// One producer and one consumer, a thread each; in bounded memory.
fn between_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("memory");
    group
        .throughput(Throughput::Elements(BATCH as u64))
        .sample_size(20);
    group.bench_function("publish_receive_ack", |b| {
        b.iter_custom(|batches| {
            let hub = hub("capacity_bytes=16777216&retention=consumed");
            let runtime = runtime();
            let writer = producer(&runtime, &hub);
            let mut reader = consumer(&runtime, &hub);
            let acks = reader.acks();
            let begun = Instant::now();
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let runtime = self::runtime();
                    for nth in 0..batches {
                        let sent = writer.submit(batch(nth as usize));
                        runtime.block_on(async { sent.await.unwrap().await });
                    }
                });
                runtime.block_on(async {
                    let mut left = batches as usize * BATCH;
                    let mut committed = left;
                    while left > 0 {
                        let batch = reader.receive(BATCH).await.unwrap();
                        left -= batch.deliveries.len();
                        acks.ack(&batch.tokens());
                        if committed - left > 10_000 {
                            committed = left;
                            reader.commit().await.unwrap();
                        }
                    }
                });
            });
            begun.elapsed()
        });
    });
    group.finish();
}

criterion_group!(benches, apart, between_threads);
criterion_main!(benches);
