//! Topics, groups and lag, as [`Admin`](anyhub_core::Admin) tells them.

use super::{
    Trial,
    acks::{numbered, tokens},
    trial,
};
use crate::{
    Context, Failure, Outcome,
    failure::{ensure, ensure_eq},
    positions::{ensure_between, places},
    reading::{named, over_time, publish, take, time_of},
};
use anyhub_core::{ErrorKind, Point, Retention, TopicConfig};
use std::time::Duration;

pub(super) const TRIALS: &[Trial] = &[
    trial!("Admin_topics_are_made_described_and_deleted", topics),
    trial!("Admin_groups_and_their_lag_are_told", groups),
    trial!(
        "Admin_undeclared_lag_in_events_is_not_told",
        no_lag,
        [],
        |can| !can.lag_in_events
    ),
    trial!("Admin_positions_at_a_time", positions_at, [], |can| can
        .positions),
    trial!("Admin_retention_by_size_can_be_set", retention, [], |can| {
        can.retention_bytes
    }),
    trial!(
        "Admin_undeclared_retention_by_size_is_unsupported",
        no_retention,
        [22],
        |can| { !can.retention_bytes }
    ),
];

async fn topics(ctx: Context) -> Outcome {
    let admin = ctx.hub().admin();
    let topic = ctx.topic(3).await?;
    let listed = ctx.within("the topics", admin.list_topics()).await??;
    ensure!(listed.contains(&topic), "a new topic is not listed");
    ensure!(listed.is_sorted(), "the topics are not sorted: {listed:?}");
    let info = ctx
        .within("the topic", admin.describe_topic(&topic))
        .await??;
    ensure_eq!(info.name, topic, "its name");
    let partitions: Vec<_> = info
        .partitions
        .iter()
        .map(|info| info.partition.clone())
        .collect();
    ensure_eq!(partitions.len(), ctx.partitions(3), "its partitions");
    ensure!(
        partitions.is_sorted(),
        "the partitions are not in order: {partitions:?}"
    );
    let producer = ctx.producer(&topic).await?;
    let event = |name: &str| vec![named("k", name)];
    let first = publish(&ctx, &*producer, event("0")).await?;
    if ctx.hub().capabilities().positions {
        let (partition, first) = places(&ctx, &topic, first).await?.remove(0);
        let info = ctx
            .within("the topic", admin.describe_topic(&topic))
            .await??;
        let mut partitions = info.partitions.into_iter();
        let info = partitions.find(|info| info.partition == partition);
        let info = info.ok_or_else(|| Failure::new("an event stands in no partition"))?;
        let second = publish(&ctx, &*producer, event("1")).await?;
        let (_, second) = places(&ctx, &topic, second).await?.remove(0);
        if let Some(kept) = info.first {
            let holds = kept.cmp_in_partition(&first).is_le();
            ensure!(
                holds,
                "what is kept begins at {kept}, after the event at {first}"
            );
        }
        if info.next.is_some() {
            let what = "where the next event will stand";
            ensure_between(info.next.as_ref(), &first, &second, what)?;
        }
    }
    ctx.within("delete", admin.delete_topic(&topic)).await??;
    ctx.until("a deleted topic to be gone", async || {
        Ok((!admin.list_topics().await?.contains(&topic)).then_some(()))
    })
    .await
}

async fn groups(ctx: Context) -> Outcome {
    let admin = ctx.hub().admin();
    let capabilities = ctx.hub().capabilities();
    let topic = numbered(&ctx, 10).await?;
    let group = ctx.name();
    let mut consumer = ctx.consumer(&topic, ctx.member(&group)).await?;
    let came = take(&ctx, &mut *consumer, 10, "all events").await?;
    consumer.acks().ack(&tokens(&came[..4]));
    ctx.within("commit", consumer.commit()).await??;
    let listed = ctx
        .within("the groups", admin.list_groups(&topic))
        .await??;
    let told: Vec<_> = listed
        .iter()
        .map(|group| (&group.name, group.members))
        .collect();
    ensure_eq!(
        told,
        [(&group, 1)],
        "the groups of the topic and their members"
    );
    if capabilities.lag_in_events || capabilities.positions {
        let lag = ctx.within("the lag", admin.lag(&topic, &group)).await??;
        ensure_eq!(lag.len(), 1, "partitions with a lag");
        if capabilities.lag_in_events {
            ensure_eq!(lag[0].events, Some(6), "the lag in events");
        }
        if capabilities.positions {
            let (last, next) = (&came[3].position, &came[4].position);
            ensure_between(lag[0].committed.as_ref(), last, next, "the checkpoint")?;
        }
    }
    let answer = ctx.within("delete", admin.delete_group(&group)).await?;
    let kind = answer.err().map(|error| error.kind());
    ensure_eq!(
        kind,
        Some(ErrorKind::Invalid),
        "the answer to deleting a group with a member"
    );
    ctx.within("close", consumer.close()).await??;
    ctx.until("a group without members to be deleted", async || {
        match admin.delete_group(&group).await {
            Ok(()) => Ok(Some(())),
            // The hub may take a moment to see that the member has left.
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    let answer = ctx.within("the lag", admin.lag(&topic, &group)).await?;
    match answer {
        Ok(lag) => ensure!(
            lag.iter().all(|lag| lag.committed.is_none()),
            "a checkpoint is left"
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => ensure_eq!(
            (error.kind(), capabilities.lag_in_events),
            (ErrorKind::Unsupported, false),
            "the lag of a deleted group"
        ),
    }
    Ok(())
}

async fn no_lag(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, 3).await?;
    let group = ctx.name();
    let mut consumer = ctx.consumer(&topic, ctx.member(&group)).await?;
    take(&ctx, &mut *consumer, 3, "all events").await?;
    let lag = ctx
        .within("the lag", ctx.hub().admin().lag(&topic, &group))
        .await?;
    match lag {
        Ok(lag) => ensure!(
            lag.iter().all(|lag| lag.events.is_none()),
            "lag in events: {lag:?}"
        ),
        Err(error) => ensure_eq!(error.kind(), ErrorKind::Unsupported, "the answer to lag"),
    }
    Ok(consumer.close().await?)
}

async fn positions_at(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let (all, later) = over_time(&ctx, &topic).await?;
    let time = time_of(&all[later])?;
    let admin = ctx.hub().admin();
    let found = ctx
        .within("positions at a time", admin.positions_at(&topic, time))
        .await??;
    let due = (all[later].partition.clone(), all[later].position.clone());
    ensure_eq!(found, [due], "the first position at {time:?}");
    let later = time + Duration::from_secs(3_600);
    let found = ctx
        .within("positions at a time", admin.positions_at(&topic, later))
        .await??;
    let mut reader = ctx
        .consumer(&topic, ctx.reader().start(Point::Time(later)))
        .await?;
    let producer = ctx.producer(&topic).await?;
    publish(&ctx, &*producer, vec![named("k", "later")]).await?;
    let came = take(&ctx, &mut *reader, 1, "an event from a time to come on").await?;
    let (last, next) = (&all[all.len() - 1].position, &came[0].position);
    let found = found.first().map(|(_, at)| at);
    ensure_between(found, last, next, "the position at a time to come")?;
    ensure_eq!(
        crate::reading::names(&came),
        ["later"],
        "the first event from a time to come on"
    );
    Ok(reader.close().await?)
}

async fn retention(ctx: Context) -> Outcome {
    let admin = ctx.hub().admin();
    let name = ctx.name();
    let week = Duration::from_secs(7 * 86_400);
    let keeps = Retention::new().bytes(64 << 20).time(week);
    let topic = ctx.create(TopicConfig::new(name).retention(keeps)).await?;
    let info = ctx
        .within("the topic", admin.describe_topic(&topic))
        .await??;
    ensure_eq!(
        info.retention.bytes,
        Some(64 << 20),
        "the retention of a new topic"
    );
    let more = Retention::new().bytes(128 << 20);
    ctx.within("the retention", admin.set_retention(&topic, &more))
        .await??;
    let told = ctx.until("the new retention to be told", async || {
        let told = admin.describe_topic(&topic).await?.retention;
        Ok((told.bytes == Some(128 << 20)).then_some(told))
    });
    ensure_eq!(
        told.await?.time,
        Some(week),
        "the part of a retention that was not to change"
    );
    Ok(())
}

async fn no_retention(ctx: Context) -> Outcome {
    let config = TopicConfig::new(ctx.name()).retention(Retention::new().bytes(64 << 20));
    let answer = ctx
        .within("the topic", ctx.hub().admin().create_topic(&config))
        .await?;
    let kind = answer.err().map(|error| error.kind());
    ensure_eq!(
        kind,
        Some(ErrorKind::Unsupported),
        "the answer to a retention by size"
    );
    Ok(())
}
