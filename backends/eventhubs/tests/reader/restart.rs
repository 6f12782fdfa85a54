//! A server on this machine that is started again, empty, with leases that were kept.

use crate::world::{World, config, once_in_order, take, within};
use anyhub_core::{Change, Consumer, ConsumerOptions, Delivery, Hub as _, Point};
use anyhub_eventhubs::{EventHubsConfig, EventHubsHub, LeasesIn};
use anyhub_local::eventhubs::EventHubs;
use std::{path::Path, time::Duration};

fn leased(server: &EventHubs, file: &Path) -> EventHubsConfig {
    config(server)
        .leases(LeasesIn::Sqlite(file.into()))
        .lease_time(Duration::from_millis(500))
}

async fn member(hub: &EventHubsHub) -> Box<dyn Consumer> {
    let options = ConsumerOptions::new().group("demo").start(Point::Start);
    within(hub.consumer("t", options)).await.unwrap()
}

fn server(port: Option<u16>, first: u64) -> EventHubs {
    let builder = EventHubs::builder()
        .hub("t", 1)
        .first_sequence_number(first);
    let builder = match port {
        Some(port) => builder.port(port),
        None => builder,
    };
    let server = builder.start().unwrap();
    server.create_group("t", "demo").unwrap();
    server
}

fn overtaken(changes: &[Change]) -> Vec<(i64, i64)> {
    let places = changes.iter().filter_map(|change| match change {
        Change::Overtaken { from, to, .. } => Some((from.as_offset()?, to.as_offset()?)),
        _ => None,
    });
    places.collect()
}

fn finish(consumer: &dyn Consumer, deliveries: &[Delivery]) {
    let tokens: Vec<_> = deliveries.iter().map(|delivery| delivery.token).collect();
    assert_eq!(consumer.acks().ack(&tokens), deliveries.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_server_that_begins_behind_the_one_before_nothing_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leases.db");
    let world = World::on(server(None, 1_000)).await;
    let port = world.server.endpoint().rsplit(':').next().unwrap().parse();
    let port: u16 = port.unwrap();
    let hub = EventHubsHub::new(leased(&world.server, &file)).unwrap();
    let mut running = member(&hub).await;
    world.publish(0..20).await;
    let (came, changes) = take(&mut *running, 20).await;
    once_in_order(&came, 0..20);
    assert_eq!(overtaken(&changes), []);
    finish(&*running, &came);
    within(running.commit()).await.unwrap();

    // With fewer events than before, and the member of before.
    world.server.stop();
    drop(world);
    let world = World::on(server(Some(port), 2_000)).await;
    world.publish(0..10).await;
    let (came, changes) = take(&mut *running, 10).await;
    once_in_order(&came, 0..10);
    assert_eq!(overtaken(&changes), [(1_020, 2_000)]);
    finish(&*running, &came);
    within(running.commit()).await.unwrap();
    within(hub.close()).await.unwrap();

    // With another member, which has the checkpoint alone.
    world.server.stop();
    drop(world);
    let world = World::on(server(Some(port), 3_000)).await;
    world.publish(0..5).await;
    let hub = EventHubsHub::new(leased(&world.server, &file)).unwrap();
    let mut afresh = member(&hub).await;
    let (came, changes) = take(&mut *afresh, 5).await;
    once_in_order(&came, 0..5);
    assert_eq!(overtaken(&changes), [(2_010, 3_000)]);
    within(hub.close()).await.unwrap();
}
