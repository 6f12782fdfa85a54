//! A link that a partition's events go out on.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::sync::Notify;

use super::amqp::performative::{Error, LinkFlow};
use super::amqp::write::Compound;
use super::counts::Counts;
use super::faults::Strike;
use super::hub::{Hub, Namespace, Partition, now};
use super::log::Ends;
use super::outlet::Outlet;
use super::publisher::not_found;
use super::readers::Reader;
use crate::in_process::Open;

/// What is ready to be sent and not sent yet, at most, before no more is added.
const AHEAD: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Subscriber {
    /// What a token has to cover.
    pub(super) address: String,
    namespace: Arc<Namespace>,
    hub: Arc<Hub>,
    partition: Arc<Partition>,
    group: String,
    reader: Arc<Reader>,
    /// The sequence number of the next event.
    next: i64,
    /// Ours.
    count: u32,
    credit: u32,
    /// What can't be sent at once is given back.
    drain: bool,
    settled: bool,
    /// Where the partition ends goes with each event.
    metrics: bool,
    _open: Open<Counts>,
}

/// How a subscriber was opened.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) address: String,
    pub(super) hub: Arc<Hub>,
    pub(super) partition: Arc<Partition>,
    pub(super) group: String,
    pub(super) reader: Arc<Reader>,
    pub(super) next: i64,
    pub(super) settled: bool,
    pub(super) metrics: bool,
}

/// Why a subscriber has stopped sending.
#[derive(Debug)]
pub(super) enum Pause {
    /// Nothing can be sent now: the connection is woken, or a flow comes.
    Idle,
    /// All credit that was to be drained is.
    Drained,
    /// Enough is under way.
    Full,
    /// The throughput units give no more for so long.
    Throttled(Duration),
    /// The link is over.
    Over(Error),
    Strike(Strike),
}

impl Subscriber {
    pub(super) fn new(namespace: &Arc<Namespace>, opening: Opening) -> Self {
        Subscriber {
            address: opening.address,
            namespace: Arc::clone(namespace),
            hub: opening.hub,
            partition: opening.partition,
            group: opening.group,
            reader: opening.reader,
            next: opening.next,
            count: 0,
            credit: 0,
            drain: false,
            settled: opening.settled,
            metrics: opening.metrics,
            _open: namespace.counters.open(|counts| &mut counts.open_readers),
        }
    }

    /// A peer's flow: what it has seen of our delivery-count, and how many more it takes.
    pub(super) fn flow(&mut self, count: Option<u32>, credit: Option<u32>, drain: bool) {
        let under_way = self.count.wrapping_sub(count.unwrap_or(0));
        self.credit = credit.map_or(self.credit, |credit| credit.saturating_sub(under_way));
        self.drain = drain;
    }

    pub(super) fn told(&self, handle: u32) -> LinkFlow {
        LinkFlow {
            handle,
            delivery_count: self.count,
            credit: self.credit,
            drain: self.drain,
        }
    }

    /// Sends what there is, for as long as it may.
    pub(super) fn pump(
        &mut self,
        wake: &Arc<Notify>,
        largest: usize,
        outlet: &mut Outlet,
        handle: u32,
        out: &mut BytesMut,
    ) -> Pause {
        if let Some(lost) = self.reader.lost() {
            return Pause::Over(lost.clone());
        }
        if self.hub.is_deleted() {
            return Pause::Over(not_found(&self.hub.name));
        }
        let partition = &self.partition;
        if self.credit == 0 {
            return Pause::Idle;
        }
        let namespace = &self.namespace;
        if out.len() >= AHEAD {
            return Pause::Full;
        }
        let wait = namespace.throughput.wait();
        if !wait.is_zero() {
            return Pause::Throttled(wait);
        }
        let log = partition.log();
        let head = match self.metrics {
            true => metrics(log.ends()),
            false => BytesMut::new(),
        };
        let (mut sent, mut bytes) = (0_u32, 0);
        let mut pause = None;
        let left = self.credit;
        let before = self.next;
        self.next = log.read(self.next, |_, event| {
            if sent == left || out.len() >= AHEAD {
                pause = Some(Pause::Full);
                return false;
            }
            if !outlet.has_room(head.len() + event.len(), largest) {
                pause = Some(Pause::Idle);
                return false;
            }
            if let Some(strike) = namespace.dice.on_receive() {
                pause = Some(Pause::Strike(strike));
                return false;
            }
            outlet.deliver(out, (handle, self.settled), largest, (&head, event));
            sent += 1;
            bytes += event.len();
            true
        });
        debug_assert!(self.next >= before);
        if pause.is_none() {
            partition.wait(&log, wake);
        }
        drop(log);
        self.count = self.count.wrapping_add(sent);
        self.credit -= sent;
        namespace.throughput.took(sent as usize, bytes);
        namespace
            .counters
            .add(|counts| counts.events_out += u64::from(sent));
        match pause {
            None if self.drain => {
                self.count = self.count.wrapping_add(self.credit);
                self.credit = 0;
                Pause::Drained
            }
            None => Pause::Idle,
            Some(pause) => pause,
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.partition.readers.leave(&self.group, &self.reader);
    }
}

/// Delivery annotations that say where the partition ends.
fn metrics(ends: Ends) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_slice(&[0x00, 0x53, 0x71]);
    Compound::map(&mut out)
        .symbol("last_enqueued_sequence_number")
        .long(ends.last)
        .symbol("last_enqueued_offset")
        .string(&ends.last_offset.to_string())
        .symbol("last_enqueued_time_utc")
        .timestamp(ends.last_time)
        .symbol("runtime_info_retrieval_time_utc")
        .timestamp(now())
        .end();
    out
}
