//! One request to Azure Resource Manager, by the SDK's own pipeline: it tries again what it may.

use super::{
    answer::{Answer, is_asking_to_wait, wait},
    place::{About, Place},
};
use crate::error::{HUB, no_token, one_line, root, unanswered};
use anyhub_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use azure_core::{
    Error as AzureError,
    credentials::TokenCredential,
    error::ErrorKind as AzureErrorKind,
    http::{
        ClientOptions, Context, ExponentialRetryOptions, Method, Pipeline, PipelineSendOptions,
        Request, RetryOptions, Url,
        headers::{ACCEPT, AUTHORIZATION},
        policies::{Policy, PolicyResult},
    },
};
use serde_json::Value;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// The way there.
pub(super) struct Http {
    pipeline: Pipeline,
    credential: Arc<dyn TokenCredential>,
    scope: String,
}

/// An operation, and until when it has to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doing {
    pub(super) operation: &'static str,
    until: Instant,
}

/// For all requests of an operation together.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often one that fails is tried again: for some six seconds, as the SDK doubles its pauses from 200 ms
/// on. It would do so eight times, for most of a minute.
const AGAIN: u32 = 5;
/// For a token.
const TOKEN: Duration = Duration::from_secs(15);

impl Doing {
    pub(super) fn new(operation: &'static str) -> Self {
        let until = Instant::now() + PATIENCE;
        Self { operation, until }
    }

    /// Timeout when its time is over.
    pub(super) async fn within<T>(self, doing: impl Future<Output = Result<T>>) -> Result<T> {
        let done = timeout_at(self.until, doing).await;
        done.unwrap_or_else(|_| {
            Err(unanswered(
                self.operation,
                "a request to Azure Resource Manager",
            ))
        })
    }
}

impl Http {
    pub(super) fn new(place: &Place, credential: Arc<dyn TokenCredential>) -> Self {
        let retry = RetryOptions::exponential(ExponentialRetryOptions {
            max_retries: AGAIN,
            ..ExponentialRetryOptions::default()
        });
        let options = ClientOptions {
            retry,
            ..ClientOptions::default()
        };
        let pipeline = Pipeline::new(
            option_env!("CARGO_PKG_NAME"),
            option_env!("CARGO_PKG_VERSION"),
            options,
            Vec::new(),
            vec![Arc::new(InTime)],
            None,
        );
        Self {
            pipeline,
            credential,
            scope: place.scope(),
        }
    }

    /// The answer, whatever it says. Denied without a token, Unavailable where nobody answers, Timeout.
    pub(super) async fn send(
        &self,
        doing: Doing,
        method: Method,
        url: Url,
        body: Option<&Value>,
        about: About<'_>,
    ) -> Result<Answer> {
        let operation = doing.operation;
        let scopes = [self.scope.as_str()];
        let token = timeout(TOKEN, self.credential.get_token(&scopes, None)).await;
        let token = token.map_err(|_| unanswered(operation, "a token"))?;
        let token = token.map_err(|error| no_token(operation, error))?;
        let mut request = Request::new(url, method);
        request.insert_header(AUTHORIZATION, format!("Bearer {}", token.token.secret()));
        request.insert_header(ACCEPT, "application/json");
        if let Some(body) = body {
            let set = request.set_json(body);
            set.map_err(|error| unreached(operation, about, error))?;
        }
        let context = Context::new().with_value(doing);
        // What a refusal means is told here, and by what was asked.
        let options = PipelineSendOptions {
            skip_checks: true,
            ..PipelineSendOptions::default()
        };
        let answered = self.pipeline.send(&context, &mut request, Some(options));
        match answered.await {
            Ok(response) => Ok(Answer::read(&response)),
            Err(error) => match error.kind() {
                AzureErrorKind::HttpResponse {
                    raw_response: Some(response),
                    ..
                } => Ok(Answer::read(response)),
                _ => Err(unreached(operation, about, error)),
            },
        }
    }
}

fn unreached(operation: &'static str, about: About<'_>, error: AzureError) -> Error {
    let text = one_line(&root(&error).to_string());
    let message = format!("Azure Resource Manager can't be reached for {about}: {text}");
    Error::new(ErrorKind::Unavailable, HUB, operation, message)
        .with_advice("look at management_endpoint= and the network")
        .with_source(error)
}

/// The SDK waits for as long as an answer asks. What would not end in time is not begun, so that its
/// caller hears at once who asked, and for how long.
#[derive(Debug)]
struct InTime;

#[async_trait]
impl Policy for InTime {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let Some((first, rest)) = next.split_first() else {
            let message = "there is no transport";
            return Err(AzureError::with_message(AzureErrorKind::Other, message));
        };
        let answer = first.send(context, request, rest).await?;
        let left = context.value::<Doing>();
        let left = left.map(|doing| doing.until.saturating_duration_since(Instant::now()));
        let asked = match is_asking_to_wait(answer.status()) {
            true => wait(answer.headers()),
            false => None,
        };
        if asked.is_none() || asked <= left {
            return Ok(answer);
        }
        let status = answer.status();
        let response = answer.try_into_raw_response().await?;
        let kind = AzureErrorKind::HttpResponse {
            status,
            error_code: None,
            raw_response: Some(Box::new(response)),
        };
        Err(AzureError::with_message(kind, "it asks to wait too long"))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http({})", self.scope)
    }
}
