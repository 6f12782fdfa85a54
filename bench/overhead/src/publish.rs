use crate::{BATCH, Bench, BoxError, Result, Run, Stopwatch};
use anyhub_core::{Event, Key, Pending, ProducerOptions};
use std::collections::VecDeque;

/// How many batches are under way, and how they are awaited.
#[derive(Debug, Clone, Copy)]
pub struct InFlight {
    /// Batches under way, at most.
    pub batches: usize,
    /// Batches awaited together, once there are more. At least 1.
    pub at_once: usize,
}

impl Bench {
    /// Publishes through the traits to a topic of its own, for as long as was asked, until all is
    /// written. An error if anything was not.
    pub fn publish(&self, in_flight: InFlight) -> Result<Run> {
        let topic = self.topic()?;
        let keys: Vec<Key> = self.keys.iter().cloned().map(Key::from).collect();
        let run = self.runtime.block_on(async {
            let producer = self.hub.producer(&topic, ProducerOptions::new()).await?;
            let mut under_way: VecDeque<Pending> = VecDeque::new();
            let (mut sent, mut written) = (0_u64, 0_u64);
            let watch = Stopwatch::start();
            let count = async |pending: Pending| {
                pending.await.iter().filter(|it| it.is_ok()).count() as u64
            };
            while watch.elapsed() < self.time {
                let batch = (0..BATCH as u64)
                    .map(|nth| {
                        let key = keys[(sent + nth) as usize % keys.len()].clone();
                        Event::new(self.payload.clone()).with_key(key)
                    })
                    .collect();
                under_way.push_back(producer.submit(batch).await?);
                sent += BATCH as u64;
                if under_way.len() > in_flight.batches {
                    // The youngest first: once it is written the others are, so this wakes once.
                    for pending in under_way.drain(..in_flight.at_once).rev() {
                        written += count(pending).await;
                    }
                }
            }
            for pending in under_way {
                written += count(pending).await;
            }
            let run = watch.stop(sent);
            if written < sent {
                return Err(format!("anyhub wrote {written} of {sent}").into());
            }
            producer.close().await?;
            Ok::<_, BoxError>(run)
        })?;
        self.delete(&topic)?;
        Ok(run)
    }
}
