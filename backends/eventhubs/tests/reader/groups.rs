//! Groups beside what the trials of the contract bring about: other readers of the same consumer group,
//! and consumer groups that are not there.

use crate::world::{Other, World, config, number, once_in_order, take, within};
use anyhub_core::{
    Change, Consumer, ConsumerOptions, Delivery, Error, ErrorKind, Hub, Partition, Point, Result,
};
use anyhub_eventhubs::{EventHubsHub, LeasesIn};
use anyhub_leases::{Checkpoint, Lease, LeaseStore, MemoryLeases, Row, Scope};
use std::{sync::Arc, time::Duration};

const LEASE: Duration = Duration::from_millis(500);

fn hub(world: &World, store: &Arc<MemoryLeases>) -> EventHubsHub {
    let config = config(&world.server).store(store.clone()).lease_time(LEASE);
    EventHubsHub::new(config).unwrap()
}

async fn member(hub: &EventHubsHub) -> Result<Box<dyn Consumer>> {
    let options = ConsumerOptions::new().group("g");
    let options = options.commit_interval(Duration::from_millis(20));
    within(hub.consumer("t", options)).await
}

/// Where the leases of the group are.
fn scope(world: &World) -> Scope {
    let place = format!("eventhubs:localhost:{}", world.server.endpoint());
    Scope::new(&place, "t", "g")
}

/// Partition 0 was never owned, and its take counter is as low as can be.
async fn begun_long_ago(world: &World) -> Arc<MemoryLeases> {
    let store = Arc::new(MemoryLeases::new());
    let row = Row::from(Lease::new("0", 1));
    let written = store.write(&scope(world), &row, None).await;
    written.unwrap();
    store
}

async fn refused(consumer: &mut dyn Consumer) -> Error {
    within(async {
        loop {
            if let Err(error) = consumer.receive(10).await {
                return error;
            }
        }
    })
    .await
}

/// Before it knows that another reader has the partition, a member may deliver what it has.
async fn until_taken_back(world: &World) {
    within(async {
        while world.server.counts().stolen_links < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_reader_takes_is_dropped_and_taken_back() {
    let world = World::new(1).await;
    world.server.create_group("t", "g").unwrap();
    world.publish(0..20).await;
    let store = begun_long_ago(&world).await;
    let hub = hub(&world, &store);
    let mut member = member(&hub).await.unwrap();
    let (first, _) = take(&mut *member, 1).await;
    assert_eq!(number(&first[0]), 0);
    // Above the take counter, and below what it is raised to.
    let other = Other::new(&world, "g", 100).await;
    until_taken_back(&world).await;
    let (came, changes) = take(&mut *member, 20).await;
    let partition = || vec![Partition::number(0)];
    assert_eq!(
        changes,
        [Change::Lost(partition()), Change::Assigned(partition())]
    );
    once_in_order(&came, 0..20);
    assert_eq!(member.acks().ack(&[first[0].token]), 0, "it is stale");
    assert_eq!(world.server.counts().stolen_links, 2);
    drop(other);
    within(member.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_reader_takes_is_noticed_though_nothing_is_asked_for() {
    let world = World::new(1).await;
    world.server.create_group("t", "g").unwrap();
    // Far more than are read ahead, so that some wait on the link, too.
    world.publish(0..200).await;
    let store = begun_long_ago(&world).await;
    let hub = hub(&world, &store);
    let options = ConsumerOptions::new().group("g").prefetch_events(10);
    let mut member = within(hub.consumer("t", options)).await.unwrap();
    let (first, _) = take(&mut *member, 1).await;
    // Above the take counter, and below what it is raised to.
    let other = Other::new(&world, "g", 100).await;
    until_taken_back(&world).await;
    assert_eq!(member.acks().ack(&[first[0].token]), 0, "it is stale");
    let (came, changes) = take(&mut *member, 200).await;
    let partition = || vec![Partition::number(0)];
    assert_eq!(
        changes,
        [Change::Lost(partition()), Change::Assigned(partition())]
    );
    once_in_order(&came, 0..200);
    drop(other);
    within(member.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_with_the_highest_epoch_is_told() {
    let world = World::new(1).await;
    world.server.create_group("t", "g").unwrap();
    world.publish(0..20).await;
    let other = Other::new(&world, "g", i64::MAX).await;
    let hub = hub(&world, &Arc::new(MemoryLeases::new()));
    let mut member = member(&hub).await.unwrap();
    let error = refused(&mut *member).await;
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    for named in ["consumer group", "leases=sqlite:FILE"] {
        assert!(error.to_string().contains(named), "{error}");
    }
    drop(other);
    within(member.seek(Point::Start)).await.unwrap();
    let (came, _) = take(&mut *member, 20).await;
    once_in_order(&came, 0..20);
    within(member.close()).await.unwrap();
}

/// As two processes on a URL with leases=memory: neither knows of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_do_not_know_of_each_other_are_told_to_share_a_store() {
    let world = World::new(1).await;
    world.server.create_group("t", "g").unwrap();
    world.publish(0..20).await;
    let config = config(&world.server).leases(LeasesIn::Memory);
    let hubs = [config.clone(), config].map(|config| EventHubsHub::new(config).unwrap());
    let options = ConsumerOptions::new().group("g");
    let mut first = within(hubs[0].consumer("t", options)).await.unwrap();
    let (came, _) = take(&mut *first, 2).await;
    // Behind one that is not, it can't be committed.
    assert_eq!(first.acks().ack(&[came[1].token]), 1);
    let mut second = member(&hubs[1]).await.unwrap();
    let lost = Change::Lost(vec![Partition::number(0)]);
    let losing = async { while !first.receive(10).await.unwrap().changes.contains(&lost) {} };
    within(losing).await;
    let fenced = within(first.commit()).await.unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced, "{fenced}");
    assert!(
        fenced.to_string().contains("leases=sqlite:FILE"),
        "{fenced}"
    );
    within(first.close()).await.unwrap();
    within(second.close()).await.unwrap();
}

/// Leases of partitions that are not there any more are told, and how to be rid of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_was_made_again_with_fewer_partitions() {
    let world = World::new(2).await;
    world.server.create_group("t", "g").unwrap();
    world.publish(0..20).await;
    let store = Arc::new(MemoryLeases::new());
    let row = Row::from(Lease::new("3", 1));
    let written = store.write(&scope(&world), &row, None).await;
    written.unwrap();
    let hub = hub(&world, &store);
    let mut stale = member(&hub).await.unwrap();
    // A seek helps the others alone.
    for _ in 0..2 {
        let error = refused(&mut *stale).await;
        assert_eq!(error.kind(), ErrorKind::OutOfRange, "{error}");
        let text = error.to_string();
        for says in ["no partition 3", "Admin::delete_group", "leases="] {
            assert!(text.contains(says), "{text}");
        }
        within(stale.seek(Point::Start)).await.unwrap();
    }
    within(stale.close()).await.unwrap();
    within(hub.admin().delete_group("g")).await.unwrap();
    let mut fresh = member(&hub).await.unwrap();
    let (came, _) = take(&mut *fresh, 20).await;
    once_in_order(&came, 0..20);
    within(fresh.close()).await.unwrap();
}

/// An event hub of the same name that was made again is shorter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_behind_the_end_names_the_ways_out() {
    let world = World::new(1).await;
    world.server.create_group("t", "g").unwrap();
    world.publish(0..20).await;
    let store = Arc::new(MemoryLeases::new());
    let mut lease = Lease::new("0", 1);
    lease.checkpoint = Checkpoint::new(0, Some("100".into()));
    let row = Row::from(lease);
    let written = store.write(&scope(&world), &row, None).await;
    written.unwrap();
    let hub = hub(&world, &store);
    let mut member = self::member(&hub).await.unwrap();
    let error = refused(&mut *member).await;
    assert_eq!(error.kind(), ErrorKind::OutOfRange, "{error}");
    for way in ["seek", "Admin::delete_group", "leases="] {
        assert!(error.advice().unwrap().contains(way), "{error}");
    }
    within(member.close()).await.unwrap();
    within(hub.admin().delete_group("g")).await.unwrap();
    let mut member = self::member(&hub).await.unwrap();
    let (came, _) = take(&mut *member, 20).await;
    once_in_order(&came, 0..20);
    within(member.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_crashes_is_replaced_from_its_checkpoint_on() {
    let world = World::new(4).await;
    world.server.create_group("t", "g").unwrap();
    let store = Arc::new(MemoryLeases::new());
    let hubs = [hub(&world, &store), hub(&world, &store)];
    let mut first = member(&hubs[0]).await.unwrap();
    let mut second = member(&hubs[1]).await.unwrap();
    let shared = async {
        while first.assignment().len() != 2 || second.assignment().len() != 2 {
            let tick = Duration::from_millis(20);
            let _ = tokio::time::timeout(tick, first.receive(1)).await;
            let _ = tokio::time::timeout(tick, second.receive(1)).await;
        }
    };
    within(shared).await;
    world.publish(0..400).await;
    let mut came = Vec::new();
    // Both read all of theirs; what the first had after its last commit comes again.
    let mut committed = 0;
    while committed < 20 {
        let (some, _) = take(&mut *first, 1).await;
        first.acks().ack(&tokens(&some));
        committed += some.len();
        came.extend(some);
    }
    within(first.commit()).await.unwrap();
    drop(first);
    let (rest, _) = take(&mut *second, 400 - committed).await;
    came.extend(rest);
    once_in_order(&came, 0..400);
    within(second.close()).await.unwrap();
}

fn tokens(deliveries: &[Delivery]) -> Vec<anyhub_core::AckToken> {
    deliveries.iter().map(|delivery| delivery.token).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_group_lacks_is_named() {
    let world = World::new(1).await;
    let without = member(&world.hub).await.unwrap_err();
    assert_eq!(without.kind(), ErrorKind::Config, "{without}");
    let advice = without.advice().unwrap_or_default();
    for choice in ["leases=memory", "EventHubsConfig::store"] {
        assert!(advice.contains(choice), "{without}");
    }
    let config = config(&world.server).leases(LeasesIn::Memory);
    let hub = EventHubsHub::new(config).unwrap();
    let missing = member(&hub).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    for named in ["no such consumer group", "t~32766|g'"] {
        assert!(missing.message().contains(named), "{missing}");
    }
    // In any case of its letters it is the same one.
    world.server.create_group("t", "G").unwrap();
    world.publish(0..1).await;
    let mut member = member(&hub).await.unwrap();
    take(&mut *member, 1).await;
    let groups = within(hub.admin().list_groups("t")).await.unwrap();
    assert_eq!((groups.len(), groups[0].members), (1, 1));
    within(member.close()).await.unwrap();
}
