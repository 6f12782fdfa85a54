//! The namespace that both sides use, in a process of its own.

use anyhub_core::{Error, ErrorKind, Retention, TopicConfig};
use anyhub_eventhubs::Provisioner;
use anyhub_local::EventHubs;
use anyhub_overhead::{BoxError, Result, Server};
use async_trait::async_trait;
use std::{process::ExitCode, time::Duration};

/// What a partition keeps: more than a reader's topic has, less than publishing writes.
const KEPT: usize = 400 << 20;

/// A local Event Hubs, and who makes event hubs there.
#[derive(Debug)]
pub(crate) struct Namespace(Server);

/// What the SDK opens an event hub there with.
pub(crate) fn connection_string(hub: &str) -> String {
    format!(
        "Endpoint=sb://localhost;SharedAccessKeyName=RootManageSharedAccessKey;\
         SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;EntityPath={hub}"
    )
}

/// What the process of the server does until it is told to end.
pub(crate) fn serve() -> ExitCode {
    let start = || {
        let day = Duration::from_secs(24 * 3_600);
        let server = EventHubs::builder().retention(KEPT, day).start()?;
        let endpoint = server.endpoint();
        Ok::<_, anyhub_local::Error>((server, endpoint))
    };
    Server::serve_and_answer(start, |server: &EventHubs, request| {
        let mut words = request.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("create"), Some(hub), Some(partitions)) => {
                server.create_hub(hub, partitions.parse()?)?;
            }
            (Some("delete"), Some(hub), None) => server.delete_hub(hub)?,
            (Some("group"), Some(hub), Some(group)) => server.create_group(hub, group)?,
            _ => return Err("no such request".into()),
        }
        Ok::<_, BoxError>(())
    })
}

impl Namespace {
    pub(crate) fn start() -> Result<Self> {
        Server::start().map(Self)
    }

    pub(crate) fn endpoint(&self) -> &str {
        self.0.endpoint()
    }

    fn ask(&self, operation: &'static str, request: &str) -> anyhub_core::Result<()> {
        let asked = self.0.ask(request);
        asked.map_err(|error| failed(operation, &error.to_string()))
    }
}

#[async_trait]
impl Provisioner for Namespace {
    async fn create_hub(&self, hub: &TopicConfig) -> anyhub_core::Result<()> {
        let request = format!("create {} {}", hub.name, hub.partitions);
        self.ask("create_topic", &request)
    }

    async fn delete_hub(&self, hub: &str) -> anyhub_core::Result<()> {
        self.ask("delete_topic", &format!("delete {hub}"))
    }

    async fn list_hubs(&self) -> anyhub_core::Result<Vec<String>> {
        Err(failed("list_topics", "nobody asks for this here"))
    }

    async fn set_partitions(&self, _: &str, _: u32) -> anyhub_core::Result<()> {
        Err(failed("set_partitions", "nobody asks for this here"))
    }

    async fn set_retention(&self, _: &str, _: &Retention) -> anyhub_core::Result<()> {
        Err(failed("set_retention", "nobody asks for this here"))
    }

    async fn ensure_group(&self, hub: &str, group: &str) -> anyhub_core::Result<()> {
        self.ask("consumer", &format!("group {hub} {group}"))
    }
}

fn failed(operation: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::Unexpected, "eventhubs", operation, message)
}
