//! What acks, nacks, keys and members mean, on pstest: another server than the stand-in, which shares no code with it.
//!
//! Not the trials of the contract: those begin where a topic begins, for which a subscription is sought to it, and pstest
//! ends at that; and they hold events of a key while more of it come, of which pstest gives one at a time.
//! `pstest.exceptions` says what of the contract can't be seen on it, and `pstest_raw.rs` shows why. Here every group is
//! there before anything is published, and keys are acknowledged as they come.
#![allow(missing_docs, clippy::unwrap_used)]

mod pstest_server;

use anyhub_core::{
    Consumer, ConsumerOptions, Delivery, ErrorKind, Event, Hub, Point, ProducerExt,
    ProducerOptions, TopicConfig,
};
use anyhub_local::PsTest;
use anyhub_pubsub::{PubSubConfig, PubSubHub};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

const TOPIC: &str = "tweets";
const KEYS: usize = 5;
/// It gives some tens a second.
const EACH: usize = 8;

async fn within<T>(step: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(60), step).await;
    ended.expect("it hangs")
}

async fn hub(server: &PsTest, exactly_once: bool) -> PubSubHub {
    let config = PubSubConfig::new("local")
        .endpoint(server.endpoint())
        .ack_deadline(Duration::from_secs(10))
        .exactly_once(exactly_once);
    let hub = PubSubHub::new(config).unwrap();
    let topic = TopicConfig::new(TOPIC);
    within(hub.admin().create_topic(&topic)).await.unwrap();
    hub
}

/// A member of the group, from what is published from now on.
async fn member(hub: &PubSubHub) -> Box<dyn Consumer> {
    let options = ConsumerOptions::new()
        .group("score")
        .start(Point::End)
        .commit_interval(Duration::from_millis(50))
        .nack_delay(Duration::from_millis(20), Duration::from_millis(100));
    within(hub.consumer(TOPIC, options)).await.unwrap()
}

async fn publish(hub: &PubSubHub, events: Vec<Event>) {
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()));
    let producer = producer.await.unwrap();
    for outcome in within(within(producer.submit(events)).await.unwrap()).await {
        outcome.unwrap();
    }
    within(producer.close()).await.unwrap();
}

fn keyed() -> Vec<Event> {
    let event =
        |nth: usize| Event::new((nth / KEYS).to_string()).with_key(format!("k{}", nth % KEYS));
    (0..KEYS * EACH).map(event).collect()
}

fn place(delivery: &Delivery) -> (String, usize) {
    let key = delivery.event.key.as_ref().and_then(|key| key.as_str());
    let nth = std::str::from_utf8(&delivery.event.payload).unwrap();
    (key.unwrap().to_owned(), nth.parse().unwrap())
}

/// Reads until all of [`keyed`] were acknowledged, each key in order; `again` says which event is nacked the first time
/// that it comes.
async fn read(member: &mut dyn Consumer, again: Option<(&str, usize)>) {
    let acks = member.acks();
    let mut due: HashMap<String, usize> = HashMap::new();
    let mut nacked = false;
    while due.values().sum::<usize>() < KEYS * EACH {
        for delivery in within(member.receive(50)).await.unwrap().deliveries {
            let (key, nth) = place(&delivery);
            let of_key = due.entry(key.clone()).or_default();
            assert_eq!(nth, *of_key, "{key}");
            if again == Some((&*key, nth)) && !nacked {
                nacked = true;
                assert_eq!(acks.nack(&[delivery.token]), 1);
                continue;
            }
            let attempts = 1 + u32::from(again == Some((&*key, nth)));
            assert_eq!(delivery.attempt.get(), attempts, "{key}: {nth}");
            assert_eq!(acks.ack(&[delivery.token]), 1);
            *of_key += 1;
        }
    }
    within(member.commit()).await.unwrap();
    assert_eq!(nacked, again.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_e2_e3_events_come_as_they_went() {
    let Some(server) = pstest_server::start("e1_e2_e3").await else {
        return;
    };
    let hub = hub(&server, false).await;
    let mut member = member(&hub).await;
    let events = vec![
        Event::new("a key").with_key("k"),
        Event::new("none"),
        Event::new(""),
        Event::new(vec![0, 255, 1]).with_key("\u{e9}"),
        Event::new("headers")
            .with_header("z", "first")
            .with_header("a", "second"),
    ];
    publish(&hub, events.clone()).await;
    let mut came = Vec::new();
    while came.len() < events.len() {
        let batch = within(member.receive(50)).await.unwrap();
        member.acks().ack(&batch.tokens());
        came.extend(batch.deliveries.into_iter().map(|delivery| delivery.event));
    }
    for event in &events {
        assert!(came.contains(event), "{event:?} is not among {came:?}");
    }
    within(hub.close()).await.unwrap();
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_c6_keys_are_in_order_and_what_was_committed_stays_away() {
    for exactly_once in [false, true] {
        let Some(server) = pstest_server::start("c3_c6").await else {
            return;
        };
        let hub = hub(&server, exactly_once).await;
        let mut first = member(&hub).await;
        publish(&hub, keyed()).await;
        read(&mut *first, None).await;
        within(first.close()).await.unwrap();
        let mut second = member(&hub).await;
        publish(&hub, vec![Event::new("last").with_key("k0")]).await;
        let come = within(second.receive(50)).await.unwrap();
        let come = match come.deliveries.is_empty() {
            true => within(second.receive(50)).await.unwrap(),
            false => come,
        };
        assert_eq!(come.deliveries[0].event.payload, "last");
        within(hub.close()).await.unwrap();
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c5_a_nacked_event_comes_again_before_the_next_of_its_key() {
    let Some(server) = pstest_server::start("c5").await else {
        return;
    };
    let hub = hub(&server, false).await;
    let mut member = member(&hub).await;
    publish(&hub, keyed()).await;
    read(&mut *member, Some(("k3", 2))).await;
    within(hub.close()).await.unwrap();
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_what_is_worked_on_is_nobody_elses_and_what_is_dropped_is() {
    let Some(server) = pstest_server::start("c2").await else {
        return;
    };
    let hub = hub(&server, false).await;
    let mut first = member(&hub).await;
    publish(&hub, vec![Event::new("0").with_key("k")]).await;
    let mut held = Vec::new();
    while held.is_empty() {
        held = within(first.receive(50)).await.unwrap().deliveries;
    }
    let mut second = member(&hub).await;
    let deadline = Duration::from_secs(13);
    let stolen = tokio::time::timeout(deadline, async {
        loop {
            let batch = second.receive(50).await.unwrap();
            if !batch.deliveries.is_empty() {
                return batch;
            }
        }
    });
    assert!(stolen.await.is_err(), "its deadline was not prolonged");
    drop(first);
    let mut came = Vec::new();
    while came.is_empty() {
        came = within(second.receive(50)).await.unwrap().deliveries;
    }
    assert_eq!(place(&came[0]), ("k".to_owned(), 0));
    within(hub.close()).await.unwrap();
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c10_two_members_share_what_there_is() {
    let Some(server) = pstest_server::start("c10").await else {
        return;
    };
    let hub = hub(&server, false).await;
    let mut members = [member(&hub).await, member(&hub).await];
    let events = (0..KEYS * EACH).map(|nth| Event::new(nth.to_string()));
    publish(&hub, events.collect()).await;
    let mut seen = HashSet::new();
    let mut nth = 0;
    while seen.len() < KEYS * EACH {
        nth += 1;
        let member = &mut members[nth % 2];
        let quiet = Duration::from_millis(100);
        let Ok(batch) = tokio::time::timeout(quiet, member.receive(50)).await else {
            continue;
        };
        let batch = batch.unwrap();
        member.acks().ack(&batch.tokens());
        for delivery in batch.deliveries {
            let payload = delivery.event.payload;
            assert!(seen.insert(payload.clone()), "{payload:?} came twice");
        }
    }
    within(hub.close()).await.unwrap();
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_told_as_on_the_stand_in() {
    let Some(server) = pstest_server::start("what_is_not_there").await else {
        return;
    };
    let hub = hub(&server, false).await;
    let nowhere = within(hub.producer("nowhere", ProducerOptions::new())).await;
    assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NotFound);
    let nowhere = within(hub.consumer("nowhere", ConsumerOptions::new())).await;
    assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NotFound);
    let again = within(hub.admin().create_topic(&TopicConfig::new(TOPIC))).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(within(hub.admin().describe_topic(TOPIC)).await.is_ok());
    let producer = within(hub.producer(TOPIC, ProducerOptions::new()));
    let producer = producer.await.unwrap();
    within(hub.admin().delete_topic(TOPIC)).await.unwrap();
    let gone = within(producer.send(Event::new("x"))).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    within(hub.close()).await.unwrap();
    server.stop();
}
