//! Whether memory stays what it is at full rate, on the local Pub/Sub: `bench/footprint` says how, and what is held.
//!
//! ```text
//! cargo run --release -p anyhub-pubsub --example memory -- [SECONDS]
//! ```
#![allow(missing_docs)]

use anyhub_core::{ConsumerOptions, Hub, TopicConfig};
use anyhub_footprint::{Counts, Outcome, Stage, TOPIC};
use anyhub_local::pubsub::PubSub;
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use std::{process::ExitCode, sync::Arc};

/// What the topic keeps of what is acknowledged.
const KEPT: usize = 64 << 20;

fn main() -> ExitCode {
    anyhub_footprint::main::<Local>()
}

struct Local(PubSub);

impl Stage for Local {
    const NAME: &'static str = "Pub/Sub";

    fn start() -> Outcome<Self> {
        Ok(Self(PubSub::builder().retained_bytes(KEPT).start()?))
    }

    fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    fn counts(&self) -> Counts {
        Counts {
            came: self.0.counts().messages_in,
            stored: self.0.stored_bytes() as u64,
        }
    }

    async fn hub(endpoint: &str) -> Outcome<Arc<dyn Hub>> {
        let hub = PubSubHub::new(PubSubConfig::new("local").endpoint(endpoint))?;
        hub.admin().create_topic(&TopicConfig::new(TOPIC)).await?;
        Ok(Arc::new(hub))
    }

    fn reads() -> ConsumerOptions {
        ConsumerOptions::new().group("score")
    }
}
