//! E1 to E5: events that do not come back as they were.

use super::{
    Mutant,
    hooks::{Each, OnBatch},
    layer::{Fault, ReadFault, WriteFault},
    portable::{portable, without_headers},
};
use anyhub_core::{Consumer, Event, Key, Limits, Point, Producer, Result};
use async_trait::async_trait;
use bytes::Bytes;
use rand::RngExt;
use std::time::Duration;

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::new(
        "keys_are_cut",
        "E1_keys_come_back_as_sent",
        "did not come back",
        || {
            submit_each(|event| {
                let cut: Option<String> = event
                    .key
                    .as_ref()
                    .map(|key| text(key).chars().take(64).collect());
                match cut {
                    Some(cut) => event.with_key(cut),
                    None => event,
                }
            })
        },
    )
    .breaks(&[5]),
    Mutant::new(
        "a_keyless_event_gets_a_key",
        "E1_a_keyless_event_comes_back_keyless",
        "did not come back",
        || {
            submit_each(|event| match event.key {
                None => event.with_key("made up"),
                Some(_) => event,
            })
        },
    ),
    Mutant::new(
        "an_empty_key_becomes_none",
        "E1_an_empty_key_is_invalid",
        "the answer to",
        || submit_each(without_empty_key),
    )
    .breaks(&[22]),
    Mutant::new(
        "binary_keys_become_text",
        "E1_binary_keys_are_carried",
        "did not come back",
        || submit_each(with_text_key),
    ),
    Mutant::new(
        "undeclared_binary_keys_become_text",
        "E1_binary_keys_are_invalid",
        "the answer to",
        || submit_each(with_text_key),
    )
    .on(portable),
    Mutant::new(
        "an_empty_payload_gets_a_byte",
        "E2_payloads_come_back_as_sent",
        "did not come back",
        || {
            submit_each(|mut event| {
                if event.payload.is_empty() && !event.is_tombstone() {
                    event.payload = Bytes::from_static(b" ");
                }
                event
            })
        },
    )
    .breaks(&[5]),
    Mutant::new(
        "a_tombstone_becomes_empty",
        "E2_tombstones_are_carried",
        "did not come back",
        || submit_each(without_tombstone),
    ),
    Mutant::new(
        "undeclared_tombstones_become_empty",
        "E2_tombstones_are_unsupported",
        "the answer to",
        || submit_each(without_tombstone),
    )
    .on(portable),
    Mutant::new(
        "headers_are_dropped",
        "E3_headers_come_back_in_order",
        "did not come back",
        || submit_each(dropped_headers),
    )
    .breaks(&[5]),
    Mutant::new(
        "headers_are_sorted",
        "E3_headers_come_back_in_order",
        "did not come back",
        || {
            submit_each(|mut event| {
                event
                    .headers
                    .sort_by(|one, other| one.name().cmp(other.name()));
                event
            })
        },
    ),
    Mutant::new(
        "repeated_headers_collapse",
        "E3_any_headers_are_carried",
        "did not come back",
        || {
            submit_each(|mut event| {
                let mut seen = std::collections::HashSet::new();
                event
                    .headers
                    .retain(|header| seen.insert(header.name().to_owned()));
                event
            })
        },
    ),
    Mutant::new(
        "headers_beyond_portable_are_dropped",
        "E3_headers_beyond_portable_are_invalid",
        "the answer to",
        || submit_each(dropped_headers),
    )
    .on(portable),
    Mutant::new(
        "undeclared_headers_are_dropped",
        "E3_headers_are_unsupported",
        "the answer to",
        || submit_each(dropped_headers),
    )
    .on(without_headers),
    Mutant::new(
        "published_is_an_hour_early",
        "E4_published_is_the_hubs_clock",
        "published",
        || {
            Fault::none().read(|site| {
                OnBatch::boxed(site, |batch, _, _| {
                    for delivery in &mut batch.deliveries {
                        let hour = Duration::from_secs(3_600);
                        delivery.published = delivery.published.map(|at| at - hour);
                    }
                })
            })
        },
    ),
    Mutant::new(
        "a_seek_to_a_time_goes_to_the_start",
        "E4_a_time_is_sought_by_the_hubs_clock",
        "the first event at or after",
        || Fault::none().read(|_| Box::new(TimeIsStart)),
    ),
    Mutant::new(
        "the_event_limit_is_one_byte_off",
        "E5_one_byte_more_is_too_large",
        "the answer to",
        || Fault::none().write(|_| Box::new(LimitsOff(1, 0))),
    )
    .breaks(&[22]),
    Mutant::new(
        "the_batch_limit_is_one_event_off",
        "E5_a_batch_beyond_the_limits_is_too_large",
        "one event too many",
        || Fault::none().write(|_| Box::new(LimitsOff(0, 1))),
    ),
    Mutant::new(
        "a_bit_flips",
        "Checks_01_to_11_every_event_is_delivered_once_in_order",
        "corrupt",
        || {
            Fault::none().read(|site| {
                OnBatch::boxed(site, |batch, _, rng| {
                    for delivery in &mut batch.deliveries {
                        if rng.random_ratio(1, 200) {
                            let mut bytes = delivery.event.payload.to_vec();
                            let bit = rng.random_range(0..bytes.len() * 8);
                            bytes[bit / 8] ^= 1 << (bit % 8);
                            delivery.event.payload = bytes.into();
                        }
                    }
                })
            })
        },
    )
    .breaks(&[5]),
];

fn submit_each(change: fn(Event) -> Event) -> Fault {
    Fault::none().write(move |_| Box::new(Each(change)))
}

fn text(key: &Key) -> String {
    String::from_utf8_lossy(key.as_bytes()).into_owned()
}

fn with_text_key(event: Event) -> Event {
    match event.key.as_ref().map(text) {
        Some(key) => event.with_key(key.chars().take(128).collect::<String>()),
        None => event,
    }
}

fn without_empty_key(mut event: Event) -> Event {
    event.key = event.key.filter(|key| !key.as_bytes().is_empty());
    event
}

fn without_tombstone(event: Event) -> Event {
    match (&event.key, event.is_tombstone()) {
        (Some(key), true) => Event::new("").with_key(key.clone()),
        _ => event,
    }
}

fn dropped_headers(mut event: Event) -> Event {
    event.headers.clear();
    event
}

#[derive(Debug)]
struct TimeIsStart;

#[async_trait]
impl ReadFault for TimeIsStart {
    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        inner
            .seek(if matches!(to, Point::Time(_)) {
                Point::Start
            } else {
                to
            })
            .await
    }
}

/// Tells limits below those that are kept.
#[derive(Debug)]
struct LimitsOff(usize, usize);

#[async_trait]
impl WriteFault for LimitsOff {
    fn limits(&self, inner: &dyn Producer) -> Limits {
        let kept = inner.limits();
        let Self(bytes, events) = self;
        Limits::new(
            kept.event_bytes - bytes,
            kept.batch_events - events,
            kept.batch_bytes,
        )
    }
}
