use anyhub_eventhubs::azure_core::{
    self,
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    time::OffsetDateTime,
};
use anyhub_local::eventhubs::EventHubs;
use async_trait::async_trait;
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// An identity whose tokens are each good for a while.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Who is told of each token; None: nobody takes them.
    server: Option<Arc<EventHubs>>,
    /// As the service has it, and as the identity says.
    valid: Duration,
    said: Duration,
    given: AtomicU64,
    pub(crate) scopes: Mutex<Vec<String>>,
    /// How often it fails before it gives the next token.
    failures: AtomicU64,
    is_shut_out: AtomicBool,
}

impl Identity {
    pub(crate) fn new(server: &Arc<EventHubs>, valid: Duration) -> Arc<Self> {
        Self::lying(server, valid, valid)
    }

    /// One whose tokens end before they say.
    pub(crate) fn lying(server: &Arc<EventHubs>, valid: Duration, said: Duration) -> Arc<Self> {
        Arc::new(Self {
            server: Some(server.clone()),
            valid,
            said,
            given: AtomicU64::new(0),
            scopes: Mutex::default(),
            failures: AtomicU64::new(0),
            is_shut_out: AtomicBool::new(false),
        })
    }

    /// One that the service doesn't know.
    pub(crate) fn unknown() -> Arc<Self> {
        let hour = Duration::from_secs(3_600);
        Arc::new(Self {
            server: None,
            valid: hour,
            said: hour,
            given: AtomicU64::new(0),
            scopes: Mutex::default(),
            failures: AtomicU64::new(0),
            is_shut_out: AtomicBool::new(false),
        })
    }

    /// The next times it can't be reached.
    pub(crate) fn fail(&self, times: u64) {
        self.failures.store(times, Ordering::Relaxed);
    }

    /// Nobody takes the tokens that it gives from now on.
    pub(crate) fn shut_out(&self) {
        self.is_shut_out.store(true, Ordering::Relaxed);
    }

    /// How many tokens it gave.
    pub(crate) fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl TokenCredential for Identity {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let less = |left: u64| left.checked_sub(1);
        let failures = &self.failures;
        if let Ok(left) = failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            return Err(unreached(left));
        }
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        let mut asked = self.scopes.lock().unwrap();
        asked.extend(scopes.iter().map(|scope| (*scope).to_owned()));
        let token = format!("eyJ0eXAi-hunter-{number}");
        let shut_out = self.is_shut_out.load(Ordering::Relaxed);
        if let Some(server) = self.server.as_ref().filter(|_| !shut_out) {
            server.accept_bearer(&token, self.valid);
        }
        Ok(AccessToken::new(
            token,
            OffsetDateTime::now_utc() + self.said,
        ))
    }
}

/// One that nobody has signed in.
#[derive(Debug)]
pub(crate) struct Nobody;

#[async_trait]
impl TokenCredential for Nobody {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let message = "please run\n'az login'";
        Err(azure_core::Error::with_message(
            ErrorKind::Credential,
            message,
        ))
    }
}

/// As the SDK's credentials tell what they met on the way.
fn unreached(left: u64) -> azure_core::Error {
    let cause = match left % 3 {
        0 => azure_core::Error::from(io::Error::from(io::ErrorKind::ConnectionReset)),
        1 => azure_core::Error::with_message(ErrorKind::Connection, "not there"),
        _ => {
            let status = ErrorKind::HttpResponse {
                status: 503.into(),
                error_code: None,
                raw_response: None,
            };
            azure_core::Error::with_message(status, "busy")
        }
    };
    azure_core::Error::with_error(ErrorKind::Credential, cause, "authentication failed")
}
