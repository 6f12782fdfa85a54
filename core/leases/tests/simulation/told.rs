//! What seeds were like, added up.

use std::fmt;

/// What a seed was like.
#[derive(Debug, Default, Clone)]
pub(crate) struct Told {
    pub(crate) seeds: u64,
    pub(crate) hours: f64,
    pub(crate) faults: u64,
    pub(crate) fewest_faults: u64,
    pub(crate) reshards: u64,
    pub(crate) requests: u64,
    pub(crate) deliveries: u64,
    pub(crate) lost: u64,
    /// How often the shares were compared.
    pub(crate) even: u64,
}

impl Told {
    pub(crate) fn add(&mut self, other: &Self) {
        let fewest = |told: &Self| {
            if told.seeds == 0 {
                u64::MAX
            } else {
                told.fewest_faults
            }
        };
        self.fewest_faults = fewest(self).min(fewest(other));
        self.seeds += other.seeds;
        self.hours += other.hours;
        self.faults += other.faults;
        self.reshards += other.reshards;
        self.requests += other.requests;
        self.deliveries += other.deliveries;
        self.lost += other.lost;
        self.even += other.even;
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seeds,
            hours,
            faults,
            fewest_faults,
            reshards,
            requests,
            deliveries,
            lost,
            even,
        } = self;
        write!(
            f,
            "{seeds} seeds, {hours:.0} hours, {faults} faults ({fewest_faults} or more each), \
             {reshards} reshards, {requests} requests, {deliveries} deliveries, {lost} losses, \
             shares compared {even} times"
        )
    }
}
