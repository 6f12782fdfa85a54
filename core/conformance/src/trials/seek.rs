//! C8: what a seek moves, and that it is durable.

use super::{
    Trial,
    acks::{never_by_itself, numbered, resumes_at, tokens},
    trial,
};
use crate::{
    Context, Failure, Outcome,
    failure::{ensure, ensure_eq},
    reading::{Party, name, named, names, publish, read_back, take},
};
use anyhub_core::{Assignment, ErrorKind, Point};
use std::collections::HashSet;
use tokio::time::sleep;

pub(super) const TRIALS: &[Trial] = &[
    trial!("C8_seek_moves_to_each_point", each_point),
    trial!("C8_seek_is_durable_before_it_returns", durable),
    trial!("C8_seek_stales_every_token", stales),
    trial!(
        "C8_nothing_fetched_before_a_seek_comes_after_it",
        nothing_fetched
    ),
    trial!("C8_partitions_not_named_stay", others_stay, [], |can| can
        .positions),
    trial!(
        "C8_a_seek_before_the_first_receive_skips_nothing",
        before_the_first,
        [],
        |can| can.positions
    ),
    trial!(
        "C8_an_exclusive_seek_moves_its_own_partitions",
        exclusive,
        [],
        |can| { can.assignment == Assignment::Exclusive }
    ),
    trial!("C8_a_shared_seek_moves_the_group", shared, [], |can| {
        can.assignment == Assignment::Shared
    }),
    trial!(
        "C8_a_seek_after_max_processing_moves_what_comes_back",
        after_max_processing
    ),
];

async fn each_point(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, 20).await?;
    let producer = ctx.producer(&topic).await?;
    for options in [ctx.member(&ctx.name()), ctx.reader()] {
        let mut consumer = ctx.consumer(&topic, options).await?;
        let came = take(&ctx, &mut *consumer, 20, "all events").await?;
        ctx.within("seek to the start", consumer.seek(Point::Start))
            .await??;
        let first = take(&ctx, &mut *consumer, 1, "the first event of all").await?;
        ensure_eq!(
            names(&first),
            ["0"],
            "the first event after a seek to the start"
        );
        if ctx.hub().capabilities().positions {
            let own = |nth: usize| came[nth].position.clone();
            for (nth, at) in [(13, own(13)), (4, own(4)), (9, own(8).after())] {
                let to = Point::Positions(vec![(came[nth].partition.clone(), at)]);
                ctx.within("seek to a position", consumer.seek(to))
                    .await??;
                let next = take(&ctx, &mut *consumer, 2, "two events from a position").await?;
                let due = [nth.to_string(), (nth + 1).to_string()];
                ensure_eq!(names(&next), due, "the events from a position on");
            }
        }
        ctx.within("seek to the end", consumer.seek(Point::End))
            .await??;
        let later = ctx.name();
        publish(&ctx, &*producer, vec![named("k", later.clone())]).await?;
        let next = take(&ctx, &mut *consumer, 1, "an event after the end").await?;
        ensure_eq!(
            names(&next),
            [later],
            "the first event after a seek to the end"
        );
        ctx.within("close", consumer.close()).await??;
    }
    Ok(())
}

async fn durable(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, 10).await?;
    let group = ctx.name();
    let mut points = vec![(Point::Start, 0)];
    let mut consumer = ctx.consumer(&topic, never_by_itself(&ctx, &group)).await?;
    let came = take(&ctx, &mut *consumer, 10, "all events").await?;
    consumer.acks().ack(&tokens(&came[..8]));
    ctx.within("close", consumer.close()).await??;
    if ctx.hub().capabilities().positions {
        for nth in [3, 6] {
            let at = (came[nth].partition.clone(), came[nth].position.clone());
            points.push((Point::Positions(vec![at]), nth));
        }
    }
    for (to, due) in points {
        let mut consumer = ctx.consumer(&topic, never_by_itself(&ctx, &group)).await?;
        take(
            &ctx,
            &mut *consumer,
            1,
            "an event, so that the partition is owned",
        )
        .await?;
        ctx.within("seek", consumer.seek(to)).await??;
        drop(consumer);
        resumes_at(&ctx, &topic, &group, due).await?;
    }
    Ok(())
}

async fn stales(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, 10).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let mut given = Vec::new();
    for to in [Point::Start, Point::End] {
        let acked = take(&ctx, &mut *consumer, 10, "all events").await?;
        consumer.acks().ack(&tokens(&acked[..3]));
        given.extend(tokens(&acked));
        ctx.within("seek", consumer.seek(to.clone())).await??;
        ensure_eq!(
            consumer.acks().ack(&given),
            0,
            "valid tokens after a seek to {to:?}"
        );
        let open: usize = consumer.assignment().iter().map(|own| own.unfinished).sum();
        ensure_eq!(open, 0, "unfinished events right after a seek to {to:?}");
    }
    Ok(consumer.close().await?)
}

async fn nothing_fetched(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, 300).await?;
    let producer = ctx.producer(&topic).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    for round in 0..5 {
        // The hub has fetched far ahead of this.
        take(&ctx, &mut *consumer, 3, "the first events").await?;
        ctx.within("seek to the end", consumer.seek(Point::End))
            .await??;
        let later = format!("later {round}");
        publish(&ctx, &*producer, vec![named("k", later.clone())]).await?;
        let next = take(&ctx, &mut *consumer, 1, "an event after the end").await?;
        ensure_eq!(
            names(&next),
            [later],
            "the first event after a seek to the end"
        );
        ctx.within("seek to the start", consumer.seek(Point::Start))
            .await??;
        let next = take(&ctx, &mut *consumer, 1, "the first event").await?;
        ensure_eq!(
            names(&next),
            ["0"],
            "the first event after a seek to the start"
        );
    }
    Ok(consumer.close().await?)
}

/// What was fetched while opening is still to come, but for the partition that was moved.
async fn before_the_first(ctx: Context) -> Outcome {
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let events = (0..60).map(|nth| named(&format!("k{nth}"), nth.to_string()));
    publish(&ctx, &*producer, events.collect()).await?;
    let all = read_back(&ctx, &topic).await?;
    let moved = &all[0].partition;
    let mut of_moved = all.iter().filter(|it| it.partition == *moved);
    let (Some(passed), Some(second)) = (of_moved.next(), of_moved.next()) else {
        return Err(Failure::new("60 keys leave a partition of two empty"));
    };
    let due = all.iter().map(name);
    let mut due: Vec<_> = due.filter(|due| *due != name(passed)).collect();
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let to = Point::Positions(vec![(moved.clone(), second.position.clone())]);
    ctx.within("seek", consumer.seek(to)).await??;
    let came = take(&ctx, &mut *consumer, due.len(), "all events from there on").await?;
    let mut came = names(&came);
    came.sort();
    due.sort();
    ensure_eq!(
        came,
        due,
        "what comes after a seek before the first receive"
    );
    Ok(consumer.close().await?)
}

async fn others_stay(ctx: Context) -> Outcome {
    let topic = ctx.topic(2).await?;
    let producer = ctx.producer(&topic).await?;
    let events = (0..60)
        .map(|nth| named(&format!("k{nth}"), nth.to_string()))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    let came = take(&ctx, &mut *consumer, 60, "all events").await?;
    let moved = came[0].partition.clone();
    let to = Point::Positions(vec![(moved.clone(), came[0].position.clone())]);
    let (again, stay): (Vec<_>, Vec<_>) = came.iter().partition(|came| came.partition == moved);
    ensure!(
        !stay.is_empty(),
        "60 keys all stand in one partition of two"
    );
    ctx.within("seek in one partition", consumer.seek(to))
        .await??;
    let kept: Vec<_> = stay.iter().map(|delivery| delivery.token).collect();
    ensure_eq!(
        consumer.acks().ack(&kept),
        kept.len(),
        "valid tokens of the partition that stays"
    );
    let replayed = take(
        &ctx,
        &mut *consumer,
        again.len(),
        "the partition that was moved",
    )
    .await?;
    let due: Vec<_> = again.iter().map(|delivery| name(delivery)).collect();
    ensure_eq!(
        names(&replayed),
        due,
        "what comes after a seek in one partition"
    );
    let events = (0..20)
        .map(|nth| named(&format!("k{nth}"), "after"))
        .collect();
    publish(&ctx, &*producer, events).await?;
    let next = names(&take(&ctx, &mut *consumer, 20, "events after the seek").await?);
    ensure!(
        next.iter().all(|name| name == "after"),
        "old events came again: {next:?}"
    );
    Ok(consumer.close().await?)
}

/// Two members that share four partitions whose events all have come and are committed; the first then
/// seeks to the start. Which lanes come again, those of the first, and all?
async fn seek_of_one(ctx: &Context) -> Outcome<[HashSet<String>; 3]> {
    const PARTITIONS: usize = 4;
    const EVENTS: usize = 80;
    let topic = ctx.topic(PARTITIONS as u32).await?;
    let producer = ctx.producer(&topic).await?;
    let group = ctx.name();
    let events = |name: &'static str| {
        (0..EVENTS)
            .map(move |nth| named(&format!("k{nth}"), name))
            .collect::<Vec<_>>()
    };
    let mut party = Party::new();
    let first = party.join(ctx.consumer(&topic, ctx.member(&group)).await?);
    let second = party.join(ctx.consumer(&topic, ctx.member(&group)).await?);
    party.balance(ctx, PARTITIONS, |_, _| ()).await?;
    let acks = [first, second].map(|nth| party.member(nth).map(|member| member.acks()));
    publish(ctx, &*producer, events("first")).await?;
    let mut came = 0;
    let mut all = HashSet::new();
    let what = "all events at two members";
    party
        .receive_until(ctx, 50, what, |nth, batch, _| {
            came += batch.deliveries.len();
            all.extend(batch.deliveries.iter().map(|it| ctx.lane(it)));
            if let Some(Ok(acks)) = acks.get(nth) {
                acks.ack(&batch.tokens());
            }
            Ok(came >= EVENTS)
        })
        .await?;
    let own: HashSet<String> = party
        .owned()
        .into_iter()
        .filter(|(nth, _)| *nth == first)
        .flat_map(|(_, owned)| owned)
        .map(|own| own.to_string())
        .collect();
    // A seek of one member undoes what the other one has acknowledged and not committed.
    for nth in [first, second] {
        ctx.within("commit before the seek", party.member(nth)?.commit())
            .await??;
    }
    ctx.within(
        "seek of one member",
        party.member(first)?.seek(Point::Start),
    )
    .await??;
    publish(ctx, &*producer, events("second")).await?;
    let (mut again, mut later) = (HashSet::new(), 0);
    party
        .receive_until(ctx, 50, "later events at two members", |_, batch, _| {
            for delivery in &batch.deliveries {
                if name(delivery) == "first" {
                    again.insert(ctx.lane(delivery));
                } else {
                    later += 1;
                }
            }
            Ok(later >= EVENTS)
        })
        .await?;
    party.close(ctx).await?;
    Ok([again, own, all])
}

async fn exclusive(ctx: Context) -> Outcome {
    let [again, own, _] = seek_of_one(&ctx).await?;
    ensure_eq!(
        again,
        own,
        "partitions that came again after a seek of their owner alone"
    );
    Ok(())
}

async fn shared(ctx: Context) -> Outcome {
    let [again, _, all] = seek_of_one(&ctx).await?;
    ensure_eq!(
        again,
        all,
        "lanes that came again after a seek of the group"
    );
    Ok(())
}

/// A member that was away for too long has no partitions; a seek joins the group again before it moves
/// them.
async fn after_max_processing(ctx: Context) -> Outcome {
    let topic = numbered(&ctx, 10).await?;
    let limit = ctx.settings().max_processing;
    let options = ctx.member(&ctx.name()).max_processing(limit);
    let mut consumer = ctx.consumer(&topic, options).await?;
    // Without an ack: but for the seek, all would come again.
    take(&ctx, &mut *consumer, 10, "all events").await?;
    let (away, tick) = (&mut *consumer, ctx.tick());
    let going = async move {
        while !away.assignment().is_empty() {
            sleep(tick).await;
        }
    };
    ctx.within("the partition to go after max_processing", going)
        .await?;
    let sought = ctx.within("seek to the end", consumer.seek(Point::End));
    match sought.await? {
        // The group has let it go in that moment, and it has not moved anything.
        Err(error) if error.kind() == ErrorKind::Fenced => {
            let first = take(&ctx, &mut *consumer, 1, "the first event again").await?;
            ensure_eq!(
                names(&first),
                ["0"],
                "the first event after a seek that failed"
            );
            ctx.within("seek to the end again", consumer.seek(Point::End))
                .await??;
        }
        sought => sought?,
    }
    let producer = ctx.producer(&topic).await?;
    publish(&ctx, &*producer, vec![named("k", "later")]).await?;
    let next = take(&ctx, &mut *consumer, 1, "an event after the seek").await?;
    ensure_eq!(
        names(&next),
        ["later"],
        "the first event after a seek by a member that was away"
    );
    Ok(consumer.close().await?)
}
