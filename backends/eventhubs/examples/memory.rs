//! Whether memory stays what it is at full rate, on the local Event Hubs: `bench/footprint` says how, and what is held.
//!
//! ```text
//! cargo run --release -p anyhub-eventhubs --example memory -- [SECONDS]
//! ```
#![allow(missing_docs)]

use anyhub_core::{ConsumerOptions, Hub};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub};
use anyhub_footprint::{Counts, Outcome, Stage, TOPIC};
use anyhub_local::EventHubs;
use std::{process::ExitCode, sync::Arc, time::Duration};

const PARTITIONS: u32 = 4;
/// What a partition keeps.
const KEPT: usize = 24 << 20;
const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);

fn main() -> ExitCode {
    anyhub_footprint::main::<Local>()
}

struct Local(EventHubs);

impl Stage for Local {
    const NAME: &'static str = "Event Hubs";

    fn start() -> Outcome<Self> {
        let builder = EventHubs::builder().hub(TOPIC, PARTITIONS);
        Ok(Self(builder.retention(KEPT, WEEK).start()?))
    }

    fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    fn counts(&self) -> Counts {
        Counts {
            came: self.0.counts().events_in,
            stored: self.0.stored_bytes() as u64,
        }
    }

    async fn hub(endpoint: &str) -> Outcome<Arc<dyn Hub>> {
        let config = EventHubsConfig::new()
            .namespace("localhost")
            .endpoint(endpoint);
        Ok(Arc::new(EventHubsHub::new(config)?))
    }

    fn reads() -> ConsumerOptions {
        ConsumerOptions::new()
    }
}
