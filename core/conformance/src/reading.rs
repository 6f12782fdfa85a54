//! How trials read: with patience, and until something definite was seen.

use crate::{Context, Failure, Outcome, positions::Ends};
use anyhub_core::{
    AckToken, Batch, Change, Consumer, Delivery, Event, Partition, Producer, Receipt, Result,
};
use std::{
    collections::HashSet,
    future::poll_fn,
    task::Poll,
    time::{Duration, SystemTime},
};
use tokio::time::{sleep, timeout};

/// The next `count` deliveries, however many batches they come in.
pub(crate) async fn take(
    ctx: &Context,
    consumer: &mut dyn Consumer,
    count: usize,
    what: &str,
) -> Outcome<Vec<Delivery>> {
    let mut got = Vec::with_capacity(count);
    let result = ctx.within("", async {
        while got.len() < count {
            ctx.waiting_for(format!("{what} (delivery {} of {count})", got.len() + 1));
            got.extend(consumer.receive(count - got.len()).await?.deliveries);
        }
        Outcome::Ok(())
    });
    match result.await {
        Ok(done) => done.map(|()| got),
        Err(_) => Err(Failure::new(format!(
            "waited {:?} for {what}: {} of {count} came",
            ctx.settings().patience,
            got.len()
        ))),
    }
}

/// All that a topic holds now, read anew by a private reader from the start.
pub(crate) async fn read_back(ctx: &Context, topic: &str) -> Outcome<Vec<Delivery>> {
    let mut ends = Ends::of(ctx, topic).await?;
    let mut got = Vec::new();
    if ends.all_reached() {
        return Ok(got);
    }
    let mut consumer = ctx.consumer(topic, ctx.reader()).await?;
    // Where the hub does not tell its ends, a pause in the deliveries stands for them.
    let quiet = (ctx.settings().patience / 4).min(Duration::from_secs(5));
    let reading = async {
        while !ends.all_reached() {
            let batch = match timeout(quiet, consumer.receive(1_000)).await {
                Ok(batch) => batch?,
                Err(_) if ends.are_told() => continue,
                Err(_) => break,
            };
            // Its window is bounded as any other's (C4).
            consumer.acks().ack(&batch.tokens());
            for delivery in batch.deliveries {
                ends.reached(&delivery.partition, &delivery.position);
                got.push(delivery);
            }
        }
        Outcome::Ok(())
    };
    ctx.within("a private reader to read the topic to its end", reading)
        .await??;
    ctx.within("the private reader to close", consumer.close())
        .await??;
    Ok(got)
}

/// Publishes events and expects a receipt for each.
pub(crate) async fn publish(
    ctx: &Context,
    producer: &dyn Producer,
    events: Vec<Event>,
) -> Outcome<Vec<Receipt>> {
    let mut receipts = Vec::with_capacity(events.len());
    let mut pendings = Vec::new();
    let mut events = events.into_iter().peekable();
    while events.peek().is_some() {
        let batch: Vec<_> = events.by_ref().take(500).collect();
        let submitted = ctx.within("a batch to be admitted", producer.submit(batch));
        pendings.push(submitted.await??);
    }
    for pending in pendings {
        for outcome in ctx.within("the outcomes of a batch", pending).await? {
            receipts.push(outcome?);
        }
    }
    Ok(receipts)
}

/// Publishes events named by number to one key, until the hub's clock has moved on among them and a
/// few more have come: all of them, and which is the first of a later time than number 0.
pub(crate) async fn over_time(ctx: &Context, topic: &str) -> Outcome<(Vec<Delivery>, usize)> {
    let producer = ctx.producer(topic).await?;
    let mut reader = ctx.consumer(topic, ctx.reader()).await?;
    let mut all: Vec<Delivery> = Vec::new();
    let writing = async {
        loop {
            publish(ctx, &*producer, vec![named("k", all.len().to_string())]).await?;
            let came = take(ctx, &mut *reader, 1, "the event just published").await?;
            reader.acks().ack(&[came[0].token]);
            all.extend(came);
            let first = time_of(&all[0])?;
            let later = |delivery: &Delivery| delivery.published > Some(first);
            match all.iter().position(later) {
                Some(later) if all.len() >= 8.max(later + 3) => return Outcome::Ok(later),
                _ => sleep(ctx.tick() / 2).await,
            }
        }
    };
    let later = ctx.within("the hub's clock to move on", writing).await??;
    ctx.within("the private reader to close", reader.close())
        .await??;
    Ok((all, later))
}

/// Publishes events one after the other, so that they stand in the log in this order whatever their
/// keys: a hub orders the events of a key, not those of a partition (P3).
pub(crate) async fn publish_in_turn(
    ctx: &Context,
    producer: &dyn Producer,
    events: impl IntoIterator<Item = Event>,
) -> Outcome<Vec<Receipt>> {
    let mut receipts = Vec::new();
    for event in events {
        receipts.extend(publish(ctx, producer, vec![event]).await?);
    }
    Ok(receipts)
}

/// An event of `key` whose payload is its name.
pub(crate) fn named(key: &str, name: impl Into<String>) -> Event {
    Event::new(name.into()).with_key(key.to_owned())
}

/// The payload as text, for what [`named`] made.
pub(crate) fn name(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.event.payload).into_owned()
}

/// When it was published; every hub tells (E4).
pub(crate) fn time_of(delivery: &Delivery) -> Outcome<SystemTime> {
    let untold = || {
        Failure::new(format!(
            "when {} was published was not told",
            name(delivery)
        ))
    };
    delivery.published.ok_or_else(untold)
}

/// The tokens of the deliveries of these names.
pub(crate) fn tokens_of(deliveries: &[Delivery], wanted: &[&str]) -> Vec<AckToken> {
    let of = |wanted: &&str| deliveries.iter().find(|delivery| name(delivery) == *wanted);
    let found = wanted.iter().filter_map(of);
    found.map(|delivery| delivery.token).collect()
}

/// The names of deliveries, in order.
pub(crate) fn names(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(name).collect()
}

/// Consumers of one group that are polled side by side, as tasks of one application would.
#[derive(Debug, Default)]
pub(crate) struct Party(Vec<Option<Box<dyn Consumer>>>);

impl Party {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes a consumer in and says by which number.
    pub(crate) fn join(&mut self, consumer: Box<dyn Consumer>) -> usize {
        self.0.push(Some(consumer));
        self.0.len() - 1
    }

    pub(crate) fn member(&mut self, nth: usize) -> Outcome<&mut Box<dyn Consumer>> {
        let member = self.0.get_mut(nth).and_then(Option::as_mut);
        member.ok_or_else(|| Failure::new(format!("member {nth} has left")))
    }

    /// Takes a consumer out again; dropped without a close, it has crashed.
    pub(crate) fn take(&mut self, nth: usize) -> Outcome<Box<dyn Consumer>> {
        let member = self.0.get_mut(nth).and_then(Option::take);
        member.ok_or_else(|| Failure::new(format!("member {nth} has left")))
    }

    /// Which partitions the members own, by member.
    pub(crate) fn owned(&self) -> Vec<(usize, Vec<Partition>)> {
        let present = self.0.iter().enumerate();
        present
            .filter_map(|(nth, member)| {
                let owned = member.as_ref()?.assignment();
                Some((nth, owned.into_iter().map(|own| own.partition).collect()))
            })
            .collect()
    }

    /// Waits until at least one member has something to say; all that had by then, by member. The
    /// receives of the others are dropped, which loses nothing (C1).
    pub(crate) async fn receive(&mut self, max: usize) -> Vec<(usize, Result<Batch>)> {
        let present = self.0.iter_mut().enumerate();
        let mut receives: Vec<_> = present
            .filter_map(|(nth, member)| Some((nth, member.as_mut()?.receive(max))))
            .collect();
        poll_fn(|context| {
            let mut ready = Vec::new();
            receives.retain_mut(|(nth, receive)| match receive.as_mut().poll(context) {
                Poll::Ready(batch) => {
                    ready.push((*nth, batch));
                    false
                }
                Poll::Pending => true,
            });
            if ready.is_empty() {
                Poll::Pending
            } else {
                Poll::Ready(ready)
            }
        })
        .await
    }

    /// Receives, handing every batch to `each`, until it says that enough was seen.
    pub(crate) async fn receive_until(
        &mut self,
        ctx: &Context,
        max: usize,
        what: &str,
        mut each: impl FnMut(usize, Batch, &Self) -> Outcome<bool>,
    ) -> Outcome {
        let reading = async {
            loop {
                let mut enough = false;
                for (nth, batch) in self.receive(max).await {
                    enough |= each(nth, batch?, self)?;
                }
                if enough {
                    return Ok(());
                }
            }
        };
        ctx.within(what, reading).await?
    }

    /// Whether the members own all `partitions`, each at least one of them; where they share a topic, whether each
    /// reads it.
    pub(crate) fn is_balanced(&self, ctx: &Context, partitions: usize) -> bool {
        let owned = self.owned();
        let total: usize = owned.iter().map(|(_, owned)| owned.len()).sum();
        (ctx.is_shared() || total == partitions) && owned.iter().all(|(_, owned)| !owned.is_empty())
    }

    /// Receives until the members are [balanced](Self::is_balanced).
    pub(crate) async fn balance(
        &mut self,
        ctx: &Context,
        partitions: usize,
        mut each: impl FnMut(usize, Batch),
    ) -> Outcome {
        let what = format!("{partitions} partitions to be shared out");
        if self.is_balanced(ctx, partitions) {
            return Ok(());
        }
        self.receive_until(ctx, 100, &what, |nth, batch, party| {
            each(nth, batch);
            Ok(party.is_balanced(ctx, partitions))
        })
        .await
    }

    /// Closes those that are left.
    pub(crate) async fn close(mut self, ctx: &Context) -> Outcome {
        for member in self.0.iter_mut().flatten() {
            ctx.within("a member to close", member.close()).await??;
        }
        Ok(())
    }
}

/// Which partitions a member holds, as its changes tell.
#[derive(Debug, Default)]
pub(crate) struct Holding(HashSet<Partition>);

impl Holding {
    /// Follows the changes of a batch.
    pub(crate) fn follow(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Assigned(new) => self.0.extend(new.iter().cloned()),
                Change::Revoked(gone) | Change::Lost(gone) => {
                    gone.iter().for_each(|gone| drop(self.0.take(gone)));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn holds(&self, partition: &Partition) -> bool {
        self.0.contains(partition)
    }

    pub(crate) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }
}
