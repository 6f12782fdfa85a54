use crate::{Fixed, alone, config, fake::Fake, list};
use anyhub_core::{
    ConsumerOptions, ErrorKind, Event, Hub, Point, ProducerExt, ProducerOptions, Retention,
    TopicConfig,
};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub};
use anyhub_local::eventhubs::EventHubs;
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// A namespace, and who manages it.
async fn namespace() -> (Fake, Arc<EventHubs>, EventHubsHub) {
    let stand_in = Arc::new(EventHubs::builder().start().unwrap());
    let fake = Fake::start().await;
    fake.now().stand_in = Some(stand_in.clone());
    let config = config(&fake.url).endpoint(stand_in.endpoint());
    (fake, stand_in, EventHubsHub::new(config).unwrap())
}

fn hours(hours: u64) -> Retention {
    Retention::new().time(Duration::from_secs(hours * 3_600))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_hub_from_its_making_to_its_end() {
    let (fake, _stand_in, hub) = namespace().await;
    assert!(hub.capabilities().resize);
    let admin = hub.admin();
    // It takes its time: not found at first, then being made.
    fake.now().not_found = 1;
    fake.now().creating = 2;
    let topic = TopicConfig::new("t").partitions(2).retention(hours(48));
    admin.create_topic(&topic).await.unwrap();
    let at = "/eventhubs/t";
    let looks = [format!("GET {at}"), format!("PUT {at}")];
    let asked = fake.asked();
    assert_eq!(asked[..2], looks);
    assert_eq!(
        asked[2..],
        vec![format!("GET {at}"); 4],
        "until it is active"
    );
    let keeps = |hours: u64| json!({ "cleanupPolicy": "Delete", "retentionTimeInHours": hours });
    assert_eq!(
        fake.now().hubs["t"],
        json!({ "partitionCount": 2, "retentionDescription": keeps(48), "status": "Active" })
    );
    assert_eq!(list(&hub).await.unwrap(), ["t"]);
    assert_eq!(admin.describe_topic("t").await.unwrap().partitions.len(), 2);

    let producer = hub.producer("t", ProducerOptions::new()).await.unwrap();
    producer.send(Event::new("x")).await.unwrap();
    let member = ConsumerOptions::new().group("score").start(Point::Start);
    for _ in 0..2 {
        let mut member = hub.consumer("t", member.clone()).await.unwrap();
        let batch = member.receive(1).await.unwrap();
        assert!(!batch.deliveries.is_empty() || !batch.changes.is_empty());
        member.close().await.unwrap();
    }
    let group = ("t".to_owned(), "score".to_owned());
    assert!(fake.now().groups.contains(&group));
    let puts = |asked: &[String]| asked.iter().filter(|line| line.starts_with("PUT")).count();
    assert_eq!(puts(&fake.asked()), 1, "the second finds it");
    admin.delete_group("score").await.unwrap();
    assert!(
        fake.asked().is_empty(),
        "the consumer group of Event Hubs stays"
    );

    fake.now().hubs.get_mut("t").unwrap()["userMetadata"] = "ours".into();
    admin.set_retention("t", &hours(24)).await.unwrap();
    fake.now().tier = "Premium";
    let resized = admin.set_partitions("t", 4).await.unwrap();
    assert!(!resized.key_order_kept);
    assert_eq!(
        fake.now().hubs["t"],
        json!({
            "partitionCount": 4,
            "retentionDescription": keeps(24),
            "status": "Active",
            "userMetadata": "ours",
        })
    );
    admin.set_retention("t", &Retention::new()).await.unwrap();

    admin.delete_topic("t").await.unwrap();
    assert!(list(&hub).await.unwrap().is_empty());
    let gone = admin.delete_topic("t").await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    hub.close().await.unwrap();
}

#[tokio::test]
async fn what_is_there_is_not_made_again() {
    let fake = Fake::start().await;
    fake.now().hubs.insert(
        "t".into(),
        json!({ "partitionCount": 7, "status": "Active" }),
    );
    let topic = TopicConfig::new("t").partitions(2);
    let error = alone(&fake).admin().create_topic(&topic).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(fake.asked(), ["GET /eventhubs/t"]);
    assert_eq!(fake.now().hubs["t"]["partitionCount"], 7);
}

#[tokio::test]
async fn all_pages_are_read_and_none_from_elsewhere() {
    let fake = Fake::start().await;
    let hub = alone(&fake);
    assert!(list(&hub).await.unwrap().is_empty());
    for name in ["e", "d", "c", "b", "a"] {
        fake.now()
            .hubs
            .insert(name.into(), json!({ "partitionCount": 1 }));
    }
    fake.asked();
    assert_eq!(list(&hub).await.unwrap(), ["a", "b", "c", "d", "e"]);
    assert_eq!(fake.asked().len(), 3);

    // The token would go along.
    let other = Fake::start().await;
    let mut page = crate::fake::Canned::error(200, "", "");
    let link = format!("{}/eventhubs?api-version=2024-01-01", other.url);
    page.body = json!({ "value": [], "nextLink": link }).to_string();
    fake.now().first.push_back(page);
    let error = list(&hub).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected, "{error}");
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn the_token_is_for_the_endpoint_and_from_whom_the_settings_name() {
    let fake = Fake::start().await;
    let credential = Arc::new(Fixed::default());
    let config = config(&fake.url).token_credential(credential.clone());
    list(&EventHubsHub::new(config).unwrap()).await.unwrap();
    let scopes = credential.scopes.lock().unwrap().clone();
    assert_eq!(scopes, [format!("{}/.default", fake.url)]);
}

#[tokio::test]
async fn without_a_subscription_it_says_how() {
    let hub = EventHubsHub::new(EventHubsConfig::new().namespace("localhost")).unwrap();
    let error = list(&hub).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    for way in [
        "subscription=",
        "resource_group=",
        "Provisioner",
        "az eventhubs",
    ] {
        assert!(error.to_string().contains(way), "{error}");
    }
}
