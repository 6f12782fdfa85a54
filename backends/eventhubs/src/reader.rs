//! One partition, read ahead of `receive`; it goes on at the next event, whatever becomes of its link.

use crate::{
    connection::Connection,
    credit::{Credit, LEAST},
    describe::{self, Management},
    early::{Came, Early},
    error::{HUB, incomplete, is_of_a_message},
    log::{EventHubsLog, Reads},
    message::{self, Read},
    receiver::{Opening, Origin, Receiver},
};
use anyhub_core::{Error, ErrorKind, Result};
use anyhub_groups::{Arrivals, Arrived, Room};
use futures_util::FutureExt as _;
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::sleep;

/// How soon a link is attached again, and where the doubling ends.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_LATEST: Duration = Duration::from_secs(5);
/// Events that are handed on at once.
const TOGETHER: usize = 512;

/// How far the reading of a partition has come.
pub(crate) struct Reading {
    log: Arc<EventHubsLog>,
    partition: u32,
    /// Where to go on.
    origin: Origin,
    epoch: Option<Epoch>,
    credit: Credit,
    arrivals: Arrivals<EventHubsLog>,
}

/// With what a member of a group takes its partition.
#[derive(Debug, Clone, Copy)]
struct Epoch {
    number: i64,
    /// It was raised above the take counter.
    raised: bool,
}

/// Why a partition is read no further.
enum Ended {
    /// Nobody wants it any more.
    Unwanted,
    /// The service has given it to another reader.
    Taken,
    /// More has come ahead of its turn than there is room for; it comes again.
    Overfull,
    /// By this error, of a link or for good.
    Failed(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Reading {
    pub(crate) fn new(
        log: Arc<EventHubsLog>,
        partition: u32,
        origin: Origin,
        epoch: Option<i64>,
        arrivals: Arrivals<EventHubsLog>,
    ) -> Self {
        let epoch = epoch.map(|number| Epoch {
            number,
            raised: false,
        });
        Self {
            log,
            partition,
            origin,
            epoch,
            credit: Credit::default(),
            arrivals,
        }
    }

    /// Reads for as long as somebody wants it.
    pub(crate) async fn run(mut self) {
        let mut pause = AGAIN;
        loop {
            let origin = self.origin;
            match self.follow().await {
                Ended::Unwanted => return,
                Ended::Taken => return self.arrivals.lose(),
                // The next link brings less.
                Ended::Overfull => continue,
                Ended::Failed(error) if error.is_retryable() => {
                    if self.origin != origin {
                        pause = AGAIN;
                    }
                    let partition = self.partition;
                    tracing::debug!(hub = HUB, partition, %error, "a link is attached again");
                    self.arrivals.failing(&error);
                }
                Ended::Failed(error) => return self.arrivals.fail(error),
            }
            let jitter = rand::random_range(0.75..1.25);
            sleep(pause.mul_f64(jitter)).await;
            pause = (pause * 2).min(AGAIN_LATEST);
        }
    }

    /// Reads through one link until it fails.
    async fn follow(&mut self) -> Ended {
        let receiver = match self.open().await {
            Ok(receiver) => receiver,
            Err(ended) => return ended,
        };
        self.arrivals.opened();
        // What came while there was no room for it.
        let mut early = Early::default();
        loop {
            let (mut arrived, mut bytes) = (Vec::new(), 0);
            let mut came = early.pop();
            if came.is_none() {
                came = Some(receiver.next().await);
            }
            let mut failed = None;
            while let Some(delivery) = came.take() {
                match self.take(&receiver, delivery).await {
                    Ok(read) => {
                        bytes += read.as_ref().map_or(0, Read::size);
                        arrived.extend(read);
                    }
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
                if arrived.len() < TOGETHER && bytes < self.credit.bytes() {
                    came = early.pop();
                    came = came.or_else(|| receiver.next().now_or_never());
                }
            }
            // A link that is lost at once has brought nothing, and answers nothing.
            if !arrived.is_empty() {
                match self.hand_on(arrived).await {
                    Ok(true) => {}
                    Ok(false) => return Ended::Unwanted,
                    Err(error) => return error.into(),
                }
            }
            match failed {
                Some(error) if self.is_taken(&error) => return Ended::Taken,
                Some(error) => return located(self.partition, self.origin, error).into(),
                None => {}
            }
            if let Err(ended) = self.rest(&receiver, &mut early).await {
                return ended;
            }
        }
    }

    /// Waits until there is room. What the link has already is taken from it meanwhile, no more than its
    /// credit: behind that it may be told that another reader has the partition, and nothing that waits may
    /// be delivered then. It is no more than may wait, and [`LEAST`] events, either: credit counts events, and
    /// was given for those that came before.
    async fn rest(&mut self, receiver: &Receiver, early: &mut Early) -> Result<(), Ended> {
        let share = self.arrivals.share().ok_or(Ended::Unwanted)?;
        let mut room = pin!(self.arrivals.room());
        loop {
            let (events, bytes) = (early.len(), early.bytes());
            if events > LEAST as usize && bytes > share.bytes {
                self.credit.overfull(events, bytes);
                return Err(Ended::Overfull);
            }
            let has_failed = early.has_failed();
            let came = tokio::select! {
                biased;
                room = &mut room => return room.map(drop).ok_or(Ended::Unwanted),
                came = receiver.next(), if !has_failed => came,
            };
            match came {
                Err(error) if self.is_taken(&error) => return Err(Ended::Taken),
                came => early.push(came),
            }
        }
    }

    /// Whether a link has failed since another reader took the partition from a member of the group.
    fn is_taken(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::Fenced && self.epoch.is_some()
    }

    async fn open(&mut self) -> Result<Receiver, Ended> {
        let share = self.arrivals.share();
        let Room { events, bytes } = share.ok_or(Ended::Unwanted)?;
        self.credit.reset(events, bytes);
        let connection = self.log.client.connection("receive").await?;
        loop {
            let opening = Opening {
                group: &self.log.group,
                partition: self.partition,
                origin: self.origin,
                epoch: self.epoch.map(|epoch| epoch.number),
                credit: self.credit.now(),
            };
            let opened = Receiver::open(connection.clone(), "receive", opening).await;
            match (opened, &mut self.epoch) {
                // A reader with a higher epoch is there.
                (Err(error), Some(epoch)) if error.kind() == ErrorKind::Fenced => {
                    if !self.arrivals.is_granted() {
                        return Err(Ended::Taken);
                    }
                    if epoch.raised {
                        return Err(self.held_by_another(error).into());
                    }
                    *epoch = epoch.raised();
                }
                (Err(error), _) => return Err(self.understood(&connection, error).await.into()),
                (Ok(receiver), _) => return Ok(receiver),
            }
        }
    }

    /// The event of a delivery. None: it was read before.
    async fn take(&mut self, receiver: &Receiver, delivery: Came) -> Result<Option<Read>> {
        let message = receiver.accept(delivery?).await?;
        let read = message::decode(message);
        let read = read.ok_or_else(|| incomplete("receive", "sequence number of an event"))?;
        if let Some(credit) = self.credit.came(read.event.size()) {
            receiver.set_credit(credit).await;
        }
        let again = matches!(self.origin, Origin::Sequence(next) if read.at < next);
        Ok((!again).then_some(read))
    }

    /// Hands on what came; false if nobody wants it any more.
    async fn hand_on(&mut self, came: Vec<Read>) -> Result<bool> {
        let mut arrived = nothing();
        for read in came {
            if let Origin::Sequence(due) = self.origin
                && read.at > due
            {
                match self.is_gone(due).await {
                    Ok(true) => {
                        let before = std::mem::replace(&mut arrived, nothing());
                        self.arrivals.came(before, false);
                        arrived.gap = Some((due, read.at));
                    }
                    Ok(false) => {}
                    Err(error) => {
                        // The rest comes again.
                        self.arrivals.came(arrived, false);
                        return Err(error);
                    }
                }
            }
            self.log.counters.read(read.event.size());
            self.origin = Origin::Sequence(read.at + 1);
            arrived.page.push(read);
        }
        Ok(self.arrivals.came(arrived, false))
    }

    /// Whether the event that was due is no longer kept. Sequence numbers need not be without gaps.
    async fn is_gone(&self, due: i64) -> Result<bool> {
        let connection = self.log.client.connection("receive").await?;
        let management = Management::open(&connection, "receive").await?;
        let ends = management.ends(self.partition).await;
        management.close().await;
        Ok(ends?.first > due)
    }

    fn held_by_another(&self, error: Error) -> Error {
        let number = self.partition;
        let message = format!("another reader has partition {number}, with a higher epoch");
        let advice = match self.arrivals.where_shared() {
            Some(shared) => format!("{shared}; or give each its own consumer group; then seek"),
            None => {
                "it is none of this group: give each its own consumer group, then seek".to_owned()
            }
        };
        Error::new(ErrorKind::Fenced, HUB, "receive", message)
            .with_source(error)
            .with_advice(advice)
    }

    /// Why no link is attached, where the service's answer is that it was asked for what is not there.
    async fn understood(&self, connection: &Arc<Connection>, error: Error) -> Error {
        if error.kind() != ErrorKind::Invalid {
            return error;
        }
        let number = self.partition;
        let there = describe::partitions(connection, "receive").await;
        match (there, self.origin) {
            // A lease of an event hub that is no more: wherever it is resumed, it is not there.
            (Ok(there), _) if !there.contains(&number) => {
                let message = format!("the event hub has no partition {number} any more");
                Error::new(ErrorKind::OutOfRange, HUB, "receive", message)
                    .with_source(error)
                    .with_advice(
                        "it may have been deleted and made again with fewer: close the group's consumers and \
                         delete the group by Admin::delete_group, or take another file for leases=",
                    )
            }
            (_, Origin::Sequence(number)) => {
                let message = format!("partition {} has no position {number}", self.partition);
                Error::new(ErrorKind::OutOfRange, HUB, "receive", message)
                    .with_source(error)
                    .with_advice(
                        "the event hub may have been deleted and made again: seek, take another file for leases=, \
                         or delete the group by Admin::delete_group",
                    )
            }
            _ => error,
        }
    }
}

impl Epoch {
    /// Above whatever take counters were before: each began at the second in which its row was made, and
    /// rises less than once a second.
    fn raised(self) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
        Self {
            number: self.number.saturating_add(1).max(seconds),
            raised: true,
        }
    }
}

/// Says where something stands that can't be read: all before `origin` has been handed on.
fn located(partition: u32, origin: Origin, error: Error) -> Error {
    if !is_of_a_message(&error) {
        return error;
    }
    let (place, advice) = match origin {
        Origin::Sequence(due) => (
            format!("position {due}"),
            format!("seek to position {} to read on behind it", due + 1),
        ),
        Origin::Start | Origin::Time(_) => (
            "the first event".to_owned(),
            "seek behind it; Admin::describe_topic tells where the partition begins".to_owned(),
        ),
    };
    let message = format!("partition {partition}, {place}: {}", error.message());
    Error::new(ErrorKind::Unexpected, HUB, "receive", message)
        .with_source(error)
        .with_advice(advice)
}

fn nothing() -> Arrived<Reads> {
    Arrived {
        gap: None,
        page: Reads::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::panicked;

    #[test]
    fn only_what_can_t_be_read_is_to_be_passed_over() {
        let origin = Origin::Sequence(7);
        let error = located(3, origin, panicked("receive"));
        assert!(error.message().contains("partition 3, position 7"));
        let advice = error.advice().unwrap_or_default();
        assert!(advice.contains("position 8"), "{error}");
        // Nothing of an event: what is read next is the same one.
        let error = located(3, origin, incomplete("receive", "partitions"));
        assert_eq!(error.advice(), None, "{error}");
    }
}
