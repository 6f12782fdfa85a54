//! C11 and C13: what happens to keys while the number of partitions changes.

use super::{Trial, acks::tokens, trial};
use crate::{
    Context, Outcome,
    failure::{ensure, ensure_eq},
    reading::{name, named, publish, take},
};
use anyhub_core::ErrorKind;
use std::collections::{HashMap, HashSet};
use tokio::time::timeout;

pub(super) const TRIALS: &[Trial] = &[
    trial!(
        "C11_children_wait_for_their_parents",
        lineage,
        [8, 16],
        |can| { can.resize && can.order_across_resize }
    ),
    trial!("C13_resize_says_whether_key_order_holds", told, [], |can| {
        can.resize
    }),
    trial!(
        "C13_undeclared_resize_is_unsupported",
        unsupported,
        [22],
        |can| !can.resize
    ),
];

const KEYS: usize = 40;

async fn lineage(ctx: Context) -> Outcome {
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let events = |name: &'static str| {
        (0..KEYS)
            .map(move |nth| named(&format!("k{nth}"), name))
            .collect::<Vec<_>>()
    };
    publish(&ctx, &*producer, events("before")).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let mut parents = take(&ctx, &mut *consumer, KEYS, "the events before the resize").await?;
    let resized = ctx.hub().admin().set_partitions(&topic, 5);
    let resized = ctx.within("the resize", resized).await??;
    ensure!(
        resized.key_order_kept,
        "the resize says that key order is not kept"
    );
    let producer = ctx.producer(&topic).await?;
    publish(&ctx, &*producer, events("after")).await?;
    let acks = consumer.acks();
    // Parents are acked one after the other; with one open, no key may go on elsewhere.
    let home: HashMap<_, _> = parents
        .iter()
        .map(|delivery| (delivery.event.key.clone(), delivery.partition.clone()))
        .collect();
    let mut after = Vec::new();
    while let Some(parent) = parents.pop() {
        if let Ok(batch) = timeout(ctx.tick(), consumer.receive(100)).await {
            after.extend(batch?.deliveries);
        }
        let open: HashSet<_> = parents
            .iter()
            .chain([&parent])
            .map(|delivery| &delivery.event.key)
            .collect();
        for child in &after {
            let key = &child.event.key;
            let moved = home.get(key).is_some_and(|home| *home != child.partition);
            ensure!(
                !(moved && open.contains(key)),
                "lineage: {key:?} goes on in partition {} while its event before the resize is open",
                child.partition
            );
        }
        acks.ack(&[parent.token]);
    }
    let rest = KEYS - after.len();
    after.extend(take(&ctx, &mut *consumer, rest, "the children of acked parents").await?);
    let keys: HashSet<_> = after
        .iter()
        .map(|delivery| delivery.event.key.clone())
        .collect();
    ensure_eq!(keys.len(), KEYS, "keys that came after the resize");
    acks.ack(&tokens(&after));
    Ok(consumer.close().await?)
}

async fn told(ctx: Context) -> Outcome {
    let topic = ctx.topic(2).await?;
    let declared = ctx.hub().capabilities().order_across_resize;
    let admin = ctx.hub().admin();
    let resized = ctx
        .within("the resize", admin.set_partitions(&topic, 3))
        .await??;
    ensure_eq!(
        resized.key_order_kept,
        declared,
        "whether the resize says that key order is kept"
    );
    let described = ctx
        .until("three partitions to be there", async || {
            let info = admin.describe_topic(&topic).await?;
            Ok((info.partitions.len() == 3).then_some(info))
        })
        .await;
    described?;
    for fewer in [3, 2, 0] {
        let answer = ctx
            .within("the resize", admin.set_partitions(&topic, fewer))
            .await?;
        let kind = answer.err().map(|error| error.kind());
        ensure_eq!(
            kind,
            Some(ErrorKind::Invalid),
            "the answer to {fewer} partitions instead of 3"
        );
    }
    let producer = ctx.producer(&topic).await?;
    let events = (0..KEYS)
        .map(|nth| named(&format!("k{nth}"), nth.to_string()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let log = crate::reading::read_back(&ctx, &topic).await?;
    let names: HashSet<String> = log.iter().map(name).collect();
    ensure_eq!(names.len(), KEYS, "events after the resize");
    Ok(())
}

async fn unsupported(ctx: Context) -> Outcome {
    let topic = ctx.topic(2).await?;
    let admin = ctx.hub().admin();
    let answer = ctx
        .within("the resize", admin.set_partitions(&topic, 3))
        .await?;
    let kind = answer.err().map(|error| error.kind());
    ensure_eq!(kind, Some(ErrorKind::Unsupported), "the answer to a resize");
    let info = ctx
        .within("the topic to be described", admin.describe_topic(&topic))
        .await??;
    ensure_eq!(
        info.partitions.len(),
        ctx.partitions(2),
        "partitions after a resize that was refused"
    );
    Ok(())
}
