//! Who reads a partition: by group, with an epoch or without.
//!
//! Source: Event Hubs documentation, "Event consumers" and the texts of the service's errors as Microsoft's issue trackers
//! quote them (azure-sdk-for-java 12483 and others, 2026-11).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;

use super::amqp::performative::Error;
use super::limits;

/// A reader's hold on a partition.
#[derive(Debug)]
pub(super) struct Reader {
    name: String,
    epoch: Option<i64>,
    /// Why it has lost it, once it has.
    lost: OnceLock<Error>,
    wake: Arc<Notify>,
}

impl Reader {
    /// `name`: what the client calls itself, if it does. `wake`: its connection.
    pub(super) fn new(name: Option<&str>, epoch: Option<i64>, wake: &Arc<Notify>) -> Arc<Self> {
        Arc::new(Reader {
            name: name.unwrap_or("nil").to_owned(),
            epoch,
            lost: OnceLock::new(),
            wake: Arc::clone(wake),
        })
    }

    pub(super) fn lost(&self) -> Option<&Error> {
        self.lost.get()
    }
}

/// The readers of one partition, by group.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<HashMap<String, Vec<Arc<Reader>>>>);

impl Readers {
    /// Lets a reader in, or says why not. One with an epoch takes the partition from those with a lower or the same one, and
    /// from those without; returns how many have lost it.
    pub(super) fn join(&self, group: &str, reader: &Arc<Reader>) -> Result<usize, Error> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = groups.entry(group.to_ascii_lowercase()).or_default();
        let highest = there.iter().filter_map(|other| other.epoch).max();
        let name = &reader.name;
        let mut lost = 0;
        match (reader.epoch, highest) {
            (Some(epoch), Some(highest)) if epoch < highest => {
                return Err(stolen(format!(
                    "Receiver '{name}' with a higher epoch '{highest}' already exists. Receiver '{name}' with epoch {epoch} \
                     cannot be created. Make sure you are creating receiver with increasing epoch value to ensure \
                     connectivity, or ensure all old epoch receivers are closed or disconnected."
                )));
            }
            (Some(epoch), _) => {
                for other in there.drain(..) {
                    let was = other
                        .epoch
                        .map_or("nil".to_owned(), |epoch| epoch.to_string());
                    let _ = other.lost.set(stolen(format!(
                        "New receiver '{name}' with higher epoch of '{epoch}' is created hence current receiver \
                         '{}' with epoch '{was}' is getting disconnected. If you are recreating the receiver, make sure a \
                         higher epoch is used.",
                        other.name
                    )));
                    other.wake.notify_one();
                    lost += 1;
                }
            }
            (None, Some(highest)) => {
                return Err(stolen(format!(
                    "At least one receiver for the endpoint is created with epoch of '{highest}', and so non-epoch receiver \
                     is not allowed. Either reconnect with a higher epoch, or make sure all epoch receivers are closed or \
                     disconnected."
                )));
            }
            (None, None) if there.len() >= limits::READERS => {
                let names: Vec<_> = there.iter().map(|other| other.name.as_str()).collect();
                return Err(Error::new(
                    "amqp:resource-limit-exceeded",
                    format!(
                        "Exceeded the maximum number of allowed receivers per partition in a consumer group which is {}. \
                         List of connected receivers - {}.",
                        limits::READERS,
                        names.join(", ")
                    ),
                ));
            }
            (None, None) => {}
        }
        there.push(Arc::clone(reader));
        Ok(lost)
    }

    pub(super) fn leave(&self, group: &str, reader: &Arc<Reader>) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let group = group.to_ascii_lowercase();
        if let Some(there) = groups.get_mut(&group) {
            there.retain(|other| !Arc::ptr_eq(other, reader));
            if there.is_empty() {
                groups.remove(&group);
            }
        }
    }
}

fn stolen(description: String) -> Error {
    Error::new("amqp:link:stolen", description)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reader(epoch: Option<i64>) -> Arc<Reader> {
        Reader::new(Some("r"), epoch, &Arc::new(Notify::new()))
    }

    #[test]
    fn an_epoch_wins_over_lower_ones_and_over_none() {
        let outcome = |first, second| {
            let readers = Readers::default();
            let (first, second) = (reader(first), reader(second));
            assert_eq!(readers.join("g", &first), Ok(0));
            let joined = readers.join("G", &second);
            // A group of its own is none of their business.
            assert_eq!(readers.join("other", &reader(None)), Ok(0));
            (first.lost().is_some(), joined.map_err(|e| e.condition))
        };
        let refused = Err("amqp:link:stolen");
        assert_eq!(outcome(Some(1), Some(2)), (true, Ok(1)));
        assert_eq!(outcome(Some(1), Some(1)), (true, Ok(1)));
        assert_eq!(outcome(Some(2), Some(1)), (false, refused));
        assert_eq!(outcome(Some(1), None), (false, refused));
        assert_eq!(outcome(None, Some(0)), (true, Ok(1)));
        assert_eq!(outcome(None, None), (false, Ok(0)));
    }

    #[test]
    fn five_without_an_epoch_and_no_more() {
        let readers = Readers::default();
        let five: Vec<_> = (0..5).map(|_| reader(None)).collect();
        for reader in &five {
            readers.join("g", reader).unwrap();
        }
        let sixth = reader(None);
        let refused = readers.join("g", &sixth).unwrap_err();
        assert_eq!(refused.condition, "amqp:resource-limit-exceeded");
        readers.leave("G", &five[2]);
        assert_eq!(readers.join("g", &sixth), Ok(0));
        let owner = reader(Some(1));
        assert_eq!(readers.join("g", &owner), Ok(5));
        assert!(five[0].lost().is_some() && five[2].lost().is_none());
    }
}
