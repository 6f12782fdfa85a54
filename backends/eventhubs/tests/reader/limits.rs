use crate::world::{Other, World, number, take, within};
use anyhub_core::{Change, ConsumerOptions, ErrorKind, Event, Hub, Point, ProducerExt};
use anyhub_local::eventhubs::EventHubs;
use std::{collections::HashSet, time::Duration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sixth_reader_is_refused_and_told_what_to_do() {
    let world = World::new(1).await;
    world.publish(0..1).await;
    let mut readers = Vec::new();
    for _ in 0..5 {
        let mut reader = world.reader(Point::Start).await;
        take(&mut *reader, 1).await;
        readers.push(reader);
    }
    let mut sixth = world.reader(Point::Start).await;
    let error = loop {
        if let Err(error) = within(sixth.receive(1)).await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("reader_group="), "{error}");
    // It is final until a seek.
    within(readers.pop().unwrap().close()).await.unwrap();
    within(sixth.seek(Point::Start)).await.unwrap();
    take(&mut *sixth, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_with_an_epoch_is_not_fought() {
    let world = World::new(1).await;
    world.publish(0..1).await;
    let mut reader = world.reader(Point::Start).await;
    take(&mut *reader, 1).await;
    let _other = Other::new(&world, "$Default", 3).await;
    let error = within(async {
        loop {
            if let Err(error) = reader.receive(1).await {
                break error;
            }
        }
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert_eq!(
        world.server.counts().stolen_links,
        1,
        "it does not come back by itself"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_deleted_is_told() {
    let world = World::new(1).await;
    world.publish(0..1).await;
    let mut reader = world.reader(Point::Start).await;
    take(&mut *reader, 1).await;
    world.server.delete_hub("t").unwrap();
    let error = within(reader.receive(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_removes_from_under_a_reader_is_told_once() {
    const EVENTS: usize = 400;
    let week = Duration::from_secs(7 * 24 * 3_600);
    let server = EventHubs::builder().hub("t", 1).retention(200_000, week);
    let world = World::on(server.start().unwrap()).await;
    world.publish(0..10).await;
    let options = ConsumerOptions::new()
        .prefetch_events(4)
        .prefetch_bytes(20_000);
    let mut reader = within(world.hub.consumer("t", options)).await.unwrap();
    take(&mut *reader, 1).await;
    for nth in 0..EVENTS {
        let event = Event::new(format!("{}{}", "0".repeat(5_000), nth + 10)).with_key("k");
        within(world.producer.send(event)).await.unwrap();
    }
    let (mut seen, mut gaps) = (vec![0], Vec::new());
    while seen.last() != Some(&(EVENTS + 9)) {
        let batch = within(reader.receive(100)).await.unwrap();
        for change in batch.changes {
            if let Change::Overtaken { from, to, .. } = change {
                assert_eq!(from.as_offset(), seen.last().map(|last| *last as i64 + 1));
                gaps.push(to.as_offset().unwrap() as usize);
            }
        }
        for delivery in &batch.deliveries {
            let (due, number) = (seen.last().unwrap() + 1, number(delivery));
            assert!(
                number == due || gaps.contains(&number),
                "{number}, due {due}"
            );
            seen.push(number);
        }
        reader.acks().ack(
            &batch
                .deliveries
                .iter()
                .map(|it| it.token)
                .collect::<Vec<_>>(),
        );
    }
    // A reader that still takes some ahead while they are written is overtaken twice, now and then.
    assert!(
        !gaps.is_empty() && gaps.is_sorted_by(|one, next| one < next),
        "{gaps:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_not_asked_takes_little() {
    let world = World::new(1).await;
    let events = (0..40).map(|_| Event::new("x".repeat(900_000)).with_key("k"));
    let outcomes = within(world.producer.publish(events.collect()))
        .await
        .unwrap();
    assert!(outcomes.iter().all(Result::is_ok));
    let options = ConsumerOptions::new().prefetch_bytes(4 << 20);
    let mut reader = within(world.hub.consumer("t", options)).await.unwrap();
    take(&mut *reader, 1).await;
    // What it takes ahead it takes at once; then it rests.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let sent = world.server.counts().events_out;
    assert!(sent <= 16, "{sent} of 40");
    take(&mut *reader, 39).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_one_that_had_small_events_before() {
    const SMALL: usize = 20_000;
    const LARGE: usize = 200;
    let week = Duration::from_secs(7 * 24 * 3_600);
    let server = EventHubs::builder().hub("t", 1).retention(256 << 20, week);
    let world = World::on(server.start().unwrap()).await;
    let large = |number: usize| format!("{}{number}", "0".repeat(250_000));
    let event = |payload: String| Event::new(payload).with_key("k");
    let publish = async |payloads: Vec<String>| {
        let outcomes = world
            .producer
            .publish(payloads.into_iter().map(event).collect());
        let outcomes = within(outcomes).await.unwrap();
        assert!(outcomes.iter().all(Result::is_ok));
    };
    publish((0..SMALL).map(|number| number.to_string()).collect()).await;
    let options = ConsumerOptions::new().prefetch_bytes(1 << 20);
    let mut reader = within(world.hub.consumer("t", options)).await.unwrap();
    let (came, _) = take(&mut *reader, SMALL).await;
    let tokens: Vec<_> = came.iter().map(|one| one.token).collect();
    assert_eq!(reader.acks().ack(&tokens), SMALL);
    let before = world.server.counts().events_out;
    for first in (0..LARGE).step_by(20) {
        publish((first..first + 20).map(large).collect()).await;
    }
    let ahead = world.server.counts().events_out - before;
    assert!(ahead <= LARGE as u64 / 2, "{ahead} of {LARGE}");
    let mut seen = Vec::new();
    while seen.len() < LARGE {
        let batch = within(reader.receive(10)).await.unwrap();
        assert!(batch.changes.is_empty(), "{:?}", batch.changes);
        seen.extend(batch.deliveries.iter().map(number));
        let tokens: Vec<_> = batch.deliveries.iter().map(|one| one.token).collect();
        reader.acks().ack(&tokens);
    }
    assert!(seen.into_iter().eq(0..LARGE), "each once, in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_has_links_to_hundreds_of_partitions() {
    let world = World::new(300).await;
    let event = |number: usize| Event::new(number.to_string()).with_key(format!("key-{number}"));
    let outcomes = within(world.producer.publish((0..4_000).map(event).collect())).await;
    assert!(outcomes.unwrap().iter().all(Result::is_ok));
    let before = world.server.counts().connections;
    let mut reader = world.reader(Point::Start).await;
    let (came, _) = take(&mut *reader, 4_000).await;
    let partitions: HashSet<_> = came.iter().map(|one| one.partition.clone()).collect();
    assert_eq!(partitions.len(), 300, "each has events");
    let mut numbers: Vec<_> = came.iter().map(number).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..4_000), "each once");
    assert_eq!(world.server.counts().connections, before + 1);
}
