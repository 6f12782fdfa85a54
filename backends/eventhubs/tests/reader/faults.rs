use crate::world::{World, once_in_order, take};
use anyhub_core::Point;
use anyhub_local::eventhubs::{Fault, Faults, On, Rate};
use std::time::Duration;

/// Reads under faults, while more comes: each event once, in order.
async fn through(faults: Faults, struck: &[(Fault, u64)]) {
    let world = World::new(2).await;
    world.publish(0..300).await;
    world.server.set_faults(faults).unwrap();
    let mut reader = world.reader(Point::Start).await;
    let (mut came, _) = take(&mut *reader, 100).await;
    world.publish(300..600).await;
    came.extend(take(&mut *reader, 500).await.0);
    once_in_order(&came, 0..600);
    for (fault, times) in struck {
        assert_eq!(
            world.server.counts().strikes(*fault).times,
            *times,
            "{fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_closed_and_detached_links_go_on_where_they_were() {
    let faults = Faults::none()
        .detached(On::Receive, Rate::next(5))
        .closed(On::Receive, Rate::next(5))
        .cut(On::Receive, Rate::next(5));
    let struck = [(Fault::Detached, 5), (Fault::Closed, 5), (Fault::Cut, 5)];
    through(faults, &struck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_half_open_is_found_out() {
    let faults = Faults::none().half_open(On::Receive, Rate::next(1), Duration::from_secs(3_600));
    through(faults, &[(Fault::HalfOpen, 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_stays_where_it_was_though_nothing_had_come_yet() {
    let world = World::new(1).await;
    world.publish(0..10).await;
    let mut reader = world.reader(Point::End).await;
    world
        .server
        .set_faults(Faults::none().cut(On::Receive, Rate::next(3)))
        .unwrap();
    world.publish(10..30).await;
    let (came, _) = take(&mut *reader, 20).await;
    once_in_order(&came, 10..30);
}
