use crate::client::{Client, Namespace};
use anyhub_core::Result;
use azure_core_amqp::AmqpConnection;
use std::sync::Arc;

/// What [`Hub::native`](anyhub_core::Hub::native) hands out: the way to any event hub of the namespace.
#[derive(Debug)]
pub struct NativeHub(pub(crate) Namespace);

impl NativeHub {
    /// The way to one event hub, without I/O. NotFound for what can be no event hub's name, Config where
    /// there is no telling who asks.
    pub fn client(&self, hub: &str) -> Result<NativeClient> {
        self.0.check_open("native")?;
        Client::new(&self.0, "native", hub).map(NativeClient)
    }
}

/// What the `native` of producers and consumers hands out: the SDK's own AMQP connection to the event
/// hub, opened and authorized, for what the traits leave out.
#[derive(Debug, Clone)]
pub struct NativeClient(pub(crate) Client);

impl NativeClient {
    /// The event hub's address, `amqps://HOST/HUB`, with which addresses of links begin.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// The connection that the producer or consumer uses itself; another one once that is gone. Fails as
    /// the namespace does.
    ///
    /// The SDK's sends may hang for ever on a runtime of many threads.
    pub async fn connection(&self) -> Result<Arc<AmqpConnection>> {
        self.0
            .ask("native", |connection| async move { Ok(connection.amqp()) })
            .await
    }
}
