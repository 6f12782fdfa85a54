//! Watches that no partition is read by two owners at a time (C10).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhub_core::{Change, Partition};

/// Who reads what, from what the consumers of one group are told and handed.
///
/// The order in which two consumers are *told* of a change proves nothing, since each is told when
/// it next asks. What counts is what they are handed: once a consumer was handed an event of a
/// partition, another one that was not assigned it anew may not be handed any more.
#[derive(Debug, Default)]
pub struct Ownership {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    partitions: HashMap<Partition, Reader>,
    overlaps: u64,
}

#[derive(Debug, Default)]
struct Reader {
    /// Who was handed an event last.
    last: Option<usize>,
    /// Who was assigned it and was handed nothing since.
    entitled: Vec<usize>,
}

impl Ownership {
    /// Nobody owns anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Consumer number `consumer` was told of a change.
    pub fn told(&self, consumer: usize, change: &Change) {
        let mut state = self.state();
        match change {
            Change::Assigned(partitions) => {
                for partition in partitions {
                    let reader = state.partitions.entry(partition.clone()).or_default();
                    if !reader.entitled.contains(&consumer) {
                        reader.entitled.push(consumer);
                    }
                }
            }
            Change::Revoked(partitions) | Change::Lost(partitions) => {
                for partition in partitions {
                    if let Some(reader) = state.partitions.get_mut(partition) {
                        reader.entitled.retain(|other| *other != consumer);
                        if reader.last == Some(consumer) {
                            reader.last = None;
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Consumer number `consumer` was handed events of `partition`.
    pub fn handed(&self, consumer: usize, partition: &Partition) {
        let mut state = self.state();
        let Some(reader) = state.partitions.get_mut(partition) else {
            state.overlaps += 1;
            return;
        };
        if reader.last == Some(consumer) {
            return;
        }
        let entitled = reader.entitled.contains(&consumer);
        reader.last = Some(consumer);
        reader.entitled.retain(|other| *other != consumer);
        state.overlaps += u64::from(!entitled);
    }

    /// How often a consumer was handed events of a partition that it did not own.
    pub fn overlaps(&self) -> u64 {
        self.state().overlaps
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(number: u32) -> Change {
        Change::Assigned(vec![Partition::number(number)])
    }

    fn revoked(number: u32) -> Change {
        Change::Revoked(vec![Partition::number(number)])
    }

    #[test]
    fn a_handover_is_no_overlap_whoever_is_told_first() {
        let watch = Ownership::new();
        let partition = Partition::number(1);
        watch.told(0, &assigned(1));
        watch.handed(0, &partition);
        watch.handed(0, &partition);
        watch.told(1, &assigned(1));
        watch.handed(1, &partition);
        watch.told(0, &revoked(1));
        watch.handed(1, &partition);
        watch.told(1, &revoked(1));
        watch.told(0, &assigned(1));
        watch.handed(0, &partition);
        assert_eq!(watch.overlaps(), 0);
    }

    #[test]
    fn an_owner_that_reads_on_after_the_next_has_begun_is_counted() {
        let watch = Ownership::new();
        let partition = Partition::number(1);
        watch.told(0, &assigned(1));
        watch.handed(0, &partition);
        watch.told(1, &assigned(1));
        watch.handed(1, &partition);
        watch.handed(0, &partition);
        assert_eq!(watch.overlaps(), 1);
    }

    #[test]
    fn events_of_a_partition_never_assigned_are_counted() {
        let watch = Ownership::new();
        watch.handed(0, &Partition::number(1));
        assert_eq!(watch.overlaps(), 1);
    }
}
