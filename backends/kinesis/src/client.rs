//! The SDK's client: made at the first use, since its credentials and region are looked up then.

use crate::{
    config::KinesisConfig,
    error::{closed, invalid},
};
use anyhub_core::{Result, shown};
use aws_config::{BehaviorVersion, Region};
use aws_sdk_kinesis::{
    Client,
    config::{Credentials, retry::RetryConfig, timeout::TimeoutConfig},
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::OnceCell;

/// The way to Kinesis, shared by all of a hub's parts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    config: KinesisConfig,
    clients: OnceCell<Clients>,
    refusing: AtomicBool,
    closed: AtomicBool,
}

/// Both share their connections.
#[derive(Debug)]
struct Clients {
    /// Tries again by itself, as the SDK does.
    patient: Client,
    /// Tries once: who calls knows better what may be tried again, and what has to wait for it.
    once: Client,
}

/// The SDK's default sets the connect timeout alone.
const CONNECT: Duration = Duration::from_secs(5);
/// An answer may be 10 MiB; a shard reads 2 MiB/s.
const ATTEMPT: Duration = Duration::from_secs(15);
const OPERATION: Duration = Duration::from_secs(50);
/// Below what servers and load balancers on the way keep idle connections for.
const IDLE: Duration = Duration::from_secs(20);

impl Link {
    pub(crate) fn new(config: KinesisConfig) -> Self {
        Self(Arc::new(Inner {
            config,
            clients: OnceCell::new(),
            refusing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }))
    }

    pub(crate) fn config(&self) -> &KinesisConfig {
        &self.0.config
    }

    /// The client that tries again by itself. Closed after [`close`](Self::close).
    pub(crate) async fn patient(&self, operation: &'static str) -> Result<&Client> {
        Ok(&self.clients(operation).await?.patient)
    }

    /// The client that tries once. Closed after [`close`](Self::close).
    pub(crate) async fn once(&self, operation: &'static str) -> Result<&Client> {
        Ok(&self.clients(operation).await?.once)
    }

    /// The client, if it was made.
    pub(crate) fn made(&self) -> Option<&Client> {
        self.0.clients.get().map(|clients| &clients.patient)
    }

    /// The hub closes: from now on nothing new is opened, and what is open goes on until it is done.
    pub(crate) fn refuse(&self) {
        self.0.refusing.store(true, Ordering::Release);
    }

    /// From now on nothing is asked for.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    /// Whether the hub is closed, or closes.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.refusing.load(Ordering::Acquire)
    }

    async fn clients(&self, operation: &'static str) -> Result<&Clients> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(closed(operation, "hub"));
        }
        Ok(self.0.clients.get_or_init(|| make(&self.0.config)).await)
    }
}

async fn make(config: &KinesisConfig) -> Clients {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .pool_idle_timeout(IDLE)
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts);
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &config.endpoint {
        loader = loader.endpoint_url(endpoint.clone());
    }
    if config.is_local() && std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
        // Local servers want a signature and don't check it; nobody's real one should go there.
        loader = loader.credentials_provider(Credentials::new("test", "test", None, None, "local"));
    }
    let loaded = loader.load().await;
    let patient = Client::new(&loaded);
    let once = aws_sdk_kinesis::config::Builder::from(&loaded)
        .retry_config(RetryConfig::disabled())
        .build();
    Clients {
        patient,
        once: Client::from_conf(once),
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.config.fmt(f)
    }
}

/// Whether a stream, or a registered consumer, can be called so (API reference, CreateStream,
/// RegisterStreamConsumer, 2026-11).
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=128).contains(&name.len()) && name.bytes().all(fits)
}

/// What can.
pub(crate) const NAMES: &str = "use up to 128 letters, digits, dots, dashes and underscores";

/// Invalid for what can be no stream's name.
pub(crate) fn check_name(operation: &'static str, name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    let message = format!("'{}' can't be a stream's name", shown(name));
    Err(invalid(operation, message).with_advice(NAMES))
}

/// A stream, as requests name it: by its name, or by its ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream(Arc<str>);

impl Stream {
    /// Invalid for what can be neither.
    pub(crate) fn new(operation: &'static str, topic: &str) -> Result<Self> {
        if topic.starts_with("arn:") {
            let parts: Vec<_> = topic.splitn(6, ':').collect();
            let name = parts.get(5).and_then(|last| last.strip_prefix("stream/"));
            if parts.get(2) != Some(&"kinesis") || !name.is_some_and(is_name) {
                return Err(
                    invalid(operation, format!("'{}' is no stream's ARN", shown(topic)))
                        .with_advice("it looks like arn:aws:kinesis:REGION:ACCOUNT:stream/NAME"),
                );
            }
        } else {
            check_name(operation, topic)?;
        }
        Ok(Self(topic.into()))
    }

    /// As the user calls it.
    pub(crate) fn topic(&self) -> &str {
        &self.0
    }

    /// Its name, unless it goes by its ARN.
    pub(crate) fn name(&self) -> Option<String> {
        (!self.is_arn()).then(|| self.0.as_ref().to_owned())
    }

    /// Its ARN, where it was named so.
    pub(crate) fn arn(&self) -> Option<String> {
        self.is_arn().then(|| self.0.as_ref().to_owned())
    }

    fn is_arn(&self) -> bool {
        self.0.starts_with("arn:")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use anyhub_core::ErrorKind;

    #[test]
    fn a_secret_for_a_name_is_not_printed() {
        let token = "eyJhbGciOiJIUzI1NiJ9.hunter2KmVq1x8Zb0Rk3Yt5Wc7Pq9Ls2Df4.x";
        for error in [
            Stream::new("lag", "AKIA:hunter2=").unwrap_err(),
            Stream::new("lag", "arn:aws:kinesis:hunter2@x").unwrap_err(),
            crate::error::no_topic("lag", token),
        ] {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_topic_is_a_name_or_an_arn() {
        let stream = Stream::new("lag", "tweets.v2-a_b").unwrap();
        assert_eq!(
            (stream.name().as_deref(), stream.arn()),
            (Some("tweets.v2-a_b"), None)
        );
        let arn = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/tweets";
        let stream = Stream::new("lag", arn).unwrap();
        assert_eq!((stream.name(), stream.arn().as_deref()), (None, Some(arn)));
        let long = "x".repeat(129);
        for topic in [
            "",
            "a b",
            "a/b",
            "tw\u{e9}",
            &long,
            "arn:",
            "arn:aws:sns:eu-west-1:1:tweets",
        ] {
            let error = Stream::new("lag", topic).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{topic}");
            assert!(error.advice().is_some(), "{topic}");
        }
    }
}
