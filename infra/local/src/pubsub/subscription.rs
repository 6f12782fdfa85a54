//! A subscription: its settings, its backlog, and what clients say about deliveries.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;
use tokio::sync::watch;
use tonic::Status;

use super::ack_id::AckId;
use super::backlog::{Backlog, Settings, Settled, Ticket};
use super::dead_letter::Grave;
use super::faults::Fault;
use super::limits::DEFAULT_RETENTION;
use super::service::Service;
use super::status;

/// Why a subscription's readers have to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Deleted,
    Detached,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) name: String,
    /// Its own; one of the same name made later has another.
    pub(super) number: u64,
    config: Mutex<v1::Subscription>,
    backlog: Mutex<Backlog>,
    ended: watch::Sender<Option<End>>,
}

/// Which acknowledgements hold, by their ids.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    pub(super) done: Vec<String>,
    pub(super) over: Vec<String>,
    pub(super) unordered: Vec<String>,
    /// Nothing was done about them, and may be later.
    pub(super) failed: Vec<String>,
}

impl Confirmed {
    /// True if all of them do.
    pub(super) fn hold(&self) -> bool {
        self.over.is_empty() && self.unordered.is_empty() && self.failed.is_empty()
    }
}

impl Subscription {
    pub(super) fn new(config: v1::Subscription, service: &Service) -> Self {
        Subscription {
            name: config.name.clone(),
            number: service.number(),
            backlog: Mutex::new(Backlog::new(settings(&config, service), service.terms.seed)),
            config: Mutex::new(config),
            ended: watch::Sender::new(None),
        }
    }

    pub(super) fn config(&self) -> MutexGuard<'_, v1::Subscription> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does as its configuration says from now on.
    pub(super) fn configure(&self, service: &Service) {
        let settings = settings(&self.config(), service);
        self.backlog().set(settings);
    }

    /// Sends its readers away.
    pub(super) fn end(&self, end: End) {
        self.ended.send_replace(Some(end));
        let mut backlog = self.backlog();
        backlog.clear();
        backlog.wake_all();
    }

    pub(super) fn ended(&self) -> watch::Receiver<Option<End>> {
        self.ended.subscribe()
    }

    /// Refuses readers of what has no messages any more.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where it is detached, NOT_FOUND where it is deleted.
    pub(super) fn check_open(&self) -> Result<(), Status> {
        match *self.ended.borrow() {
            None => Ok(()),
            Some(end) => Err(self.why(end)),
        }
    }

    pub(super) fn why(&self, end: End) -> Status {
        match end {
            End::Deleted => status::not_found(&self.name),
            End::Detached => status::detached(&self.name),
        }
    }

    pub(super) fn is_exactly_once(&self) -> bool {
        self.config().enable_exactly_once_delivery
    }

    /// Acknowledges deliveries.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for an id that is none of ours; then nothing is done.
    pub(super) fn ack(&self, service: &Service, ids: Vec<String>) -> Result<Confirmed, Status> {
        let tickets = self.tickets(&ids)?;
        // One that is there twice is one.
        let mut named: Vec<_> = tickets.into_iter().zip(ids).collect();
        named.sort_unstable_by_key(|(ticket, _)| *ticket);
        named.dedup_by_key(|(ticket, _)| *ticket);
        let (tickets, ids): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let late = service.dice.expires(tickets.len());
        let mut grave = Grave::of(self, service);
        let mut dead = Vec::new();
        let mut backlog = self.backlog();
        for late in late {
            let takes = &mut |message: &_, over| grave.takes(message, over);
            let (was_live, buried) = backlog.nack(&tickets[late..=late], takes, Instant::now());
            if was_live == [true] {
                service.counters.strike(Fault::ExpiredAck, 1, 0);
                service.counters.add(|counts| counts.expired += 1);
            }
            dead.extend(buried);
        }
        let results = backlog.ack(&tickets);
        drop(backlog);
        grave.bury(dead);
        let mut confirmed = Confirmed::default();
        for (id, result) in ids.into_iter().zip(results) {
            match result {
                Settled::Done => confirmed.done.push(id),
                Settled::Over => confirmed.over.push(id),
                Settled::Unordered => confirmed.unordered.push(id),
            }
        }
        service.counters.add(|counts| {
            counts.acked += confirmed.done.len() as u64;
            counts.late_acks += confirmed.over.len() as u64;
            counts.unordered_acks += confirmed.unordered.len() as u64;
        });
        Ok(confirmed)
    }

    /// Gives deliveries so many seconds from now on; with none they are nacked.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for an id that is none of ours; then nothing is done.
    pub(super) fn modify(
        &self,
        service: &Service,
        ids: Vec<String>,
        seconds: u32,
    ) -> Result<Confirmed, Status> {
        let exactly_once = self.is_exactly_once();
        let named = self.tickets(&ids)?.into_iter().zip(ids);
        let (failed, named): (Vec<_>, Vec<_>) =
            named.partition(|_| exactly_once && service.dice.fails_deadline());
        let (tickets, ids): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        for _ in &failed {
            service.counters.strike(Fault::FailingDeadline, 1, 0);
        }
        let now = Instant::now();
        let live = if seconds == 0 {
            let mut grave = Grave::of(self, service);
            let takes = &mut |message: &_, over| grave.takes(message, over);
            let (live, dead) = self.backlog().nack(&tickets, takes, now);
            grave.bury(dead);
            let nacked = live.iter().filter(|live| **live).count() as u64;
            service.counters.add(|counts| counts.nacked += nacked);
            live
        } else {
            let deadline = service.seconds(seconds);
            self.backlog().extend(&tickets, deadline, now)
        };
        let mut confirmed = Confirmed {
            failed: failed.into_iter().map(|(_, id)| id).collect(),
            ..Confirmed::default()
        };
        for (id, live) in ids.into_iter().zip(live) {
            match live {
                true => confirmed.done.push(id),
                false => confirmed.over.push(id),
            }
        }
        Ok(confirmed)
    }

    fn tickets(&self, ids: &[String]) -> Result<Vec<Ticket>, Status> {
        let ticket = |id: &String| match AckId::parse(id) {
            Some(ack) if ack.subscription == self.number => Ok(ack.ticket),
            _ => Err(status::malformed_ack_id(id)),
        };
        ids.iter().map(ticket).collect()
    }

    /// Fails deliveries whose deadlines have passed.
    pub(super) fn expire(&self, service: &Service, now: Instant) {
        let mut grave = Grave::of(self, service);
        let takes = &mut |message: &_, over| grave.takes(message, over);
        let (expired, dead) = self.backlog().expire(takes, now);
        if expired > 0 {
            service
                .counters
                .add(|counts| counts.expired += expired as u64);
        }
        grave.bury(dead);
    }

    /// Forgets what is past retention.
    pub(super) fn trim(&self, service: &Service, now: SystemTime) {
        let topic = self.config().topic.clone();
        let kept = service.topic(&topic).ok().and_then(|topic| topic.kept());
        let lost = self.backlog().trim(kept, now);
        if lost > 0 {
            service.counters.add(|counts| counts.forgotten += lost);
        }
    }
}

fn settings(config: &v1::Subscription, service: &Service) -> Settings {
    let retention = Duration::from_secs(DEFAULT_RETENTION.unsigned_abs());
    let told = config.message_retention_duration;
    let told = told.and_then(|told| told.try_into().ok());
    let backoff = |told: Option<prost_types::Duration>, default: u32| {
        let told: Option<Duration> = told.and_then(|told| told.try_into().ok());
        let seconds = told.map_or(f64::from(default), |told| told.as_secs_f64());
        service.terms.second.mul_f64(seconds)
    };
    // Source of the defaults: reference of the API, RetryPolicy (2026-11).
    let retry = config.retry_policy.as_ref().map(|policy| {
        (
            backoff(policy.minimum_backoff, 10),
            backoff(policy.maximum_backoff, 600),
        )
    });
    let attempts = config.dead_letter_policy.as_ref();
    Settings {
        ordered: config.enable_message_ordering,
        retain_acked: config.retain_acked_messages,
        kept: service
            .kept(&config.name)
            .unwrap_or(told.unwrap_or(retention)),
        acked_bytes: service.terms.retained_bytes,
        retry,
        max_attempts: attempts.map(|policy| policy.max_delivery_attempts.unsigned_abs()),
    }
}

/// A subscription that a request is about.
pub(super) fn of(service: &Service, name: &str) -> Result<Arc<Subscription>, Status> {
    let subscription = service.subscription(name)?;
    subscription.check_open()?;
    Ok(subscription)
}
