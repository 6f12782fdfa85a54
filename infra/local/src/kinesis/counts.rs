//! What has come in and what was done about it.

use std::collections::BTreeMap;

use crate::in_process;

/// What the server has seen since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests by operation, whatever became of them; `unknown` for what names none.
    pub requests: BTreeMap<String, u64>,
    /// Connections taken in.
    pub connections: u64,
    /// Connections that are open now.
    pub open_connections: u64,
    /// Records written, those whose answer was lost included.
    pub records_put: u64,
    /// Records of a PutRecords that failed by injection. They are not written.
    pub records_failed: u64,
    /// Answers lost by injection: for each, in turn, how many records had been written.
    pub lost_answers: Vec<u64>,
    /// Requests answered with status 500 by injection.
    pub server_errors: u64,
    /// Answers held back by injection.
    pub slow_answers: u64,
    /// GetRecords refused by injection as having an expired iterator.
    pub expired_iterators: u64,
    /// GetRecords refused by the limits.
    pub throttled_reads: u64,
}

impl Counts {
    /// Requests for an operation, for instance `PutRecords`.
    pub fn requests(&self, operation: &str) -> u64 {
        self.requests.get(operation).copied().unwrap_or(0)
    }

    /// Records in lost answers: what a writer that sends them again doubles at most.
    pub fn records_in_lost_answers(&self) -> u64 {
        self.lost_answers.iter().sum()
    }
}

/// The counts as they grow.
pub(super) type Counters = in_process::Counters<Counts>;

impl Counters {
    pub(super) fn request(&self, operation: &str) {
        self.add(|counts| match counts.requests.get_mut(operation) {
            Some(count) => *count += 1,
            None => {
                counts.requests.insert(operation.to_owned(), 1);
            }
        });
    }
}
