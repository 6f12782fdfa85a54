use super::{
    layer::{AdminFault, Fault, Faulty, ReadFault},
    portable::{Refuse, Refusing},
    shared::with_one_cursor,
};
use crate::reading::Holding;
use anyhub_core::{
    Admin, Assignment, Batch, Capabilities, Change, Consumer, Hub, OwnedPartition, Partition,
    PartitionInfo, PartitionLag, Position, Resized, Result, Retention, TopicConfig, TopicInfo,
};
use async_trait::async_trait;
use std::{slice, sync::Arc, time::SystemTime};

/// A hub with partitions, seen as one without: a topic is one, which all members of a group have at
/// once; keys are what is in order, and what goes from one member to another; a group has one cursor,
/// which a seek of any member moves (the others go along at their next receive); positions are told by
/// deliveries alone. Beneath, a topic has so many partitions that hardly two keys of a trial share one.
/// So the trials have such a hub to pass on, and the mutants one to fail on.
pub fn unpartitioned(hub: Arc<dyn Hub>) -> Arc<dyn Hub> {
    one_partition(with_one_cursor(hub))
}

/// The same with a cursor for each member.
pub(super) fn one_partition(hub: Arc<dyn Hub>) -> Arc<dyn Hub> {
    let fault = Fault::none()
        .capabilities(|_| capabilities())
        .write(|site| Box::new(Refusing::untold(site, capabilities())))
        .read(|_| Box::new(Sharing::default()))
        .admin(Topic(Refuse(hub.name())));
    Arc::new(Faulty::new(hub, fault, 0))
}

fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::portable();
    capabilities.assignment = Assignment::Shared;
    capabilities.order_across_resize = true;
    capabilities
}

/// What there is for all to see.
const PARTITION: Partition = Partition::number(0);
/// Partitions beneath.
const BENEATH: u32 = 1_024;

/// In order within its key.
fn position(beneath: &Partition, at: &Position) -> Position {
    let partition = i64::from(beneath.as_number().unwrap_or_default());
    Position::offset(at.as_offset().unwrap_or_default() * i64::from(BENEATH) + partition)
}

/// A member has the topic as long as it has any partition beneath.
#[derive(Debug, Default)]
struct Sharing(Holding);

impl Sharing {
    fn seen(&mut self, change: Change) -> Option<Change> {
        let before = self.0.is_any();
        self.0.follow(slice::from_ref(&change));
        match (change, before, self.0.is_any()) {
            (Change::Assigned(_), false, true) => Some(Change::Assigned(vec![PARTITION])),
            (Change::Revoked(_), true, false) => Some(Change::Revoked(vec![PARTITION])),
            (Change::Lost(_), true, false) => Some(Change::Lost(vec![PARTITION])),
            _ => None,
        }
    }
}

#[async_trait]
impl ReadFault for Sharing {
    fn batch(&mut self, _: &mut Box<dyn Consumer>, batch: &mut Batch) {
        let beneath = std::mem::take(&mut batch.changes).into_iter();
        batch.changes = beneath.filter_map(|change| self.seen(change)).collect();
        for delivery in &mut batch.deliveries {
            delivery.position = position(&delivery.partition, &delivery.position);
            delivery.partition = PARTITION;
        }
    }

    fn assignment(&self, inner: &dyn Consumer) -> Vec<OwnedPartition> {
        let beneath = inner.assignment();
        let oldest = beneath
            .iter()
            .filter_map(|own| Some(position(&own.partition, own.oldest_unacked.as_ref()?)))
            .min_by(Position::cmp_in_partition);
        let unfinished = beneath.iter().map(|own| own.unfinished).sum();
        let one = OwnedPartition::new(PARTITION, oldest, unfinished);
        (!beneath.is_empty()).then_some(one).into_iter().collect()
    }
}

#[derive(Debug)]
struct Topic(Refuse);

#[async_trait]
impl AdminFault for Topic {
    fn create(&self, topic: TopicConfig) -> Result<TopicConfig> {
        let beneath = topic.partitions.min(1) * BENEATH;
        Ok(self.0.create(topic)?.partitions(beneath))
    }

    fn info(&self, mut info: TopicInfo) -> TopicInfo {
        info.partitions = vec![PartitionInfo::new(PARTITION, None, None)];
        info
    }

    async fn resize(&self, inner: &dyn Admin, topic: &str, partitions: u32) -> Result<Resized> {
        self.0.resize(inner, topic, partitions).await
    }

    fn lag(&self, _: Vec<PartitionLag>) -> Vec<PartitionLag> {
        vec![PartitionLag::new(PARTITION, None)]
    }

    async fn set_retention(&self, inner: &dyn Admin, topic: &str, to: &Retention) -> Result<()> {
        self.0.set_retention(inner, topic, to).await
    }

    async fn positions_at(
        &self,
        _: &dyn Admin,
        _: &str,
        _: SystemTime,
    ) -> Result<Vec<(Partition, Position)>> {
        Err(self
            .0
            .unsupported("positions_at", "this hub tells no positions"))
    }
}
