use crate::{
    access::OfClient,
    client::{Client, Namespace},
    connection::CONNECT,
    error::{of_client, unconnected},
};
use anyhub_core::Result;
use azure_core_amqp::AmqpConnection;
use azure_messaging_eventhubs::{
    ConsumerClient, EventHubsError, ProducerClient,
    builders::{ConsumerClientBuilder, ProducerClientBuilder},
};
use std::sync::Arc;
use tokio::time::timeout;

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

/// What the `native` of producers and consumers hands out, for what the traits leave out: the SDK's own
/// clients for the event hub, and the AMQP connection beneath ours.
///
/// The clients are opened with the endpoint and the credentials of the settings, each on a connection of its
/// own that runs on the caller's runtime and is the caller's to close. They are as Microsoft ships them, with
/// what this crate keeps from its users (azure_messaging_eventhubs 0.16):
///
/// - On a runtime of many threads a send may hang for ever: take one of a single thread, and a deadline
///   round each call.
/// - `send_batch` answers Ok where Event Hubs has modified or released the batch, which is then not stored.
/// - A receiver whose connection is lost begins again where it once began: events come twice or, where that
///   was the end, never. With no retries, by [`consumer_client_from`](Self::consumer_client_from), it ends
///   instead.
///
/// ```no_run
/// # async fn example(hub: std::sync::Arc<dyn anyhub_core::Hub>) -> Result<(), Box<dyn std::error::Error>> {
/// use anyhub_eventhubs::NativeHub;
/// let native = hub.native().downcast_ref::<NativeHub>().ok_or("another hub")?;
/// let client = native.client("tweets")?.producer_client().await?;
/// println!("{:?}", client.get_eventhub_properties().await?.partition_ids);
/// client.close().await?;
/// # Ok(()) }
/// ```
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

    /// The SDK's client that sends, with its defaults. Unavailable or Timeout if there is no connection to
    /// be had; that it may not, or that there is no such event hub, its first call tells.
    pub async fn producer_client(&self) -> Result<ProducerClient> {
        self.producer_client_from(ProducerClient::builder()).await
    }

    /// The SDK's client that reads as this consumer group, with its defaults; otherwise as
    /// [`producer_client`](Self::producer_client).
    pub async fn consumer_client(&self, group: &str) -> Result<ConsumerClient> {
        let builder = ConsumerClient::builder().with_consumer_group(group.to_owned());
        self.consumer_client_from(builder).await
    }

    /// [`producer_client`](Self::producer_client) with options of its own; where it is and who asks is set
    /// here.
    pub async fn producer_client_from(
        &self,
        mut builder: ProducerClientBuilder,
    ) -> Result<ProducerClient> {
        let target = self.0.target();
        if let Some(endpoint) = &target.endpoint {
            builder = builder.with_custom_endpoint(endpoint.to_string());
        }
        self.opened(async {
            match target.access.of_client(&target.hub) {
                OfClient::Shared(text) => {
                    let text = text.expose();
                    builder.open_with_connection_string(text, None).await
                }
                OfClient::Entra(host, credential) => {
                    builder.open(host, &target.hub, credential).await
                }
            }
        })
        .await
    }

    /// [`consumer_client`](Self::consumer_client) with options of its own, the consumer group among them;
    /// where it is and who asks is set here.
    pub async fn consumer_client_from(
        &self,
        mut builder: ConsumerClientBuilder,
    ) -> Result<ConsumerClient> {
        let target = self.0.target();
        if let Some(endpoint) = &target.endpoint {
            builder = builder.with_custom_endpoint(endpoint.to_string());
        }
        self.opened(async {
            match target.access.of_client(&target.hub) {
                OfClient::Shared(text) => {
                    let text = text.expose();
                    builder.open_with_connection_string(text, None).await
                }
                OfClient::Entra(host, credential) => {
                    let hub = target.hub.to_string();
                    builder.open(host, hub, credential).await
                }
            }
        })
        .await
    }

    async fn opened<T>(
        &self,
        opening: impl Future<Output = Result<T, EventHubsError>>,
    ) -> Result<T> {
        let opened = timeout(CONNECT, opening).await;
        let opened = opened.map_err(|_| unconnected("native", self.0.target()))?;
        opened.map_err(|error| of_client("native", self.0.topic(), error))
    }
}
