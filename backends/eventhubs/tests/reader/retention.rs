use crate::{
    stand_in::StandIn,
    world::{PATIENCE, within},
};
use anyhub_conformance::Harness as _;
use anyhub_core::{
    Error, ErrorKind, Event, Hub, Position, ProducerExt as _, ProducerOptions, Retention,
    TopicConfig,
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// The first and next position of the only partition.
async fn ends(hub: &Arc<dyn Hub>) -> (i64, i64) {
    let told = within(hub.admin().describe_topic("kept")).await.unwrap();
    let partition = &told.partitions[0];
    let number = |at: &Option<Position>| at.as_ref().unwrap().as_offset().unwrap();
    (number(&partition.first), number(&partition.next))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_when_the_retention_that_is_set_says_so() {
    let server = StandIn::new("retention", |config| config);
    let hub = server.start().await.unwrap();
    let admin = hub.admin();
    let topic = TopicConfig::new("kept").partitions(1);
    within(admin.create_topic(&topic)).await.unwrap();
    let producer = within(hub.producer("kept", ProducerOptions::new())).await;
    let events = (0..10).map(|number| Event::new(number.to_string()));
    let outcomes = within(producer.unwrap().publish(events.collect())).await;
    assert!(outcomes.unwrap().iter().all(Result::is_ok));
    assert_eq!(ends(&hub).await, (0, 10));

    let refused = |answer: Result<(), Error>| answer.unwrap_err().kind();
    let by_size = Retention::new().bytes(1 << 20);
    let answer = within(admin.set_retention("kept", &by_size)).await;
    assert_eq!(refused(answer), ErrorKind::Unsupported);
    let short = Retention::new().time(Duration::from_millis(100));
    let answer = within(admin.set_retention("nowhere", &short)).await;
    assert_eq!(refused(answer), ErrorKind::NotFound);
    assert_eq!(ends(&hub).await, (0, 10), "neither has changed anything");

    within(admin.set_retention("kept", &short)).await.unwrap();
    let until = Instant::now() + PATIENCE;
    while ends(&hub).await != (10, 10) {
        assert!(Instant::now() < until, "the events are still there");
        sleep(Duration::from_millis(20)).await;
    }
    within(hub.close()).await.unwrap();
    server.stop().await;
}
