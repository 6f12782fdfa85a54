//! What streams gave, until somebody looks at the keys: a stream reads on meanwhile, and taking it in is done by those who
//! want it.

use super::Shared;
use crate::{
    keys::{Keys, Message},
    message::decode,
    usage,
};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::ReceivedMessage;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// What came, and when.
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<Vec<(Vec<ReceivedMessage>, Instant)>>);

impl Inbox {
    fn came(&self) -> MutexGuard<'_, Vec<(Vec<ReceivedMessage>, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Of a stream. It belongs to the keys from now on: [`keys`](Self::keys) takes it in.
    pub(crate) fn put(&self, received: Vec<ReceivedMessage>) {
        // It may have waited here for as long as the process stood still.
        if received.is_empty() || !self.is_awake() {
            return;
        }
        self.inbox.came().push((received, Instant::now()));
        self.arrived.notify_one();
    }

    /// What the consumer holds, with all that came until now.
    pub(crate) fn keys(&self) -> MutexGuard<'_, Keys> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let came = std::mem::take(&mut *self.inbox.came());
        for (received, at) in came {
            self.take_in(&mut keys, received, at);
        }
        keys
    }

    fn take_in(&self, keys: &mut Keys, received: Vec<ReceivedMessage>, at: Instant) {
        let (count, mut bytes) = (received.len(), 0);
        for received in received {
            let Some(message) = received.message else {
                continue;
            };
            let size = usage::size(&message);
            bytes += size;
            let (id, place, arrived) = decode(message);
            let message = Message {
                id,
                at: place,
                ack_id: received.ack_id,
                tries: u32::try_from(received.delivery_attempt).unwrap_or_default(),
                bytes: size,
                arrived,
            };
            keys.arrive(message, at);
        }
        self.line.counters().delivered(count, bytes);
        if keys.next_due().is_some() {
            self.asked.notify_one();
        }
    }
}
