//! Consumer groups on the local Kinesis, under what befalls them: members that are killed, frozen for
//! longer than their leases, come and gone; shards that are split and merged under load; and nothing to do
//! at all. Each prints what it measured and exits 1 where something was lost, out of order or late.
//!
//! ```text
//! cargo run --release -p anyhub-kinesis --example groups -- kill --times 20
//! cargo run --release -p anyhub-kinesis --example groups -- freeze --times 10
//! cargo run --release -p anyhub-kinesis --example groups -- rebalance --times 100
//! cargo run --release -p anyhub-kinesis --example groups -- reshard --times 50
//! cargo run --release -p anyhub-kinesis --example groups -- idle
//! ```

mod idle;
mod lineage;
mod reshard;

use anyhub_core::{Hub, TopicConfig};
use anyhub_kinesis::{Aggregation, KinesisConfig, KinesisHub, LeasesIn};
use anyhub_local::kinesis::Kinesis;
use anyhub_members::{Outcome, Stage, TOPIC};
use clap::{Parser, Subcommand};
use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

/// Consumer groups on the local Kinesis, under what befalls their members
#[derive(Parser)]
#[command(after_help = "Example:\n  groups kill --times 20")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Members(anyhub_members::Command),
    /// Two members while shards are split and merged under load.
    Reshard {
        /// How many splits and merges.
        #[arg(long, default_value_t = 50)]
        times: u32,
        /// Events a second.
        #[arg(long, default_value_t = 2_000)]
        rate: u32,
        /// Decides which shards, and when.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// What a member asks for, of shards where nothing happens and of busy ones.
    Idle {
        /// Seconds of each.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    anyhub_members::main(async {
        match command {
            Command::Members(command) => command.run::<Local>().await,
            Command::Reshard { times, rate, seed } => {
                for aggregate in [Aggregation::Key, Aggregation::Shard] {
                    reshard::run(aggregate, times, rate, seed).await?;
                }
                Ok(())
            }
            Command::Idle { seconds } => idle::run(Duration::from_secs(seconds)).await,
        }
    })
}

struct Local(Kinesis);

impl Stage for Local {
    const PARTS: &'static str = "shards";

    async fn start(partitions: u32) -> Outcome<Self> {
        let server = server()?;
        let topic = TopicConfig::new(TOPIC).partitions(partitions);
        let hub = hub(config(&server.endpoint()))?;
        hub.admin().create_topic(&topic).await?;
        Ok(Self(server))
    }

    fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    fn hub(endpoint: &str, leases: &Path, lease: Duration) -> Outcome<Arc<dyn Hub>> {
        let config = config(endpoint)
            .leases(LeasesIn::Sqlite(leases.into()))
            .lease_time(lease);
        Ok(Arc::new(hub(config)?))
    }

    fn stolen(&self) -> Option<u64> {
        None
    }
}

fn config(endpoint: &str) -> KinesisConfig {
    KinesisConfig::new()
        .region("us-east-1")
        .endpoint(endpoint)
        .max_batch_bytes(5 << 20)
}

fn server() -> Outcome<Kinesis> {
    Ok(Kinesis::builder()
        .limits(true)
        .shard_limit(10_000)
        .start()?)
}

fn hub(config: KinesisConfig) -> Outcome<KinesisHub> {
    Ok(KinesisHub::new(config)?)
}
