//! What a subscription had not acknowledged at a moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1;

use super::message::Message;

/// How long a snapshot may live, less the age of its oldest message. Source: reference of the API, Snapshot.expire_time (2026-11).
pub(super) const LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// One that would live shorter can't be made; as above.
pub(super) const SHORTEST: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) name: String,
    pub(super) topic: String,
    /// Not acknowledged then, oldest first.
    pub(super) unacked: Vec<Arc<Message>>,
    /// How many bytes these are.
    pub(super) bytes: usize,
    /// Everything published from this id on counts as not acknowledged.
    pub(super) from: u64,
    pub(super) expires: SystemTime,
    labels: Mutex<HashMap<String, String>>,
}

impl Snapshot {
    pub(super) fn new(
        name: String,
        topic: String,
        labels: HashMap<String, String>,
        (unacked, from): (Vec<Arc<Message>>, u64),
        now: SystemTime,
    ) -> Self {
        let oldest = unacked.first().map_or(now, |message| message.published);
        Snapshot {
            name,
            topic,
            bytes: unacked.iter().map(|message| message.memory()).sum(),
            unacked,
            from,
            expires: oldest + LIFE,
            labels: Mutex::new(labels),
        }
    }

    pub(super) fn labels(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn describe(&self) -> v1::Snapshot {
        v1::Snapshot {
            name: self.name.clone(),
            topic: self.topic.clone(),
            expire_time: Some(self.expires.into()),
            labels: self.labels().clone(),
        }
    }
}
