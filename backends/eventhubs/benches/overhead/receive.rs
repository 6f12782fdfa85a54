use crate::namespace::{Namespace, connection_string};
use anyhub_overhead::{Bench, BoxError, Clock, Filled, PARTITIONS, Result, Run, Stopwatch, Ways};
use azure_messaging_eventhubs::{
    ConsumerClient, OpenReceiverOptions, StartLocation, StartPosition,
};
use futures_util::{FutureExt as _, StreamExt as _};
use std::hint::black_box;
use tokio::sync::mpsc;

/// Bytes in the event hub: enough for some seconds, little enough for memory.
const FILL: usize = 600 << 20;

/// Events that go to the application at once, at most; and how many of these wait for it, two of each
/// partition.
const TOGETHER: usize = 512;
const WAITING: usize = 2 * PARTITIONS as usize;

/// Events under way on a link: more did not help.
const PREFETCH: u32 = 5_000;

/// An event hub that is read again and again: by the SDK as `$Default`, by anyhub each time as a new
/// group.
pub(crate) struct Receive {
    filled: Filled,
    endpoint: String,
}

impl Receive {
    pub(crate) fn fill(bench: &Bench, namespace: &Namespace) -> Result<Self> {
        let events = (FILL / (bench.payload.len() + 150)).min(1_200_000);
        Ok(Self {
            filled: Filled::new(bench, events, 600)?,
            endpoint: namespace.endpoint().to_owned(),
        })
    }

    /// Reads it once, a task a partition.
    async fn pass(&self) -> Result<Run> {
        let watch = Stopwatch::start();
        let opening = ConsumerClient::builder().with_custom_endpoint(self.endpoint.clone());
        let text = connection_string(&self.filled.topic);
        let client = opening.open_with_connection_string(&text, None).await?;
        let (pages, mut arrived) = mpsc::channel(WAITING);
        let mut tasks = Vec::new();
        for partition in 0..PARTITIONS {
            let options = OpenReceiverOptions {
                start_position: Some(StartPosition {
                    location: StartLocation::Earliest,
                    inclusive: false,
                }),
                prefetch: Some(PREFETCH),
                ..OpenReceiverOptions::default()
            };
            let opening = client.open_receiver_on_partition(partition.to_string(), Some(options));
            let receiver = opening.await?;
            let pages = pages.clone();
            tasks.push(tokio::spawn(async move {
                let mut events = receiver.stream_events();
                while let Some(first) = events.next().await {
                    let mut page = vec![first?];
                    while page.len() < TOGETHER
                        && let Some(Some(next)) = events.next().now_or_never()
                    {
                        page.push(next?);
                    }
                    // All have come.
                    if pages.send(page).await.is_err() {
                        break;
                    }
                }
                Ok::<_, BoxError>(())
            }));
        }
        drop(pages);
        let mut came = 0;
        while came < self.filled.events
            && let Some(page) = arrived.recv().await
        {
            for event in &page {
                let body = event.event_data().body();
                black_box((event.partition_key(), body, event.enqueued_time()));
            }
            came += page.len() as u64;
        }
        let run = watch.stop(came);
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            // An Err: it was aborted.
            task.await.unwrap_or(Ok(()))?;
        }
        client.close().await?;
        if came < self.filled.events {
            return Err(format!("the SDK read {came} of {}", self.filled.events).into());
        }
        Ok(run)
    }
}

impl Ways for Receive {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        self.filled
            .passes(bench, || bench.runtime.block_on(self.pass()))
    }

    fn ours(&mut self, bench: &Bench) -> Result<Run> {
        self.filled.receive(bench, Clock::Opening)
    }
}
