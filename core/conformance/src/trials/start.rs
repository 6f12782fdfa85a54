//! C7: where a consumer begins.

use super::{
    Trial,
    acks::{numbered, tokens},
    trial,
};
use crate::{
    Context, Outcome,
    failure::{ensure, ensure_eq},
    reading::{name, named, names, over_time, publish, take, time_of},
};
use anyhub_core::{Partition, Point};
use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

pub(super) const TRIALS: &[Trial] = &[
    trial!("C7_each_start_begins_where_it_says", each_start),
    trial!(
        "C7_start_counts_only_without_a_checkpoint",
        without_checkpoint
    ),
    trial!("C7_end_is_made_concrete", concrete_end),
    trial!("C7_a_time_to_come_is_the_end", time_to_come),
    trial!("C7_a_consumer_sees_what_comes_after_it_opened", sees_later),
    trial!(
        "C7_new_partitions_start_at_their_beginning",
        new_partitions,
        [],
        |can| can.resize
    ),
];

async fn each_start(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let (all, later) = over_time(&ctx, &topic).await?;
    let mut starts = vec![
        (Point::Start, 0),
        (Point::Time(time_of(&all[later])?), later),
    ];
    if ctx.hub().capabilities().positions {
        let partition = || all[5].partition.clone();
        let (fifth, fourth) = (all[5].position.clone(), all[4].position.after());
        starts.push((Point::Positions(vec![(partition(), fifth)]), 5));
        starts.push((Point::Positions(vec![(partition(), fourth)]), 5));
    }
    for (start, due) in starts {
        for options in [ctx.member(&ctx.name()), ctx.reader()] {
            let what = format!("the first event from {start:?}");
            let mut consumer = ctx.consumer(&topic, options.start(start.clone())).await?;
            let first = take(&ctx, &mut *consumer, 1, &what).await?;
            ensure_eq!(name(&first[0]), due.to_string(), "{what}");
            ctx.within("close", consumer.close()).await??;
        }
    }
    Ok(())
}

/// As it is when it is asked for: what is published right after that comes, and does not wait for the
/// time.
async fn time_to_come(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, 10).await?;
    let producer = ctx.producer(&topic).await?;
    for ahead in [3, 3_600] {
        for options in [ctx.member(&ctx.name()), ctx.reader()] {
            let to_come = || Point::Time(SystemTime::now() + Duration::from_secs(ahead));
            let mut consumer = ctx.consumer(&topic, options.start(to_come())).await?;
            for what in ["a start", "a seek"] {
                let later = ctx.name();
                publish(&ctx, &*producer, vec![named("k", later.clone())]).await?;
                let first = take(&ctx, &mut *consumer, 1, "an event after the end").await?;
                ensure_eq!(
                    names(&first),
                    [later],
                    "the first event after {what} at a time to come"
                );
                ctx.within("seek", consumer.seek(to_come())).await??;
            }
            ctx.within("close", consumer.close()).await??;
        }
    }
    Ok(())
}

async fn without_checkpoint(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, 10).await?;
    let group = ctx.name();
    let mut first = ctx.consumer(&topic, ctx.member(&group)).await?;
    let came = take(&ctx, &mut *first, 10, "all events").await?;
    first.acks().ack(&tokens(&came[..4]));
    ctx.within("close", first.close()).await??;
    for start in [Point::Start, Point::End] {
        let options = ctx.member(&group).start(start.clone());
        let mut next = ctx.consumer(&topic, options).await?;
        let what = format!("where a group with a checkpoint resumes with {start:?}");
        let came = take(&ctx, &mut *next, 1, &what).await?;
        ensure_eq!(names(&came), ["4"], "{what}");
        ctx.within("close", next.close()).await??;
    }
    Ok(())
}

async fn concrete_end(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, 5).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    // Opened at the end, and closed without having received anything.
    let mut first = ctx
        .consumer(&topic, ctx.member(&group).start(Point::End))
        .await?;
    ctx.within("close", first.close()).await??;
    publish(&ctx, &*producer, vec![named("k", "between")]).await?;
    let mut next = ctx
        .consumer(&topic, ctx.member(&group).start(Point::End))
        .await?;
    publish(&ctx, &*producer, vec![named("k", "after")]).await?;
    let came = take(&ctx, &mut *next, 1, "the first event after the end").await?;
    ensure_eq!(
        names(&came),
        ["between"],
        "the first event after the end was made concrete"
    );
    Ok(next.close().await?)
}

async fn sees_later(ctx: Context) -> Outcome {
    let topic = ctx.topic(3).await?;
    let producer = ctx.producer(&topic).await?;
    for round in 0..5 {
        publish(&ctx, &*producer, vec![named("k", "earlier")]).await?;
        let options = ctx.reader().start(Point::End);
        let mut reader = ctx.consumer(&topic, options).await?;
        let due: HashSet<String> = (0..6).map(|nth| format!("{round}/{nth}")).collect();
        let events = due.iter().map(|name| named(name, name.clone())).collect();
        publish(&ctx, &*producer, events).await?;
        let came = take(
            &ctx,
            &mut *reader,
            6,
            "events published right after opening",
        )
        .await?;
        let came: HashSet<String> = names(&came).into_iter().collect();
        ensure_eq!(came, due, "what came after opening at the end");
        ctx.within("close", reader.close()).await??;
    }
    Ok(())
}

async fn new_partitions(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    publish(&ctx, &*producer, vec![named("k", "earlier")]).await?;
    let options = ctx.member(&ctx.name()).start(Point::End);
    let mut consumer = ctx.consumer(&topic, options).await?;
    let resized = ctx.hub().admin().set_partitions(&topic, 3);
    ctx.within("more partitions", resized).await??;
    // Written before the consumer can know of the partitions; a new producer knows them.
    let producer = ctx.producer(&topic).await?;
    let mut due: Vec<String> = (0..60).map(|nth| nth.to_string()).collect();
    let events = due
        .iter()
        .map(|nth| named(&format!("k{nth}"), nth.clone()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let came = take(
        &ctx,
        &mut *consumer,
        60,
        "all events of the old and the new partitions",
    );
    let came = came.await?;
    let partitions: HashSet<Partition> = came
        .iter()
        .map(|delivery| delivery.partition.clone())
        .collect();
    ensure!(
        partitions.len() > 1,
        "the events all stand in one partition after the resize"
    );
    let mut came = names(&came);
    came.sort();
    due.sort();
    ensure_eq!(came, due, "what came from the old and the new partitions");
    Ok(consumer.close().await?)
}
