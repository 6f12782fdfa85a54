use crate::namespace::{self, Namespace};
use anyhub_eventhubs::partition_of;
use anyhub_overhead::{Bench, BoxError, InFlight, PARTITIONS, Result, Run, Stopwatch, Ways};
use azure_core_amqp::{AmqpSymbol, message::AmqpAnnotations};
use azure_messaging_eventhubs::{
    EventDataBatch, EventDataBatchOptions, ProducerClient, models::AmqpMessage,
};
use futures_util::future::try_join_all;
use std::{
    sync::{Arc, Barrier},
    thread,
};
use tokio::{runtime::Builder, sync::mpsc};

/// Enough to keep every lane's next batch full.
const IN_FLIGHT: InFlight = InFlight {
    batches: 600,
    at_once: 1,
};

/// Batches that wait for a lane, at most.
const WAITING: usize = 2;

/// Connections of the SDK alone, each on a thread of its own: more did not help.
const BEST_THREADS: usize = 2;

/// With the same links: a task a partition, one batch in flight in each, and events that come from one
/// place and go to the partition of their key, as they do in an application.
pub(crate) struct Publish {
    client: &'static ProducerClient,
}

/// As fast as each can: the SDK without order and keys, on threads of its own, each with a connection and
/// events of its own.
pub(crate) struct Best(Arc<Namespace>);

impl Publish {
    /// Batches of the SDK borrow their client; this one lives as long as the program.
    pub(crate) fn open(bench: &Bench, namespace: &Namespace) -> Result<Self> {
        let topic = bench.topic()?;
        let client = bench.runtime.block_on(client(namespace, &topic))?;
        Ok(Self {
            client: Box::leak(Box::new(client)),
        })
    }
}

impl Ways for Publish {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        let client = self.client;
        bench.runtime.block_on(async {
            let (mut lanes, mut tasks) = (Vec::new(), Vec::new());
            for partition in 0..PARTITIONS {
                // Its link is attached before the clock runs.
                let next = batch(client, partition).await?;
                let (lane, mut full) = mpsc::channel::<EventDataBatch<'static>>(WAITING);
                lanes.push((lane, next));
                tasks.push(tokio::spawn(async move {
                    let mut written = 0_u64;
                    while let Some(batch) = full.recv().await {
                        let events = batch.len() as u64;
                        client.send_batch(batch, None).await?;
                        written += events;
                    }
                    Ok::<_, BoxError>(written)
                }));
            }
            let watch = Stopwatch::start();
            for key in bench.keys.iter().cycle() {
                let partition = partition_of(key, PARTITIONS);
                let (lane, next) = &mut lanes[partition as usize];
                let event = event(bench, Some(key));
                if !next.try_add_amqp_message(event.clone(), None)? {
                    let empty = batch(client, partition).await?;
                    empty.try_add_amqp_message(event, None)?;
                    let full = std::mem::replace(next, empty);
                    // A lane that failed says why when it is joined.
                    if lane.send(full).await.is_err() || watch.elapsed() >= bench.time {
                        break;
                    }
                }
            }
            for (lane, rest) in lanes {
                if !rest.is_empty() {
                    lane.send(rest).await.ok();
                }
            }
            let mut written = 0;
            for task in tasks {
                written += task.await??;
            }
            Ok::<_, BoxError>(watch.stop(written))
        })
    }

    fn ours(&mut self, bench: &Bench) -> Result<Run> {
        bench.publish(IN_FLIGHT)
    }
}

impl Best {
    pub(crate) fn new(namespace: Arc<Namespace>) -> Self {
        Self(namespace)
    }

    /// Publishes on this thread, from when all are ready; how many events were written.
    fn publish(&self, bench: &Bench, topic: &str, ready: &Barrier) -> Result<u64> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let opened = client(&self.0, topic).await;
            ready.wait();
            let client = opened?;
            let watch = Stopwatch::start();
            let lane = async |partition| {
                let mut written = 0_u64;
                while watch.elapsed() < bench.time {
                    let batch = batch(&client, partition).await?;
                    while batch.try_add_amqp_message(event(bench, None), None)? {}
                    written += batch.len() as u64;
                    client.send_batch(batch, None).await?;
                }
                Ok::<_, BoxError>(written)
            };
            let written = try_join_all((0..PARTITIONS).map(lane)).await?;
            client.close().await?;
            Ok(written.into_iter().sum())
        })
    }
}

impl Ways for Best {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        let topic = bench.topic()?;
        let ready = Barrier::new(BEST_THREADS + 1);
        let run = thread::scope(|scope| {
            let publish = || self.publish(bench, &topic, &ready);
            let threads: Vec<_> = (0..BEST_THREADS).map(|_| scope.spawn(publish)).collect();
            ready.wait();
            let watch = Stopwatch::start();
            let mut written = 0;
            for thread in threads {
                written += thread.join().map_err(|_| "the SDK has panicked")??;
            }
            Ok::<_, BoxError>(watch.stop(written))
        })?;
        bench.delete(&topic)?;
        Ok(run)
    }

    fn ours(&mut self, bench: &Bench) -> Result<Run> {
        bench.publish(IN_FLIGHT)
    }
}

async fn client(namespace: &Namespace, topic: &str) -> Result<ProducerClient> {
    let endpoint = namespace.endpoint().to_owned();
    let opening = ProducerClient::builder().with_custom_endpoint(endpoint);
    let text = namespace::connection_string(topic);
    Ok(opening.open_with_connection_string(&text, None).await?)
}

async fn batch(client: &ProducerClient, partition: u32) -> Result<EventDataBatch<'_>> {
    let options = EventDataBatchOptions {
        partition_id: Some(partition.to_string()),
        ..EventDataBatchOptions::default()
    };
    Ok(client.create_batch(Some(options)).await?)
}

fn event(bench: &Bench, key: Option<&str>) -> AmqpMessage {
    let mut message = AmqpMessage::builder();
    if let Some(key) = key {
        let mut annotations = AmqpAnnotations::new();
        annotations.insert(AmqpSymbol::from("x-opt-partition-key"), key);
        message = message.with_message_annotations(annotations);
    }
    message.with_body(bench.payload.to_vec()).build()
}
