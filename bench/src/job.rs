//! What the runner is given and what it gives back: the seam between the command and the measuring.

use std::path::PathBuf;
use std::sync::Arc;

use crate::hubs::Running;
use crate::progress::Progress;
use crate::report;
use crate::tweets::Tweets;
use crate::workload::Workload;

/// A run: everything in it has been checked.
#[derive(Debug)]
pub struct Job {
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
