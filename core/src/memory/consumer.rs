use super::{
    HUB,
    group::{Group, News},
    hub::Counters,
    log::Log,
    member::{End, Member, MemberAcks, Told},
    topic::Topic,
};
use crate::{
    Acks, Batch, Change, Consumer, ConsumerOptions, Delivery, Error, ErrorKind, OwnedPartition,
    Partition, Point, Position, Result,
    driver::{Admission, LaneId},
};
use async_trait::async_trait;
use std::{
    any::Any,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    task::{AbortHandle, coop},
    time,
};

#[derive(Debug)]
pub(super) struct MemoryConsumer {
    topic: Arc<Topic>,
    counters: Arc<Counters>,
    group: Arc<Group>,
    member: Arc<Member>,
    acks: Acks,
    cursors: Vec<Cursor>,
    /// Which cursor is read first: none goes hungry.
    turn: usize,
    /// The version of the assignment that the cursors have.
    version: u64,
    drained_by: Option<Instant>,
    /// What the application was not told yet.
    changes: Vec<Change>,
    keeper: AbortHandle,
}

/// Where this consumer is in a partition.
#[derive(Debug)]
struct Cursor {
    partition: u32,
    lane: LaneId,
    log: Arc<Log>,
    next: i64,
    /// It is to move: nothing more is delivered.
    paused: bool,
}

impl MemoryConsumer {
    pub(super) fn join(
        topic: Arc<Topic>,
        counters: Arc<Counters>,
        options: &ConsumerOptions,
        id: u64,
    ) -> Result<Self> {
        let (group, member) = topic.join(options, id)?;
        let keeper = keep(group.clone(), member.clone(), options.commit_interval);
        Ok(Self {
            acks: Acks::new(Arc::new(MemberAcks {
                member: member.clone(),
                group: group.clone(),
                topic: topic.clone(),
            })),
            topic,
            counters,
            group,
            member,
            cursors: Vec::new(),
            turn: 0,
            version: 0,
            drained_by: None,
            changes: Vec::new(),
            keeper: tokio::spawn(keeper).abort_handle(),
        })
    }

    fn check(&self, operation: &'static str) -> Result<()> {
        self.member.ended(operation).map_or(Ok(()), Err)
    }

    /// Takes in what the group has to tell.
    fn attend(&mut self, news: News) {
        for told in news.told {
            match told {
                Told::Assigned {
                    partition,
                    lane,
                    from,
                } => {
                    if let Some(log) = self.topic.log(partition) {
                        self.cursors.push(Cursor {
                            partition,
                            lane,
                            log,
                            next: from,
                            paused: false,
                        });
                        self.tell(Change::Assigned, partition);
                    }
                }
                Told::Paused(partition) => self.pause(partition, true),
                Told::Resumed(partition) => self.pause(partition, false),
                Told::Revoked(partition) => self.drop_cursor(Change::Revoked, partition),
                Told::Lost(partition) => self.drop_cursor(Change::Lost, partition),
            }
        }
        self.version = news.version;
        self.drained_by = news.drained_by;
    }

    fn pause(&mut self, partition: u32, paused: bool) {
        let mut cursors = self.cursors.iter_mut();
        if let Some(cursor) = cursors.find(|cursor| cursor.partition == partition) {
            cursor.paused = paused;
        }
    }

    fn drop_cursor(&mut self, change: fn(Vec<Partition>) -> Change, partition: u32) {
        self.cursors.retain(|cursor| cursor.partition != partition);
        self.tell(change, partition);
    }

    /// Keeps a change for the next batch; of one kind in a row, one change with all partitions.
    fn tell(&mut self, change: fn(Vec<Partition>) -> Change, partition: u32) {
        let mut change = change(vec![Partition::number(partition)]);
        match (self.changes.last_mut(), &mut change) {
            (Some(Change::Assigned(last)), Change::Assigned(new))
            | (Some(Change::Revoked(last)), Change::Revoked(new))
            | (Some(Change::Lost(last)), Change::Lost(new)) => last.append(new),
            _ => self.changes.push(change),
        }
    }

    /// What there is to tell now. `wait`: where nothing is, be woken when there is.
    fn next_batch(&mut self, max: usize, wait: bool) -> Result<Option<Batch>> {
        self.check("receive")?;
        if self.member.version() != self.version || self.member.is_draining() {
            let news = self.group.news(&self.member)?;
            self.attend(news);
        }
        for (lane, position) in self.member.lanes.rewinds(Instant::now()) {
            let mut cursors = self.cursors.iter_mut();
            if let Some(cursor) = cursors.find(|cursor| cursor.lane == lane) {
                cursor.next = position;
            }
        }
        let mut batch = Batch::new();
        batch.changes.append(&mut self.changes);
        self.read(&mut batch, max, wait);
        Ok((!batch.is_empty()).then_some(batch))
    }

    fn read(&mut self, batch: &mut Batch, max: usize, wait: bool) {
        let mut lanes = self.member.lanes.reader();
        if self.member.version() != self.version {
            return;
        }
        self.turn = self.turn.wrapping_add(1);
        let cursors = self.cursors.len();
        let mut bytes = 0;
        for nth in 0..cursors {
            let cursor = &mut self.cursors[self.turn.wrapping_add(nth) % cursors];
            if cursor.paused {
                continue;
            }
            let mut log = cursor.log.now();
            if cursor.next < log.first() {
                batch.changes.push(Change::Overtaken {
                    partition: Partition::number(cursor.partition),
                    from: Position::offset(cursor.next),
                    to: Position::offset(log.first()),
                });
                cursor.next = log.first();
                lanes.removed_before(cursor.lane, &cursor.next);
            }
            let ready = (log.next() - cursor.next) as usize;
            batch
                .deliveries
                .reserve(ready.min(max - batch.deliveries.len()));
            let partition = Partition::number(cursor.partition);
            'partition: loop {
                let run = log.run(cursor.next);
                if run.is_empty() {
                    if wait {
                        log.wait(Arc::downgrade(&self.member.wake));
                    }
                    break;
                }
                for entry in run {
                    if batch.deliveries.len() >= max || lanes.is_full(cursor.lane) {
                        break 'partition;
                    }
                    match lanes.read(cursor.lane, cursor.next, entry.key()) {
                        Some(Admission::Deliver(token, attempt)) => {
                            bytes += entry.event.size() as u64;
                            batch.deliveries.push(Delivery::new(
                                entry.event.clone(),
                                partition.clone(),
                                Position::offset(cursor.next),
                                Some(entry.published),
                                NonZeroU32::new(attempt).unwrap_or(NonZeroU32::MIN),
                                token,
                            ));
                        }
                        Some(Admission::Pass) => {}
                        None => break 'partition,
                    }
                    cursor.next += 1;
                }
            }
            if batch.deliveries.len() >= max {
                break;
            }
        }
        drop(lanes);
        if !batch.deliveries.is_empty() {
            self.counters.read(batch.deliveries.len() as u64, bytes);
        }
    }

    fn fenced(&self, operation: &'static str) -> Result<()> {
        if !self.group.commits() || !self.member.lanes.take_fenced() {
            return Ok(());
        }
        let message = "acknowledged events were lost to another owner and come again there";
        Err(Error::new(ErrorKind::Fenced, HUB, operation, message))
    }
}

/// Commits a consumer's acknowledgements in the background, takes partitions from members that no
/// longer call `receive`, and warns of events that are never answered.
async fn keep(group: Arc<Group>, member: Arc<Member>, interval: Duration) {
    let interval = interval.max(Duration::from_millis(1));
    while !member.is_ended() {
        let expiry = group.expire();
        let wait = expiry.map_or(interval, |at| at.saturating_duration_since(Instant::now()));
        time::sleep(wait.min(interval)).await;
        group.commit(&member);
        member.lanes.warn_of_stuck(HUB, Instant::now());
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn receive(&mut self, max: usize) -> Result<Batch> {
        // A consumer that always has something to read must not starve its runtime.
        coop::consume_budget().await;
        if max == 0 {
            let error = Error::new(ErrorKind::Invalid, HUB, "receive", "max is 0");
            return Err(error.with_advice("ask for one delivery or more"));
        }
        let member = self.member.clone();
        let _receiving = member.receiving();
        loop {
            if let Some(batch) = self.next_batch(max, false)? {
                return Ok(batch);
            }
            if let Some(batch) = self.next_batch(max, true)? {
                return Ok(batch);
            }
            let due = member.lanes.next_due();
            let until = due.into_iter().chain(self.drained_by).min();
            let sleep = until.map(|at| at.saturating_duration_since(Instant::now()));
            tokio::select! {
                () = member.wake.notified() => {}
                () = member.lanes.changed() => {}
                () = time::sleep(sleep.unwrap_or_default()), if sleep.is_some() => {}
            }
        }
    }

    fn acks(&self) -> Acks {
        self.acks.clone()
    }

    async fn commit(&mut self) -> Result<()> {
        self.check("commit")?;
        self.group.commit(&self.member);
        self.fenced("commit")
    }

    async fn seek(&mut self, to: Point) -> Result<()> {
        self.check("seek")?;
        let member = self.member.clone();
        let _working = member.receiving();
        let news = self.group.news(&self.member)?;
        self.attend(news);
        let (news, moved) = self.group.seek(&self.member, &to)?;
        self.attend(news);
        for (partition, next) in moved {
            let mut cursors = self.cursors.iter_mut();
            if let Some(cursor) = cursors.find(|cursor| cursor.partition == partition) {
                cursor.next = next;
            }
        }
        Ok(())
    }

    fn assignment(&self) -> Vec<OwnedPartition> {
        self.member.lanes.assignment()
    }

    async fn close(&mut self) -> Result<()> {
        if !self.member.is_ended() {
            self.group.leave(&self.member, true);
            self.member.end(End::Closed);
        }
        self.keeper.abort();
        self.fenced("close")
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.keeper.abort();
        if !self.member.is_ended() {
            self.group.leave(&self.member, false);
        }
    }
}
