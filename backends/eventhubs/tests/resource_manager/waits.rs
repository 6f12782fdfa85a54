//! On a clock that is turned on when nothing else is left to do.

use crate::{
    alone, config,
    fake::{Canned, Fake},
    list,
};
use anyhub_core::ErrorKind;
use anyhub_eventhubs::EventHubsHub;
use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::Instant};

fn throttled(seconds: u64) -> Canned {
    let message = "Namespace provisioning in transition";
    Canned::error(429, "429", message).waiting(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_throttled_request_waits_for_as_long_as_it_is_asked_to() {
    let fake = Fake::start().await;
    let begun = Instant::now();
    fake.now().first.extend([throttled(7), throttled(11)]);
    list(&alone(&fake)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(18));
    assert_eq!(fake.asked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_is_told_at_once() {
    let fake = Fake::start().await;
    let begun = Instant::now();
    let busy = Canned::error(503, "ServerBusy", "Later.").waiting(600);
    for (answer, kind, wait) in [
        (throttled(3_600), ErrorKind::Throttled, 3_600),
        (busy, ErrorKind::Unavailable, 600),
    ] {
        fake.now().first.push_back(answer);
        let error = list(&alone(&fake)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(wait)));
        assert!(error.is_retryable());
        assert_eq!(fake.asked().len(), 1);
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_what_does_not_ends() {
    let fake = Fake::start().await;
    let failed = [
        Canned::html(502),
        Canned::error(500, "InternalServerError", "It had an error."),
    ];
    fake.now().first.extend(failed.clone());
    list(&alone(&fake)).await.unwrap();
    assert_eq!(fake.asked().len(), 3);
    let all = std::iter::repeat_n(failed[1].clone(), 50);
    fake.now().first.extend(all);
    let error = list(&alone(&fake)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains("It had an error."), "{error}");
    assert!(fake.asked().len() < 20);
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_is_not_waited_for_and_who_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hub = EventHubsHub::new(config(&url)).unwrap();
    let error = list(&hub).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    drop(listener);
    let error = list(&hub).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(
        error.to_string().contains("management_endpoint="),
        "{error}"
    );
}

/// Gives none, or never.
#[derive(Debug)]
struct Without(bool);

#[async_trait]
impl TokenCredential for Without {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        if self.0 {
            std::future::pending::<()>().await;
        }
        let kind = azure_core::error::ErrorKind::Credential;
        Err(azure_core::Error::with_message(
            kind,
            "nobody is\nsigned in",
        ))
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_asked() {
    let fake = Fake::start().await;
    for (never, kind) in [(false, ErrorKind::Denied), (true, ErrorKind::Timeout)] {
        let config = config(&fake.url).token_credential(Arc::new(Without(never)));
        let error = list(&EventHubsHub::new(config).unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    assert!(fake.asked().is_empty());
}
