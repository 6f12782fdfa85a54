//! Members of a group on the local Pub/Sub that are killed and join, while requests for acks fail and acks come too late.
//! Prints what it measured and exits 1 where something was lost or out of order; with exactly-once delivery, too, where
//! something came again after a commit had confirmed its ack.
//!
//! ```text
//! cargo run --release -p anyhub-pubsub --example groups -- kill --times 100
//! cargo run --release -p anyhub-pubsub --example groups -- --exactly-once kill --times 100
//! ```
#![allow(missing_docs)]

use anyhub_core::{Hub, HubUrl, TopicConfig};
use anyhub_local::pubsub::{Fault, Faults, PubSub, Rate};
use anyhub_members::{Command, Outcome, Stage, TOPIC};
use anyhub_pubsub::PubSubHub;
use clap::Parser;
use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

/// Requests for acks that fail.
const FAILING: f64 = 0.05;
/// Acks that come too late.
const LATE: f64 = 0.000_5;
/// The shortest that Pub/Sub takes: how long a key stands still after its member died.
const ACK_DEADLINE: &str = "10s";

/// Members of a group on the local Pub/Sub, killed and joined
#[derive(Parser)]
#[command(after_help = "Example:\n  groups --exactly-once kill --times 100")]
struct Arguments {
    /// With exactly-once delivery
    #[arg(long)]
    exactly_once: bool,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let Arguments {
        exactly_once,
        command,
    } = Arguments::parse();
    match exactly_once {
        true => anyhub_members::main(command.run::<Local<true>>()),
        false => anyhub_members::main(command.run::<Local<false>>()),
    }
}

struct Local<const EXACTLY_ONCE: bool>(PubSub);

impl<const EXACTLY_ONCE: bool> Stage for Local<EXACTLY_ONCE> {
    const PARTS: &'static str = match EXACTLY_ONCE {
        true => "exactly-once delivery",
        false => "at-least-once delivery",
    };
    const SHARED: bool = true;
    const CONFIRMS: bool = EXACTLY_ONCE;

    async fn start(_: u32) -> Outcome<Self> {
        let server = PubSub::builder().start()?;
        let this = Self(server);
        let hub = hub(&this.endpoint())?;
        hub.admin().create_topic(&TopicConfig::new(TOPIC)).await?;
        let faults = Faults::none()
            .unavailable("Acknowledge", Rate::share(FAILING))
            .expired_acks(Rate::share(LATE));
        this.0.set_faults(faults)?;
        Ok(this)
    }

    /// With all that a member has to know: its process is told nothing else.
    fn endpoint(&self) -> String {
        let (url, once) = (self.0.url(), EXACTLY_ONCE);
        format!("{url}&ack_deadline={ACK_DEADLINE}&exactly_once={once}")
    }

    fn hub(endpoint: &str, _: &Path, _: Duration) -> Outcome<Arc<dyn Hub>> {
        hub(endpoint)
    }

    fn stolen(&self) -> Option<u64> {
        None
    }

    fn struck(&self) -> Outcome<Option<String>> {
        let counts = self.0.counts();
        let times = |fault| counts.strikes(fault).times_in_flight;
        let (failed, late) = (times(Fault::Unavailable), times(Fault::ExpiredAck));
        if failed == 0 || late == 0 {
            return Err(
                format!("acks were not lost: {failed} requests failed, {late} came late").into(),
            );
        }
        Ok(Some(format!(
            "{failed} requests for acks failed, {late} acks came too late; the service sent {} messages again",
            counts.messages_again
        )))
    }
}

fn hub(url: &str) -> Outcome<Arc<dyn Hub>> {
    let url: HubUrl = url.parse()?;
    Ok(Arc::new(PubSubHub::from_url(&url)?))
}
