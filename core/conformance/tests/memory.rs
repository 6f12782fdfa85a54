//! The memory hub against the whole contract.

use anyhub_conformance::{Harness, Stalling, run};
use anyhub_core::{Hub, TopicConfig, memory::MemoryHub};
use async_trait::async_trait;
use std::{process::ExitCode, sync::Arc};

struct Memory;

#[async_trait]
impl Harness for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn runs_on(&self) -> &str {
        "memory"
    }

    async fn start(&self) -> Result<Arc<dyn Hub>, String> {
        Ok(Arc::new(MemoryHub::new()))
    }

    async fn stalling(&self, hub: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String> {
        let topic = topic.property("capacity_bytes", "16384");
        Ok(Stalling::by_topic(hub, topic))
    }
}

fn main() -> ExitCode {
    run(Memory)
}
