use anyhub_core::{
    Error, Event, Partition, Receipt,
    driver::{Completer, Room},
};
use slab::Slab;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// The batches that librdkafka has and has not reported on. An event is known there by one number:
/// the place of its batch here, and its own place in that.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<Slab<Flight>>);

#[derive(Debug)]
struct Flight {
    completer: Completer,
    /// Kept until librdkafka has let go of every event, even if their outcomes were told before.
    _room: Room,
    /// librdkafka reads their payloads where they are until it has reported on them.
    events: Arc<Vec<Event>>,
    /// Events that librdkafka has still to report on.
    left: usize,
    deadline: Instant,
    expired: bool,
}

/// The upper half of an event's number is its batch.
const HALF: u32 = usize::BITS / 2;

/// Events in one batch, and batches, at most.
pub(crate) const MOST: usize = 1 << (HALF - 1);

impl Flights {
    /// A batch is about to be handed over; the number of its first event.
    pub(crate) fn depart(
        &self,
        completer: Completer,
        room: Room,
        events: Arc<Vec<Event>>,
        deadline: Instant,
    ) -> usize {
        let flight = Flight {
            completer,
            _room: room,
            left: events.len(),
            events,
            deadline,
            expired: false,
        };
        self.lock().insert(flight) << HALF
    }

    /// The event was written, at this offset where librdkafka knows it.
    pub(crate) fn written(&self, event: usize, partition: i32, offset: i64) {
        self.landed(event, |completer, index| match u32::try_from(partition) {
            Ok(partition) if offset >= 0 => {
                completer.set_offset(index, partition, offset);
            }
            partition => {
                let mut receipt = Receipt::default();
                receipt.partition = partition.ok().map(Partition::number);
                completer.set(index, Ok(receipt));
            }
        });
    }

    /// The event was not written, or nobody knows.
    pub(crate) fn failed(&self, event: usize, error: Error) {
        self.landed(event, |completer, index| {
            completer.set(index, Err(error));
        });
    }

    /// Tells what is past its deadline as indeterminate, whatever becomes of it.
    pub(crate) fn expire(&self, now: Instant, error: impl Fn() -> Error) {
        for (_, flight) in self.lock().iter_mut() {
            if !flight.expired && flight.deadline <= now {
                flight.expired = true;
                for index in 0..flight.events.len() {
                    // The first telling counts, so what has an outcome keeps it.
                    flight.completer.set(index, Err(error()));
                }
            }
        }
    }

    fn landed(&self, event: usize, tell: impl FnOnce(&Completer, usize)) {
        let (key, index) = (event >> HALF, event & ((1 << HALF) - 1));
        let mut flights = self.lock();
        let Some(flight) = flights.get_mut(key) else {
            return;
        };
        tell(&flight.completer, index);
        flight.left -= 1;
        if flight.left == 0 {
            let done = flights.remove(key);
            drop(flights);
            // Gives its room back, which wakes whoever waits for it.
            drop(done);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use anyhub_core::{ErrorKind, Limits, Pending, ProducerOptions, driver::Buffer};
    use std::time::Duration;

    #[tokio::test]
    async fn tells_each_event_and_frees_the_room_at_the_last() {
        let flights = Flights::default();
        let options = ProducerOptions::new().buffer_events(4);
        let buffer = Buffer::new("kafka", &options);
        let batch = vec![Event::new("a"), Event::new("b"), Event::new("c")];
        let limits = Limits::new(100, 100, 100);
        let (turn, room) = buffer.admit(&batch, &limits).await.unwrap();
        drop(turn);
        let (completer, pending) = Pending::new(3);
        let now = Instant::now();
        let first = flights.depart(
            completer,
            room,
            Arc::new(batch),
            now + Duration::from_secs(9),
        );
        let error =
            || Error::new(ErrorKind::Timeout, "kafka", "submit", "late").with_indeterminate();
        flights.written(first, 7, 40);
        flights.expire(now, error);
        flights.failed(
            first + 1,
            Error::new(ErrorKind::TooLarge, "kafka", "submit", "no"),
        );
        flights.expire(now + Duration::from_secs(10), error);
        assert_eq!(buffer.in_flight(), 3);
        let told = pending.await;
        assert_eq!(
            told[0].as_ref().unwrap(),
            &Receipt::at(Partition::number(7), anyhub_core::Position::offset(40))
        );
        assert_eq!(told[1].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(told[2].as_ref().unwrap_err().is_indeterminate());
        flights.written(first + 2, 0, 0);
        assert_eq!(buffer.in_flight(), 0);
        flights.written(first + 2, 0, 0);
    }
}
