use crate::world::{World, number, once_in_order, take, within};
use anyhub_core::{Change, ErrorKind, Hub, Partition, Point, Position};
use std::time::{Duration, SystemTime};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_start_all_comes_and_each_partition_is_told_first() {
    let world = World::new(4).await;
    world.publish(0..500).await;
    let mut reader = world.reader(Point::Start).await;
    let (came, changes) = take(&mut *reader, 500).await;
    once_in_order(&came, 0..500);
    let all = (0..4).map(Partition::number).collect();
    assert_eq!(changes, [Change::Assigned(all)]);
    assert!(came.iter().all(|delivery| delivery.published.is_some()));
    let usage = world.hub.usage();
    assert_eq!(usage.get("events_out"), 500);
    within(reader.close()).await.unwrap();
    let refused = within(reader.receive(1)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_where_it_was_when_it_was_asked_for() {
    let world = World::new(2).await;
    world.publish(0..20).await;
    let mut reader = world.reader(Point::End).await;
    // Before anything of it is polled.
    world.publish(20..40).await;
    let (came, _) = take(&mut *reader, 20).await;
    once_in_order(&came, 20..40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_time_and_from_positions() {
    let world = World::new(1).await;
    world.publish(0..10).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let between = SystemTime::now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.publish(10..20).await;
    let mut reader = world.reader(Point::Time(between)).await;
    let (came, _) = take(&mut *reader, 10).await;
    once_in_order(&came, 10..20);
    let found = within(world.hub.admin().positions_at("t", between)).await;
    assert_eq!(
        found.unwrap(),
        [(Partition::number(0), came[0].position.clone())]
    );
    let later = SystemTime::now() + Duration::from_secs(3_600);
    let found = within(world.hub.admin().positions_at("t", later)).await;
    assert_eq!(
        found.unwrap(),
        [(Partition::number(0), Position::offset(20))]
    );

    for (at, first) in [(7, 7), (0, 0), (20, 20)] {
        let to = vec![(Partition::number(0), Position::offset(at))];
        within(reader.seek(Point::Positions(to.clone())))
            .await
            .unwrap();
        let mut fresh = world.reader(Point::Positions(to)).await;
        if first == 20 {
            world.publish(20..21).await;
        }
        for reader in [&mut reader, &mut fresh] {
            let (came, _) = take(&mut **reader, 1).await;
            assert_eq!(number(&came[0]), first);
        }
    }
    for at in [-1, 30] {
        let to = vec![(Partition::number(0), Position::offset(at))];
        let refused = within(reader.seek(Point::Positions(to))).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::OutOfRange);
    }
    let to = vec![(Partition::number(9), Position::offset(1))];
    let refused = within(reader.seek(Point::Positions(to))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nack_rewinds_its_key_without_asking_again() {
    let world = World::new(1).await;
    world.publish(0..21).await;
    let mut reader = world.reader(Point::Start).await;
    let (came, _) = take(&mut *reader, 21).await;
    let sent = world.server.counts().events_out;
    let nacked: Vec<_> = came
        .iter()
        .filter(|delivery| number(delivery) == 3)
        .collect();
    assert_eq!(reader.acks().nack(&[nacked[0].token]), 1);
    let (again, _) = take(&mut *reader, 3).await;
    let numbers: Vec<_> = again.iter().map(number).collect();
    assert_eq!(numbers, [3, 10, 17]);
    assert_eq!(again[0].attempt.get(), 2);
    assert_eq!(world.server.counts().events_out, sent);
}
