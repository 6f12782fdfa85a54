//! The memory hub against the whole contract.

use anyhub_conformance::{Harness, run};
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

    fn stalling(&self, topic: TopicConfig) -> TopicConfig {
        topic.property("capacity_bytes", "16384")
    }
}

fn main() -> ExitCode {
    run(Memory)
}
