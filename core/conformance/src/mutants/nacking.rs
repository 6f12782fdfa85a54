//! C5 and C6: nacks, redelivery and the order of a key.

use super::{
    Mutant,
    hooks::OnBatch,
    layer::{Fault, ReadFault, lock},
};
use anyhub_core::{
    AckToken, Acks, Batch, Consumer, Delivery, Key, Position, Result, driver::AckSink,
};
use async_trait::async_trait;
use rand::RngExt;
use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;

const NACKS: &str = "C6_key_order_holds_under_random_nacks";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::new(
        "a_nack_brings_its_event_alone",
        "C5_nack_rewinds_its_key",
        "the rewound key",
        || Fault::none().read(|_| Box::new(Alone::default())),
    )
    .breaks(&[9]),
    Mutant::new("a_nacked_event_is_overtaken", NACKS, "gap", || {
        Fault::none().read(|_| Box::new(Overtaken::default()))
    })
    .breaks(&[9]),
    Mutant::new(
        "a_nack_stops_everything",
        "C5_other_keys_go_on",
        "a nacked",
        || Fault::none().read(|_| Box::new(StopsAtNack::default())),
    )
    .breaks(&[17]),
    Mutant::new(
        "a_keyless_nack_rewinds_all",
        "C5_a_keyless_event_comes_again_alone",
        "valid tokens of the other keyless",
        || Fault::none().read(|_| Box::new(RewindsAll::default())),
    )
    .breaks(&[7]),
    Mutant::new(
        "attempts_do_not_count",
        "C5_attempts_count",
        "the attempt",
        || {
            Fault::none().read(|site| {
                OnBatch::boxed(site, |batch, _, _| {
                    for delivery in &mut batch.deliveries {
                        delivery.attempt = NonZeroU32::MIN;
                    }
                })
            })
        },
    ),
    Mutant::new(
        "the_nack_delay_is_ignored",
        "C5_the_delay_doubles",
        "before its delay",
        || {
            Fault::none()
                .consumer_options(|options| options.nack_delay(Duration::ZERO, Duration::ZERO))
        },
    ),
    Mutant::new(
        "a_nack_is_an_ack",
        "C5_a_nacked_event_is_not_committed",
        "where the group resumes",
        || Fault::none().read(|_| Box::new(NackIsAck)),
    )
    .breaks(&[12]),
    Mutant::new("two_deliveries_swap", NACKS, "order", || {
        Fault::none().read(|site| OnBatch::boxed(site, |batch, _, _| swap(&mut batch.deliveries)))
    })
    .breaks(&[8]),
    Mutant::new(
        "a_delivery_comes_twice",
        NACKS,
        "redelivered without a cause",
        || {
            Fault::none().read(|site| {
                OnBatch::boxed(site, |batch, _, rng| {
                    let fresh: Vec<_> = batch
                        .deliveries
                        .iter()
                        .filter(|delivery| delivery.attempt.get() == 1)
                        .filter(|_| rng.random_ratio(1, 10))
                        .cloned()
                        .collect();
                    batch.deliveries.extend(fresh);
                })
            })
        },
    )
    .breaks(&[7]),
    Mutant::new(
        "an_event_is_passed_over",
        "Checks_01_to_11_every_event_is_delivered_once_in_order",
        "gap",
        || {
            Fault::none().read(|site| {
                OnBatch::boxed(site, |batch, acks, rng| {
                    batch.deliveries.retain(|delivery| {
                        let skip = rng.random_ratio(1, 200);
                        if skip {
                            acks.ack(&[delivery.token]);
                        }
                        !skip
                    });
                })
            })
        },
    )
    .breaks(&[1, 2, 10]),
    Mutant::new(
        "for_each_keyed_out_of_order",
        "C6_for_each_keyed_keeps_each_key_in_order",
        "overtook",
        || {
            Fault::none()
                .read(|site| OnBatch::boxed(site, |batch, _, _| swap(&mut batch.deliveries)))
        },
    )
    .breaks(&[8]),
];

/// Swaps the first two deliveries of one key.
fn swap(deliveries: &mut [Delivery]) {
    for first in 0..deliveries.len() {
        let key = &deliveries[first].event.key;
        let same = |other: &usize| key.is_some() && deliveries[*other].event.key == *key;
        let later = first + 1..deliveries.len();
        if let Some(second) = later.into_iter().find(same) {
            deliveries.swap(first, second);
            return;
        }
    }
}

/// A nacked event comes again by itself, after what was behind it.
#[derive(Debug, Default)]
struct Overtaken(Arc<Mutex<Again>>);

#[derive(Debug, Default)]
struct Again {
    given: HashMap<AckToken, Delivery>,
    due: Vec<Delivery>,
}

#[derive(Debug)]
struct Keeps(Acks, Arc<Mutex<Again>>);

impl AckSink for Keeps {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        self.0.ack(tokens)
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        let mut again = lock(&self.1);
        for token in tokens {
            if let Some(mut delivery) = again.given.get(token).cloned() {
                delivery.attempt = delivery.attempt.saturating_add(1);
                again.due.push(delivery);
            }
        }
        tokens.len()
    }
}

#[async_trait]
impl ReadFault for Overtaken {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        let mut batch = match timeout(Duration::from_millis(5), inner.receive(max)).await {
            Ok(batch) => batch?,
            Err(_) if lock(&self.0).due.is_empty() => inner.receive(max).await?,
            Err(_) => Batch::new(),
        };
        let mut again = lock(&self.0);
        let due = std::mem::take(&mut again.due);
        batch.deliveries.extend(due);
        for delivery in &batch.deliveries {
            again.given.insert(delivery.token, delivery.clone());
        }
        Ok(batch)
    }

    fn acks(&self, inner: Acks) -> Acks {
        Acks::new(Arc::new(Keeps(inner, self.0.clone())))
    }
}

/// Of what a nack takes back, only its own event comes again.
#[derive(Debug, Default)]
struct Alone(Arc<Mutex<Rewound>>);

#[derive(Debug, Default)]
struct Rewound {
    given: HashMap<AckToken, Position>,
    nacked: HashSet<Position>,
}

#[derive(Debug)]
struct NotesNacks(Acks, Arc<Mutex<Rewound>>);

impl AckSink for NotesNacks {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        self.0.ack(tokens)
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        let mut rewound = lock(&self.1);
        for token in tokens {
            let at = rewound.given.get(token).cloned();
            rewound.nacked.extend(at);
        }
        self.0.nack(tokens)
    }
}

#[async_trait]
impl ReadFault for Alone {
    fn batch(&mut self, inner: &mut Box<dyn Consumer>, batch: &mut Batch) {
        let (acks, mut rewound) = (inner.acks(), lock(&self.0));
        batch.deliveries.retain(|delivery| {
            rewound
                .given
                .insert(delivery.token, delivery.position.clone());
            let comes = delivery.attempt.get() == 1 || rewound.nacked.contains(&delivery.position);
            if !comes {
                acks.ack(&[delivery.token]);
            }
            comes
        });
    }

    fn acks(&self, inner: Acks) -> Acks {
        Acks::new(Arc::new(NotesNacks(inner, self.0.clone())))
    }
}

/// After a nack nothing comes until its event is back.
#[derive(Debug, Default)]
struct StopsAtNack(Arc<Mutex<bool>>, Vec<Delivery>);

#[derive(Debug)]
struct Stops(Acks, Arc<Mutex<bool>>);

impl AckSink for Stops {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        self.0.ack(tokens)
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        *lock(&self.1) = true;
        self.0.nack(tokens)
    }
}

#[async_trait]
impl ReadFault for StopsAtNack {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        loop {
            let mut batch = inner.receive(max).await?;
            if !*lock(&self.0) {
                return Ok(batch);
            }
            let back = batch
                .deliveries
                .iter()
                .any(|delivery| delivery.attempt.get() > 1);
            self.1.append(&mut batch.deliveries);
            if back {
                *lock(&self.0) = false;
                batch.deliveries = std::mem::take(&mut self.1);
                return Ok(batch);
            }
        }
    }

    fn acks(&self, inner: Acks) -> Acks {
        Acks::new(Arc::new(Stops(inner, self.0.clone())))
    }
}

/// A nack of a keyless event takes all other open ones back too.
#[derive(Debug, Default)]
struct RewindsAll(Arc<Mutex<Given>>);

type Given = Vec<(Option<Key>, AckToken)>;

#[derive(Debug)]
struct NacksAll(Acks, Arc<Mutex<Given>>);

impl AckSink for NacksAll {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        self.0.ack(tokens)
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        let all = lock(&self.1);
        let keyless: Vec<_> = all
            .iter()
            .filter(|(key, _)| key.is_none())
            .map(|(_, token)| *token)
            .collect();
        self.0.nack(&keyless);
        tokens.len()
    }
}

#[async_trait]
impl ReadFault for RewindsAll {
    fn batch(&mut self, _: &mut Box<dyn Consumer>, batch: &mut Batch) {
        let given = batch.deliveries.iter();
        lock(&self.0).extend(given.map(|delivery| (delivery.event.key.clone(), delivery.token)));
    }

    fn acks(&self, inner: Acks) -> Acks {
        Acks::new(Arc::new(NacksAll(inner, self.0.clone())))
    }
}

#[derive(Debug)]
struct NackIsAck;

#[derive(Debug)]
struct AcksNacks(Acks);

impl AckSink for AcksNacks {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        self.0.ack(tokens)
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        self.0.ack(tokens)
    }
}

#[async_trait]
impl ReadFault for NackIsAck {
    fn acks(&self, inner: Acks) -> Acks {
        Acks::new(Arc::new(AcksNacks(inner)))
    }
}
