//! C14: a consumer that retention has overtaken.

use super::{Trial, acks::tokens, trial};
use crate::{
    Context, Failure, Outcome,
    failure::{ensure, ensure_eq},
    positions::ensure_between,
    reading::{named, publish, take},
};
use anyhub_core::{
    Batch, Change, Consumer, Delivery, ErrorKind, Event, Partition, Point, Position, Producer,
    TopicConfig,
};
use std::sync::Arc;
use tokio::time::sleep;

pub(super) const TRIALS: &[Trial] = &[
    trial!(
        "C14_overtaken_by_retention_is_told_once",
        told_once,
        [],
        |can| can.overtaken
    ),
    trial!(
        "C14_a_seek_to_what_is_gone_is_out_of_range",
        out_of_range,
        [22],
        |can| { can.overtaken }
    ),
    trial!(
        "C14_undeclared_overtaking_is_not_told",
        not_told,
        [],
        |can| !can.overtaken
    ),
];

/// What is published, and where it stands.
struct Published {
    producer: Arc<dyn Producer>,
    /// Where each event stands, in the order of the log, on hubs that tell of overtaking.
    log: Vec<Position>,
    /// Where receipts don't tell: a private reader that keeps up.
    reader: Option<Box<dyn Consumer>>,
}

impl Published {
    async fn to(ctx: &Context, topic: &str) -> Outcome<Self> {
        let can = ctx.hub().capabilities();
        let reader = match can.overtaken && !can.receipts {
            true => Some(ctx.consumer(topic, ctx.reader()).await?),
            false => None,
        };
        Ok(Self {
            producer: ctx.producer(topic).await?,
            log: Vec::new(),
            reader,
        })
    }

    async fn publish(&mut self, ctx: &Context, events: Vec<Event>) -> Outcome {
        let receipts = publish(ctx, &*self.producer, events).await?;
        let Some(reader) = &mut self.reader else {
            let places = receipts.into_iter().filter_map(|receipt| receipt.position);
            self.log.extend(places);
            return Ok(());
        };
        let came = take(
            ctx,
            &mut **reader,
            receipts.len(),
            "what was just published",
        )
        .await?;
        reader.acks().ack(&tokens(&came));
        self.log.extend(came.into_iter().map(|it| it.position));
        Ok(())
    }
}

/// What retention has done to a group that was away.
struct Overtaken {
    published: Published,
    /// A member that has come back.
    consumer: Box<dyn Consumer>,
    partition: Partition,
    /// The event with which the group had to go on, and the first that was kept when it came back.
    due: Position,
    first: Position,
}

impl Overtaken {
    /// Publishes one event more: where retention goes by time, what was there may soon be gone.
    async fn publish(&mut self, ctx: &Context) -> Outcome {
        let later = vec![named("k", "later")];
        self.published.publish(ctx, later).await
    }
}

/// A member of a group that comes back after retention has gone past its checkpoint; None where the
/// hub has no retention that a trial could wait for.
async fn overtaken(ctx: &Context) -> Outcome<Option<Overtaken>> {
    let Some(config) = ctx.harness().forgetful(TopicConfig::new(ctx.name())) else {
        return Ok(None);
    };
    let topic = ctx.create(config).await?;
    let mut published = Published::to(ctx, &topic).await?;
    let group = ctx.name();
    let mut consumer = ctx.consumer(&topic, ctx.member(&group)).await?;
    let event = named("k", "x".repeat(1_000));
    let fill = ctx.settings().overflow_bytes / event.size() as u64 + 1;
    let events = (0..3).map(|nth| named("k", nth.to_string())).collect();
    published.publish(ctx, events).await?;
    let came = take(ctx, &mut *consumer, 3, "the first events").await?;
    consumer.acks().ack(&[came[0].token]);
    ctx.within("close", consumer.close()).await??;
    published.publish(ctx, vec![event; fill as usize]).await?;

    let due = came[1].position.clone();
    let going = async {
        loop {
            // Retention by time takes all of that: something has to come after it.
            published.publish(ctx, vec![named("k", "later")]).await?;
            let mut reader = ctx.consumer(&topic, ctx.reader()).await?;
            let first = take(ctx, &mut *reader, 1, "the first event that is kept").await?;
            ctx.within("the private reader to close", reader.close())
                .await??;
            let first = first[0].position.clone();
            if first.cmp_in_partition(&due).is_gt() {
                return Outcome::Ok(first);
            }
            sleep(ctx.tick()).await;
        }
    };
    let first = ctx
        .within("retention to go past the checkpoint", going)
        .await??;
    Ok(Some(Overtaken {
        consumer: ctx.consumer(&topic, ctx.member(&group)).await?,
        published,
        partition: came[1].partition.clone(),
        due,
        first,
    }))
}

fn nothing_to_wait_for() -> Failure {
    Failure::new("the hub declares that it tells of overtaking, but the harness has no such topic")
}

/// Follows what a member that was overtaken is told and given, event by event of the log.
struct Following {
    /// The event that is due, counted in the log.
    due: usize,
    told: usize,
    /// Where it was last told to go on, until an event has come from there.
    to: Option<Position>,
}

impl Following {
    fn follow(&mut self, case: &Overtaken, batch: &Batch) -> Outcome {
        for change in &batch.changes {
            if let Change::Overtaken {
                partition,
                from,
                to,
            } = change
            {
                ensure_eq!(*partition, case.partition, "where it happened");
                self.overtaken(&case.published.log, from, to)?;
            }
        }
        for Delivery { position: at, .. } in &batch.deliveries {
            let due = case.published.log.get(self.due);
            let told = self.told;
            ensure_eq!(
                Some(at),
                due,
                "the next position, after overtaking was told {told} times"
            );
            let to = self.to.take();
            ensure!(
                to.as_ref().is_none_or(|to| to == at),
                "{at} came, and it was to go on at {to:?}"
            );
            self.due += 1;
        }
        Ok(())
    }

    fn overtaken(&mut self, log: &[Position], from: &Position, to: &Position) -> Outcome {
        self.told += 1;
        // The first event was acked, so there is always one before.
        let (last, rest) = log.split_at(self.due.min(log.len()));
        let (Some(last), Some(due)) = (last.last(), rest.first()) else {
            let message = format!("overtaken from {from} to {to}, where no event was");
            return Err(Failure::new(message));
        };
        ensure_between(Some(from), last, due, "the position that was due")?;
        // What is removed was in the log.
        ensure!(
            to.cmp_in_partition(due).is_gt(),
            "overtaken from {from} to {to}"
        );
        self.due = log.partition_point(|at| at.cmp_in_partition(to).is_lt());
        self.to = Some(to.clone());
        Ok(())
    }
}

async fn told_once(ctx: Context) -> Outcome {
    let Some(mut case) = overtaken(&ctx).await? else {
        return Err(nothing_to_wait_for());
    };
    let last = case.published.log.len();
    let mut following = Following {
        due: 1,
        told: 0,
        to: None,
    };
    while following.due < last || following.to.is_some() {
        case.publish(&ctx).await?;
        let what = format!("the events kept, up to {}", case.published.log[last - 1]);
        let batch = ctx.within(what, case.consumer.receive(10)).await??;
        case.consumer.acks().ack(&batch.tokens());
        following.follow(&case, &batch)?;
    }
    ensure!(
        following.told > 0,
        "overtaking was not told: {} was due, {} is kept",
        case.due,
        case.first
    );
    Ok(case.consumer.close().await?)
}

async fn out_of_range(ctx: Context) -> Outcome {
    let Some(mut case) = overtaken(&ctx).await? else {
        return Err(nothing_to_wait_for());
    };
    case.publish(&ctx).await?;
    take(
        &ctx,
        &mut *case.consumer,
        1,
        "an event, so that the partition is owned",
    )
    .await?;
    let gone = Point::Positions(vec![(case.partition.clone(), case.due.clone())]);
    let answer = ctx
        .within("seek to what is gone", case.consumer.seek(gone))
        .await?;
    let kind = answer.err().map(|error| error.kind());
    ensure_eq!(
        kind,
        Some(ErrorKind::OutOfRange),
        "the answer to a seek to what is gone"
    );
    // It is not stuck by that.
    ctx.within("seek to the start", case.consumer.seek(Point::Start))
        .await??;
    case.publish(&ctx).await?;
    let came = take(&ctx, &mut *case.consumer, 1, "the first event that is kept").await?;
    let at = &came[0].position;
    ensure!(
        at.cmp_in_partition(&case.first).is_ge(),
        "{at} came, {} is kept",
        case.first
    );
    Ok(case.consumer.close().await?)
}

async fn not_told(ctx: Context) -> Outcome {
    let Some(mut case) = overtaken(&ctx).await? else {
        return Ok(());
    };
    let mut came = 0;
    while came < 5 {
        // Retention goes on: there has to be something that it has not taken yet.
        case.publish(&ctx).await?;
        let batch = ctx
            .within("what is kept", case.consumer.receive(10))
            .await??;
        let told = batch
            .changes
            .iter()
            .any(|change| matches!(change, Change::Overtaken { .. }));
        ensure!(
            !told,
            "overtaking was told by a hub that does not declare it"
        );
        came += batch.deliveries.len();
    }
    Ok(case.consumer.close().await?)
}
