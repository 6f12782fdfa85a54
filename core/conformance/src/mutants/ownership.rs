//! C9 and C10: what goes wrong between two owners.

use super::{
    Mutant,
    layer::{Fault, ReadFault, Shared, Site, lock},
};
use anyhub_core::{
    Acks, Batch, Change, Consumer, Delivery, Key, Partition, Point, Position, Result,
};
use async_trait::async_trait;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};
use tokio::time::sleep;

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::new(
        "a_checkpoint_goes_back",
        "C9_checkpoints_never_go_back",
        "went back",
        || Fault::none().read(|site| Box::new(GoesBack(site.clone(), HashMap::new()))),
    )
    .breaks(&[13]),
    Mutant::new(
        "delivered_after_a_revoke",
        "C10_a_partition_has_one_owner",
        "owner",
        || {
            let owners = Owners::default();
            Fault::none().read(move |site| {
                Box::new(AfterMove {
                    id: site.shared.id(),
                    owners: owners.clone(),
                    last: HashMap::new(),
                })
            })
        },
    )
    .breaks(&[15]),
    Mutant::new(
        "two_owners",
        "C10_a_partition_has_one_owner",
        "owner",
        || {
            Fault::none().consumer_options(|mut options| {
                options.group = None;
                options
            })
        },
    )
    .breaks(&[15]),
    Mutant::new(
        "an_event_is_lost_at_a_rebalance",
        "C10_no_event_is_lost_at_a_rebalance",
        "lost",
        || {
            Fault::none().read(|site| {
                Box::new(LosesAtRebalance {
                    shared: site.shared.clone(),
                    due: Vec::new(),
                })
            })
        },
    )
    .breaks(&[1, 2, 10]),
    Mutant::new(
        "a_member_waits_for_the_backlog",
        "C10_a_busy_member_gives_up_its_share",
        "before the second member got a share",
        || Fault::none().read(|site| Box::new(WaitsForTheBacklog(site.clone()))),
    )
    .breaks(&[17]),
    Mutant::new(
        "what_was_delivered_is_committed",
        "C10_no_event_is_lost_when_members_crash",
        "never processed before the crashes",
        || Fault::none().read(|_| Box::new(CommitsDelivered)),
    )
    .breaks(&[1, 12]),
    Mutant::new(
        "a_stale_owner_acks",
        "C10_a_stale_owner_changes_nothing",
        "valid tokens of the stale owner",
        || Fault::none().read(|_| Box::new(StaysValid)),
    )
    .breaks(&[14]),
];

/// Joins a group that has members only when they have read everything.
#[derive(Debug)]
struct WaitsForTheBacklog(Site);

#[async_trait]
impl ReadFault for WaitsForTheBacklog {
    async fn opened(&mut self, inner: &mut Box<dyn Consumer>) -> Result<()> {
        let Self(site) = self;
        if site.shared.assigned.fetch_add(1, Ordering::Relaxed) == 0 {
            return Ok(());
        }
        inner.close().await?;
        let group = site.options.group.clone().unwrap_or_default();
        loop {
            let lag = site.hub.admin().lag(&site.topic, &group).await?;
            if lag.iter().all(|lag| lag.events == Some(0)) {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
        *inner = site.hub.consumer(&site.topic, site.options.clone()).await?;
        Ok(())
    }
}

/// Commits what it delivers before anyone has seen it.
#[derive(Debug)]
struct CommitsDelivered;

#[async_trait]
impl ReadFault for CommitsDelivered {
    async fn receive(&mut self, inner: &mut Box<dyn Consumer>, max: usize) -> Result<Batch> {
        let batch = inner.receive(max).await?;
        inner.acks().ack(&batch.tokens());
        inner.commit().await?;
        Ok(batch)
    }
}

/// Goes back to the first event that is kept, at every commit after the first one.
#[derive(Debug)]
struct GoesBack(Site, HashMap<Partition, Position>);

#[async_trait]
impl ReadFault for GoesBack {
    async fn commit(&mut self, inner: &mut Box<dyn Consumer>) -> Result<()> {
        inner.commit().await?;
        let Self(site, last) = self;
        let admin = site.hub.admin();
        let info = admin.describe_topic(&site.topic).await?.partitions;
        let back = info
            .into_iter()
            .filter_map(|info| {
                let (at, first) = (last.get(&info.partition)?, info.first?);
                let goes = at.cmp_in_partition(&first).is_gt();
                goes.then_some((info.partition, first))
            })
            .collect();
        let group = site.options.group.clone().unwrap_or_default();
        let lag = admin.lag(&site.topic, &group).await?.into_iter();
        last.extend(lag.filter_map(|lag| Some((lag.partition, lag.committed?))));
        inner.seek(Point::Positions(back)).await
    }
}

/// Gives the last delivery of a key once more when another member has gone on with the key.
#[derive(Debug)]
struct AfterMove {
    id: u64,
    owners: Owners,
    last: HashMap<Option<Key>, Delivery>,
}

/// Who delivered last of each key.
type Owners = Arc<Mutex<HashMap<Option<Key>, u64>>>;

#[async_trait]
impl ReadFault for AfterMove {
    fn batch(&mut self, _: &mut Box<dyn Consumer>, batch: &mut Batch) {
        let mut owners = lock(&self.owners);
        let moved = |key: &_| owners.get(key).is_some_and(|owner| *owner != self.id);
        let late: Vec<_> = self.last.extract_if(|key, _| moved(key)).collect();
        for delivery in &batch.deliveries {
            let key = delivery.event.key.clone();
            owners.insert(key.clone(), self.id);
            self.last.insert(key, delivery.clone());
        }
        let late = late.into_iter().map(|(_, delivery)| delivery);
        batch.deliveries.extend(late);
    }
}

/// Passes over the first event of a partition that comes from another owner.
#[derive(Debug)]
struct LosesAtRebalance {
    shared: Arc<Shared>,
    due: Vec<Partition>,
}

#[async_trait]
impl ReadFault for LosesAtRebalance {
    fn batch(&mut self, inner: &mut Box<dyn Consumer>, batch: &mut Batch) {
        for change in &batch.changes {
            if let Change::Assigned(new) = change {
                let before = self
                    .shared
                    .assigned
                    .fetch_add(new.len() as u64, Ordering::Relaxed);
                if before > 0 {
                    self.due.extend(new.iter().cloned());
                }
            }
        }
        let acks = inner.acks();
        batch.deliveries.retain(|delivery| {
            let due = self
                .due
                .iter()
                .position(|partition| *partition == delivery.partition);
            if let Some(due) = due {
                self.due.swap_remove(due);
                acks.ack(&[delivery.token]);
            }
            due.is_none()
        });
    }
}

#[derive(Debug)]
struct StaysValid;

#[async_trait]
impl ReadFault for StaysValid {
    fn acks(&self, inner: Acks) -> Acks {
        Acks::new(Arc::new(super::acking::CountsAllOf(inner)))
    }
}
