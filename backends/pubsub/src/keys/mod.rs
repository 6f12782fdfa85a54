//! What a consumer was given and has not finished, by ordering key: the meaning of ack, nack and order (C3 to C6) on a
//! hub that is no log. Pure, without a clock or I/O.
//!
//! The service gives many messages of a key at once, in order, and takes acks in that order only. A nack, and a
//! deadline that passes, make it give everything of the key again from there on. So a key's deliveries are a queue: its
//! acknowledged front goes to the service, and what was nacked waits in it, its place kept, until the service has
//! given it again.

mod entry;
mod finishing;
mod key;
mod lease;
mod loose;
mod standing;

use crate::message::Arrived;
use anyhub_core::{
    AckToken, ConsumerOptions, Event, Key, Position,
    driver::{Sequence, TokenParts, nack_delay},
};
use finishing::Finishing;
#[cfg(test)]
use finishing::WAYS;
use key::KeyLane;
use loose::Loose;
use rustc_hash::{FxHashMap, FxHashSet};
pub(crate) use standing::Size;
use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Message {
    /// The service's id, as a number.
    pub(crate) id: u64,
    /// Where it stands.
    pub(crate) at: Sequence,
    /// What acknowledges this delivery of it.
    pub(crate) ack_id: String,
    /// How often the service says that it has tried to deliver it; 0 where it does not count.
    pub(crate) tries: u32,
    /// What it takes of the stream's bounds.
    pub(crate) bytes: usize,
    pub(crate) arrived: Arrived,
}

/// A message as it goes to the application.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) event: Event,
    pub(crate) at: Sequence,
    pub(crate) published: SystemTime,
    pub(crate) attempt: u32,
    pub(crate) token: AckToken,
}

/// One delivery, for what the service says of it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ref {
    lane: u32,
    epoch: u32,
    seq: u64,
    nonce: u32,
}

/// A nack of a key, on its way to the service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    lane: u32,
    epoch: u32,
    nth: u32,
}

/// Deliveries that are finished, on their way to the service.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    pub(crate) refs: Vec<Ref>,
    pub(crate) ack_ids: Vec<String>,
}

/// All that a consumer holds.
#[derive(Debug)]
pub(crate) struct Keys {
    lanes: Vec<KeyLane>,
    free: Vec<u32>,
    keys: FxHashMap<Key, u32>,
    /// Of each message with a key: its lane, and where in it.
    ids: FxHashMap<u64, (u32, u64)>,
    loose: Loose,
    /// Lanes with something to hand on, once for each message.
    ready: VecDeque<u32>,
    finished: Finishing,
    /// Lanes with a nack that is not sent.
    nacked: Vec<u32>,
    /// To be nacked at the service, so that they come again: of which lane.
    bounced: Vec<(u32, String)>,
    /// Acks were lost to somebody else.
    fenced: bool,
    /// Messages whose acks don't count any more, until they are acknowledged again.
    owed: FxHashSet<u64>,
    /// Everything is about to be given up: tokens are stale.
    stopped: bool,
    /// Raised by a seek: tokens of before are stale.
    epoch: u32,
    lease: Duration,
    max_unfinished: usize,
    nack_delay: (Duration, Duration),
    /// After so many tries the service gives a message up.
    buries: Option<u32>,
}

/// The lane of what has no key.
const LOOSE: u32 = u32::MAX;

impl Keys {
    /// Deliveries are this consumer's for `lease` after they came or were prolonged. `buries`: after so many tries the
    /// service gives a message up.
    pub(crate) fn new(options: &ConsumerOptions, lease: Duration, buries: Option<u32>) -> Self {
        Self {
            lanes: Vec::new(),
            free: Vec::new(),
            keys: FxHashMap::default(),
            ids: FxHashMap::default(),
            loose: Loose::default(),
            ready: VecDeque::new(),
            finished: Finishing::default(),
            nacked: Vec::new(),
            bounced: Vec::new(),
            fenced: false,
            owed: FxHashSet::default(),
            stopped: false,
            epoch: 0,
            lease,
            max_unfinished: options.max_unfinished.max(1),
            nack_delay: (options.nack_delay, options.nack_delay_max),
            buries,
        }
    }

    /// Takes in what the service gave at `now`.
    pub(crate) fn arrive(&mut self, message: Message, now: Instant) {
        if self.is_of_another_service(&message) {
            let stopped = self.stopped;
            // Nothing that is here is known there.
            drop(self.lose());
            self.stopped = stopped;
        }
        let Some(key) = message.arrived.event.key.clone() else {
            if self.loose.arrive(message, now) {
                self.ready.push_back(LOOSE);
            }
            let lost = self.loose.take_lost();
            self.owe(lost);
            return;
        };
        let lane = self.lane_of(key);
        let arrival = self.lanes[lane as usize].arrive(lane, message, now, &mut self.ids);
        let lost = self.lanes[lane as usize].take_lost();
        self.owe(lost);
        for _ in 0..arrival.ready {
            self.ready.push_back(lane);
        }
        self.bounced
            .extend(arrival.bounce.into_iter().map(|ack_id| (lane, ack_id)));
    }

    /// Whether another message with the same id is here: a local server that was started anew begins to count again.
    fn is_of_another_service(&self, message: &Message) -> bool {
        let lane = match &message.arrived.event.key {
            Some(key) => self.keys.get(key).copied(),
            None => Some(LOOSE),
        };
        let here = match self.ids.get(&message.id) {
            Some((lane, seq)) => self.lanes[*lane as usize].at(*seq).zip(Some(*lane)),
            None => self.loose.at(message.id).zip(Some(LOOSE)),
        };
        here.is_some_and(|(at, of)| at != message.at || Some(of) != lane)
    }

    fn lane_of(&mut self, key: Key) -> u32 {
        if let Some(lane) = self.keys.get(&key) {
            return *lane;
        }
        let lane = self.free.pop().unwrap_or_else(|| {
            self.lanes.push(KeyLane::default());
            self.lanes.len() as u32 - 1
        });
        self.lanes[lane as usize].begin(key.clone(), self.buries);
        self.keys.insert(key, lane);
        lane
    }

    /// Up to `max` messages for the application.
    pub(crate) fn take(&mut self, max: usize, now: Instant) -> Vec<Handed> {
        let mut taken = Vec::with_capacity(max.min(self.ready.len()));
        while taken.len() < max
            && let Some(lane) = self.ready.pop_front()
        {
            let (most, lease) = (self.max_unfinished, self.lease);
            let handed = match lane {
                LOOSE => self.loose.hand(self.epoch, most, lease, now),
                _ => self.lanes[lane as usize].hand(lane, most, lease, now),
            };
            taken.extend(handed);
        }
        taken
    }

    /// Whether there may be something to take.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Marks deliveries as finished; how many of the tokens were valid.
    pub(crate) fn ack(&mut self, tokens: &[AckToken], now: Instant) -> usize {
        if self.stopped {
            return 0;
        }
        let mut valid = 0;
        for token in tokens {
            let token = Ref::from(*token);
            let acked = match token.lane {
                LOOSE if token.epoch == self.epoch => {
                    self.loose.ack(token, self.lease, now, &mut self.finished)
                }
                LOOSE => false,
                lane => self
                    .lanes
                    .get_mut(lane as usize)
                    .is_some_and(|lane| lane.ack(token, self.lease, now, &mut self.finished)),
            };
            valid += usize::from(acked);
            if acked {
                self.unpark(token.lane);
            }
        }
        valid
    }

    /// Room in a full lane: what stood before it may be handed on.
    fn unpark(&mut self, lane: u32) {
        let parked = match lane {
            LOOSE => self.loose.unpark(self.max_unfinished),
            _ => self.lanes[lane as usize].unpark(self.max_unfinished),
        };
        for _ in 0..parked {
            self.ready.push_back(lane);
        }
    }

    /// Holds the keys of these deliveries back from there on; how many of the tokens were valid.
    pub(crate) fn nack(&mut self, tokens: &[AckToken], now: Instant) -> usize {
        if self.stopped {
            return 0;
        }
        let (first, longest) = self.nack_delay;
        let due = |attempt| now + nack_delay(first, longest, attempt);
        let mut valid = 0;
        for token in tokens {
            let token = Ref::from(*token);
            valid += usize::from(match token.lane {
                LOOSE if token.epoch == self.epoch => self.loose.nack(token, self.lease, now, due),
                LOOSE => false,
                lane => {
                    let of = self.lanes.get_mut(lane as usize);
                    let listed = of.as_ref().is_some_and(|of| of.has_unsent_nack());
                    let nacked = of.is_some_and(|of| of.nack(token, self.lease, now, due));
                    if nacked && !listed {
                        self.nacked.push(lane);
                    }
                    nacked
                }
            });
            if token.lane == LOOSE {
                self.unpark(LOOSE);
            }
        }
        valid
    }

    /// Forgets a lane that holds nothing.
    pub(super) fn let_go(&mut self, lane: u32) {
        let of = &mut self.lanes[lane as usize];
        if of.is_empty()
            && let Some(key) = of.end()
        {
            self.keys.remove(&key);
            self.free.push(lane);
        }
    }

    /// The nacks that are due, and what came too early: to be nacked at the service now.
    /// [`nack_told`](Self::nack_told) has to follow.
    pub(crate) fn due(&mut self, now: Instant) -> (Vec<Asked>, Vec<String>) {
        let (mut asked, mut ack_ids) = (Vec::new(), self.loose.due(now));
        let mut ask = |lane: u32, of: &KeyLane, ack_id| {
            asked.push(Asked {
                lane,
                epoch: of.epoch(),
                nth: of.asked(),
            });
            ack_ids.push(ack_id);
        };
        for (lane, ack_id) in self.bounced.drain(..) {
            ask(lane, &self.lanes[lane as usize], ack_id);
        }
        self.nacked.retain(|lane| {
            let of = &mut self.lanes[*lane as usize];
            if let Some(ack_id) = of.due(*lane, now, &mut self.ids) {
                ask(*lane, of, ack_id);
            }
            of.has_unsent_nack()
        });
        (asked, ack_ids)
    }

    /// When the next nack is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let now = (!self.bounced.is_empty()).then(Instant::now);
        let lanes = self.nacked.iter();
        let lanes = lanes.filter_map(|lane| self.lanes[*lane as usize].next_due());
        lanes.chain(self.loose.next_due()).chain(now).min()
    }

    /// Notes that the service has heard of these nacks, or that their deadlines have passed: what it gives from now on
    /// begins with what was nacked.
    pub(crate) fn nack_told(&mut self, asked: &[Asked]) {
        for Asked { lane, epoch, nth } in asked {
            if let Some(of) = self.lanes.get_mut(*lane as usize)
                && of.epoch() == *epoch
            {
                let next = of.nack_told(*nth);
                self.bounced
                    .extend(next.into_iter().map(|ack_id| (*lane, ack_id)));
            }
        }
    }

    /// From now on tokens are stale. [`clear`](Self::clear) or [`lose`](Self::lose) has to follow.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Gives everything up: tokens are stale, and what is finished is lost. The deliveries, to be nacked.
    pub(crate) fn clear(&mut self) -> Vec<String> {
        self.fenced |= self.finished.len() > 0;
        self.stopped = false;
        let mut ack_ids = Vec::new();
        self.loose.each(|entry, _| {
            if entry.leased.is_some() {
                ack_ids.push(entry.ack_id.clone());
            }
        });
        for lane in self.keys.values() {
            ack_ids.extend(self.lanes[*lane as usize].to_give_back());
        }
        for lane in &mut self.lanes {
            lane.end();
        }
        self.free = (0..self.lanes.len() as u32).collect();
        self.keys.clear();
        self.ids.clear();
        self.loose = Loose::default();
        self.ready.clear();
        self.finished.clear();
        self.nacked.clear();
        self.bounced.clear();
        self.epoch = self.epoch.wrapping_add(1);
        ack_ids
    }

    /// The same, and it goes to somebody else: all acks that the service has not taken are lost.
    pub(crate) fn lose(&mut self) -> Vec<String> {
        let mut lanes = self.keys.values();
        self.fenced |= lanes.any(|lane| self.lanes[*lane as usize].has_acks());
        self.clear()
    }

    /// The oldest event that was handed on and is not finished, and how many there are.
    pub(crate) fn unfinished(&self) -> (Option<Position>, usize) {
        let (mut oldest, mut count) = self.loose.unfinished();
        for lane in self.keys.values() {
            let (at, some) = self.lanes[*lane as usize].unfinished();
            count += some;
            oldest = match (oldest, at) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        (oldest.map(Position::from), count)
    }
}

impl From<AckToken> for Ref {
    fn from(token: AckToken) -> Self {
        let parts = TokenParts::from(token);
        Self {
            lane: parts.lane,
            epoch: parts.epoch,
            seq: parts.seq,
            nonce: parts.attempt,
        }
    }
}

impl From<Ref> for AckToken {
    fn from(of: Ref) -> Self {
        Self::from(TokenParts {
            lane: of.lane,
            epoch: of.epoch,
            seq: of.seq,
            attempt: of.nonce,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod model;
#[cfg(test)]
mod standing_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
