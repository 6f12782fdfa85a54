use std::collections::BTreeMap;

/// What the provider would bill, counted by the backend as it sends and receives, under the
/// provider's own names for its units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage(BTreeMap<&'static str, u64>);

impl Usage {
    /// Adds `amount` of `unit`.
    pub fn add(&mut self, unit: &'static str, amount: u64) {
        *self.0.entry(unit).or_default() += amount;
    }

    /// How much of `unit` was counted.
    pub fn get(&self, unit: &str) -> u64 {
        self.0.get(unit).copied().unwrap_or_default()
    }

    /// All units by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(unit, amount)| (*unit, *amount))
    }
}
