//! The memory hub behind a layer that makes it another kind of hub.

use anyhub_conformance::{Harness, Stalling};
use anyhub_core::{Hub, Retention, TopicConfig, memory::MemoryHub};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};

pub(crate) struct Layered {
    pub(crate) name: &'static str,
    pub(crate) layer: fn(Arc<dyn Hub>) -> Arc<dyn Hub>,
}

#[async_trait]
impl Harness for Layered {
    fn name(&self) -> &str {
        self.name
    }

    fn runs_on(&self) -> &str {
        "memory"
    }

    async fn start(&self) -> Result<Arc<dyn Hub>, String> {
        Ok((self.layer)(Arc::new(MemoryHub::new())))
    }

    fn forgetful(&self, topic: TopicConfig) -> Option<TopicConfig> {
        Some(topic.retention(Retention::new().time(Duration::from_secs(1))))
    }

    async fn stalling(&self, hub: Arc<dyn Hub>, topic: TopicConfig) -> Result<Stalling, String> {
        let topic = topic.property("capacity_bytes", "16384");
        Ok(Stalling::by_topic(hub, topic))
    }
}
