//! Counts as they grow.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The counts of a server, which all of its connections add to.
#[derive(Debug, Default)]
pub(crate) struct Counters<C>(Arc<Mutex<C>>);

impl<C> Counters<C> {
    pub(crate) fn read(&self) -> C
    where
        C: Clone,
    {
        self.get().clone()
    }

    pub(crate) fn add(&self, change: impl FnOnce(&mut C)) {
        change(&mut self.get());
    }

    /// Counts one more in `field` until what is given back is dropped.
    pub(crate) fn open(&self, field: fn(&mut C) -> &mut u64) -> Open<C> {
        *field(&mut self.get()) += 1;
        Open {
            counters: Counters(Arc::clone(&self.0)),
            field,
        }
    }

    fn get(&self) -> MutexGuard<'_, C> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that is open now, and counted as that.
pub(crate) struct Open<C> {
    counters: Counters<C>,
    field: fn(&mut C) -> &mut u64,
}

impl<C> Drop for Open<C> {
    fn drop(&mut self) {
        *(self.field)(&mut self.counters.get()) -= 1;
    }
}

impl<C> fmt::Debug for Open<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Open")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_counted_until_it_is_dropped() {
        let counters: Counters<(u64, u64)> = Counters::default();
        counters.add(|counts| counts.0 += 3);
        let open = counters.open(|counts| &mut counts.1);
        let other = counters.open(|counts| &mut counts.1);
        assert_eq!(counters.read(), (3, 2));
        drop((open, other));
        assert_eq!(counters.read(), (3, 0));
    }
}
