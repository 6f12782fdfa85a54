//! What is particular to the memory hub; what every hub keeps is tried by the conformance suite.
#![allow(clippy::unwrap_used)]

use super::MemoryHub;
use crate::*;
use futures_util::FutureExt;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(if cfg!(miri) { 600 } else { 10 });

fn hub(options: &str) -> MemoryHub {
    let url = format!("memory:/t?{options}").parse().unwrap();
    MemoryHub::from_url(&url).unwrap()
}

async fn producer(hub: &MemoryHub) -> Arc<dyn Producer> {
    hub.producer("t", ProducerOptions::new()).await.unwrap()
}

async fn member(hub: &MemoryHub, options: ConsumerOptions) -> Box<dyn Consumer> {
    hub.consumer("t", options.group("g")).await.unwrap()
}

/// What a future says at once. Unconstrained: waiting for its turn in the runtime does not count.
fn now<F: Future + Unpin>(future: F) -> Option<F::Output> {
    tokio::task::unconstrained(future).now_or_never()
}

fn event(number: usize) -> Event {
    Event::new(format!("{number:04}")).with_key(format!("key-{}", number % 16))
}

async fn publish(producer: &dyn Producer, numbers: std::ops::Range<usize>) {
    for outcome in producer
        .publish(numbers.map(event).collect())
        .await
        .unwrap()
    {
        outcome.unwrap();
    }
}

/// Receives until there are so many deliveries; with the changes told meanwhile.
async fn receive(consumer: &mut dyn Consumer, events: usize) -> Batch {
    let mut all = Batch::new();
    while all.deliveries.len() < events {
        let batch = timeout(SOON, consumer.receive(events))
            .await
            .unwrap()
            .unwrap();
        all.changes.extend(batch.changes);
        all.deliveries.extend(batch.deliveries);
    }
    all
}

/// Receives until a change is told.
async fn change(consumer: &mut dyn Consumer) -> Vec<Change> {
    loop {
        let batch = timeout(SOON, consumer.receive(100)).await.unwrap().unwrap();
        if !batch.changes.is_empty() {
            return batch.changes;
        }
    }
}

fn partitions(owned: &[OwnedPartition]) -> Vec<u32> {
    let owned = owned.iter();
    owned
        .filter_map(|owned| owned.partition.as_number())
        .collect()
}

fn payloads(deliveries: &[Delivery]) -> BTreeSet<String> {
    let texts = deliveries.iter().map(|delivery| &delivery.event.payload);
    texts
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
        .collect()
}

async fn committed(hub: &MemoryHub) -> u64 {
    let lag = hub.admin().lag("t", "g").await.unwrap();
    let positions = lag
        .iter()
        .filter_map(|lag| lag.committed.as_ref()?.as_offset());
    positions.sum::<i64>() as u64
}

#[tokio::test]
async fn a_full_partition_pushes_back_and_drops_nothing() {
    let hub = hub("partitions=1&capacity_bytes=4096");
    let options = ProducerOptions::new().deadline(Duration::from_millis(50));
    let writer = hub.producer("t", options).await.unwrap();
    let mut written = 0;
    let error = loop {
        match writer.submit(vec![event(written)]).await {
            Ok(pending) => assert!(pending.await.remove(0).is_ok()),
            Err(error) => break error,
        }
        written += 1;
    };
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(!error.is_indeterminate(), "nothing was sent");
    assert!(error.to_string().contains("retention=consumed"), "{error}");
    let mut reader = member(&hub, ConsumerOptions::new()).await;
    let batch = receive(&mut *reader, written).await;
    assert_eq!(payloads(&batch.deliveries).len(), written);
    assert!(now(reader.receive(1)).is_none(), "and no more");
    reader.acks().ack(&batch.tokens());
    reader.commit().await.unwrap();
    let error = writer.submit(vec![event(0)]).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Timeout,
        "committed, and still kept"
    );
}

#[tokio::test]
async fn what_all_have_committed_makes_room() {
    let hub = hub("partitions=2&capacity_bytes=8192&retention=consumed");
    let writer = producer(&hub).await;
    let mut reader = member(&hub, ConsumerOptions::new()).await;
    let mut other = hub
        .consumer("t", ConsumerOptions::new().group("other"))
        .await
        .unwrap();
    let mut written = 0;
    // Until it is full: the submit that waits is written when both groups have committed.
    let mut waiting = loop {
        let mut submit = writer.submit(vec![event(written)]);
        written += 1;
        match now(&mut submit) {
            Some(pending) => assert!(pending.unwrap().await.remove(0).is_ok()),
            None => break submit,
        }
    };
    let kept = written - 1;
    let batch = receive(&mut *reader, kept).await;
    reader.acks().ack(&batch.tokens());
    reader.commit().await.unwrap();
    assert!(now(&mut waiting).is_none(), "the other group is behind");
    let batch = receive(&mut *other, kept).await;
    other.acks().ack(&batch.tokens());
    other.commit().await.unwrap();
    assert!(
        timeout(SOON, waiting)
            .await
            .unwrap()
            .unwrap()
            .await
            .remove(0)
            .is_ok()
    );
    let next = receive(&mut *reader, 1).await;
    assert_eq!(next.deliveries[0].event, event(kept));
    let info = hub.admin().describe_topic("t").await.unwrap();
    let first = |info: &PartitionInfo| info.first.as_ref().and_then(Position::as_offset);
    assert!(info.partitions.iter().any(|info| first(info) > Some(0)));
}

/// A stream many times what is kept flows at the pace of the acks, without waiting for commits.
#[tokio::test]
async fn acks_alone_make_room_for_producers_that_wait() {
    let hub = hub("partitions=1&capacity_bytes=4096&retention=consumed");
    let writer = producer(&hub).await;
    let never = ConsumerOptions::new().commit_interval(Duration::from_secs(3600));
    let mut reader = member(&hub, never).await;
    let acks = reader.acks();
    let reading = async {
        for number in 0..1000 {
            let batch = receive(&mut *reader, 1).await;
            assert_eq!(batch.deliveries[0].event, event(number));
            acks.ack(&batch.tokens());
        }
    };
    let writing = async {
        for number in 0..1000 {
            publish(&*writer, number..number + 1).await;
        }
    };
    timeout(SOON, async { tokio::join!(reading, writing) })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_submit_that_waits_can_be_dropped_and_closed() {
    let hub = hub("partitions=1&capacity_bytes=4096");
    let writer = producer(&hub).await;
    let limits = writer.limits();
    let large = || vec![Event::new(vec![0; limits.event_bytes])];
    let tiny = || vec![Event::new("x")];
    writer.submit(large()).await.unwrap();
    let mut dropped = writer.submit(large());
    assert!(now(&mut dropped).is_none(), "it has no room");
    drop(dropped);
    assert!(writer.submit(tiny()).await.unwrap().await[0].is_ok());
    let mut waiting = writer.submit(large());
    assert!(now(&mut waiting).is_none());
    writer.close().await.unwrap();
    assert_eq!(waiting.await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        writer.submit(tiny()).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    let info = hub.admin().describe_topic("t").await.unwrap();
    assert_eq!(info.partitions[0].next, Some(Position::offset(2)));
}

#[tokio::test]
async fn retention_by_size_overtakes_once() {
    let hub = hub("partitions=1&retention_bytes=2000");
    let writer = producer(&hub).await;
    let mut reader = member(&hub, ConsumerOptions::new()).await;
    publish(&*writer, 0..100).await;
    let info = hub
        .admin()
        .describe_topic("t")
        .await
        .unwrap()
        .partitions
        .remove(0);
    let first = info.first.unwrap();
    assert!(first.as_offset().unwrap() > 80, "{first}");
    let kept = 100 - first.as_offset().unwrap() as usize;
    let batch = receive(&mut *reader, kept).await;
    let overtaken = Change::Overtaken {
        partition: Partition::number(0),
        from: Position::offset(0),
        to: first.clone(),
    };
    assert_eq!(
        batch
            .changes
            .iter()
            .filter(|change| **change == overtaken)
            .count(),
        1
    );
    assert_eq!(batch.changes.len(), 2, "{:?}", batch.changes);
    assert_eq!(batch.deliveries[0].position, first);
    let gone = vec![(Partition::number(0), Position::offset(0))];
    let error = reader.seek(Point::Positions(gone)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
}

#[tokio::test]
async fn retention_by_time_lets_go_when_it_is_looked_at() {
    let hub = hub("partitions=1&capacity_bytes=4096&retention_ms=60");
    let writer = producer(&hub).await;
    // More than fits at once: each waits until time has made room for it.
    for number in 0..40 {
        publish(&*writer, number..number + 1).await;
    }
    let all_gone = async {
        loop {
            let info = hub
                .admin()
                .describe_topic("t")
                .await
                .unwrap()
                .partitions
                .remove(0);
            if info.first == info.next {
                break info.next;
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(
        timeout(SOON, all_gone).await.unwrap(),
        Some(Position::offset(40))
    );
    let forever = Retention::new().time(Duration::from_secs(3600));
    hub.admin().set_retention("t", &forever).await.unwrap();
    publish(&*writer, 40..41).await;
    let mut reader = member(&hub, ConsumerOptions::new()).await;
    assert_eq!(
        receive(&mut *reader, 1).await.deliveries[0].event,
        event(40)
    );
}

#[tokio::test]
async fn a_nacked_event_that_retention_removed_holds_nothing_up() {
    let hub = hub("partitions=1&retention_bytes=2000");
    let writer = producer(&hub).await;
    let options = ConsumerOptions::new().nack_delay(Duration::from_millis(1), SOON);
    let mut reader = member(&hub, options).await;
    publish(&*writer, 0..1).await;
    let batch = receive(&mut *reader, 1).await;
    reader.acks().nack(&batch.tokens());
    publish(&*writer, 1..100).await;
    let next = receive(&mut *reader, 1).await;
    assert!(
        matches!(next.changes[..], [Change::Overtaken { .. }]),
        "{next:?}"
    );
    reader.acks().ack(&next.tokens());
    reader.commit().await.unwrap();
    let position = next.deliveries[0].position.as_offset().unwrap();
    assert_eq!(committed(&hub).await, position as u64 + 1);
}

#[tokio::test]
async fn a_partition_moves_with_the_last_answer() {
    let hub = hub("partitions=4");
    let writer = producer(&hub).await;
    publish(&*writer, 0..64).await;
    let mut a = member(&hub, ConsumerOptions::new()).await;
    let held = receive(&mut *a, 64).await;
    assert_eq!(partitions(&a.assignment()), [0, 1, 2, 3]);
    let mut b = member(&hub, ConsumerOptions::new()).await;
    assert!(b.assignment().is_empty(), "the first owner still has work");
    // No call of the consumer itself: the last ack is enough.
    assert_eq!(a.acks().ack(&held.tokens()), 64);
    assert_eq!(partitions(&a.assignment()), [0, 1]);
    assert_eq!(partitions(&b.assignment()), [2, 3]);
    let moved = vec![Partition::number(2), Partition::number(3)];
    assert_eq!(change(&mut *b).await, [Change::Assigned(moved.clone())]);
    assert_eq!(change(&mut *a).await, [Change::Revoked(moved)]);
    assert!(
        now(b.receive(1)).is_none(),
        "what was acknowledged is committed"
    );
    publish(&*writer, 64..128).await;
    let owned: Vec<u32> = receive(&mut *b, 1)
        .await
        .deliveries
        .iter()
        .filter_map(|delivery| delivery.partition.as_number())
        .collect();
    assert!(owned.iter().all(|partition| *partition >= 2));
}

#[tokio::test]
async fn a_partition_moves_without_answers_after_a_while() {
    let hub = hub("partitions=2");
    let writer = producer(&hub).await;
    publish(&*writer, 0..32).await;
    let mut a = member(&hub, ConsumerOptions::new()).await;
    let held = receive(&mut *a, 32).await;
    let mut b = member(&hub, ConsumerOptions::new()).await;
    publish(&*writer, 32..64).await;
    let moved = Partition::number(1);
    let of_moved = |delivery: &&Delivery| delivery.partition == moved;
    let unanswered = held.deliveries.iter().filter(of_moved).count();
    let mut told = Vec::new();
    let mut meanwhile = Vec::new();
    while told.is_empty() {
        let batch = timeout(SOON, a.receive(100)).await.unwrap().unwrap();
        told.extend(batch.changes);
        meanwhile.extend(batch.deliveries);
    }
    assert_eq!(told, [Change::Revoked(vec![moved.clone()])]);
    assert!(!meanwhile.is_empty() && !meanwhile.iter().any(|delivery| of_moved(&delivery)));
    assert_eq!(a.acks().ack(&held.tokens()), 32 - unanswered);
    a.commit().await.unwrap();
    let again = receive(&mut *b, unanswered).await;
    assert_eq!(again.changes, [Change::Assigned(vec![moved.clone()])]);
    let first = again.deliveries[0].position.as_offset();
    assert_eq!(first, Some(0), "from the checkpoint on");
}

#[tokio::test]
async fn acks_behind_an_open_event_are_told_as_lost() {
    let hub = hub("partitions=1");
    let writer = producer(&hub).await;
    publish(&*writer, 0..2).await;
    let options = ConsumerOptions::new().max_processing(Duration::from_millis(200));
    let mut a = member(&hub, options).await;
    let held = receive(&mut *a, 2).await;
    let mut b = member(&hub, ConsumerOptions::new()).await;
    assert_eq!(a.acks().ack(&held.tokens()[1..]), 1);
    // `a` does not call receive: its partition goes, and the ack of the second event with it.
    let again = receive(&mut *b, 2).await;
    assert_eq!(payloads(&again.deliveries), payloads(&held.deliveries));
    assert_eq!(a.acks().ack(&held.tokens()), 0);
    assert_eq!(a.commit().await.unwrap_err().kind(), ErrorKind::Fenced);
    a.commit().await.unwrap();
    assert_eq!(b.acks().ack(&again.tokens()), 2);
    b.close().await.unwrap();
    // Back in the group at its next call.
    let lost = vec![Partition::number(0)];
    let changes = change(&mut *a).await;
    assert_eq!(
        changes,
        [Change::Lost(lost.clone()), Change::Assigned(lost)]
    );
    publish(&*writer, 2..3).await;
    assert_eq!(receive(&mut *a, 1).await.deliveries[0].event, event(2));
}

#[tokio::test]
async fn a_dropped_consumer_is_one_that_crashed() {
    let hub = hub("partitions=1");
    let writer = producer(&hub).await;
    publish(&*writer, 0..10).await;
    let options = ConsumerOptions::new().commit_interval(Duration::from_secs(3600));
    let mut a = member(&hub, options.clone()).await;
    let batch = receive(&mut *a, 10).await;
    a.acks().ack(&batch.tokens()[..4]);
    a.commit().await.unwrap();
    a.acks().ack(&batch.tokens()[4..]);
    let acks = a.acks();
    drop(a);
    assert_eq!(acks.ack(&batch.tokens()), 0);
    assert_eq!(committed(&hub).await, 4);
    let mut b = member(&hub, options.clone()).await;
    let again = receive(&mut *b, 6).await;
    assert_eq!(again.deliveries[0].position, Position::offset(4));
    b.acks().ack(&again.tokens());
    b.close().await.unwrap();
    assert_eq!(committed(&hub).await, 10, "close commits");
}

#[tokio::test]
async fn acks_become_durable_without_being_polled() {
    let hub = hub("partitions=1");
    publish(&*producer(&hub).await, 0..10).await;
    let options = ConsumerOptions::new().commit_interval(Duration::from_millis(20));
    let mut reader = member(&hub, options).await;
    let batch = receive(&mut *reader, 10).await;
    reader.acks().ack(&batch.tokens());
    let durable = async {
        while committed(&hub).await < 10 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, durable).await.unwrap();
}

#[tokio::test]
async fn a_start_counts_while_nothing_is_committed_or_begun() {
    let hub = hub("partitions=2");
    let writer = producer(&hub).await;
    publish(&*writer, 0..32).await;
    let mut a = member(&hub, ConsumerOptions::new().start(Point::End)).await;
    let lag = hub.admin().lag("t", "g").await.unwrap();
    assert!(
        lag.iter()
            .all(|lag| lag.events == Some(0) && lag.committed.is_some())
    );
    // Partitions that appear later are read from their beginning.
    let resized = hub.admin().set_partitions("t", 4).await.unwrap();
    assert!(!resized.key_order_kept);
    publish(&*writer, 32..64).await;
    let batch = receive(&mut *a, 32).await;
    assert_eq!(payloads(&batch.deliveries), payloads_of(32..64));
    a.close().await.unwrap();
    let mut b = member(&hub, ConsumerOptions::new().start(Point::End)).await;
    let batch = receive(&mut *b, 32).await;
    assert_eq!(
        payloads(&batch.deliveries),
        payloads_of(32..64),
        "the group had begun"
    );
    let mut private = hub.consumer("t", ConsumerOptions::new()).await.unwrap();
    assert_eq!(receive(&mut *private, 64).await.deliveries.len(), 64);
    assert_eq!(
        hub.admin().list_groups("t").await.unwrap(),
        [GroupInfo::new("g", 1)]
    );
}

fn payloads_of(numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    numbers.map(|number| format!("{number:04}")).collect()
}

#[tokio::test]
async fn seeking_is_durable_and_stales_tokens() {
    let hub = hub("partitions=1");
    let writer = producer(&hub).await;
    publish(&*writer, 0..10).await;
    let mut reader = member(&hub, ConsumerOptions::new()).await;
    let batch = receive(&mut *reader, 10).await;
    reader.acks().ack(&batch.tokens()[..5]);
    reader.commit().await.unwrap();
    let to = vec![(Partition::number(0), Position::offset(2))];
    reader.seek(Point::Positions(to)).await.unwrap();
    assert_eq!(committed(&hub).await, 2, "back, in a new generation");
    assert_eq!(reader.acks().ack(&batch.tokens()), 0);
    let again = receive(&mut *reader, 8).await;
    assert_eq!(again.deliveries[0].position, Position::offset(2));
    reader
        .seek(Point::Time(SystemTime::now() + SOON))
        .await
        .unwrap();
    assert!(now(reader.receive(1)).is_none());
    let elsewhere = vec![(Partition::number(7), Position::offset(0))];
    let error = reader.seek(Point::Positions(elsewhere)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    drop(reader);
    assert_eq!(committed(&hub).await, 10);
}

#[tokio::test]
async fn a_window_is_bounded_and_a_nack_still_comes_again() {
    let hub = hub("partitions=1");
    publish(&*producer(&hub).await, 0..100).await;
    let options = ConsumerOptions::new()
        .max_unfinished(10)
        .nack_delay(Duration::from_millis(1), SOON);
    let mut reader = member(&hub, options).await;
    let batch = receive(&mut *reader, 10).await;
    assert!(now(reader.receive(100)).is_none(), "the lane stops");
    reader.acks().ack(&batch.tokens()[1..]);
    reader.acks().nack(&batch.tokens()[..1]);
    let again = receive(&mut *reader, 1).await;
    assert_eq!(again.deliveries[0].event, event(0));
    assert_eq!(again.deliveries[0].attempt.get(), 2);
    reader.acks().ack(&again.tokens());
    receive(&mut *reader, 10).await;
}

#[tokio::test]
async fn what_is_gone_says_so() {
    let hub = hub("partitions=1");
    let admin = hub.admin();
    let writer = producer(&hub).await;
    let mut reader = member(&hub, ConsumerOptions::new()).await;
    change(&mut *reader).await;
    let error = hub
        .producer("tt", ProducerOptions::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("did you mean 't'?"), "{error}");
    assert_eq!(
        admin.delete_group("g").await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(
        admin.lag("t", "h").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let (received, deleted) = tokio::join!(reader.receive(1), admin.delete_topic("t"));
    deleted.unwrap();
    assert_eq!(received.unwrap_err().kind(), ErrorKind::NotFound);
    let error = writer.submit(vec![event(0)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    reader.close().await.unwrap();
    assert_eq!(
        reader.receive(1).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn closing_the_hub_closes_and_commits_all() {
    let hub = hub("partitions=1");
    let writer = producer(&hub).await;
    publish(&*writer, 0..1).await;
    let mut reader = member(&hub, ConsumerOptions::new()).await;
    let batch = receive(&mut *reader, 1).await;
    reader.acks().ack(&batch.tokens());
    let (received, closed) = tokio::join!(reader.receive(1), hub.close());
    closed.unwrap();
    assert_eq!(received.unwrap_err().kind(), ErrorKind::Closed);
    let closed = [
        writer.submit(vec![event(0)]).await.unwrap_err(),
        hub.admin().list_topics().await.unwrap_err(),
        hub.consumer("t", ConsumerOptions::new()).await.unwrap_err(),
    ];
    assert!(closed.iter().all(|error| error.kind() == ErrorKind::Closed));
    hub.close().await.unwrap();
    let usage = hub.usage();
    assert_eq!((usage.get("events_in"), usage.get("events_out")), (1, 1));
    assert_eq!(usage.get("bytes_in"), event(0).size() as u64);
}

#[tokio::test]
async fn refuses_topics_that_can_not_be() {
    let hub = MemoryHub::new();
    let create = async |topic: TopicConfig| hub.admin().create_topic(&topic).await;
    for (topic, kind) in [
        (TopicConfig::new("t").partitions(0), ErrorKind::Invalid),
        (TopicConfig::new("a b"), ErrorKind::Invalid),
        (TopicConfig::new(""), ErrorKind::Invalid),
        (TopicConfig::new("t").replication(3), ErrorKind::Invalid),
        (
            TopicConfig::new("t").property("retain", "all"),
            ErrorKind::Config,
        ),
        (
            TopicConfig::new("t").retention(Retention::new().bytes(0)),
            ErrorKind::Invalid,
        ),
    ] {
        assert_eq!(
            create(topic.clone()).await.unwrap_err().kind(),
            kind,
            "{topic:?}"
        );
    }
    create(TopicConfig::new("t").property("retention", "consumed"))
        .await
        .unwrap();
    let again = create(TopicConfig::new("t")).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
}

/// Two members, events flowing, one of them leaving in good order over and over: all arrive, none
/// twice, each key in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_members_come_and_go() {
    const EVENTS: usize = if cfg!(miri) { 500 } else { 20_000 };
    let hub = Arc::new(hub("partitions=5&capacity_bytes=65536&retention=consumed"));
    let writing = tokio::spawn({
        let writer = producer(&hub).await;
        async move {
            for start in (0..EVENTS).step_by(50) {
                publish(&*writer, start..start + 50).await;
            }
        }
    });
    let (seen, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    let stop = Arc::new(tokio::sync::Notify::new());
    let read = |patience: usize| {
        let (hub, seen, stop) = (hub.clone(), seen.clone(), stop.clone());
        tokio::spawn(async move {
            loop {
                let mut reader = member(&hub, ConsumerOptions::new()).await;
                let acks = reader.acks();
                for _ in 0..patience {
                    let batch = tokio::select! {
                        () = stop.notified() => return,
                        batch = reader.receive(64) => batch.unwrap(),
                    };
                    for delivery in batch.deliveries {
                        seen.send(delivery.event).unwrap();
                        assert_eq!(acks.ack(&[delivery.token]), 1);
                    }
                    reader.commit().await.unwrap();
                }
                reader.close().await.unwrap();
            }
        })
    };
    let readers = [read(usize::MAX), read(7)];
    let mut last = std::collections::BTreeMap::new();
    for _ in 0..EVENTS {
        let event = timeout(SOON, arrived.recv()).await.unwrap().unwrap();
        let key = event.key.unwrap();
        let previous = last.insert(key.clone(), event.payload.clone());
        let number = |text: &[u8]| std::str::from_utf8(text).unwrap().parse::<usize>().unwrap();
        let expected = previous.map_or(number(&event.payload) % 16, |last| number(&last) + 16);
        assert_eq!(number(&event.payload), expected, "{key:?}");
    }
    writing.await.unwrap();
    for reader in readers {
        stop.notify_one();
        stop.notify_one();
        reader.await.unwrap();
    }
    assert!(arrived.try_recv().is_err(), "nothing came twice");
}
