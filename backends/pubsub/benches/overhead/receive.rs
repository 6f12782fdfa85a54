use crate::{PROJECT, native, topic_name};
use anyhub_core::ConsumerOptions;
use anyhub_overhead::{Bench, Clock, Filled, Result, Run, STALL, Stopwatch, Ways};
use google_cloud_pubsub::{
    client::{Subscriber, SubscriptionAdmin},
    subscriber::ShutdownBehavior,
};
use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::timeout;

/// Bytes in the topic: enough for some seconds, little enough for memory.
const FILL: usize = 400 << 20;

/// How long a message is leased, in seconds: anyhub's default.
const DEADLINE: u32 = 30;

/// A topic that is read again and again, each time by a new subscription.
pub(crate) struct Receive {
    filled: Filled,
    subscriber: Subscriber,
    admin: SubscriptionAdmin,
    passes: AtomicU64,
}

impl Receive {
    pub(crate) fn fill(bench: &Bench) -> Result<Self> {
        let events = (FILL / (bench.payload.len() + 500)).min(600_000);
        let native = native(bench)?;
        let subscriber = bench.runtime.block_on(native.subscriber())?;
        let admin = bench.runtime.block_on(native.subscription_admin())?;
        Ok(Self {
            filled: Filled::new(bench, events, 600)?,
            subscriber,
            admin,
            passes: AtomicU64::new(0),
        })
    }

    /// Reads it once, by a new subscription, from the beginning.
    async fn pass(&self) -> Result<Run> {
        let nth = self.passes.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            "projects/{PROJECT}/subscriptions/raw-{}-{nth}",
            self.filled.topic
        );
        let options = ConsumerOptions::new();
        let watch = Stopwatch::start();
        let made = self.admin.create_subscription().set_name(&name);
        let made = made.set_topic(topic_name(&self.filled.topic));
        let made = made
            .set_ack_deadline_seconds(DEADLINE as i32)
            .set_enable_message_ordering(true);
        made.send().await?;
        let beginning = google_cloud_wkt::Timestamp::clamp(0, 0);
        self.admin
            .seek()
            .set_subscription(&name)
            .set_time(beginning)
            .send()
            .await?;
        let mut stream = self
            .subscriber
            .subscribe(&name)
            .set_max_outstanding_messages(options.prefetch_events as i64)
            .set_max_outstanding_bytes(options.prefetch_bytes as i64)
            .set_max_lease_extension(Duration::from_secs(DEADLINE.into()))
            .set_shutdown_behavior(ShutdownBehavior::WaitForProcessing)
            .build();
        let mut came = 0;
        while came < self.filled.events {
            let next = timeout(STALL, stream.next()).await?;
            let (message, handler) = next.ok_or("the SDK's stream has ended")??;
            black_box((&message.ordering_key, &message.data, &message.publish_time));
            handler.ack();
            came += 1;
        }
        let run = watch.stop(came);
        stream.shutdown_token().shutdown().await;
        self.admin
            .delete_subscription()
            .set_subscription(&name)
            .send()
            .await?;
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
