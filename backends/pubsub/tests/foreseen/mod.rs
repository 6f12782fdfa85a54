//! A layer that makes groups before anything is published, so that reading from the start of a topic takes no seek, which
//! pstest does not survive once it has messages.

use crate::pstest_server::Server;
use anyhub_core::{
    Admin, Capabilities, Consumer, ConsumerOptions, Hub, Point, Producer, ProducerOptions, Result,
    Usage,
};
use anyhub_pubsub::PubSubHub;
use async_trait::async_trait;
use std::{any::Any, collections::HashMap, sync::Arc};
use tokio::sync::Mutex;

/// So many groups of a topic, and so many for readers without one.
const EACH: usize = 4;

/// The hub of one trial, and its server.
#[derive(Debug)]
pub(crate) struct Foreseen {
    hub: PubSubHub,
    /// What nobody has opened yet, by topic.
    unopened: Mutex<HashMap<String, Unopened>>,
    _server: Arc<Server>,
}

#[derive(Debug)]
struct Unopened {
    groups: Vec<String>,
    /// Groups, too, which stand for private readers.
    readers: Vec<String>,
}

impl Unopened {
    /// A trial's names end in a number, one more for each: its groups are the next ones.
    fn of(topic: &str) -> Self {
        let numbered = topic.rsplit_once('-');
        let numbered = numbered.and_then(|(stem, nth)| Some((stem, nth.parse::<usize>().ok()?)));
        let groups = numbered
            .into_iter()
            .flat_map(|(stem, nth)| (1..=EACH).map(move |more| format!("{stem}-{}", nth + more)));
        Self {
            groups: groups.collect(),
            readers: (0..EACH)
                .map(|nth| format!("{topic}-reader-{nth}"))
                .collect(),
        }
    }
}

impl Foreseen {
    pub(crate) fn new(hub: PubSubHub, server: Arc<Server>) -> Self {
        Self {
            hub,
            unopened: Mutex::default(),
            _server: server,
        }
    }

    /// Before the first producer of a topic has published anything.
    async fn prepare(&self, topic: &str) -> Result<()> {
        let mut unopened = self.unopened.lock().await;
        if unopened.contains_key(topic) {
            return Ok(());
        }
        let made = Unopened::of(topic);
        for group in made.groups.iter().chain(&made.readers) {
            let options = ConsumerOptions::new().group(group.clone());
            let options = options.start(Point::End);
            self.hub.consumer(topic, options).await?.close().await?;
        }
        unopened.insert(topic.to_owned(), made);
        Ok(())
    }

    /// How a consumer is to be opened: by what was made for it where it begins at the start; who begins elsewhere has its
    /// own made.
    async fn opened(&self, topic: &str, options: ConsumerOptions) -> Result<ConsumerOptions> {
        let mut unopened = self.unopened.lock().await;
        let Some(unopened) = unopened.get_mut(topic) else {
            return Ok(options);
        };
        let from_start = options.start == Point::Start;
        match &options.group {
            Some(group) => {
                let known = unopened.groups.len();
                unopened.groups.retain(|name| name != group);
                if !from_start && unopened.groups.len() < known {
                    self.admin().delete_group(group).await?;
                }
            }
            // While there is nothing, a seek does no harm.
            None if from_start && self.usage().get("messages_in") > 0 => {
                if let Some(group) = unopened.readers.pop() {
                    return Ok(options.group(group));
                }
            }
            None => {}
        }
        Ok(options)
    }
}

#[async_trait]
impl Hub for Foreseen {
    fn name(&self) -> &'static str {
        self.hub.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.hub.capabilities()
    }

    async fn producer(&self, topic: &str, options: ProducerOptions) -> Result<Arc<dyn Producer>> {
        let producer = self.hub.producer(topic, options).await?;
        self.prepare(topic).await?;
        Ok(producer)
    }

    async fn consumer(&self, topic: &str, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        let options = self.opened(topic, options).await?;
        self.hub.consumer(topic, options).await
    }

    fn admin(&self) -> &dyn Admin {
        self.hub.admin()
    }

    fn usage(&self) -> Usage {
        self.hub.usage()
    }

    fn native(&self) -> &(dyn Any + Send + Sync) {
        self.hub.native()
    }

    async fn close(&self) -> Result<()> {
        self.hub.close().await
    }
}
