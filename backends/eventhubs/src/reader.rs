//! One partition, read ahead of `receive`; it goes on at the next event, whatever becomes of its link.

use crate::{
    backlog::Item,
    credit::Credit,
    describe::Management,
    error::{HUB, incomplete},
    message::{self, Read},
    receiver::{Opening, Origin, Receiver},
    shared::{Shared, SlotId},
};
use anyhub_core::{Error, ErrorKind, Result};
use futures_util::FutureExt as _;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::sleep;

/// How soon a link is attached again, and where the doubling ends.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_LATEST: Duration = Duration::from_secs(5);
/// Events that are handed on at once.
const TOGETHER: usize = 512;

/// Reads a partition for as long as its slot is there.
pub(crate) async fn read(shared: Weak<Shared>, slot: SlotId, partition: u32, origin: Origin) {
    let mut reading = Reading {
        slot,
        partition,
        origin,
        credit: Credit::default(),
    };
    let mut pause = AGAIN;
    loop {
        let origin = reading.origin;
        let ended = reading.follow(&shared).await;
        let Some(strong) = shared.upgrade() else {
            return;
        };
        match ended {
            Ok(()) => return,
            Err(error) if error.is_retryable() => {
                if reading.origin != origin {
                    pause = AGAIN;
                }
                tracing::debug!(hub = HUB, partition, %error, "a link is attached again");
            }
            Err(error) => {
                strong.fail(slot, error);
                return;
            }
        }
        drop(strong);
        let jitter = rand::random_range(0.75..1.25);
        sleep(pause.mul_f64(jitter)).await;
        pause = (pause * 2).min(AGAIN_LATEST);
    }
}

/// How far the reading of a partition has come.
struct Reading {
    slot: SlotId,
    partition: u32,
    /// Where to go on.
    origin: Origin,
    credit: Credit,
}

impl Reading {
    /// Reads through one link until it fails; Ok once nobody wants it any more.
    async fn follow(&mut self, shared: &Weak<Shared>) -> Result<()> {
        let Some(strong) = shared.upgrade() else {
            return Ok(());
        };
        let (events, bytes) = strong.share();
        self.credit.reset(events, bytes);
        let connection = strong.client.connection("receive").await?;
        let opening = Opening {
            group: &strong.group,
            partition: self.partition,
            origin: self.origin,
            epoch: None,
            credit: self.credit.now(),
        };
        let opened = Receiver::open(connection, "receive", opening).await;
        let receiver = opened.map_err(|error| self.understood(error))?;
        drop(strong);
        // Kept from one round to the next: what it has taken in would be lost with it.
        let mut next = Box::pin(receiver.next());
        loop {
            let mut arrived = Vec::new();
            let mut came = Some((&mut next).await);
            let mut failed = None;
            while let Some(message) = came.take() {
                match message.and_then(|message| self.take(message)) {
                    Ok((read, credit)) => {
                        drop(next);
                        if let Some(credit) = credit {
                            receiver.set_credit(credit).await;
                        }
                        next = Box::pin(receiver.next());
                        arrived.extend(read);
                    }
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
                if arrived.len() < TOGETHER {
                    came = (&mut next).now_or_never();
                }
            }
            let Some(strong) = shared.upgrade() else {
                return Ok(());
            };
            if !self.hand_on(&strong, arrived).await? {
                return Ok(());
            }
            if let Some(error) = failed {
                return Err(error);
            }
            if !strong.room(self.slot).await {
                return Ok(());
            }
        }
    }

    /// The event of a message, and the credit to set. None: it was read before.
    fn take(
        &mut self,
        message: azure_core_amqp::AmqpMessage,
    ) -> Result<(Option<Read>, Option<u32>)> {
        let read = message::decode(message);
        let read = read.ok_or_else(|| incomplete("receive", "sequence number of an event"))?;
        let credit = self.credit.came(read.event.size());
        let again = matches!(self.origin, Origin::Sequence(next) if read.at < next);
        Ok(((!again).then_some(read), credit))
    }

    /// Hands on what came; false if nobody wants it any more.
    async fn hand_on(&mut self, shared: &Arc<Shared>, arrived: Vec<Read>) -> Result<bool> {
        let mut items = Vec::with_capacity(arrived.len());
        for read in arrived {
            if let Origin::Sequence(due) = self.origin
                && read.at > due
            {
                match self.is_gone(shared, due).await {
                    Ok(true) => items.push(Item::Gap {
                        from: due,
                        to: read.at,
                    }),
                    Ok(false) => {}
                    Err(error) => {
                        // The rest comes again.
                        shared.came(self.slot, items);
                        return Err(error);
                    }
                }
            }
            shared.counters.read(read.event.size());
            self.origin = Origin::Sequence(read.at + 1);
            items.push(Item::Event(read));
        }
        Ok(shared.came(self.slot, items))
    }

    /// Whether the event that was due is no longer kept. Sequence numbers need not be without gaps.
    async fn is_gone(&self, shared: &Arc<Shared>, due: i64) -> Result<bool> {
        let connection = shared.client.connection("receive").await?;
        let management = Management::open(&connection, "receive").await?;
        let ends = management.ends(self.partition).await;
        management.close().await;
        Ok(ends?.first > due)
    }

    fn understood(&self, error: Error) -> Error {
        match (error.kind(), self.origin) {
            (ErrorKind::Invalid, Origin::Sequence(number)) => {
                let message = format!("partition {} has no position {number}", self.partition);
                Error::new(ErrorKind::OutOfRange, HUB, "receive", message)
                    .with_source(error)
                    .with_advice("the event hub may have been deleted and made again: seek")
            }
            _ => error,
        }
    }
}
