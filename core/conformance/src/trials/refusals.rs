//! Row 22: mistakes get the right kind of error, and a line that says what and where.

use super::{Trial, trial};
use crate::{
    Context, Failure, Outcome,
    failure::{ensure, ensure_eq},
    reading::{named, publish, take},
};
use anyhub_core::{Delivery, ErrorKind, Point, Position, ProducerOptions, Result, TopicConfig};

pub(super) const TRIALS: &[Trial] = &[
    trial!(
        "Checks_22_a_missing_topic_is_not_found",
        missing_topic,
        [22]
    ),
    trial!(
        "Checks_22_a_topic_that_is_there_already_exists",
        already_exists,
        [22]
    ),
    trial!("Checks_22_no_partitions_are_invalid", no_partitions, [22]),
    trial!(
        "Checks_22_a_seek_beyond_the_end_is_out_of_range",
        beyond_end,
        [22],
        |can| can.positions
    ),
    trial!(
        "Checks_22_a_closed_hub_answers_closed",
        closed_hub,
        [20, 22]
    ),
];

/// Expects an error of this kind that names the hub, the operation and what happened.
fn refused<T>(answer: Result<T>, kind: ErrorKind, hub: &str, what: &str) -> Outcome {
    match answer {
        Ok(_) => Err(Failure::new(format!("{what} was not refused"))),
        Err(error) => {
            ensure_eq!(error.kind(), kind, "the answer to {what}");
            let text = error.to_string();
            ensure!(
                !error.operation().is_empty() && !error.message().is_empty(),
                "says little: {text}"
            );
            ensure_eq!(error.hub(), hub, "the hub in the answer to {what}");
            ensure!(!text.contains('\n'), "more than a line: {text}");
            Ok(())
        }
    }
}

async fn missing_topic(ctx: Context) -> Outcome {
    let (hub, missing) = (ctx.hub(), ctx.name());
    let (admin, name) = (hub.admin(), hub.name());
    let kind = ErrorKind::NotFound;
    let opened = hub.producer(&missing, ProducerOptions::new());
    let answer = ctx.within("a producer without a topic", opened).await?;
    refused(answer, kind, name, "a producer on a missing topic")?;
    for options in [ctx.member(&ctx.name()), ctx.reader()] {
        let answer = ctx
            .within("a consumer", hub.consumer(&missing, options))
            .await?;
        refused(answer, kind, name, "a consumer on a missing topic")?;
    }
    let answer = ctx
        .within("describe", admin.describe_topic(&missing))
        .await?;
    refused(answer, kind, name, "describing a missing topic")?;
    let answer = ctx.within("delete", admin.delete_topic(&missing)).await?;
    refused(answer, kind, name, "deleting a missing topic")?;
    let answer = ctx.within("delete", admin.delete_group(&missing)).await?;
    refused(answer, kind, name, "deleting a missing group")
}

async fn already_exists(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let config = TopicConfig::new(topic).partitions(2);
    let answer = ctx
        .within("create", ctx.hub().admin().create_topic(&config))
        .await?;
    refused(
        answer,
        ErrorKind::AlreadyExists,
        ctx.hub().name(),
        "creating a topic twice",
    )
}

async fn no_partitions(ctx: Context) -> Outcome {
    let config = TopicConfig::new(ctx.name()).partitions(0);
    let answer = ctx
        .within("create", ctx.hub().admin().create_topic(&config))
        .await?;
    refused(
        answer,
        ErrorKind::Invalid,
        ctx.hub().name(),
        "a topic of 0 partitions",
    )
}

async fn beyond_end(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    publish(&ctx, &*producer, vec![named("k", "0")]).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let came = take(&ctx, &mut *consumer, 1, "the event").await?;
    let to = Point::Positions(vec![(came[0].partition.clone(), far_behind(&came[0])?)]);
    let answer = ctx.within("seek beyond the end", consumer.seek(to)).await?;
    refused(
        answer,
        ErrorKind::OutOfRange,
        ctx.hub().name(),
        "a seek beyond the end",
    )?;
    Ok(consumer.close().await?)
}

/// A position that no event after this one will have for long.
fn far_behind(delivery: &Delivery) -> Outcome<Position> {
    if let Some(offset) = delivery.position.as_offset() {
        return Ok(Position::offset(offset + 1_000));
    }
    // The same with a first digit that is one more.
    let text = delivery.position.to_string();
    let first = text.chars().next().and_then(|first| first.to_digit(10));
    let beyond = first.and_then(|first| format!("{}{}", first + 1, &text[1..]).parse().ok());
    beyond.ok_or_else(|| Failure::new(format!("nothing is known to stand behind {text}")))
}

async fn closed_hub(ctx: Context) -> Outcome {
    let started = ctx.harness().start();
    let hub = ctx
        .within("another hub", started)
        .await?
        .map_err(Failure::new)?;
    let topic = ctx.name();
    hub.admin().create_topic(&TopicConfig::new(&topic)).await?;
    let opened = hub.producer(&topic, ProducerOptions::new());
    let producer = ctx.within("a producer", opened).await??;
    let opened = hub.consumer(&topic, ctx.member(&ctx.name()));
    let mut consumer = ctx.within("a consumer", opened).await??;
    publish(&ctx, &*producer, vec![named("k", "0")]).await?;
    let came = take(&ctx, &mut *consumer, 1, "the event").await?;
    ctx.within("the hub to close", hub.close()).await??;
    let valid = consumer.acks().ack(&[came[0].token]);
    ensure_eq!(valid, 0, "valid tokens after the hub closed");
    let (kind, name) = (ErrorKind::Closed, hub.name());
    let answer = ctx
        .within("submit", producer.submit(vec![named("k", "1")]))
        .await?;
    refused(answer, kind, name, "a submit after the hub closed")?;
    let answer = ctx.within("receive", consumer.receive(1)).await?;
    refused(answer, kind, name, "a receive after the hub closed")?;
    let answer = ctx
        .within("a producer", hub.producer(&topic, ProducerOptions::new()))
        .await?;
    refused(answer, kind, name, "a producer after the hub closed")?;
    ctx.within("the hub to close again", hub.close()).await??;
    Ok(())
}
