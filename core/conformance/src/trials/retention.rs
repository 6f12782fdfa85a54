//! C14: a consumer that retention has overtaken.

use super::{Trial, trial};
use crate::{
    Context, Failure, Outcome,
    failure::{ensure, ensure_eq},
    reading::{named, publish, take},
};
use anyhub_core::{
    Batch, Change, Consumer, ErrorKind, Partition, Point, Position, Producer, TopicConfig,
};
use std::sync::Arc;

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
        |can| { can.overtaken && can.positions }
    ),
    trial!(
        "C14_undeclared_overtaking_is_not_told",
        not_told,
        [],
        |can| !can.overtaken
    ),
];

/// What retention has done to a group that was away: where it stood, and what is kept now.
struct Overtaken {
    producer: Arc<dyn Producer>,
    consumer: Box<dyn Consumer>,
    partition: Partition,
    due: Position,
    first: Position,
    next: Position,
}

/// A member of a group that comes back after retention has gone past its checkpoint; None where the
/// hub has no retention that a trial could wait for.
async fn overtaken(ctx: &Context) -> Outcome<Option<Overtaken>> {
    let Some(config) = ctx.harness().forgetful(TopicConfig::new(ctx.name())) else {
        return Ok(None);
    };
    let topic = ctx.create(config).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    let mut consumer = ctx.consumer(&topic, ctx.member(&group)).await?;
    publish(
        ctx,
        &*producer,
        vec![named("k", "0"), named("k", "1"), named("k", "2")],
    )
    .await?;
    let came = take(ctx, &mut *consumer, 3, "the first events").await?;
    consumer.acks().ack(&[came[0].token]);
    ctx.within("close", consumer.close()).await??;
    let (partition, due) = (came[1].partition.clone(), came[1].position.clone());

    let event = named("k", "x".repeat(1_000));
    let events = ctx.settings().overflow_bytes / event.size() as u64 + 1;
    publish(ctx, &*producer, vec![event; events as usize]).await?;
    let admin = ctx.hub().admin();
    let (first, next) = ctx
        .until("retention to go past the checkpoint", async || {
            let info = admin.describe_topic(&topic).await?;
            let kept = info
                .partitions
                .into_iter()
                .find(|info| info.partition == partition);
            let (first, next) = kept
                .and_then(|kept| kept.first.zip(kept.next))
                .ok_or_else(|| Failure::new("the hub does not tell what it keeps"))?;
            Ok(first
                .cmp_in_partition(&due)
                .is_gt()
                .then_some((first, next)))
        })
        .await?;
    let consumer = ctx.consumer(&topic, ctx.member(&group)).await?;
    Ok(Some(Overtaken {
        producer,
        consumer,
        partition,
        due,
        first,
        next,
    }))
}

fn nothing_to_wait_for() -> Failure {
    Failure::new("the hub declares that it tells of overtaking, but the harness has no such topic")
}

async fn told_once(ctx: Context) -> Outcome {
    let Some(mut case) = overtaken(&ctx).await? else {
        return Err(nothing_to_wait_for());
    };
    let mut due = case.due.clone();
    let mut told = 0;
    let last = case.next.as_offset().map(|next| next - 1);
    let follow = |batch: Batch, due: &mut Position, told: &mut u32| -> Outcome<bool> {
        for change in &batch.changes {
            let Change::Overtaken {
                partition,
                from,
                to,
            } = change
            else {
                continue;
            };
            *told += 1;
            ensure_eq!(*partition, case.partition, "where it happened");
            ensure_eq!(*from, *due, "the position that was due");
            ensure!(
                to.cmp_in_partition(from).is_gt(),
                "overtaken from {from} to {to}"
            );
            due.clone_from(to);
        }
        for delivery in &batch.deliveries {
            let at = &delivery.position;
            ensure_eq!(
                *at,
                *due,
                "the next position, after overtaking was told {told} times"
            );
            if at.as_offset() >= last {
                return Ok(true);
            }
            if let Some(offset) = at.as_offset() {
                *due = Position::offset(offset + 1);
            }
        }
        Ok(false)
    };
    loop {
        let what = format!("the events kept, up to {}", case.next);
        let batch = ctx.within(what, case.consumer.receive(10)).await??;
        case.consumer.acks().ack(&batch.tokens());
        if follow(batch, &mut due, &mut told)? {
            break;
        }
    }
    ensure!(
        told > 0,
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
        publish(&ctx, &*case.producer, vec![named("k", "later")]).await?;
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
