use crate::{BoxError, Change, Consumer, Delivery, Result, driver::key_hash};
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
        let (token, key) = (delivery.token, delivery.event.key.clone());
        let lane = key.map(|key| (delivery.partition.clone(), key));
        let work = handler(delivery);
        async move { (queue, token, lane, work.await) }
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
            Some((queue, token, lane, outcome)) = running.next(), if !running.is_empty() => {
                busy[queue] = false;
                match outcome {
                    Ok(()) => acks.ack(&[token]),
                    Err(error) => {
                        tracing::debug!(%error, "the handler failed; the key comes again");
                        // What waits behind it comes again after it, and must not run before (C5). What
                        // stands in another partition, since a resize, does not.
                        if let Some((partition, key)) = lane {
                            queues[queue].retain(|waiting| {
                                waiting.partition != partition
                                    || waiting.event.key.as_ref() != Some(&key)
                            });
                        }
                        acks.nack(&[token])
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
