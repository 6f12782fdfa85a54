use crate::world::{ARN, World, refused};
use anyhub_core::{Consumer, ConsumerOptions, ErrorKind, Hub, Result, TopicConfig};
use anyhub_kinesis::{KinesisConfig, KinesisHub};
use anyhub_leases::{LeaseStore, Leases, MemberRow, NewPartition, Options, Scope};
use anyhub_local::Kinesis;
use std::time::Duration;
use tokio::time::timeout;

const LEASE: Duration = Duration::from_millis(300);

impl World {
    async fn join(&self, topic: &str, group: &str) -> Leases {
        let scope = self.scope(topic, group);
        let new = [NewPartition::new("shardId-000000000000")];
        let options = Options::new().lease(LEASE);
        let joined = Leases::join(self.store.clone(), scope, options, new);
        joined.await.unwrap()
    }

    async fn groups(&self, topic: &str) -> Vec<(String, usize)> {
        let groups = self.admin().list_groups(topic).await.unwrap();
        let told = groups.into_iter().map(|group| (group.name, group.members));
        told.collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_told_with_the_members_that_live() {
    let world = World::with_stream(1).await;
    world.create("other", 1).await;
    assert_eq!(world.groups("s").await, []);
    let scope = |topic: &str, group: &str| world.scope(topic, group);
    // Names in an order that their texts in the store do not have.
    world.commit(&scope("s", "a.b"), "x", None).await;
    world.commit(&scope("s", "a-b"), "x", None).await;
    world.commit(&scope("other", "else"), "x", None).await;
    let elsewhere = Scope::new("kinesis:eu-west-1", "s", "far");
    world.commit(&elsewhere, "x", None).await;
    let dead = MemberRow::new("dead", 7, LEASE);
    world.write(&scope("s", "a.b"), dead).await;
    let (one, two) = (world.join("s", "busy").await, world.join("s", "busy").await);
    let due = [("a-b", 0), ("a.b", 0), ("busy", 2)].map(|(name, live)| (name.to_owned(), live));
    assert_eq!(world.groups("s").await, due);
    one.leave().await.unwrap();
    two.leave().await.unwrap();
    assert_eq!(world.groups("s").await[2], ("busy".to_owned(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_deleted_on_all_topics_once_nobody_is_in_it() {
    let world = World::with_stream(1).await;
    world.create("other", 1).await;
    let scope = |topic: &str, group: &str| world.scope(topic, group);
    world.commit(&scope("s", "g"), "x", None).await;
    world.commit(&scope("s", "else"), "x", None).await;
    let elsewhere = Scope::new("kinesis:eu-west-1", "s", "g");
    world.commit(&elsewhere, "x", None).await;
    let member = world.join("other", "g").await;
    let deleted = world.admin().delete_group("g").await;
    refused(deleted, ErrorKind::Invalid, "stream/other'");
    assert_eq!(world.groups("s").await.len(), 2, "nothing is deleted");

    member.leave().await.unwrap();
    world.admin().delete_group("g").await.unwrap();
    assert_eq!(world.groups("s").await, [("else".to_owned(), 0)]);
    assert_eq!(world.groups("other").await, []);
    let left = world.store.list(&elsewhere).await.unwrap();
    assert_eq!(left.len(), 1, "another Kinesis has its own");
    let again = world.admin().delete_group("g").await;
    refused(again, ErrorKind::NotFound, "no group 'g'");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_takes_its_groups_with_it() {
    let world = World::with_stream(1).await;
    world.create("other", 1).await;
    let scope = |topic: &str, group: &str| world.scope(topic, group);
    // By name and by ARN it is one stream.
    assert_eq!(scope("s", "g"), scope(ARN, "g"));
    for topic in ["s", "other"] {
        world.commit(&scope(topic, "g"), "x", Some("7.0")).await;
    }
    world.commit(&scope("s", "h"), "x", None).await;
    world.admin().delete_topic("s").await.unwrap();
    let left = world.store.scopes().await.unwrap();
    assert_eq!(left, [scope("other", "g")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_place_for_groups_it_is_said_which_there_are() {
    let world = World::start(Kinesis::builder(), |config| config).await;
    world.create("s", 1).await;
    let (admin, kind) = (world.admin(), ErrorKind::Config);
    refused(admin.list_groups("s").await, kind, "leases=memory");
    refused(admin.delete_group("g").await, kind, "leases=memory");
    refused(admin.lag("s", "g").await, kind, "leases=memory");
    let member = ConsumerOptions::new().group("g");
    let consumer = world.hub.consumer("s", member).await.map(|_| ());
    let error = refused(consumer, ErrorKind::Config, "leases=sqlite:FILE");
    for choice in ["leases=memory", "KinesisConfig::store"] {
        assert!(error.to_string().contains(choice), "{error}");
    }
    world.admin().delete_topic("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_stream_that_is_deleted_are_told() {
    let world = World::with_stream(2).await;
    let member = ConsumerOptions::new().group("g");
    let mut consumer = world.hub.consumer("s", member).await.unwrap();
    world.admin().delete_topic("s").await.unwrap();
    let told = async {
        loop {
            if let Err(error) = consumer.receive(1).await {
                return error;
            }
        }
    };
    let told = timeout(Duration::from_secs(30), told).await.unwrap();
    assert_eq!(told.kind(), ErrorKind::NotFound, "{told}");
    consumer.close().await.unwrap();
}

/// By a hub that does not know where the groups are kept. Sequence numbers tell one stream from the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_a_stream_that_was_made_again_is_told() {
    let world = World::with_stream(1).await;
    let shard = world.shards().await.remove(0);
    let first = world.put(&shard, "before").await;
    let scope = world.scope("s", "g");
    world
        .commit(&scope, &shard.id, Some(&first.after().to_string()))
        .await;
    let config = KinesisConfig::new().region("us-east-1");
    let other = KinesisHub::new(config.endpoint(world.kinesis.endpoint())).unwrap();
    // They begin with the second in which the shard was made.
    let mut again;
    loop {
        other.admin().delete_topic("s").await.unwrap();
        other
            .admin()
            .create_topic(&TopicConfig::new("s"))
            .await
            .unwrap();
        again = world.shards().await.remove(0);
        assert_eq!(again.id, shard.id);
        if again.start != shard.start {
            break;
        }
    }
    // Longer than the first one was.
    for n in 0..3 {
        world.put(&again, format!("after-{n}")).await;
    }
    let options = ConsumerOptions::new().group("g");
    let mut member = world.hub.consumer("s", options.clone()).await.unwrap();
    let told = read(&mut *member, 1).await;
    refused(told, ErrorKind::Invalid, "Admin::delete_group");
    member.close().await.unwrap();
    world.admin().delete_group("g").await.unwrap();
    let mut member = world.hub.consumer("s", options).await.unwrap();
    assert_eq!(read(&mut *member, 3).await.unwrap(), 3);
    member.close().await.unwrap();
}

/// How many events have come, once there are so many.
async fn read(member: &mut dyn Consumer, count: usize) -> Result<usize> {
    let reading = async {
        let mut came = 0;
        while came < count {
            came += member.receive(count).await?.deliveries.len();
        }
        Ok(came)
    };
    timeout(Duration::from_secs(60), reading).await.unwrap()
}
