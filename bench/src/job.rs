//! What the runner is given and what it gives back: the seam between the command and the measuring.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use crate::hubs::Running;
use crate::progress::Progress;
use crate::report;
use crate::tweets::Tweets;
use crate::workload::Workload;

/// What tells this run from every other one: it stands in every event, and in the names of what is made.
#[derive(Debug, Clone, Copy)]
pub struct RunId(u64);

impl RunId {
    /// A new one. Not from the seed: two runs with one seed have to be told apart.
    pub fn random() -> Self {
        // The standard library's source of randomness.
        Self(RandomState::new().hash_one(std::process::id()) & !0xffff)
    }

    /// What payloads carry; each phase adds its number, below 65,536.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The topic or group that is made for the `nth` run of the phases, from 1.
    pub fn name(self, nth: u32) -> String {
        format!("anyhub-bench-{self}-{nth}")
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0 >> 16)
    }
}

/// A run: everything in it has been checked.
#[derive(Debug)]
pub struct Job {
    /// Which one it is.
    pub id: RunId,
    /// What is sent; [`seed`](Self::seed) stands for the one in it.
    pub workload: Workload,
    /// The texts.
    pub tweets: Tweets,
    /// Gives the same keys, texts and payloads again.
    pub seed: u64,
    /// Where histograms and failed events go; it is there and can be written to.
    pub folder: PathBuf,
    /// Tells a person how far it is.
    pub progress: Arc<Progress>,
    /// Whether local hubs keep the service's quota.
    pub limits_on: bool,
}

/// A hub of the run, in the order of the report.
#[derive(Debug)]
pub struct Entry {
    /// Its row. The runner fills in the numbers; where it fails on the way, `status` and `why`.
    pub row: report::Hub,
    /// The hub; None where it could not be started, and the row says why.
    pub running: Option<Running>,
}

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    /// Unique to this run; every event carries it.
    pub id: String,
    /// The workload as it was sent.
    pub workload: report::Workload,
    /// The rows, in the order of the entries.
    pub hubs: Vec<report::Hub>,
}
