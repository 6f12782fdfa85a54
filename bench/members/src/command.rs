//! What can be asked for.

use crate::{Outcome, Stage, churn, freeze, kill, member, rebalance};
use clap::{Args, Subcommand};
use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

/// The commands that are the same on every hub, to be flattened into a backend's own.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Three members, of which one is killed, again and again.
    Kill {
        /// How often.
        #[arg(long, default_value_t = 20)]
        times: u32,
        /// How it goes on.
        #[command(flatten)]
        setting: Setting,
    },
    /// Three members, of which one is stopped for longer than its lease and then goes on, again and
    /// again: what it acknowledges late changes nothing.
    Freeze {
        /// How often.
        #[arg(long, default_value_t = 10)]
        times: u32,
        /// How it goes on.
        #[command(flatten)]
        setting: Setting,
    },
    /// Two members, of which one leaves and another one joins, in turn.
    Rebalance {
        /// How often one leaves or joins.
        #[arg(long, default_value_t = 100)]
        times: u32,
        /// How it goes on.
        #[command(flatten)]
        setting: Setting,
    },
    /// One of the members that the others start.
    #[command(hide = true)]
    Member(Seat),
}

/// The load, and what is left to chance.
#[derive(Debug, Clone, Copy, Args)]
#[non_exhaustive]
pub struct Setting {
    /// Seconds of a lease.
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub lease: Duration,
    /// Events a second.
    #[arg(long, default_value_t = 2_000)]
    pub rate: u32,
    /// Decides which member it is, and when.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Where a member finds its server and its group.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct Seat {
    pub(crate) endpoint: String,
    pub(crate) leases: PathBuf,
    #[arg(value_parser = seconds)]
    pub(crate) lease: Duration,
    #[arg(value_parser = seconds)]
    pub(crate) commit_interval: Duration,
}

impl Command {
    /// Does it. An error where something was lost, out of order or late, or nothing could be measured.
    pub async fn run<S: Stage>(self) -> Outcome {
        match self {
            Self::Kill { times, setting } if S::SHARED => churn::run::<S>(times, setting).await,
            Self::Kill { times, setting } => kill::run::<S>(times, setting).await,
            Self::Freeze { .. } | Self::Rebalance { .. } if S::SHARED => Err(
                "here members own nothing that could be handed over: kill is what there is".into(),
            ),
            Self::Freeze { times, setting } => freeze::run::<S>(times, setting).await,
            Self::Rebalance { times, setting } => rebalance::run::<S>(times, setting).await,
            Self::Member(seat) => {
                let hub = S::hub(&seat.endpoint, &seat.leases, seat.lease)?;
                member::run(&*hub, seat.commit_interval).await
            }
        }
    }
}

impl Seat {
    /// That make this program the member.
    pub(crate) fn arguments(&self) -> [OsString; 5] {
        let seconds = |time: Duration| time.as_secs_f64().to_string().into();
        [
            "member".into(),
            self.endpoint.clone().into(),
            self.leases.clone().into(),
            seconds(self.lease),
            seconds(self.commit_interval),
        ]
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "seconds, as in 5 or 0.5")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Runs a command to its end, on a runtime of its own, and tells what went wrong.
pub fn main(doing: impl Future<Output = Outcome>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(doing);
            // A member's stdin may be read still.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("groups: {error}");
            ExitCode::FAILURE
        }
    }
}
