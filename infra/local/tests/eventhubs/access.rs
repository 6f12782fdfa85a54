//! Who gets in, and what hubs and partitions say of themselves.

use std::sync::Arc;
use std::time::Duration;

use anyhub_local::EventHubs;
use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use azure_messaging_eventhubs::ProducerClient;

use super::client::{DEADLINE, From, no_retries, producer, receive, send, try_producer};

#[tokio::test]
async fn hubs_and_partitions_describe_themselves() {
    let hubs = EventHubs::builder().hub("Tweets", 3).start().unwrap();
    let producer = producer(&hubs, "tweets").await;
    let hub = producer.get_eventhub_properties().await.unwrap();
    assert_eq!(
        (hub.name.as_str(), hub.partition_ids.join(",")),
        ("Tweets", "0,1,2".into())
    );
    assert!(hub.created_on.unwrap().elapsed().unwrap().as_secs() < 60);

    let of = async |id: &str| producer.get_partition_properties(id).await;
    let empty = of("1").await.unwrap();
    assert!(empty.is_empty);
    assert_eq!(
        (
            empty.beginning_sequence_number,
            empty.last_enqueued_sequence_number
        ),
        (0, -1)
    );
    send(&producer, "1", "a").await.unwrap();
    send(&producer, "1", "b").await.unwrap();
    let filled = of("1").await.unwrap();
    assert!(!filled.is_empty && of("0").await.unwrap().is_empty);
    assert_eq!(
        (
            filled.beginning_sequence_number,
            filled.last_enqueued_sequence_number
        ),
        (0, 1)
    );
    assert_ne!(filled.last_enqueued_offset, empty.last_enqueued_offset);

    let error = of("3").await.unwrap_err().to_string();
    assert!(error.contains("between 0 and 2"), "{error}");
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let hubs = EventHubs::builder().hub("tweets", 1).start().unwrap();
    let wrong = hubs
        .connection_string("tweets")
        .replace("SharedAccessKey=", "SharedAccessKey=not");
    let producer = try_producer(&hubs, &wrong).await.unwrap();
    let error = format!("{:?}", send(&producer, "0", "x").await.unwrap_err());
    assert!(error.contains("InvalidSignature"), "{error}");
    let counts = hubs.counts();
    assert!(counts.refused_tokens > 0);
    assert_eq!(counts.messages_in, 0);
}

/// An identity that has this token, and takes it for good.
#[derive(Debug)]
struct Identity(&'static str);

#[async_trait]
impl TokenCredential for Identity {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let expires = OffsetDateTime::now_utc() + Duration::from_secs(3_600);
        Ok(AccessToken::new(self.0, expires))
    }
}

async fn producer_of(hubs: &EventHubs, token: &'static str) -> ProducerClient {
    ProducerClient::builder()
        .with_custom_endpoint(hubs.endpoint())
        .with_retry_options(no_retries())
        .open("localhost", "tweets", Arc::new(Identity(token)))
        .await
        .unwrap()
}

#[tokio::test]
async fn an_identity_gets_in_by_its_token_until_that_expires() {
    let hubs = EventHubs::builder().hub("tweets", 1).start().unwrap();
    hubs.accept_bearer("good", Duration::from_secs(3_600));
    hubs.accept_bearer("short", Duration::from_millis(1_500));
    hubs.accept_bearer("old", Duration::ZERO);
    let good = producer_of(&hubs, "good").await;
    send(&good, "0", "x").await.unwrap();
    for (token, why) in [("another", "InvalidToken"), ("old", "ExpiredToken")] {
        let refused = producer_of(&hubs, token).await;
        let error = format!("{:?}", send(&refused, "0", "x").await.unwrap_err());
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(hubs.counts().messages_in, 1);
    assert!(hubs.counts().refused_tokens >= 2);

    let short = producer_of(&hubs, "short").await;
    send(&short, "0", "y").await.unwrap();
    let closed = async {
        while hubs.counts().expired_links == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.unwrap();
    assert_eq!(hubs.counts().expired_links, 1);
    send(&good, "0", "z").await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let hubs = EventHubs::builder().hub("tweets", 1).start().unwrap();
    let lost = producer(&hubs, "elsewhere").await;
    let error = format!("{:?}", lost.get_eventhub_properties().await.unwrap_err());
    assert!(error.contains("'elsewhere' could not be found"), "{error}");
    let error = format!("{:?}", send(&lost, "0", "x").await.unwrap_err());
    assert!(error.contains("NotFound"), "{error}");

    let tweets = producer(&hubs, "tweets").await;
    let error = format!("{:?}", send(&tweets, "1", "x").await.unwrap_err());
    assert!(error.contains("between 0 and 0"), "{error}");

    let nobody = async || {
        From::partition("0")
            .group("nobody")
            .open(&hubs, "tweets")
            .await
    };
    let error = format!("{:?}", receive(&nobody().await, 1).await.err().unwrap());
    assert!(error.contains("nobody"), "{error}");
    hubs.create_group("tweets", "nobody").unwrap();
    assert!(hubs.create_group("tweets", "Nobody").is_err());
    send(&tweets, "0", "y").await.unwrap();
    assert_eq!(receive(&nobody().await, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn hubs_come_and_go() {
    let hubs = EventHubs::builder().start().unwrap();
    hubs.create_hub("tweets", 1).unwrap();
    let refused = |name, partitions| hubs.create_hub(name, partitions).unwrap_err().to_string();
    assert!(refused("TWEETS", 1).contains("already"));
    assert!(refused("a", 0).contains("1 to 1024"));
    assert!(refused("a", 1025).contains("1 to 1024"));
    assert!(refused("a/b", 1).contains("name"));
    assert!(refused("", 1).contains("name"));

    let producer = producer(&hubs, "tweets").await;
    send(&producer, "0", "x").await.unwrap();
    let open = From::partition("0").open(&hubs, "tweets").await;
    assert_eq!(receive(&open, 1).await.unwrap().len(), 1);
    hubs.delete_hub("tweets").unwrap();
    let error = receive(&open, 1).await.err().unwrap();
    assert!(
        format!("{error:?}").contains("could not be found"),
        "{error:?}"
    );
    // On another connection: a send on a link that is just being closed may hang in the SDK.
    let late = super::client::producer(&hubs, "tweets").await;
    let error = format!("{:?}", send(&late, "0", "y").await.unwrap_err());
    assert!(error.contains("NotFound"), "{error}");
    assert!(
        hubs.delete_hub("tweets")
            .unwrap_err()
            .to_string()
            .contains("no hub")
    );
    // Made again, it is another one.
    hubs.create_hub("tweets", 1).unwrap();
    assert_eq!(hubs.stored_bytes(), 0);
}
