//! Members that come, go, stall and crash.

use super::*;
use std::collections::BTreeMap;

/// After a resize a key stands in two partitions: a nack rewinds it in one, and what waits in the
/// other is still to be handled.
#[tokio::test]
async fn a_failed_key_forgets_nothing_of_another_partition() {
    const EVENTS: u32 = 40;
    let hub = hub("partitions=1");
    let producer = producer(&hub).await;
    let event = |nth: u32| Event::new(nth.to_string()).with_key("key-3");
    let before = (0..EVENTS / 2).map(event).collect();
    producer.publish(before).await.unwrap();
    hub.admin().set_partitions("t", 16).await.unwrap();
    let after = (EVENTS / 2..EVENTS).map(event).collect();
    let receipts = producer.publish(after).await.unwrap();
    let moved = receipts[0].as_ref().unwrap().partition.clone();
    assert_ne!(moved, Some(Partition::number(0)), "the key has not moved");

    let nack_at_once = ConsumerOptions::new().nack_delay(Duration::ZERO, Duration::ZERO);
    let mut consumer = member(&hub, nack_at_once).await;
    let handled = std::sync::Mutex::new(BTreeMap::<bytes::Bytes, u32>::new());
    let all = tokio::sync::Notify::new();
    let handler = async |delivery: Delivery| {
        tokio::task::yield_now().await;
        let mut handled = handled.lock().unwrap();
        let times = handled.entry(delivery.event.payload).or_default();
        *times += 1;
        if *times == 1 {
            return Err("every first time".into());
        }
        if handled.values().filter(|times| **times > 1).count() == EVENTS as usize {
            all.notify_one();
        }
        Ok(())
    };
    let stop = async {
        timeout(SOON, all.notified()).await.ok();
    };
    consumer.for_each_keyed(1, stop, handler).await.unwrap();
    let lag = hub.admin().lag("t", "g").await.unwrap();
    let open: u64 = lag.iter().filter_map(|lag| lag.events).sum();
    assert_eq!(open, 0, "{:?}", handled.lock().unwrap());
    consumer.close().await.unwrap();
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
