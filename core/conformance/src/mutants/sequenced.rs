use super::{
    layer::{AdminFault, Fault, Faulty, ReadFault},
    portable::{Refuse, Refusing},
};
use anyhub_core::{
    Admin, Batch, Capabilities, Change, Consumer, Hub, OwnedPartition, Partition, PartitionLag,
    Point, Position, Result, Retention, TopicConfig, TopicInfo,
};
use async_trait::async_trait;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A hub that counts, seen as one with shards: partitions have names; positions are numbers with gaps
/// between, for records of several events; a group resumes right behind what it has finished; where
/// the next event will stand is not told, nor the lag in events; the clock shows whole seconds. So the
/// trials have such a hub to pass on, and the mutants one to fail on.
pub fn sequenced(hub: Arc<dyn Hub>) -> Arc<dyn Hub> {
    let name = hub.name();
    let refusing = Refusing::new(name, capabilities(hub.capabilities()), |mut receipt| {
        receipt.partition = receipt.partition.as_ref().map(shard);
        receipt.position = receipt.position.as_ref().map(own);
        receipt
    });
    let fault = Fault::none()
        .capabilities(capabilities)
        .consumer_options(|mut options| {
            options.start = counted(options.start);
            options
        })
        .write(move |_| Box::new(refusing.clone()))
        .read(|_| Box::new(Shards))
        .admin(Stream(Refuse(name)));
    Arc::new(Faulty::new(hub, fault, 0))
}

fn capabilities(inner: Capabilities) -> Capabilities {
    let mut capabilities = Capabilities::portable();
    capabilities.headers = anyhub_core::HeaderSupport::None;
    capabilities.positions = inner.positions;
    capabilities.receipts = inner.receipts;
    capabilities.resize = inner.resize;
    capabilities.overtaken = inner.overtaken;
    capabilities
}

const SHARD: &str = "shardId-";

fn shard(partition: &Partition) -> Partition {
    Partition::named(format!("{SHARD}{:0>12}", partition.to_string()))
}

fn number(shard: &Partition) -> Partition {
    let name = shard.as_name().and_then(|name| name.strip_prefix(SHARD));
    let number = name.and_then(|name| name.parse().ok());
    number.map_or_else(|| shard.clone(), Partition::number)
}

/// What every sequence number begins with; 22 digits follow.
const EPOCH: &str = "4959033827149025660855969253836157";
/// From one record's number to the next one's; the first record's is this.
const STEP: i64 = 1_009;
/// Events of a record.
const EVENTS: i64 = 3;

/// The position of the event at this offset.
fn own(offset: &Position) -> Position {
    let at = offset.as_offset().unwrap_or_default();
    numbered((at / EVENTS + 1) * STEP, at % EVENTS)
}

/// Where reading begins with the event at this offset: right behind the one before.
fn behind(offset: &Position) -> Position {
    match offset.as_offset() {
        Some(at) if at > 0 => own(&Position::offset(at - 1)).after(),
        _ => numbered(0, 0),
    }
}

fn numbered(number: i64, index: i64) -> Position {
    let text = format!("{EPOCH}{number:022}.{index}");
    text.parse().unwrap_or(Position::offset(number))
}

/// The offset with which reading from `at` begins.
fn offset(at: &Position) -> Position {
    let Some(sequence) = at.as_sequence() else {
        return at.clone();
    };
    // What this layer never gave stands behind everything.
    let digits = sequence.number();
    let number = digits
        .strip_prefix(EPOCH)
        .and_then(|rest| rest.parse().ok());
    let number = number.unwrap_or(i64::MAX / EVENTS);
    let event = i64::from(sequence.index()) + i64::from(sequence.is_after());
    Position::offset(((number / STEP - 1) * EVENTS + event).max(0))
}

fn counted(point: Point) -> Point {
    match point {
        Point::Positions(named) => Point::Positions(
            named
                .iter()
                .map(|(shard, at)| (number(shard), offset(at)))
                .collect(),
        ),
        Point::Time(time) => Point::Time(second_from(time)),
        point => point,
    }
}

/// The second that has begun.
fn second_of(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// From when on [`second_of`] is not before `time`.
fn second_from(time: SystemTime) -> SystemTime {
    match second_of(time) {
        second if second < time => second + Duration::from_secs(1),
        second => second,
    }
}

#[derive(Debug)]
struct Shards;

#[async_trait]
impl ReadFault for Shards {
    fn batch(&mut self, _: &mut Box<dyn Consumer>, batch: &mut Batch) {
        for change in &mut batch.changes {
            match change {
                Change::Assigned(all) | Change::Revoked(all) | Change::Lost(all) => {
                    all.iter_mut()
                        .for_each(|partition| *partition = shard(partition));
                }
                Change::Overtaken {
                    partition,
                    from,
                    to,
                } => {
                    (*partition, *from, *to) = (shard(partition), behind(from), own(to));
                }
                _ => {}
            }
        }
        for delivery in &mut batch.deliveries {
            delivery.partition = shard(&delivery.partition);
            delivery.position = own(&delivery.position);
            delivery.published = delivery.published.map(second_of);
        }
    }

    async fn seek(&mut self, inner: &mut Box<dyn Consumer>, to: Point) -> Result<()> {
        inner.seek(counted(to)).await
    }

    fn assignment(&self, inner: &dyn Consumer) -> Vec<OwnedPartition> {
        let mut owned = inner.assignment();
        for partition in &mut owned {
            partition.oldest_unacked = partition.oldest_unacked.as_ref().map(own);
            partition.partition = shard(&partition.partition);
        }
        owned
    }
}

#[derive(Debug)]
struct Stream(Refuse);

#[async_trait]
impl AdminFault for Stream {
    fn create(&self, topic: TopicConfig) -> Result<TopicConfig> {
        self.0.create(topic)
    }

    async fn set_retention(&self, inner: &dyn Admin, topic: &str, to: &Retention) -> Result<()> {
        self.0.set_retention(inner, topic, to).await
    }

    fn info(&self, mut info: TopicInfo) -> TopicInfo {
        for partition in &mut info.partitions {
            let empty = partition.first == partition.next;
            let first = if empty { behind } else { own };
            partition.partition = shard(&partition.partition);
            partition.first = partition.first.as_ref().map(first);
            partition.next = None;
        }
        info
    }

    async fn positions_at(
        &self,
        inner: &dyn Admin,
        topic: &str,
        time: SystemTime,
    ) -> Result<Vec<(Partition, Position)>> {
        let found = inner.positions_at(topic, second_from(time)).await?;
        let ends = inner.describe_topic(topic).await?.partitions;
        let ends: Vec<_> = ends.into_iter().filter_map(|info| info.next).collect();
        Ok(found
            .iter()
            .map(|(partition, at)| {
                let place = if ends.contains(at) { behind } else { own };
                (shard(partition), place(at))
            })
            .collect())
    }

    fn lag(&self, lag: Vec<PartitionLag>) -> Vec<PartitionLag> {
        lag.iter()
            .map(|lag| {
                let committed = lag.committed.as_ref().map(behind);
                PartitionLag::new(shard(&lag.partition), committed)
            })
            .collect()
    }
}
