//! The memory hub behind a layer that declares the portable contract alone, and refuses the rest.

use anyhub_conformance::{Harness, Stalling, mutants::portable, run};
use anyhub_core::{Hub, Retention, TopicConfig, memory::MemoryHub};
use async_trait::async_trait;
use std::{process::ExitCode, sync::Arc, time::Duration};

struct Portable;

#[async_trait]
impl Harness for Portable {
    fn name(&self) -> &str {
        "portable layer"
    }

    fn runs_on(&self) -> &str {
        "memory"
    }

    async fn start(&self) -> Result<Arc<dyn Hub>, String> {
        Ok(portable(Arc::new(MemoryHub::new())))
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
    run(Portable)
}
