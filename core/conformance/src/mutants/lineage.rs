//! C11, on a model of a hub that keeps key order across a resize: what was written before it is
//! acked before anything written after it is delivered. The model knows one consumer at a time.

use super::{
    Mutant,
    layer::{AdminFault, Fault, Faulty, ReadFault, lock},
};
use anyhub_core::{
    AckToken, Acks, Admin, Batch, Consumer, Delivery, Hub, Partition, Resized, Result,
    driver::AckSink,
};
use async_trait::async_trait;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

pub(super) const MUTANTS: &[Mutant] = &[Mutant::new(
    "a_parent_is_skipped",
    "C11_children_wait_for_their_parents",
    "lineage",
    || {
        // The answer is that of a hub with lineage, without the wait.
        Fault::none()
            .capabilities(|mut capabilities| {
                capabilities.order_across_resize = true;
                capabilities
            })
            .admin(Resizing(Arc::default()))
    },
)
.breaks(&[8, 16])
.instead_of(with_lineage)];

/// The hub with lineage.
fn with_lineage(hub: Arc<dyn Hub>) -> Arc<dyn Hub> {
    let resize = Arc::new(Mutex::new(Ends::default()));
    let shared = resize.clone();
    let fault = Fault::none()
        .capabilities(|mut capabilities| {
            capabilities.order_across_resize = true;
            capabilities
        })
        .admin(Resizing(resize))
        .read(move |_| Box::new(Lineage::new(shared.clone())));
    Arc::new(Faulty::new(hub, fault, 0))
}

/// Where each partition ended when the topic was resized.
type Ends = Option<HashMap<Partition, i64>>;

/// Notes where the parents end, and says that key order is kept.
#[derive(Debug)]
struct Resizing(Arc<Mutex<Ends>>);

#[async_trait]
impl AdminFault for Resizing {
    async fn resize(&self, inner: &dyn Admin, topic: &str, partitions: u32) -> Result<Resized> {
        let info = inner.describe_topic(topic).await?;
        let ends = info.partitions.into_iter();
        let ends = ends.filter_map(|info| Some((info.partition, info.next?.as_offset()?)));
        *lock(&self.0) = Some(ends.collect());
        inner.set_partitions(topic, partitions).await?;
        Ok(Resized::new(true))
    }
}

#[derive(Debug)]
struct Lineage {
    ends: Arc<Mutex<Ends>>,
    /// Deliveries from after the resize.
    held: Vec<Delivery>,
    /// What of before the resize is not acked.
    open: Arc<Open>,
}

#[derive(Debug, Default)]
struct Open {
    tokens: Mutex<HashSet<AckToken>>,
    acked: Notify,
}

impl Lineage {
    fn new(ends: Arc<Mutex<Ends>>) -> Self {
        Self {
            ends,
            held: Vec::new(),
            open: Arc::default(),
        }
    }

    /// Keeps children back; parents, or all where there was no resize, pass.
    fn hold(&mut self, batch: &mut Batch) {
        let ends = lock(&self.ends);
        for delivery in std::mem::take(&mut batch.deliveries) {
            let end = ends
                .as_ref()
                .map(|ends| ends.get(&delivery.partition).copied());
            let child =
                end.is_some_and(|end| delivery.position.as_offset() >= Some(end.unwrap_or(0)));
            if child {
                self.held.push(delivery);
            } else {
                lock(&self.open.tokens).insert(delivery.token);
                batch.deliveries.push(delivery);
            }
        }
    }
}

#[async_trait]
impl ReadFault for Lineage {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        let open = self.open.clone();
        loop {
            if !self.held.is_empty() && lock(&open.tokens).is_empty() {
                let mut batch = Batch::new();
                let some = max.min(self.held.len());
                batch.deliveries.extend(self.held.drain(..some));
                return Ok(batch);
            }
            tokio::select! {
                batch = inner.receive(max) => {
                    let mut batch = batch?;
                    self.hold(&mut batch);
                    if !batch.is_empty() {
                        return Ok(batch);
                    }
                }
                () = open.acked.notified() => {}
            }
        }
    }

    fn acks(&self, inner: Acks) -> Acks {
        Acks::new(Arc::new(Counting(inner, self.open.clone())))
    }
}

#[derive(Debug)]
struct Counting(Acks, Arc<Open>);

impl AckSink for Counting {
    fn ack(&self, tokens: &[AckToken]) -> usize {
        let mut open = lock(&self.1.tokens);
        tokens.iter().for_each(|token| {
            open.remove(token);
        });
        self.1.acked.notify_one();
        self.0.ack(tokens)
    }

    fn nack(&self, tokens: &[AckToken]) -> usize {
        self.0.nack(tokens)
    }
}
