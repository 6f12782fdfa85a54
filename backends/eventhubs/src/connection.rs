//! One AMQP connection: opened, authorized and kept so, and watched, since the SDK's calls may wait for
//! ever on one that is gone.

use crate::{
    access::{Access, Token, renewed_in},
    error::{
        HUB, expired, failed, is_unreadable, lost, on_this_machine, unanswered, unconnected,
        unopened,
    },
};
use anyhub_core::{Error, ErrorKind, Result};
use anyhub_groups::Task;
use azure_core::{http::Url, time::OffsetDateTime};
use azure_core_amqp::{
    AmqpClaimsBasedSecurity, AmqpClaimsBasedSecurityApis as _, AmqpConnection,
    AmqpConnectionApis as _, AmqpConnectionOptions, AmqpError, AmqpErrorKind, AmqpSession,
    AmqpSessionApis as _, AmqpSessionOptions, AmqpSymbol, AmqpTransport, AmqpValue,
};
use fe2o3_amqp::session::BeginError;
use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, watch},
    time::{Instant, sleep, timeout},
};

/// Where an event hub is, and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `amqps://HOST/HUB`, which addresses of links begin with.
    pub(crate) url: Url,
    /// Another address to dial.
    pub(crate) endpoint: Option<Url>,
    /// That one is on this machine.
    pub(crate) is_local: bool,
    pub(crate) hub: Arc<str>,
    pub(crate) access: Arc<Access>,
}

impl Target {
    /// Where it is dialed.
    pub(crate) fn place(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match &self.endpoint {
            Some(endpoint) => format!("{endpoint} (for {host})"),
            None => format!("{host}:5671"),
        }
    }

    pub(crate) fn is_in_the_clear(&self) -> bool {
        let endpoint = self.endpoint.as_ref();
        endpoint.is_some_and(|endpoint| endpoint.scheme() == "amqp")
    }
}

pub(crate) struct Connection {
    amqp: Arc<AmqpConnection>,
    target: Target,
    /// When its token does, in seconds since 1970.
    expires: AtomicI64,
    dead: watch::Sender<bool>,
    doubt: Notify,
    /// The SDK begins one session after the other; waiting for one's turn is no time of the peer's.
    beginning: AsyncMutex<()>,
    /// When the last sign of life that came was asked for: what was handed on before is with the peer.
    sign: watch::Sender<Instant>,
    /// Bytes that are handed on and not known to be with the peer, and those of them that nobody awaits
    /// an answer to any more.
    under_way: AtomicUsize,
    forsaken: AtomicUsize,
    /// End with the connection.
    tasks: Mutex<Vec<Task>>,
    names: AtomicU64,
}

/// To connect, with TLS and all.
pub(crate) const CONNECT: Duration = Duration::from_secs(15);
/// For an answer to anything that moves no events.
const ANSWER: Duration = Duration::from_secs(10);
/// For a peer to take its leave.
const CLOSE: Duration = Duration::from_secs(1);
/// The highest number of a session; each link takes one. The peer may agree to fewer; the SDK by itself
/// asks for no more than 256.
const CHANNEL_MAX: u16 = 4_999;
/// How often a connection is looked at that nobody doubts.
const LOOK: Duration = Duration::from_secs(10);
/// How long a sign of life may take where answers are awaited, besides what stands before it.
const SIGN: Duration = Duration::from_secs(3);
/// Bytes a second of the slowest way, and how long what is under way may take at most: the SDK writes
/// all frames in one row, so that an answer comes behind all that was handed on before its question.
const SLOWEST: u32 = 64 << 10;
const WAY_MOST: Duration = Duration::from_secs(60);
/// What a side that hears nothing for so long takes for the end. As Microsoft's clients have it.
const IDLE: azure_core::time::Duration = azure_core::time::Duration::seconds(60);
/// How soon a renewal that failed is tried again.
const AGAIN: Duration = Duration::from_secs(10);

impl Connection {
    /// Connects, and has the hub's token accepted. Unavailable, Timeout, or Denied.
    pub(crate) async fn open(operation: &'static str, target: &Target) -> Result<Arc<Self>> {
        let amqp = AmqpConnection::new();
        let name = format!("anyhub-{:016x}", rand::random::<u64>());
        let product = |key, value| (AmqpSymbol::from(key), AmqpValue::from(value));
        let options = AmqpConnectionOptions {
            channel_max: Some(CHANNEL_MAX),
            idle_timeout: Some(IDLE),
            custom_endpoint: target.endpoint.clone(),
            transport: Some(AmqpTransport::Tcp),
            properties: Some(
                [
                    product("product", "anyhub"),
                    product("version", env!("CARGO_PKG_VERSION")),
                ]
                .into_iter()
                .collect(),
            ),
            ..AmqpConnectionOptions::default()
        };
        let opening = amqp.open(name, target.url.clone(), Some(options));
        timeout(CONNECT, opening)
            .await
            .map_err(|_| unconnected(operation, target))?
            .map_err(|error| unopened(operation, target, error))?;
        let this = Arc::new(Self {
            amqp: Arc::new(amqp),
            target: target.clone(),
            expires: AtomicI64::new(i64::MAX),
            dead: watch::Sender::new(false),
            doubt: Notify::new(),
            beginning: AsyncMutex::default(),
            sign: watch::Sender::new(Instant::now()),
            under_way: AtomicUsize::new(0),
            forsaken: AtomicUsize::new(0),
            tasks: Mutex::default(),
            names: AtomicU64::new(0),
        });
        let token = target.access.token(operation, target.url.as_str());
        let expires = this.authorize(operation, token).await?;
        let renews = target.access.renews();
        let weak = Arc::downgrade(&this);
        let watching = tokio::spawn(watch_over(weak.clone())).abort_handle();
        let renewing = renews.then(|| tokio::spawn(renew(weak, expires)).abort_handle());
        let mut tasks = this.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.extend([watching].into_iter().chain(renewing).map(Task::new));
        drop(tasks);
        Ok(this)
    }

    pub(crate) fn amqp(&self) -> Arc<AmqpConnection> {
        self.amqp.clone()
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The address of a link to the hub, or within it: `Partitions/3`.
    pub(crate) fn address(&self, within: Option<&str>) -> String {
        match within {
            Some(within) => format!("{}/{within}", self.target.url),
            None => self.target.url.to_string(),
        }
    }

    /// A link's name, of its own on this connection.
    pub(crate) fn name(&self, what: &str) -> String {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        format!("anyhub-{what}-{number}")
    }

    /// A session of its own for a link.
    pub(crate) async fn session(&self, operation: &'static str) -> Result<AmqpSession> {
        let _turn = tokio::select! {
            turn = self.beginning.lock() => turn,
            () = self.died() => return Err(lost(operation)),
        };
        let session = AmqpSession::new();
        let windows = AmqpSessionOptions::with_unbounded_windows();
        let begin = session.begin(&self.amqp, Some(windows));
        self.within(operation, "a session", begin).await?;
        Ok(session)
    }

    /// Waits for an answer for as long as one may take behind what is under way, and no longer than the
    /// connection lives.
    pub(crate) async fn within<T>(
        &self,
        operation: &'static str,
        what: &str,
        answer: impl Future<Output = Result<T, AmqpError>>,
    ) -> Result<T> {
        tokio::select! {
            answered = timeout(ANSWER + self.way(), answer) => match answered {
                Ok(answered) => answered.map_err(|error| self.failed(operation, error)),
                Err(_) => {
                    // Later answers would be taken for those of later questions.
                    self.bury();
                    let what = format!("{what} at {}", self.target.place());
                    Err(unanswered(operation, &what))
                }
            },
            () = self.died() => Err(lost(operation)),
        }
    }

    /// What an error of a call is; where it says that the connection is gone, it is.
    pub(crate) fn failed(&self, operation: &'static str, error: AmqpError) -> Error {
        if is_the_connections(&error) {
            self.bury();
        }
        let error = match failed(operation, &self.target.hub, error) {
            error if self.target.is_local => on_this_machine(error),
            error => error,
        };
        let now = OffsetDateTime::now_utc().unix_timestamp();
        if error.kind() == ErrorKind::Denied && self.expires.load(Ordering::Relaxed) <= now {
            // The service closes its links, and lets no new ones in.
            self.bury();
            return expired(operation, error);
        }
        error
    }

    /// What the service answered to a token.
    pub(crate) async fn told<T>(&self, answer: Result<T>) -> Result<T> {
        if answer
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Denied)
        {
            self.target.access.forget_token().await;
        }
        answer
    }

    /// Resolves when the connection is gone.
    pub(crate) async fn died(&self) {
        let mut dead = self.dead.subscribe();
        // An Err: nobody could tell any more.
        let _ = dead.wait_for(|dead| *dead).await;
    }

    pub(crate) fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Whoever waits on it waits no longer.
    pub(crate) fn bury(&self) {
        self.dead.send_replace(true);
    }

    /// Something that should have come has not: it is looked at now.
    pub(crate) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Resolves once it is known that what was handed on before then is with the peer.
    pub(crate) async fn sign_since(&self, then: Instant) {
        let mut sign = self.sign.subscribe();
        // An Err: nobody could tell any more.
        let _ = sign.wait_for(|asked| *asked >= then).await;
    }

    /// Counts bytes that are about to be handed on, until they are answered.
    pub(crate) fn hand_on(&self, bytes: usize) -> UnderWay<'_> {
        self.under_way.fetch_add(bytes, Ordering::Relaxed);
        UnderWay {
            connection: self,
            bytes,
            answered: false,
        }
    }

    /// How long what is under way may take.
    fn way(&self) -> Duration {
        let bytes = self.under_way.load(Ordering::Relaxed);
        let seconds = bytes as f64 / f64::from(SLOWEST);
        Duration::from_secs_f64(seconds).min(WAY_MOST)
    }

    /// How long a sign of life may take. To a reader it comes behind events, whose bytes nobody knows.
    fn sign_takes(&self) -> Duration {
        match self.way() {
            Duration::ZERO => ANSWER,
            way => SIGN + way,
        }
    }

    /// Asks for a sign of life: a new session can't be begun on a connection that is gone.
    async fn ask_for_a_sign(&self) -> Sign {
        let turn = self.beginning.lock().await;
        let (asked, forsaken) = (Instant::now(), self.forsaken.load(Ordering::Relaxed));
        let session = AmqpSession::new();
        let begin = timeout(self.sign_takes(), session.begin(&self.amqp, None));
        let begun = begin.await;
        drop(turn);
        match &begun {
            Err(_) => return Sign::None,
            Ok(Err(error)) if is_the_connections(error) => return Sign::None,
            // Refused, but it is an answer.
            Ok(_) => {}
        }
        self.forsaken.fetch_sub(forsaken, Ordering::Relaxed);
        self.under_way.fetch_sub(forsaken, Ordering::Relaxed);
        self.sign.send_replace(asked);
        if matches!(begun, Ok(Ok(()))) {
            let _ = timeout(self.sign_takes(), session.end()).await;
        }
        Sign::Came
    }

    /// Takes leave.
    pub(crate) async fn close(&self) {
        let alive = !self.dead.send_replace(true);
        if alive && timeout(CLOSE, self.amqp.close()).await.is_err() {
            tracing::debug!(hub = HUB, "the peer does not take its leave");
        }
    }

    /// Puts a token. The service takes one link to `$cbs` at a time, so it goes again.
    async fn authorize(
        &self,
        operation: &'static str,
        token: impl Future<Output = Result<Token>>,
    ) -> Result<OffsetDateTime> {
        let resource = self.target.url.as_str();
        let token = timeout(CONNECT, token).await;
        let token = token.map_err(|_| unanswered(operation, "a token"))??;
        let session = self.session(operation).await?;
        let asked = async {
            let cbs = AmqpClaimsBasedSecurity::new(session)?;
            cbs.attach().await?;
            let (kind, expires) = (Some(token.kind.to_owned()), token.expires);
            let answer = cbs.authorize_path(resource.to_owned(), kind, &token.text, expires);
            let answer = answer.await;
            if answer.is_ok() {
                cbs.detach().await?;
            }
            answer
        };
        let put = self.within(operation, "a token", asked).await;
        match self.told(put).await {
            // Another connection asks for another one, or tells why there is none.
            Err(error) if token.is_kept && error.kind() == ErrorKind::Denied => {
                return Err(expired(operation, error));
            }
            told => told?,
        }
        let seconds = token.expires.unix_timestamp();
        self.expires.store(seconds, Ordering::Relaxed);
        Ok(token.expires)
    }
}

enum Sign {
    Came,
    None,
}

/// Bytes that were handed on.
pub(crate) struct UnderWay<'a> {
    connection: &'a Connection,
    bytes: usize,
    answered: bool,
}

impl UnderWay<'_> {
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let Self {
            connection, bytes, ..
        } = *self;
        match self.answered {
            true => connection.under_way.fetch_sub(bytes, Ordering::Relaxed),
            // The SDK writes it all the same, before whatever comes later.
            false => connection.forsaken.fetch_add(bytes, Ordering::Relaxed),
        };
    }
}

/// Whether no link of the connection will do any more.
fn is_the_connections(error: &AmqpError) -> bool {
    match error.kind() {
        AmqpErrorKind::AmqpDescribedError(described) => {
            <&str>::from(&described.condition).starts_with("amqp:connection:")
        }
        AmqpErrorKind::ConnectionClosedByRemote(_)
        | AmqpErrorKind::ConnectionDetachedByRemote(_)
        | AmqpErrorKind::ConnectionDropped(_)
        | AmqpErrorKind::FramingError(_)
        | AmqpErrorKind::IdleTimeoutElapsed(_)
        | AmqpErrorKind::LinkStateError(_)
        | AmqpErrorKind::AzureCore(_) => true,
        AmqpErrorKind::TransportImplementationError(cause) => {
            let full = matches!(
                cause.downcast_ref(),
                Some(BeginError::LocalChannelMaxReached)
            );
            !full && !is_unreadable(error)
        }
        _ => false,
    }
}

/// Looks for a sign of life, now and then, and whenever one is in doubt.
async fn watch_over(connection: Weak<Connection>) {
    loop {
        let Some(strong) = connection.upgrade() else {
            return;
        };
        let doubted = async move { strong.doubt.notified().await };
        let _ = timeout(LOOK, doubted).await;
        let Some(strong) = connection.upgrade() else {
            return;
        };
        let sign = tokio::select! {
            biased;
            () = strong.died() => return,
            sign = strong.ask_for_a_sign() => sign,
        };
        if matches!(sign, Sign::None) {
            tracing::debug!(hub = HUB, "the connection gives no sign of life");
            strong.bury();
            return;
        }
    }
}

/// Renews the token before it expires.
async fn renew(connection: Weak<Connection>, mut expires: OffsetDateTime) {
    loop {
        sleep(renewed_in(expires)).await;
        let mut pause = AGAIN;
        loop {
            let Some(strong) = connection.upgrade() else {
                return;
            };
            let (access, resource) = (&strong.target.access, strong.target.url.as_str());
            let token = access.fresh_token("token", resource);
            match strong.authorize("token", token).await {
                Ok(until) if until > expires => {
                    expires = until;
                    break;
                }
                // Azure's libraries keep a token until five minutes before it expires.
                Ok(_) => {}
                Err(error) => {
                    if strong.is_dead() {
                        return;
                    }
                    match error.kind() {
                        ErrorKind::Denied => tracing::warn!(hub = HUB, %error, "no fresh token"),
                        _ => tracing::debug!(hub = HUB, %error, "no fresh token"),
                    }
                }
            }
            drop(strong);
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(60));
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Connection({}, dead: {})",
            self.target.url,
            self.is_dead()
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "connection_tests.rs"]
mod tests;
