//! Whether a fault strikes now.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

/// Decides, time after time, what strikes, by the faults of a hub, of which the default is none. The same seed and order of
/// times give the same faults.
#[derive(Debug)]
pub(crate) struct Dice<F> {
    /// False while there are no faults at all: then nothing is locked.
    armed: AtomicBool,
    state: Mutex<(F, Pcg64Mcg)>,
}

impl<F: Clone + Default + PartialEq> Dice<F> {
    pub(crate) fn new(faults: F, seed: u64) -> Self {
        Dice {
            armed: AtomicBool::new(faults != F::default()),
            state: Mutex::new((faults, Pcg64Mcg::seed_from_u64(seed))),
        }
    }

    /// The faults as they are now: a count is what is left of it.
    pub(crate) fn faults(&self) -> F {
        self.state().0.clone()
    }

    pub(crate) fn set(&self, faults: F) {
        let mut state = self.state();
        self.armed.store(faults != F::default(), Ordering::Release);
        state.0 = faults;
    }

    /// What `decide` says, and nothing while there are no faults.
    pub(crate) fn throw<T: Default>(&self, decide: impl FnOnce(&mut F, &mut Pcg64Mcg) -> T) -> T {
        if !self.armed.load(Ordering::Acquire) {
            return T::default();
        }
        self.decide(decide)
    }

    /// What `decide` says, faults or none.
    pub(crate) fn decide<T>(&self, decide: impl FnOnce(&mut F, &mut Pcg64Mcg) -> T) -> T {
        let mut state = self.state();
        let (faults, rng) = &mut *state;
        decide(faults, rng)
    }

    fn state(&self) -> MutexGuard<'_, (F, Pcg64Mcg)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rate;

    #[test]
    fn faults_that_are_set_strike_and_are_used_up() {
        let strikes = |dice: &Dice<Rate>| dice.throw(|rate, rng| rate.strikes(rng));
        let dice = Dice::new(Rate::NEVER, 1);
        assert!(!strikes(&dice));
        dice.set(Rate::next(2));
        assert!(strikes(&dice));
        assert_eq!(dice.faults(), Rate::next(1));
        assert!(strikes(&dice) && !strikes(&dice));
    }
}
