//! C12: a reader without a group.

use super::{Trial, trial};
use crate::{
    Context, Outcome,
    failure::ensure_eq,
    reading::{named, names, publish, take},
};

pub(super) const TRIALS: &[Trial] = &[
    trial!("C12_a_private_reader_reads_all_partitions", all_partitions),
    trial!("C12_a_private_reader_commits_nothing", commits_nothing),
];

const EVENTS: usize = 60;

async fn all_partitions(ctx: Context) -> Outcome {
    let topic = ctx.topic(3).await?;
    let producer = ctx.producer(&topic).await?;
    let mut due: Vec<String> = (0..EVENTS).map(|nth| nth.to_string()).collect();
    due.sort();
    let mut first = ctx.consumer(&topic, ctx.reader()).await?;
    let mut second = ctx.consumer(&topic, ctx.reader()).await?;
    publish(
        &ctx,
        &*producer,
        due.iter().map(|nth| named(nth, nth.clone())).collect(),
    )
    .await?;
    for reader in [&mut first, &mut second] {
        let what = "all events at each of two private readers";
        let mut came = names(&take(&ctx, &mut **reader, EVENTS, what).await?);
        came.sort();
        ensure_eq!(came, due, "what came to a private reader");
    }
    first.close().await?;
    Ok(second.close().await?)
}

async fn commits_nothing(ctx: Context) -> Outcome {
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let events = (0..EVENTS)
        .map(|nth| named(&format!("k{nth}"), nth.to_string()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    for reader in ["first", "second"] {
        let mut consumer = ctx.consumer(&topic, ctx.reader()).await?;
        let what = format!("all events at the {reader} private reader");
        let came = take(&ctx, &mut *consumer, EVENTS, &what).await?;
        let tokens: Vec<_> = came.iter().map(|delivery| delivery.token).collect();
        ensure_eq!(consumer.acks().ack(&tokens), EVENTS, "valid tokens");
        ctx.within("commit", consumer.commit()).await??;
        ctx.within("close", consumer.close()).await??;
        let groups = ctx.hub().admin().list_groups(&topic);
        let groups = ctx.within("the groups", groups).await??;
        ensure_eq!(groups, [], "groups of a topic with private readers alone");
    }
    Ok(())
}
