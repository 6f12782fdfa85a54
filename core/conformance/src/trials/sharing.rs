//! C10: a group shares its partitions out while there is work.

use super::{Trial, trial};
use crate::{
    Context, Outcome,
    failure::ensure,
    reading::{named, publish, take},
};
use std::pin::pin;
use tokio::time::sleep;

pub(super) const TRIALS: &[Trial] = &[trial!(
    "C10_a_busy_member_gives_up_its_share",
    busy_member,
    [17]
)];

const PARTITIONS: u32 = 4;

/// A member that always has something to read is no reason to let the next one wait.
async fn busy_member(ctx: Context) -> Outcome {
    let events = ctx.settings().events;
    let topic = ctx.topic(PARTITIONS).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    let backlog = (0..events)
        .map(|nth| named(&format!("k{}", nth % 97), nth.to_string()))
        .collect();
    publish(&ctx, &*producer, backlog).await?;
    // Where keys are shared, what is fetched ahead stays with its member: all of the backlog would.
    let member = ctx.member(&group).prefetch_events(100);
    let mut first = ctx.consumer(&topic, member.clone()).await?;
    let acks = first.acks();
    let mut read = 0;
    let opening = async {
        let mut second = ctx.consumer(&topic, member).await?;
        take(&ctx, &mut *second, 1, "the second member's share").await?;
        Outcome::Ok(second)
    };
    let mut opening = pin!(opening);
    let mut second = loop {
        ensure!(
            read < events,
            "the whole backlog was read before the second member got a share"
        );
        tokio::select! {
            second = &mut opening => break second?,
            // A little work, so that the backlog lasts; without it every hub would be too fast.
            batch = async {
                sleep(ctx.tick() / 10).await;
                first.receive(10).await
            } => {
                let batch = batch?;
                read += batch.deliveries.len();
                acks.ack(&batch.tokens());
            }
        }
    };
    ctx.within("the second member to close", second.close())
        .await??;
    Ok(first.close().await?)
}
