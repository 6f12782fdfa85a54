use crate::{native, topic_name};
use anyhub_overhead::{Bench, BoxError, InFlight, Result, Run, Stopwatch, Ways};
use google_cloud_pubsub::{model::Message, publisher::PublishFuture};
use std::{collections::VecDeque, time::Duration};

/// Events under way, in batches of [`anyhub_overhead::BATCH`]: some for each key.
const IN_FLIGHT: InFlight = InFlight {
    batches: 600,
    at_once: 100,
};

/// The default of [`anyhub_core::ProducerOptions::linger`].
const LINGER: Duration = Duration::from_millis(5);

/// The SDK's publisher, with a bound on what is under way: it has none.
pub(crate) struct Publish {
    ordered: bool,
}

impl Publish {
    pub(crate) fn ordered() -> Self {
        Self { ordered: true }
    }

    /// Without order; in requests as large as the service takes them.
    pub(crate) fn best() -> Self {
        Self { ordered: false }
    }
}

impl Ways for Publish {
    fn raw(&mut self, bench: &Bench) -> Result<Run> {
        let topic = bench.topic()?;
        let run = bench.runtime.block_on(async {
            let publisher = native(bench)?.publisher().await?;
            let publisher = publisher
                .publisher(topic_name(&topic))
                .set_message_count_threshold(1_000_u32)
                .set_delay_threshold(LINGER)
                .build();
            let most = IN_FLIGHT.batches * anyhub_overhead::BATCH;
            let together = IN_FLIGHT.at_once * anyhub_overhead::BATCH;
            let mut under_way: VecDeque<PublishFuture> = VecDeque::new();
            let mut written = 0_u64;
            let watch = Stopwatch::start();
            for key in bench.keys.iter().cycle() {
                let mut message = Message::new().set_data(bench.payload.clone());
                if self.ordered {
                    message = message.set_ordering_key(key);
                }
                under_way.push_back(publisher.publish(message));
                if under_way.len() > most {
                    for published in under_way.drain(..together).rev() {
                        published.await?;
                        written += 1;
                    }
                    if watch.elapsed() >= bench.time {
                        break;
                    }
                }
            }
            for published in under_way {
                published.await?;
                written += 1;
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
