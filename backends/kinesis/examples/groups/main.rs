//! Consumer groups on the local Kinesis, under what befalls them: members that are killed, shards
//! that are split and merged under load, and nothing to do at all. Each prints what it measured and
//! exits 1 where something was lost, out of order or late.
//!
//! ```text
//! cargo run --release -p anyhub-kinesis --example groups -- kill --times 20
//! cargo run --release -p anyhub-kinesis --example groups -- reshard --times 50
//! cargo run --release -p anyhub-kinesis --example groups -- idle
//! ```

mod events;
mod idle;
mod kill;
mod lineage;
mod member;
mod reshard;

use anyhub_kinesis::{Aggregation, KinesisConfig, KinesisHub};
use anyhub_local::kinesis::Kinesis;
use clap::{Parser, Subcommand};
use std::{error::Error, path::PathBuf, process::ExitCode, time::Duration};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Three members, processes of their own with one SQLite lease file, of which one is killed, again
    /// and again.
    Kill {
        /// How often.
        #[arg(long, default_value_t = 20)]
        times: u32,
        /// Seconds of a lease.
        #[arg(long, default_value_t = 5.0)]
        lease: f64,
        /// Events a second.
        #[arg(long, default_value_t = 2_000)]
        rate: u32,
        /// Decides which member is killed, and when.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
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
    /// One of the members that `kill` starts.
    #[command(hide = true)]
    Member {
        endpoint: String,
        leases: PathBuf,
        lease: f64,
    },
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("groups: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match Arguments::parse().command {
            Command::Kill {
                times,
                lease,
                rate,
                seed,
            } => kill::run(times, Duration::from_secs_f64(lease), rate, seed).await,
            Command::Reshard { times, rate, seed } => {
                for aggregate in [Aggregation::Key, Aggregation::Shard] {
                    reshard::run(aggregate, times, rate, seed).await?;
                }
                Ok(())
            }
            Command::Idle { seconds } => idle::run(Duration::from_secs(seconds)).await,
            Command::Member {
                endpoint,
                leases,
                lease,
            } => member::run(&endpoint, leases, Duration::from_secs_f64(lease)).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("groups: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The stream that all of them use.
const STREAM: &str = "tweets";
const GROUP: &str = "score";

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
