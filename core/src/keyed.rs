use crate::{
    AckToken, BoxError, Change, Consumer, Delivery, Key, Partition, Position, Result,
    driver::key_hash,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::{collections::VecDeque, future::Future, pin::pin};

/// Events fetched at once, and waiting in all queues together before no more are fetched: then the
/// consumer's `max_processing` runs (C2) until one of them is taken up.
const AHEAD: usize = 256;

/// The body of [`ConsumerExt::for_each_keyed`](crate::ConsumerExt::for_each_keyed).
pub(crate) async fn for_each_keyed<C, H, F, S>(
    consumer: &mut C,
    concurrency: usize,
    stop: S,
    handler: H,
) -> Result<()>
where
    C: Consumer + ?Sized,
    H: Fn(Delivery) -> F + Send + Sync,
    F: Future<Output = Result<(), BoxError>> + Send,
    S: Future<Output = ()> + Send,
{
    let concurrency = concurrency.max(1);
    let acks = consumer.acks();
    // A key always takes the same queue, and a queue runs one event at a time: that is its order.
    let mut queues: Vec<VecDeque<Delivery>> = vec![VecDeque::new(); concurrency];
    let mut busy = vec![false; concurrency];
    let mut running = FuturesUnordered::new();
    let mut turn = 0;
    let mut stop = pin!(stop);
    let mut stopping = false;
    let handle = |queue: usize, delivery: Delivery| {
        let begun = Begun {
            token: delivery.token,
            partition: delivery.partition.clone(),
            position: delivery.position.clone(),
            key: delivery.event.key.clone(),
            attempt: delivery.attempt.get(),
        };
        let work = handler(delivery);
        async move { (queue, begun, work.await) }
    };
    loop {
        for (nth, queue) in queues.iter_mut().enumerate() {
            if !busy[nth]
                && let Some(delivery) = queue.pop_front()
            {
                busy[nth] = true;
                running.push(handle(nth, delivery));
            }
        }
        if stopping && running.is_empty() {
            return consumer.commit().await;
        }
        let waiting: usize = queues.iter().map(VecDeque::len).sum();
        tokio::select! {
            () = &mut stop, if !stopping => {
                stopping = true;
                // Never begun: given back, so that this consumer sees them again if it reads on.
                let unbegun = queues.iter_mut().flat_map(|queue| queue.drain(..));
                let unbegun: Vec<_> = unbegun.map(|waiting| waiting.token).collect();
                acks.nack(&unbegun);
            }
            Some((queue, begun, outcome)) = running.next(), if !running.is_empty() => {
                busy[queue] = false;
                match outcome {
                    Ok(()) => acks.ack(&[begun.token]),
                    Err(error) => {
                        begun.tell(&error);
                        // What waits behind it comes again after it, and must not run before (C5). What
                        // stands in another partition, since a resize, does not.
                        if begun.key.is_some() {
                            queues[queue].retain(|waiting| {
                                waiting.partition != begun.partition
                                    || waiting.event.key != begun.key
                            });
                        }
                        acks.nack(&[begun.token])
                    }
                };
            }
            batch = consumer.receive(AHEAD), if !stopping && waiting < AHEAD => {
                let batch = batch?;
                for change in &batch.changes {
                    if let Change::Revoked(gone) | Change::Lost(gone) = change {
                        for queue in &mut queues {
                            queue.retain(|waiting| !gone.contains(&waiting.partition));
                        }
                    }
                }
                for delivery in batch.deliveries {
                    let nth = match &delivery.event.key {
                        Some(key) => key_hash(key.as_bytes()) as usize % concurrency,
                        None => {
                            turn = (turn + 1) % concurrency;
                            turn
                        }
                    };
                    queues[nth].push_back(delivery);
                }
            }
        }
    }
}

/// A delivery that a handler has, as far as it is needed afterwards.
struct Begun {
    token: AckToken,
    partition: Partition,
    position: Position,
    key: Option<Key>,
    attempt: u32,
}

impl Begun {
    /// A handler that always fails would drown the log: ever more seldom, at the attempts 1, 2, 4, 8, ...
    fn tell(&self, error: &BoxError) {
        if self.attempt.is_power_of_two() {
            let (partition, position, key) = (&self.partition, &self.position, &self.key);
            let attempt = self.attempt;
            tracing::warn!(
                %error,
                %partition,
                %position,
                ?key,
                attempt,
                "the handler failed; its key comes again from this event on, after the consumer's nack_delay, \
                 doubled at each attempt"
            );
        }
    }
}
