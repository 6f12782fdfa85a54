//! Consumer groups on the local Event Hubs, under what befalls their members: killed, frozen for longer
//! than their leases, and come and gone. Each prints what it measured and exits 1 where something was
//! lost, out of order, late or delivered by who did not own it any more.
//!
//! ```text
//! cargo run --release -p anyhub-eventhubs --example groups -- kill --times 20
//! cargo run --release -p anyhub-eventhubs --example groups -- freeze --times 10
//! cargo run --release -p anyhub-eventhubs --example groups -- rebalance --times 100
//! ```
#![allow(missing_docs)]

use anyhub_core::Hub;
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub, LeasesIn};
use anyhub_local::eventhubs::EventHubs;
use anyhub_members::{Command, GROUP, Outcome, Stage, TOPIC};
use clap::Parser;
use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

/// Consumer groups on the local Event Hubs, under what befalls their members
#[derive(Parser)]
#[command(after_help = "Example:\n  groups kill --times 20")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    anyhub_members::main(command.run::<Local>())
}

struct Local(EventHubs);

impl Stage for Local {
    const PARTS: &'static str = "partitions";

    async fn start(partitions: u32) -> Outcome<Self> {
        let server = EventHubs::builder().hub(TOPIC, partitions).start()?;
        server.create_group(TOPIC, GROUP)?;
        Ok(Self(server))
    }

    fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    fn hub(endpoint: &str, leases: &Path, lease: Duration) -> Outcome<Arc<dyn Hub>> {
        let config = EventHubsConfig::new()
            .namespace("localhost")
            .endpoint(endpoint)
            .leases(LeasesIn::Sqlite(leases.into()))
            .lease_time(lease);
        Ok(Arc::new(EventHubsHub::new(config)?))
    }

    fn stolen(&self) -> Option<u64> {
        Some(self.0.counts().stolen_links)
    }
}
