//! C2: partitions are kept without being polled, up to `max_processing`, and no longer.

use super::{Trial, trial};
use crate::{
    Context, Outcome,
    failure::{ensure, ensure_eq},
    reading::{named, names, publish, take},
};
use anyhub_core::{Change, Consumer};
use std::collections::HashSet;
use tokio::time::timeout;

pub(super) const TRIALS: &[Trial] = &[
    trial!("C2_partitions_are_kept_within_max_processing", kept),
    trial!("C2_partitions_go_after_max_processing", gone, [14, 15]),
];

/// Two events of a topic with one partition, delivered to a first member of a group.
async fn holding(
    ctx: &Context,
    topic: &str,
    first: &mut dyn Consumer,
) -> Outcome<Vec<anyhub_core::AckToken>> {
    let producer = ctx.producer(topic).await?;
    publish(ctx, &*producer, vec![named("k", "0"), named("k", "1")]).await?;
    let came = take(ctx, first, 2, "the first member's events").await?;
    Ok(came.iter().map(|delivery| delivery.token).collect())
}

async fn kept(ctx: Context) -> Outcome {
    let shortest = ctx.settings().max_processing;
    let topic = ctx.topic(1).await?;
    let group = ctx.name();
    let patient = ctx.settings().patience * 2;
    let options = ctx.member(&group).max_processing(patient);
    let mut first = ctx.consumer(&topic, options.clone()).await?;
    let tokens = holding(&ctx, &topic, &mut *first).await?;
    // No call to the consumer while it works, longer than the hub waits for a silent member; another
    // one is there to take its place.
    ctx.waiting_for("an application that works");
    let work = (shortest * 2).max(ctx.settings().silence + shortest);
    let mut second = ctx.consumer(&topic, options).await?;
    let taking = async {
        loop {
            let batch = second.receive(10).await?;
            ensure!(
                batch.deliveries.is_empty(),
                "the partition went to another member while the first one worked"
            );
        }
    };
    match timeout(work, taking).await {
        Err(_) => {}
        Ok(taken) => return taken,
    }
    ensure_eq!(
        first.acks().ack(&tokens),
        2,
        "valid tokens after work within max_processing"
    );
    ctx.within("commit", first.commit()).await??;
    if ctx.is_shared() {
        // What is acknowledged frees its key, for the other one, too.
        ctx.within("the second member to close", second.close())
            .await??;
    }
    let producer = ctx.producer(&topic).await?;
    publish(&ctx, &*producer, vec![named("k", "2")]).await?;
    let next = ctx.within("the next event", first.receive(10)).await??;
    ensure!(
        next.changes.is_empty(),
        "the partition moved meanwhile: {:?}",
        next.changes
    );
    ensure_eq!(names(&next.deliveries), ["2"], "the next event");
    ctx.within("the second member to close", second.close())
        .await??;
    Ok(first.close().await?)
}

async fn gone(ctx: Context) -> Outcome {
    let limit = ctx.settings().max_processing;
    let topic = ctx.topic(1).await?;
    let group = ctx.name();
    let mut first = ctx
        .consumer(&topic, ctx.member(&group).max_processing(limit))
        .await?;
    let tokens = holding(&ctx, &topic, &mut *first).await?;
    // The second is polled, the first no more.
    let mut second = ctx.consumer(&topic, ctx.member(&group)).await?;
    let came = take(
        &ctx,
        &mut *second,
        2,
        "the partition to go to a second member",
    )
    .await?;
    ensure_eq!(names(&came), ["0", "1"], "what comes to the second member");
    ensure_eq!(
        first.acks().ack(&tokens),
        0,
        "valid tokens of the member that lost its partition"
    );
    let changes = ctx
        .within("the first member to be told", first.receive(10))
        .await??
        .changes;
    let told: HashSet<_> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Lost(gone) | Change::Revoked(gone) => Some(gone.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    ensure!(
        told.contains(&came[0].partition),
        "the loss was not told: {changes:?}"
    );
    // Now the first is polled again and the second works: the same the other way round is not due,
    // since the second has the default of five minutes.
    second.acks().ack(
        &came
            .iter()
            .map(|delivery| delivery.token)
            .collect::<Vec<_>>(),
    );
    ctx.within("the second member's commit", second.commit())
        .await??;
    let producer = ctx.producer(&topic).await?;
    publish(&ctx, &*producer, vec![named("k", "2")]).await?;
    let mut both = crate::reading::Party::new();
    both.join(first);
    both.join(second);
    let mut came = Vec::new();
    both.receive_until(
        &ctx,
        10,
        "the event after the change of owner",
        |_, batch, _| {
            came.extend(names(&batch.deliveries));
            Ok(!came.is_empty())
        },
    )
    .await?;
    ensure_eq!(came, ["2"], "what came after the change of owner");
    both.close(&ctx).await
}
