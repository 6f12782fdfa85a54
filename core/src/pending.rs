use crate::{
    Error, ErrorKind, Partition, Position, Receipt, Result,
    sync::{Arc, AtomicI64, AtomicU32, AtomicUsize, AtomicWaker, Mutex, Ordering, lock},
};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// The outcome to come of one submitted batch: a result for each event, in order (P2).
///
/// Dropping it cancels nothing (P1).
pub struct Pending(Arc<Outcomes>);

impl Pending {
    /// A batch of `events` whose outcomes the returned [`Completer`] will tell.
    pub fn new(events: usize) -> (Completer, Self) {
        let outcomes = Arc::new(Outcomes {
            left: AtomicUsize::new(events),
            slots: (0..events).map(|_| Slot::new()).collect(),
            others: Mutex::new(Vec::new()),
            waker: AtomicWaker::new(),
        });
        (Completer(outcomes.clone()), Self(outcomes))
    }

    /// How many events the batch has.
    pub fn len(&self) -> usize {
        self.0.slots.len()
    }

    /// Whether the batch has no events.
    pub fn is_empty(&self) -> bool {
        self.0.slots.is_empty()
    }
}

impl Future for Pending {
    type Output = Vec<Result<Receipt>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0.left.load(Ordering::Acquire) > 0 {
            register(&self.0.waker, context);
            // Looked at again: the last outcome may have come before the waker was there.
            if self.0.left.load(Ordering::Acquire) > 0 {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.0.collect())
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pending({} events)", self.0.slots.len())
    }
}

/// The backend's end of a [`Pending`]. Dropped early, it ends what is left as indeterminate.
pub struct Completer(Arc<Outcomes>);

impl Completer {
    /// Tells the outcome of event `index`; returns true when it was the last one. The first
    /// telling counts, and an index outside the batch tells nothing.
    pub fn set(&self, index: usize, outcome: Result<Receipt>) -> bool {
        let compact = match &outcome {
            Ok(Receipt {
                partition: Some(partition),
                position: Some(position),
            }) => partition.as_number().zip(position.as_offset()),
            _ => None,
        };
        match compact {
            Some((partition, offset)) => self.set_offset(index, partition, offset),
            None => {
                let Some(slot) = self.0.slots.get(index) else {
                    return false;
                };
                if !slot.claim(OTHER) {
                    return false;
                }
                let mut others = lock(&self.0.others);
                if others.is_empty() {
                    // Where one is no pair of numbers, most often all are.
                    others.resize_with(self.0.slots.len(), || None);
                }
                others[index] = Some(outcome);
                drop(others);
                self.0.one_less()
            }
        }
    }

    /// [`set`](Self::set) for a receipt on a hub that numbers partitions and counts events: no
    /// lock, no allocation.
    pub fn set_offset(&self, index: usize, partition: u32, offset: i64) -> bool {
        let Some(slot) = self.0.slots.get(index) else {
            return false;
        };
        if partition >= OTHER {
            return self.set(index, Err(no_such_partition(partition)));
        }
        if !slot.claim(partition) {
            return false;
        }
        // Published to the reader by the release in `one_less`.
        slot.offset.store(offset, Ordering::Relaxed);
        self.0.one_less()
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        if self.0.left.load(Ordering::Acquire) == 0 {
            return;
        }
        for index in 0..self.0.slots.len() {
            if self.0.slots[index].partition.load(Ordering::Relaxed) == UNSET {
                self.set(index, Err(never_told()));
            }
        }
    }
}

impl fmt::Debug for Completer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Completer({} events)", self.0.slots.len())
    }
}

/// One allocation for the slots of a batch, whatever its length: a channel and a box for every
/// event is what makes other libraries 12 to 30% slower than the raw client.
struct Outcomes {
    left: AtomicUsize,
    slots: Box<[Slot]>,
    /// Errors, and receipts that are no pair of numbers, by event; empty as long as there is none.
    others: Mutex<Vec<Option<Result<Receipt>>>>,
    waker: AtomicWaker,
}

impl Outcomes {
    fn one_less(&self) -> bool {
        let last = self.left.fetch_sub(1, Ordering::AcqRel) == 1;
        if last {
            self.waker.wake();
        }
        last
    }

    fn collect(&self) -> Vec<Result<Receipt>> {
        let others = std::mem::take(&mut *lock(&self.others));
        if others.is_empty() {
            return self.slots.iter().map(Slot::outcome).collect();
        }
        let each = others.into_iter().zip(&self.slots);
        each.map(|(other, slot)| other.unwrap_or_else(|| slot.outcome()))
            .collect()
    }
}

struct Slot {
    /// The partition, or one of the two marks below.
    partition: AtomicU32,
    offset: AtomicI64,
}

const UNSET: u32 = u32::MAX;
const OTHER: u32 = u32::MAX - 1;

impl Slot {
    fn new() -> Self {
        Self {
            partition: AtomicU32::new(UNSET),
            offset: AtomicI64::new(0),
        }
    }

    /// Of a pair of numbers.
    fn outcome(&self) -> Result<Receipt> {
        match self.partition.load(Ordering::Relaxed) {
            UNSET | OTHER => Err(never_told()),
            partition => Ok(Receipt::at(
                Partition::number(partition),
                Position::offset(self.offset.load(Ordering::Relaxed)),
            )),
        }
    }

    fn claim(&self, mark: u32) -> bool {
        self.partition
            .compare_exchange(UNSET, mark, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

#[cfg(not(anyhub_loom))]
fn register(waker: &AtomicWaker, context: &Context<'_>) {
    waker.register(context.waker());
}

#[cfg(anyhub_loom)]
fn register(waker: &AtomicWaker, context: &Context<'_>) {
    waker.register_by_ref(context.waker());
}

fn never_told() -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "anyhub",
        "submit",
        "the backend let go of the batch without telling what became of this event",
    )
    .with_indeterminate()
}

fn no_such_partition(partition: u32) -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "anyhub",
        "submit",
        format!("the hub named partition {partition}, which can't be"),
    )
    .with_indeterminate()
}

#[cfg(all(test, not(anyhub_loom)))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn tells_each_outcome_in_order() {
        let (completer, mut pending) = Pending::new(3);
        assert!(!completer.set_offset(2, 1, 42));
        assert!(!completer.set(0, Ok(Receipt::default())));
        assert!((&mut pending).now_or_never().is_none());
        let refused = Error::new(ErrorKind::TooLarge, "memory", "submit", "too large");
        assert!(completer.set(1, Err(refused)));
        assert!(!completer.set_offset(1, 0, 0), "told once");
        let outcomes = pending.now_or_never().unwrap();
        assert_eq!(outcomes[0].as_ref().unwrap(), &Receipt::default());
        assert_eq!(
            outcomes[1].as_ref().unwrap_err().kind(),
            ErrorKind::TooLarge
        );
        assert_eq!(
            outcomes[2].as_ref().unwrap(),
            &Receipt::at(Partition::number(1), Position::offset(42))
        );
    }

    #[test]
    fn a_dropped_completer_leaves_the_rest_indeterminate() {
        let (completer, pending) = Pending::new(2);
        completer.set_offset(0, 0, 7);
        drop(completer);
        let outcomes = pending.now_or_never().unwrap();
        assert!(outcomes[0].is_ok());
        assert!(outcomes[1].as_ref().unwrap_err().is_indeterminate());
    }

    #[test]
    fn an_empty_batch_is_ready() {
        let (_completer, pending) = Pending::new(0);
        assert!(pending.now_or_never().unwrap().is_empty());
    }
}

#[cfg(all(test, anyhub_loom))]
#[allow(clippy::unwrap_used)]
mod model {
    use super::*;
    use loom::{future::block_on, thread};

    #[test]
    fn two_threads_complete_one_batch() {
        loom::model(|| {
            let (completer, pending) = Pending::new(2);
            let completer = Arc::new(completer);
            let other = completer.clone();
            let thread = thread::spawn(move || other.set_offset(1, 3, 9));
            completer.set_offset(0, 2, 8);
            let outcomes = block_on(pending);
            thread.join().unwrap();
            let told: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
            assert_eq!(told[0].position, Some(Position::offset(8)));
            assert_eq!(told[1].partition, Some(Partition::number(3)));
        });
    }

    #[test]
    fn a_completer_dropped_meanwhile_still_wakes() {
        loom::model(|| {
            let (completer, pending) = Pending::new(1);
            let thread = thread::spawn(move || drop(completer));
            let outcomes = block_on(pending);
            thread.join().unwrap();
            assert!(outcomes[0].as_ref().unwrap_err().is_indeterminate());
        });
    }
}
