//! The memory hub behind a layer that gives it shards and sequence numbers, as on Kinesis.

use anyhub_conformance::{Harness, Stalling, mutants::sequenced, run};
use anyhub_core::{Hub, Retention, TopicConfig, memory::MemoryHub};
use async_trait::async_trait;
use std::{process::ExitCode, sync::Arc, time::Duration};

struct Sequenced;

#[async_trait]
impl Harness for Sequenced {
    fn name(&self) -> &str {
        "sequence layer"
    }

    fn runs_on(&self) -> &str {
        "memory"
    }

    async fn start(&self) -> Result<Arc<dyn Hub>, String> {
        Ok(sequenced(Arc::new(MemoryHub::new())))
    }

    fn forgetful(&self, topic: TopicConfig) -> Option<TopicConfig> {
        Some(topic.retention(Retention::new().time(Duration::from_secs(1))))
    }

    async fn stalling(&self, hub: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String> {
        let topic = topic.property("capacity_bytes", "16384");
        Ok(Stalling::by_topic(hub, topic))
    }
}

fn main() -> ExitCode {
    run(Sequenced)
}
