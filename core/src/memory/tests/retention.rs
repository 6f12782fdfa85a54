//! Bounded memory: push-back, and what leaves.

use super::*;

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
