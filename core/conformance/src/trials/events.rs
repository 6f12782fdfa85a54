//! E1 to E5: what an event is, and that it comes back as it was sent.

use super::{Trial, trial};
use crate::{
    Context, Outcome,
    failure::{ensure, ensure_eq},
    reading::{name, named, over_time, publish, read_back, take, time_of},
};
use anyhub_core::{ErrorKind, Event, HeaderSupport, Key, Point, Producer, Result};
use bytes::Bytes;
use rand::RngExt;
use std::time::SystemTime;

pub(super) const TRIALS: &[Trial] = &[
    trial!("E1_keys_come_back_as_sent", keys, [5]),
    trial!("E1_a_keyless_event_comes_back_keyless", keyless),
    trial!("E1_an_empty_key_is_invalid", empty_key, [22]),
    trial!("E1_binary_keys_are_carried", binary_keys, [], |can| can
        .binary_keys),
    trial!(
        "E1_binary_keys_are_invalid",
        binary_keys_refused,
        [22],
        |can| !can.binary_keys
    ),
    trial!("E2_payloads_come_back_as_sent", payloads, [5]),
    trial!("E2_tombstones_are_carried", tombstones, [], |can| can
        .tombstones),
    trial!(
        "E2_tombstones_are_unsupported",
        tombstones_refused,
        [22],
        |can| !can.tombstones
    ),
    trial!("E3_headers_come_back_in_order", headers, [5], |can| can
        .headers
        != HeaderSupport::None),
    trial!("E3_any_headers_are_carried", any_headers, [], |can| can
        .headers
        == HeaderSupport::Any),
    trial!(
        "E3_headers_beyond_portable_are_invalid",
        headers_beyond_portable,
        [22],
        |can| { can.headers == HeaderSupport::Portable }
    ),
    trial!("E3_headers_are_unsupported", headers_refused, [22], |can| {
        can.headers == HeaderSupport::None
    }),
    trial!("E4_published_is_the_hubs_clock", published),
    trial!("E4_a_time_is_sought_by_the_hubs_clock", time_sought),
    trial!("E5_one_byte_more_is_too_large", limits, [22]),
    trial!(
        "E5_a_batch_beyond_the_limits_is_too_large",
        batch_limits,
        [22]
    ),
];

/// Publishes the events and expects the same back, whatever their order.
async fn round_trip(ctx: &Context, events: Vec<Event>) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    publish(ctx, &*producer, events.clone()).await?;
    let mut came: Vec<Event> = read_back(ctx, &topic)
        .await?
        .into_iter()
        .map(|delivery| delivery.event)
        .collect();
    for sent in events {
        match came.iter().position(|event| *event == sent) {
            Some(at) => {
                came.swap_remove(at);
            }
            None => ensure!(false, "{sent:?} did not come back; what did: {came:?}"),
        }
    }
    ensure!(came.is_empty(), "came and was never sent: {came:?}");
    Ok(())
}

/// Expects that `submit` refuses each event, and that nothing of them is in the log.
async fn refused(ctx: &Context, events: Vec<Event>, kind: ErrorKind) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    for event in events {
        let what = format!("{event:?}");
        ensure_eq!(
            refusal(ctx, &*producer, vec![event]).await?,
            Some(kind),
            "the answer to {what}"
        );
    }
    publish(ctx, &*producer, vec![named("k", "after")]).await?;
    ensure_eq!(read_back(ctx, &topic).await?.len(), 1, "events in the log");
    Ok(())
}

/// The kind of error with which a batch is refused before anything is sent; None if it is not.
pub(super) async fn refusal(
    ctx: &Context,
    producer: &dyn Producer,
    batch: Vec<Event>,
) -> Outcome<Option<ErrorKind>> {
    let submitted = ctx
        .within("a batch to be refused", producer.submit(batch))
        .await?;
    Ok(submitted.err().map(|error| error.kind()))
}

async fn keys(ctx: Context) -> Outcome {
    let longest: String = "\u{e9}".repeat(128);
    let mut keys = vec![
        "k".to_owned(),
        "k\u{e4}se \u{1f9c0}/\u{2713}".to_owned(),
        " ".to_owned(),
        longest,
    ];
    let mut rng = ctx.rng(1);
    for _ in 0..20 {
        let length = rng.random_range(1..=128);
        let letter = || char::from(rng.random_range(b' '..=b'~'));
        keys.push(std::iter::repeat_with(letter).take(length).collect());
    }
    round_trip(
        &ctx,
        keys.into_iter()
            .map(|key| Event::new("x").with_key(key))
            .collect(),
    )
    .await
}

async fn keyless(ctx: Context) -> Outcome {
    let keyless = (0..20).map(|nth| Event::new(format!("keyless {nth}")));
    round_trip(&ctx, keyless.chain([named("a key", "keyed")]).collect()).await
}

async fn empty_key(ctx: Context) -> Outcome {
    refused(&ctx, vec![named("", "x")], ErrorKind::Invalid).await
}

fn beyond_text() -> Vec<Key> {
    vec![
        Key::from(Bytes::from_static(&[0xff, 0, 0x80])),
        Key::from("x".repeat(129)),
    ]
}

async fn binary_keys(ctx: Context) -> Outcome {
    let keys = beyond_text().into_iter();
    round_trip(
        &ctx,
        keys.map(|key| Event::new("x").with_key(key)).collect(),
    )
    .await
}

async fn binary_keys_refused(ctx: Context) -> Outcome {
    let keys = beyond_text().into_iter();
    let events = keys.map(|key| Event::new("x").with_key(key)).collect();
    refused(&ctx, events, ErrorKind::Invalid).await
}

async fn payloads(ctx: Context) -> Outcome {
    let mut rng = ctx.rng(2);
    let every_byte: Vec<u8> = (0..=255).collect();
    let mut payloads = vec![Vec::new(), vec![0], every_byte];
    for length in [1, 100, 1_000, 64 << 10] {
        payloads.push((0..length).map(|_| rng.random()).collect());
    }
    let keyed = payloads
        .iter()
        .map(|payload| Event::new(payload.clone()).with_key("k"));
    let keyless = payloads.iter().map(|payload| Event::new(payload.clone()));
    round_trip(&ctx, keyed.chain(keyless).collect()).await
}

async fn tombstones(ctx: Context) -> Outcome {
    let empty = Event::new("").with_key("empty, and no tombstone");
    round_trip(&ctx, vec![Event::tombstone("gone"), empty]).await
}

async fn tombstones_refused(ctx: Context) -> Outcome {
    refused(&ctx, vec![Event::tombstone("gone")], ErrorKind::Unsupported).await
}

async fn headers(ctx: Context) -> Outcome {
    let longest = Event::new("longest").with_header("n".repeat(256), "v".repeat(1_024));
    let ordered = Event::new("ordered")
        .with_header("zebra", "1")
        .with_header("apple", "")
        .with_header("mango", "k\u{e4}se");
    let mut many = Event::new("many");
    for nth in 0..20 {
        many = many.with_header(format!("h{}", (nth * 7) % 20), format!("{nth}"));
    }
    round_trip(&ctx, vec![longest, ordered, many, named("k", "none")]).await
}

async fn any_headers(ctx: Context) -> Outcome {
    let event = Event::new("any")
        .with_header("twice", "1")
        .with_header("between", Bytes::from_static(&[0xff, 0, 0x80]))
        .with_header("twice", "2")
        .with_header("goog-like", "v".repeat(1_025))
        .with_header("n".repeat(257), "");
    round_trip(&ctx, vec![event]).await
}

async fn headers_beyond_portable(ctx: Context) -> Outcome {
    let event = || Event::new("x");
    let beyond = vec![
        event().with_header("twice", "1").with_header("twice", "2"),
        event().with_header("n".repeat(257), ""),
        event().with_header("goog-like", "v"),
        event().with_header("long", "v".repeat(1_025)),
        event().with_header("binary", Bytes::from_static(&[0xff])),
    ];
    refused(&ctx, beyond, ErrorKind::Invalid).await
}

async fn headers_refused(ctx: Context) -> Outcome {
    refused(
        &ctx,
        vec![Event::new("x").with_header("lang", "en")],
        ErrorKind::Unsupported,
    )
    .await
}

async fn published(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    let slack = ctx.settings().clock_slack;
    let before = SystemTime::now() - slack;
    let events = (0..50).map(|nth| named("k", nth.to_string())).collect();
    publish(&ctx, &*producer, events).await?;
    let after = SystemTime::now() + slack;
    let mut last = before;
    for delivery in read_back(&ctx, &topic).await? {
        let at = time_of(&delivery)?;
        ensure!(at >= last, "published {at:?} after an event of {last:?}");
        ensure!(
            at <= after,
            "published {at:?}, but it was read at {after:?}, slack included"
        );
        last = at;
    }
    Ok(())
}

async fn time_sought(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let (all, later) = over_time(&ctx, &topic).await?;
    let mut consumer = ctx.consumer(&topic, ctx.member(&ctx.name())).await?;
    take(&ctx, &mut *consumer, all.len(), "all events").await?;
    for wanted in [later, 0, all.len() - 1] {
        let time = time_of(&all[wanted])?;
        let due = all
            .iter()
            .position(|delivery| delivery.published >= Some(time));
        let due = due.map(|at| name(&all[at])).unwrap_or_default();
        ctx.within("seek to a time", consumer.seek(Point::Time(time)))
            .await??;
        let first = take(&ctx, &mut *consumer, 1, "the first event of a time").await?;
        ensure_eq!(name(&first[0]), due, "the first event at or after {time:?}");
    }
    Ok(consumer.close().await?)
}

async fn limits(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    let most = producer.limits().event_bytes;
    ensure!(
        most <= 64 << 20,
        "a limit of {most} bytes for one event is none"
    );
    // The key counts too.
    let sized = |bytes: usize| Event::new(vec![7; bytes - 1]).with_key("k");
    ensure_eq!(
        refusal(&ctx, &*producer, vec![sized(most + 1)]).await?,
        Some(ErrorKind::TooLarge),
        "the answer to {} bytes, one more than the limit",
        most + 1
    );
    publish(&ctx, &*producer, vec![sized(most)]).await?;
    let log = read_back(&ctx, &topic).await?;
    let sizes: Vec<_> = log.iter().map(|delivery| delivery.event.size()).collect();
    ensure_eq!(sizes, [most], "sizes of the events in the log");
    Ok(())
}

async fn batch_limits(ctx: Context) -> Outcome {
    let topic = ctx.topic(1).await?;
    let producer = ctx.producer(&topic).await?;
    let limits = producer.limits();
    let kind = |answer: Result<_>| answer.err().map(|error: anyhub_core::Error| error.kind());
    // The payload is shared, so a large batch costs little to make.
    if limits.batch_events < 2_000_000 {
        let batch = vec![Event::new("x"); limits.batch_events + 1];
        let answer = ctx.within("submit", producer.submit(batch)).await?;
        ensure_eq!(
            kind(answer.map(drop)),
            Some(ErrorKind::TooLarge),
            "one event too many"
        );
    }
    let event = Event::new(vec![7; limits.event_bytes.min(1 << 20)]);
    let events = limits.batch_bytes / event.size() + 1;
    if events <= limits.batch_events && events < 2_000_000 {
        let answer = ctx
            .within("submit", producer.submit(vec![event; events]))
            .await?;
        ensure_eq!(
            kind(answer.map(drop)),
            Some(ErrorKind::TooLarge),
            "a batch of too many bytes"
        );
    }
    publish(&ctx, &*producer, vec![named("k", "after")]).await?;
    ensure_eq!(read_back(&ctx, &topic).await?.len(), 1, "events in the log");
    Ok(())
}
