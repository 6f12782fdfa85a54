//! Who may read: epochs, stolen links, and how many there may be.

use anyhub_local::EventHubs;
use azure_messaging_eventhubs::EventReceiver;

use super::client::{From, producer, receive, send, text};

async fn first(open: &EventReceiver) -> String {
    text(&receive(open, 1).await.unwrap()[0])
}

/// Why a reader gets nothing.
async fn refusal(open: &EventReceiver) -> String {
    format!("{:?}", receive(open, 1).await.err().unwrap())
}

#[tokio::test]
async fn an_epoch_takes_the_partition_from_a_lower_one() {
    let hubs = EventHubs::builder().hub("tweets", 2).start().unwrap();
    let producer = producer(&hubs, "tweets").await;
    let with = async |epoch| {
        From::partition("0")
            .epoch(epoch)
            .open(&hubs, "tweets")
            .await
    };
    let without = async |partition| From::partition(partition).open(&hubs, "tweets").await;
    send(&producer, "0", "a").await.unwrap();

    let owner = with(1).await;
    assert_eq!(first(&owner).await, "a");
    let other = with(2).await;
    assert_eq!(first(&other).await, "a");
    let said = refusal(&owner).await;
    assert!(
        said.contains("partition stolen") && said.contains("higher epoch of '2'"),
        "{said}"
    );
    assert_eq!(hubs.counts().stolen_links, 1);

    for late in [with(1).await, without("0").await] {
        let said = refusal(&late).await;
        assert!(said.contains("partition stolen"), "{said}");
    }
    // The owner reads on, and another partition is nobody's.
    send(&producer, "0", "b").await.unwrap();
    assert_eq!(first(&other).await, "b");
    send(&producer, "1", "c").await.unwrap();
    assert_eq!(first(&without("1").await).await, "c");
    other.close().await.unwrap();
    assert_eq!(first(&without("0").await).await, "a");
    assert_eq!(hubs.counts().stolen_links, 1);
}

#[tokio::test]
async fn a_group_has_five_readers_without_an_epoch() {
    let hubs = EventHubs::builder().hub("tweets", 1).start().unwrap();
    hubs.create_group("tweets", "other").unwrap();
    let producer = producer(&hubs, "tweets").await;
    send(&producer, "0", "a").await.unwrap();
    let open = async || From::partition("0").open(&hubs, "tweets").await;
    let mut five = Vec::new();
    for _ in 0..5 {
        let open = open().await;
        assert_eq!(first(&open).await, "a");
        five.push(open);
    }
    let said = refusal(&open().await).await;
    assert!(said.contains("allowed receivers"), "{said}");
    let other = From::partition("0")
        .group("other")
        .open(&hubs, "tweets")
        .await;
    assert_eq!(first(&other).await, "a");
    five.remove(0).close().await.unwrap();
    assert_eq!(first(&open().await).await, "a");
}
