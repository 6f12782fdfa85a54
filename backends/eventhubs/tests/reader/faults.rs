use crate::world::{World, config, once_in_order, take, within};
use anyhub_conformance::Told;
use anyhub_core::{ConsumerOptions, Hub, Point};
use anyhub_eventhubs::EventHubsHub;
use anyhub_local::eventhubs::{EventHubs, Fault, Faults, On, Rate};
use std::time::Duration;
use tokio::time::sleep;

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
async fn a_server_that_is_away_is_told_of_and_so_is_its_return() {
    let told = Told::listen();
    let server = || EventHubs::builder().hub("away", 2);
    let first = server().start().unwrap();
    let hub = EventHubsHub::new(config(&first)).unwrap();
    let options = ConsumerOptions::new().start(Point::Start);
    let mut reader = within(hub.consumer("away", options)).await.unwrap();
    let reading = tokio::spawn(async move { while reader.receive(1).await.is_ok() {} });
    first.stop();
    let line = |level| {
        let told = told.clone();
        within(async move {
            while told.with(&[level, "away"]).is_empty() {
                sleep(Duration::from_millis(50)).await;
            }
            told.with(&[level, "away"]).remove(0)
        })
    };
    let warned = line("WARN").await;
    let address = first.endpoint();
    assert!(
        warned.contains("nothing can be read") && warned.contains(&address),
        "{warned}"
    );
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let _second = server().port(port).start().unwrap();
    let back = line("INFO").await;
    assert!(back.contains("events are read again"), "{back}");
    reading.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_are_lost_as_soon_as_they_are_attached_are_told_of() {
    let told = Told::listen();
    let world = World::on(EventHubs::builder().hub("t", 1).start().unwrap()).await;
    world.publish(0..10).await;
    let faults = Faults::none().detached(On::Receive, Rate::share(1.0));
    world.server.set_faults(faults).unwrap();
    let mut reader = world.reader(Point::Start).await;
    let reading = tokio::spawn(async move { take(&mut *reader, 10).await.0 });
    let warning = within(async {
        loop {
            let lost = told.with(&["WARN", "nothing can be read", "detach-forced"]);
            match lost.first() {
                Some(line) => return line.clone(),
                None => sleep(Duration::from_millis(50)).await,
            }
        }
    });
    let warned = warning.await;
    assert!(warned.contains("partitions=1"), "{warned}");
    world.server.set_faults(Faults::none()).unwrap();
    once_in_order(&reading.await.unwrap(), 0..10);
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
