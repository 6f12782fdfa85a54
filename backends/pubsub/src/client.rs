//! The way to the service: one connection, a request, its deadline, and who asks.

use crate::{
    config::{PubSubConfig, Service},
    error::{Failure, closed, config, failed, no_credentials, unanswered, untold},
    usage::Counters,
};
use anyhub_core::{Result, shown};
use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials, anonymous};
use http::Extensions;
use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::{self, Handle},
    time::{sleep, timeout},
};
use tonic::{
    Request, Response, Status,
    metadata::{MetadataMap, MetadataValue},
    transport::{Channel, ClientTlsConfig, Endpoint},
};

/// How long one request may take.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(10);
/// How long one is asked again and again.
const PATIENCE: Duration = Duration::from_secs(10);
/// With less time left, one more attempt would say less than the last one did.
const USEFUL: Duration = Duration::from_millis(500);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection is looked at so often, and given up where nothing answers.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_LIMIT: Duration = Duration::from_secs(10);
/// What may be under way on a connection and on a stream, in bytes: 64 KiB, the default, would make 10 MB of
/// messages wait for 150 round trips.
const WINDOW: u32 = 8 << 20;
/// What the scope of a token has to be (Pub/Sub documentation, 2026-11).
const SCOPE: &str = "https://www.googleapis.com/auth/pubsub";

/// A hub's settings, who asks, and whether it is closed.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    config: PubSubConfig,
    service: Service,
    credentials: OnceLock<Credentials>,
    /// For administration, of the runtime that it lives on; producers and consumers have their own.
    line: Mutex<Option<(runtime::Id, Channel)>>,
    closed: AtomicBool,
    counters: Counters,
}

impl Client {
    /// Without I/O. Config for a value that can't be.
    pub(crate) fn new(config: PubSubConfig) -> Result<Self> {
        config.check()?;
        let service = config.service()?;
        Ok(Self(Arc::new(Inner {
            config,
            service,
            credentials: OnceLock::new(),
            line: Mutex::new(None),
            closed: AtomicBool::new(false),
            counters: Counters::default(),
        })))
    }

    pub(crate) fn config(&self) -> &PubSubConfig {
        &self.0.config
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.0.service.url
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Refuses everything from now on.
    pub(crate) fn refuse(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    /// Closed after [`refuse`](Self::refuse).
    pub(crate) fn check_open(&self, operation: &'static str) -> Result<()> {
        match self.0.closed.load(Ordering::Acquire) {
            true => Err(closed(operation, "hub")),
            false => Ok(()),
        }
    }

    /// Who asks. Denied where there are no credentials.
    pub(crate) fn credentials(&self, operation: &'static str) -> Result<Credentials> {
        let inner = &self.0;
        if let Some(credentials) = inner.credentials.get() {
            return Ok(credentials.clone());
        }
        let found = match &inner.config.credentials {
            Some(own) => own.clone(),
            None if inner.service.anonymous => anonymous::Builder::new().build(),
            None => Builder::default()
                .with_scopes([SCOPE])
                .build()
                .map_err(|error| no_credentials(operation, false, error))?,
        };
        Ok(inner.credentials.get_or_init(|| found).clone())
    }

    /// A connection of its own, made at the first request. Config for what can be no endpoint.
    pub(crate) fn line(&self) -> Result<Line> {
        Ok(Line {
            client: self.clone(),
            channel: self.connection()?,
        })
    }

    /// The connection for administration. It ends with the runtime that it was made on: another one makes its own.
    pub(crate) fn shared_line(&self) -> Result<Line> {
        let here = Handle::current().id();
        let mut shared = self.0.line.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = match &*shared {
            Some((of, channel)) if *of == here => channel.clone(),
            _ => {
                let made = self.connection()?;
                *shared = Some((here, made.clone()));
                made
            }
        };
        Ok(Line {
            client: self.clone(),
            channel,
        })
    }

    fn connection(&self) -> Result<Channel> {
        let url = &self.0.service.url;
        let wrong = |error: tonic::transport::Error| config(format!("endpoint: {error}"));
        let mut endpoint = Endpoint::from_shared(url.clone())
            .map_err(wrong)?
            .user_agent(concat!("anyhub/", env!("CARGO_PKG_VERSION")))
            .map_err(wrong)?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_LIMIT)
            .initial_connection_window_size(WINDOW)
            .initial_stream_window_size(WINDOW);
        if url.starts_with("https:") {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(wrong)?;
        }
        Ok(endpoint.connect_lazy())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Client({} at {})",
            shown(&self.0.config.project),
            shown(self.endpoint())
        )
    }
}

/// A connection, by which requests go.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    client: Client,
    channel: Channel,
}

/// What a request is about: where it goes to, by its parameter, and the operation for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) operation: &'static str,
    /// The name of the field that `subject` stands in, by which the service finds its way.
    pub(crate) field: &'static str,
    pub(crate) subject: &'a str,
}

impl Line {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn counters(&self) -> &Counters {
        self.client.counters()
    }

    /// One request, answered within `limit` or failed.
    pub(crate) async fn once<T, R, F>(
        &self,
        about: About<'_>,
        limit: Duration,
        message: T,
        send: impl FnOnce(Channel, Request<T>) -> F,
    ) -> Result<R, Failure>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let until = Instant::now() + limit;
        // Nothing is sent before it is known who asks.
        let request = timeout(limit, self.request(about, message)).await;
        let request = request.unwrap_or_else(|_| Err(untold(about.operation, limit).into()))?;
        let sent = send(self.channel.clone(), request);
        let left = until.saturating_duration_since(Instant::now());
        match timeout(left, sent).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(failed(about.operation, about.subject, status)),
            Err(_) => Err(Failure {
                maybe: true,
                ..unanswered(about.operation, limit).into()
            }),
        }
    }

    /// The same again and again while that may help, for what may be done twice. A second value: whether an earlier
    /// one that failed may have been carried out.
    pub(crate) async fn ask<T, R, F>(
        &self,
        about: About<'_>,
        message: T,
        send: impl Fn(Channel, Request<T>) -> F,
    ) -> (Result<R, Failure>, bool)
    where
        T: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let until = Instant::now() + PATIENCE;
        let mut pause = Pause::new();
        let mut maybe = false;
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(ATTEMPT);
            let answer = self.once(about, left, message.clone(), &send).await;
            let Err(failure) = &answer else {
                return (answer, maybe);
            };
            let wait = pause.next();
            if !failure.passing || Instant::now() + wait + USEFUL >= until {
                return (answer, maybe);
            }
            maybe |= failure.maybe;
            sleep(wait).await;
        }
    }

    /// A request with what goes along: who asks, and which way.
    pub(crate) async fn request<T>(
        &self,
        about: About<'_>,
        message: T,
    ) -> Result<Request<T>, Failure> {
        let operation = about.operation;
        let credentials = self.client.credentials(operation)?;
        let headers = credentials.headers(Extensions::new()).await;
        let headers = headers.map_err(|error| {
            let passing = error.is_transient();
            Failure {
                passing,
                ..Failure::from(no_credentials(operation, passing, error))
            }
        })?;
        let mut request = Request::new(message);
        if let CacheableResource::New { data, .. } = headers {
            *request.metadata_mut() = MetadataMap::from_headers(data);
        }
        let way = format!("{}={}", about.field, about.subject);
        if let Ok(way) = MetadataValue::try_from(way) {
            request.metadata_mut().insert("x-goog-request-params", way);
        }
        Ok(request)
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }
}

/// The waits between attempts: doubled, and not the same for all.
#[derive(Debug)]
pub(crate) struct Pause(Duration);

impl Pause {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(crate) fn new() -> Self {
        Self(Self::FIRST)
    }

    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.0.mul_f64(rand::random_range(0.5..1.0));
        self.0 = (self.0 * 2).min(Self::LONGEST);
        wait
    }
}
