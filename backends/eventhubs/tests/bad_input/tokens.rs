//! Tokens that end while something runs: the server closes the links that they covered.

use crate::{
    log::{config, hub, numbered, occurrences, publish, read, server, within},
    told,
};
use anyhub_core::{Consumer, ConsumerOptions, ErrorKind, Hub, Producer, ProducerOptions, Result};
use anyhub_eventhubs::EventHubsHub;
use anyhub_local::EventHubs;
use azure_core::{
    credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions},
    time::OffsetDateTime,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

const KEYS: usize = 5;
/// A token's time: the whole seconds that it is told in leave it two at least.
const VALID: Duration = Duration::from_secs(3);

async fn both(hub: &EventHubsHub) -> (Arc<dyn Producer>, Box<dyn Consumer>) {
    let producer = within(hub.producer("t", ProducerOptions::new())).await;
    let consumer = within(hub.consumer("t", ConsumerOptions::new())).await;
    (producer.unwrap(), consumer.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_can_not_be_renewed_is_told_and_nothing_is_lost() {
    let server = server(2);
    let text = format!(
        "Endpoint=sb://localhost/;SharedAccessSignature={}",
        server.token("t", VALID)
    );
    let short = EventHubsHub::new(config(&server).connection_string(text)).unwrap();
    let (producer, mut consumer) = both(&short).await;
    let reading = tokio::spawn(async move {
        let mut came = 0;
        loop {
            match consumer.receive(100).await {
                Ok(batch) => came += batch.deliveries.len(),
                Err(error) => return (came, error),
            }
        }
    });
    let mut written = 0;
    let refused = within(async {
        loop {
            let pending = producer.submit(numbered(KEYS, written, 1)).await.unwrap();
            if let Err(error) = pending.await.remove(0) {
                return error;
            }
            written += 1;
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    told(&refused, ErrorKind::Denied, "has expired");
    let (came, error) = within(reading).await.unwrap();
    told(&error, ErrorKind::Denied, "has expired");
    assert!(written > 10 && came > 10, "{written} {came}");
    let seen = occurrences(&read(&server, "t").await, KEYS);
    assert!((0..written).all(|number| seen.contains_key(&number)));
    // Whoever has a good one goes on.
    let good = hub(&server);
    let (producer, mut consumer) = both(&good).await;
    publish(&*producer, numbered(KEYS, 10_000, 10)).await;
    within(consumer.receive(1)).await.unwrap();
}

/// Gives tokens as Microsoft Entra ID does: the same one again until it is nearly over, or a new one each time.
#[derive(Debug)]
struct Tokens {
    server: Arc<EventHubs>,
    keeps: bool,
    given: Mutex<Vec<AccessToken>>,
}

impl Tokens {
    fn given(&self) -> usize {
        self.given.lock().unwrap().len()
    }
}

#[async_trait::async_trait]
impl TokenCredential for Tokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://eventhubs.azure.net/.default"]);
        let mut given = self.given.lock().unwrap();
        let now = OffsetDateTime::now_utc();
        if let Some(last) = given
            .last()
            .filter(|last| self.keeps && last.expires_on > now)
        {
            return Ok(last.clone());
        }
        let seconds = OffsetDateTime::from_unix_timestamp(now.unix_timestamp()).unwrap();
        let text = self.server.token("t", VALID);
        self.server.accept_bearer(&text, VALID);
        let token = AccessToken::new(
            Secret::new(text),
            seconds + azure_core::time::Duration::seconds(VALID.as_secs() as i64),
        );
        given.push(token.clone());
        Ok(token)
    }
}

/// Publishes and reads until so many tokens were given: every event is written, and comes once and in order.
async fn runs_through(keeps: bool, tokens: usize) -> Arc<EventHubs> {
    let server = Arc::new(server(2));
    let credential = Arc::new(Tokens {
        server: server.clone(),
        keeps,
        given: Mutex::default(),
    });
    let config = config(&server).token_credential(credential.clone());
    let hub = EventHubsHub::new(config).unwrap();
    let (producer, mut consumer) = both(&hub).await;
    let mut published = 0;
    let mut came = Vec::new();
    within(async {
        while credential.given() < tokens {
            publish(&*producer, numbered(KEYS, published, 10)).await;
            published += 10;
            while came.len() < published {
                let batch = consumer.receive(100).await.unwrap();
                let numbers = batch.deliveries.iter().map(|delivery| {
                    let text = std::str::from_utf8(&delivery.event.payload).unwrap();
                    text.parse::<usize>().unwrap()
                });
                came.extend(numbers);
            }
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for key in 0..KEYS {
        let of_key = came.iter().filter(|number| *number % KEYS == key);
        assert!(of_key.is_sorted(), "key {key}");
    }
    came.sort_unstable();
    assert!(came.into_iter().eq(0..published));
    let closed: Result<()> = within(hub.close()).await;
    closed.unwrap();
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_can_be_renewed_is_in_time() {
    let server = runs_through(false, 8).await;
    let counts = server.counts();
    assert_eq!((counts.connections, counts.refused_tokens), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_renewed_too_late_is_asked_for_on_another_connection() {
    let server = runs_through(true, 3).await;
    let counts = server.counts();
    assert!(counts.connections >= 4, "{counts:?}");
}
