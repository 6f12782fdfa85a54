use crate::client::Client;
use anyhub_core::{Error, ErrorKind, Result};
use google_cloud_pubsub::client::{
    BasePublisher, Publisher, SchemaService, Subscriber, SubscriptionAdmin, TopicAdmin,
};

/// What [`Hub::native`](anyhub_core::Hub::native) hands out, for what the traits leave out: Google's own clients, with
/// the endpoint and the credentials of the settings.
///
/// Each call opens one of its own, on connections of its own. They are as Google ships them, with what this crate keeps
/// from its users (google-cloud-pubsub 1.7):
///
/// - `Publisher::publish` has no bound on what waits, and a task for each ordering key, for as long as it lives. A key
///   whose request failed is paused, and what came behind fails with it, until `resume_publish`.
/// - An ack tells nothing, but with exactly-once delivery, by `confirmed_ack`. A dropped handler nacks.
/// - The clients of topics, subscriptions and schemas speak JSON: not every emulator does.
///
/// ```no_run
/// # async fn example(hub: std::sync::Arc<dyn anyhub_core::Hub>) -> Result<(), Box<dyn std::error::Error>> {
/// use anyhub_pubsub::NativeHub;
/// let native = hub.native().downcast_ref::<NativeHub>().ok_or("another hub")?;
/// let admin = native.subscription_admin().await?;
/// let snapshot = admin.create_snapshot().set_name("projects/p/snapshots/before");
/// snapshot.set_subscription("projects/p/subscriptions/score").send().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct NativeHub(pub(crate) Client);

/// The SDK's builder, with where it is and who asks.
macro_rules! build {
    ($native:expr, $builder:expr) => {{
        let client = &$native.0;
        client.check_open("native")?;
        let credentials = client.credentials("native")?;
        let builder = $builder
            .with_endpoint(client.endpoint())
            .with_credentials(credentials);
        builder.build().await.map_err(unbuilt)
    }};
}

impl NativeHub {
    /// The client that makes publishers. Denied without credentials; Config for what the SDK can't be built from.
    pub async fn publisher(&self) -> Result<BasePublisher> {
        build!(self, BasePublisher::builder())
    }

    /// The client that reads subscriptions by StreamingPull; otherwise as [`publisher`](Self::publisher).
    pub async fn subscriber(&self) -> Result<Subscriber> {
        build!(self, Subscriber::builder())
    }

    /// The client of topics; otherwise as [`publisher`](Self::publisher).
    pub async fn topic_admin(&self) -> Result<TopicAdmin> {
        build!(self, TopicAdmin::builder())
    }

    /// The client of subscriptions and snapshots; otherwise as [`publisher`](Self::publisher).
    pub async fn subscription_admin(&self) -> Result<SubscriptionAdmin> {
        build!(self, SubscriptionAdmin::builder())
    }

    /// The client of schemas; otherwise as [`publisher`](Self::publisher).
    pub async fn schema_service(&self) -> Result<SchemaService> {
        build!(self, SchemaService::builder())
    }
}

/// What the `native` of a producer hands out: its topic, and the SDK's publisher to it.
#[derive(Debug, Clone)]
pub struct NativeTopic {
    hub: NativeHub,
    name: String,
}

impl NativeTopic {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self {
            hub: NativeHub(client),
            name,
        }
    }

    /// The topic's full name, `projects/PROJECT/topics/TOPIC`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SDK's publisher to it, with its defaults. As [`NativeHub::publisher`].
    pub async fn publisher(&self) -> Result<Publisher> {
        Ok(self.hub.publisher().await?.publisher(&self.name).build())
    }
}

/// What the `native` of a consumer hands out: its subscription, and the SDK's clients.
#[derive(Debug, Clone)]
pub struct NativeSubscription {
    hub: NativeHub,
    name: String,
}

impl NativeSubscription {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self {
            hub: NativeHub(client),
            name,
        }
    }

    /// The subscription's full name, `projects/PROJECT/subscriptions/GROUP`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SDK's clients.
    pub fn hub(&self) -> &NativeHub {
        &self.hub
    }
}

fn unbuilt(error: google_cloud_gax::client_builder::Error) -> Error {
    let message = format!("the SDK's client can't be made: {error}");
    Error::new(ErrorKind::Config, crate::error::HUB, "native", message)
}
