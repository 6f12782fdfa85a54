//! Faults built into a hub on purpose: what proves that the trials can fail.

mod acking;
mod events;
mod hooks;
mod layer;
mod lineage;
mod nacking;
mod ownership;
mod portable;
mod producing;
mod receiving;
mod sequenced;
mod shared;
mod starting;
mod topics;
mod unpartitioned;

use anyhub_core::Hub;
use layer::{Fault, Faulty};
pub use portable::portable;
pub use sequenced::sequenced;
use std::sync::Arc;
pub use unpartitioned::unpartitioned;

/// A fault, and the trial that catches it.
#[derive(Clone, Copy)]
pub struct Mutant {
    name: &'static str,
    caught_by: &'static str,
    says: &'static str,
    rows: &'static [u8],
    /// The hub without the fault, where that is not the hub at hand.
    sound: fn(Arc<dyn Hub>) -> Arc<dyn Hub>,
    /// What the fault is built into.
    base: fn(Arc<dyn Hub>) -> Arc<dyn Hub>,
    fault: fn() -> Fault,
}

impl Mutant {
    /// A fault on the hub as it is; the trial of this name fails with a message that has `says`.
    const fn new(
        name: &'static str,
        caught_by: &'static str,
        says: &'static str,
        fault: fn() -> Fault,
    ) -> Self {
        Self {
            name,
            caught_by,
            says,
            rows: &[],
            sound: |hub| hub,
            base: |hub| hub,
            fault,
        }
    }

    /// It breaks these rows of the delivery checks, too.
    const fn breaks(mut self, rows: &'static [u8]) -> Self {
        self.rows = rows;
        self
    }

    /// The fault is in a hub of another kind, made from the one at hand by this layer.
    const fn on(mut self, base: fn(Arc<dyn Hub>) -> Arc<dyn Hub>) -> Self {
        self.sound = base;
        self.base = base;
        self
    }

    /// The fault is a lack: the hub at hand without what this layer adds.
    const fn instead_of(mut self, sound: fn(Arc<dyn Hub>) -> Arc<dyn Hub>) -> Self {
        self.sound = sound;
        self
    }

    /// What it does, in a few words joined by underscores.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The trial that catches it.
    pub fn caught_by(&self) -> &'static str {
        self.caught_by
    }

    /// What that trial's message has in it: it fails for the right reason.
    pub fn says(&self) -> &'static str {
        self.says
    }

    /// The rows of the delivery checks that it breaks.
    pub fn rows(&self) -> &'static [u8] {
        self.rows
    }

    /// The hub without the fault, which passes.
    pub fn sound(&self, hub: Arc<dyn Hub>) -> Arc<dyn Hub> {
        (self.sound)(hub)
    }

    /// The hub with the fault, which does not. `seed` decides what is left to chance.
    pub fn broken(&self, hub: Arc<dyn Hub>, seed: u64) -> Arc<dyn Hub> {
        Arc::new(Faulty::new((self.base)(hub), (self.fault)(), seed))
    }
}

impl std::fmt::Debug for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All mutants, in the order of the clauses.
pub fn mutants() -> Vec<Mutant> {
    [
        events::MUTANTS,
        producing::MUTANTS,
        receiving::MUTANTS,
        acking::MUTANTS,
        nacking::MUTANTS,
        starting::MUTANTS,
        ownership::MUTANTS,
        lineage::MUTANTS,
        shared::MUTANTS,
        topics::MUTANTS,
    ]
    .concat()
}
