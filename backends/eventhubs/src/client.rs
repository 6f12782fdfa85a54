//! The way to a namespace, and to each event hub in it.

use crate::{
    access::{self, Access},
    config::EventHubsConfig,
    connection::{Connection, Target},
    error::{HUB, closed, config, no_topic},
    io::Io,
    name,
    provision::Provisioner,
    resource_manager::ResourceManager,
};
use anyhub_core::Result;
use azure_core::http::Url;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::{
    fmt,
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Mutex, time::sleep};

/// The namespace, shared by all of a hub's parts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Namespace(Arc<Inner>);

struct Inner {
    config: EventHubsConfig,
    access: OnceLock<Arc<Access>>,
    /// By the settings, where they name none of the caller's own.
    resource_manager: OnceLock<Arc<ResourceManager>>,
    refusing: AtomicBool,
}

impl Namespace {
    pub(crate) fn new(config: EventHubsConfig) -> Self {
        Self(Arc::new(Inner {
            config,
            access: OnceLock::new(),
            resource_manager: OnceLock::new(),
            refusing: AtomicBool::new(false),
        }))
    }

    pub(crate) fn config(&self) -> &EventHubsConfig {
        &self.0.config
    }

    /// The hub closes: from now on nothing new is opened.
    pub(crate) fn refuse(&self) {
        self.0.refusing.store(true, Ordering::Release);
    }

    /// Closed once the hub is, or closes.
    pub(crate) fn check_open(&self, operation: &'static str) -> Result<()> {
        if self.0.refusing.load(Ordering::Acquire) {
            return Err(closed(operation, "hub"));
        }
        Ok(())
    }

    fn access(&self) -> Result<Arc<Access>> {
        if let Some(access) = self.0.access.get() {
            return Ok(access.clone());
        }
        let found = Arc::new(Access::find(&self.0.config)?);
        Ok(self.0.access.get_or_init(|| found).clone())
    }

    /// Who makes event hubs and consumer groups, if anybody does. Config as [`Access::find`], and for an
    /// identity that is of no use.
    pub(crate) fn provisioner(&self) -> Result<Option<Arc<dyn Provisioner>>> {
        let config = &self.0.config;
        if let Some(own) = &config.provisioner {
            return Ok(Some(own.clone()));
        }
        if let Some(there) = self.0.resource_manager.get() {
            return Ok(Some(there.clone()));
        }
        provide_tls();
        let host = &self.access()?.host;
        let found = ResourceManager::of(config, host, || access::identity(config))?;
        Ok(found.map(|found| {
            let there = self.0.resource_manager.get_or_init(|| Arc::new(found));
            there.clone() as Arc<dyn Provisioner>
        }))
    }

    /// What tells this namespace from others that share a store of leases. Config as [`Access::find`].
    pub(crate) fn place(&self) -> Result<String> {
        let access = self.access()?;
        let host = access.host.to_ascii_lowercase();
        Ok(match &access.endpoint {
            // Namespaces on this machine all have one name.
            Some(endpoint) if is_local(endpoint) => format!("{HUB}:{host}:{endpoint}"),
            _ => format!("{HUB}:{host}"),
        })
    }

    /// The way to an event hub, whether or not it is there; nothing is asked yet. NotFound for what can
    /// be no event hub's name, Config as [`Access::find`].
    pub(crate) fn target(&self, operation: &'static str, topic: &str) -> Result<Target> {
        if !name::can_be_hub(topic) {
            return Err(no_topic(operation, topic));
        }
        let access = self.access()?;
        access.check(topic)?;
        let unread = |_| config(format!("'{}' is no namespace", access.host));
        let url = Url::parse(&format!("amqps://{}/{topic}", access.host)).map_err(unread)?;
        let endpoint = access.endpoint.as_deref();
        let is_local = endpoint.is_some_and(is_local);
        let endpoint = endpoint.map(Url::parse).transpose();
        Ok(Target {
            url,
            endpoint: endpoint.map_err(|_| config("the endpoint is no URL"))?,
            is_local,
            hub: topic.into(),
            access,
        })
    }
}

/// Whether an endpoint is on this machine.
fn is_local(endpoint: &str) -> bool {
    EventHubsConfig::new().endpoint(endpoint).is_local()
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.config.fmt(f)
    }
}

/// The connection to one event hub, on a thread of its own; made anew when it is gone. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client(Arc<Way>);

#[derive(Debug)]
struct Way {
    io: Io,
    target: Target,
    connection: Mutex<Option<Arc<Connection>>>,
}

/// How often something is tried that what opens or asks can't do without, and how soon again.
const TRIES: u32 = 4;
const AGAIN: Duration = Duration::from_millis(100);

impl Client {
    /// Without a connection yet. Fails as [`Namespace::target`] and [`Io::start`].
    pub(crate) fn new(namespace: &Namespace, operation: &'static str, topic: &str) -> Result<Self> {
        let target = namespace.target(operation, topic)?;
        provide_tls();
        Ok(Self(Arc::new(Way {
            io: Io::start(operation)?,
            target,
            connection: Mutex::default(),
        })))
    }

    pub(crate) fn io(&self) -> &Io {
        &self.0.io
    }

    pub(crate) fn target(&self) -> &Target {
        &self.0.target
    }

    pub(crate) fn url(&self) -> String {
        self.0.target.url.to_string()
    }

    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.0.target.hub
    }

    /// The connection, opened if there is none that lives. On its own thread.
    pub(crate) async fn connection(&self, operation: &'static str) -> Result<Arc<Connection>> {
        let mut connection = self.0.connection.lock().await;
        match &*connection {
            Some(there) if !there.is_dead() => Ok(there.clone()),
            _ => {
                *connection = None;
                let opened = Connection::open(operation, &self.0.target).await?;
                *connection = Some(opened.clone());
                Ok(opened)
            }
        }
    }

    /// Runs what asks on a connection, on its thread, and again for as long as that may help, a few
    /// times.
    pub(crate) async fn ask<T, F>(
        &self,
        operation: &'static str,
        question: impl Fn(Arc<Connection>) -> F + Send + Sync + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send,
    {
        let this = self.clone();
        let asking = async move {
            let mut tries = 1;
            loop {
                let answer = match this.connection(operation).await {
                    Ok(connection) => question(connection).await,
                    Err(error) => Err(error),
                };
                match answer {
                    Err(error) if tries < TRIES && error.is_retryable() => {
                        tracing::debug!(%error, "asked again");
                        sleep(AGAIN * (1 << tries)).await;
                        tries += 1;
                    }
                    answer => return answer,
                }
            }
        };
        self.0.io.run(operation, asking).await
    }

    /// Takes leave, if it is connected.
    pub(crate) async fn close(&self) {
        let this = self.clone();
        let closing = async move {
            if let Some(connection) = this.0.connection.lock().await.take() {
                connection.close().await;
            }
            Ok(())
        };
        // There is nothing to be done about a failure.
        let _ = self.0.io.run("close", closing).await;
    }
}

/// The SDK takes the process's provider of TLS, and panics where there are two to choose from and none
/// is chosen. Other backends and libraries bring another one; whatever an application has chosen, stays.
fn provide_tls() {
    if CryptoProvider::get_default().is_none() {
        // An Err: somebody else was faster.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}
