use crate::world::{ARN, World, refused};
use anyhub_core::ErrorKind;
use anyhub_kinesis::StreamMode;

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_split_and_merged_again() {
    let world = World::with_stream(1).await;
    let parent = world.partitions("s").await.remove(0);
    let halves = world
        .streams()
        .split_shard("s", &parent, None)
        .await
        .unwrap();
    let halves: Vec<_> = halves.iter().map(ToString::to_string).collect();
    assert_eq!(world.partitions("s").await, halves);
    let shards = world.shards().await;
    assert_eq!(shards[2].lowest, 1 << 127);

    let at = Some(1 << 126);
    let quarters = world
        .streams()
        .split_shard(ARN, &halves[0], at)
        .await
        .unwrap();
    let quarters: Vec<_> = quarters.iter().map(ToString::to_string).collect();
    assert_eq!(world.partitions("s").await.len(), 3);
    // Either may be named first.
    let merged = world
        .streams()
        .merge_shards("s", &quarters[1], &quarters[0]);
    let merged = merged.await.unwrap().to_string();
    let whole = world.streams().merge_shards("s", &merged, &halves[1]);
    let whole = whole.await.unwrap().to_string();
    assert_eq!(world.partitions("s").await, [whole]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_that_cannot_be_split_or_merged() {
    let world = World::with_stream(3).await;
    let ids = world.partitions("s").await;
    let (streams, invalid) = (world.streams(), ErrorKind::Invalid);
    let split = streams.split_shard("s", "shardId-000000000009", None).await;
    refused(split, ErrorKind::NotFound, "describe_topic names");
    let second = &world.shards().await[1];
    for at in [
        0,
        second.lowest,
        second.lowest + 1,
        second.highest,
        u128::MAX,
    ] {
        let split = streams.split_shard("s", &ids[1], Some(at)).await;
        refused(split, invalid, "its hash keys are from");
    }
    let merge = streams.merge_shards("s", &ids[0], &ids[2]).await;
    refused(merge, invalid, "do not adjoin");
    let merge = streams.merge_shards("s", &ids[0], &ids[0]).await;
    refused(merge, invalid, "do not adjoin");
    let merge = streams.merge_shards("s", &ids[0], "x").await;
    refused(merge, ErrorKind::NotFound, "no shard 'x'");
    streams.merge_shards("s", &ids[0], &ids[1]).await.unwrap();
    let split = streams.split_shard("s", &ids[0], None).await;
    refused(split, invalid, "split or merged before");
    let nowhere = streams.split_shard("nowhere", &ids[0], None).await;
    refused(nowhere, ErrorKind::NotFound, "no stream 'nowhere'");

    streams.set_mode("s", StreamMode::OnDemand).await.unwrap();
    let split = streams.split_shard("s", &ids[2], None).await;
    refused(split, invalid, "Streams::set_mode");
    let merge = streams.merge_shards("s", &ids[1], &ids[2]).await;
    refused(merge, invalid, "Streams::set_mode");
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_are_registered_listed_and_taken_away() {
    let world = World::with_stream(1).await;
    let streams = world.streams();
    assert!(streams.list_fanout("s").await.unwrap().is_empty());
    let arn = streams.register_fanout("s", "zebra").await.unwrap();
    assert!(arn.starts_with(&format!("{ARN}/consumer/zebra")), "{arn}");
    streams.register_fanout("s", "app").await.unwrap();
    assert_eq!(streams.list_fanout("s").await.unwrap(), ["app", "zebra"]);
    let again = streams.register_fanout("s", "app").await;
    refused(again, ErrorKind::AlreadyExists, "a consumer 'app' of 's'");
    streams.deregister_fanout("s", "zebra").await.unwrap();
    assert_eq!(streams.list_fanout("s").await.unwrap(), ["app"]);

    let kind = ErrorKind::NotFound;
    let gone = streams.deregister_fanout("s", "zebra").await;
    refused(gone, kind, "no consumer 'zebra' of 's'");
    let text = "no stream 'nowhere'";
    refused(streams.list_fanout("nowhere").await, kind, text);
    refused(streams.register_fanout("nowhere", "app").await, kind, text);
    let gone = streams.deregister_fanout("nowhere", "app").await;
    refused(gone, kind, text);
    // Registered consumers do not keep a stream from going.
    world.admin().delete_topic("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_changes_its_mode() {
    let world = World::with_stream(1).await;
    let streams = world.streams();
    assert_eq!(streams.mode("s").await.unwrap(), StreamMode::Provisioned);
    for mode in [
        StreamMode::OnDemand,
        StreamMode::OnDemand,
        StreamMode::Provisioned,
    ] {
        streams.set_mode("s", mode).await.unwrap();
        assert_eq!(streams.mode("s").await.unwrap(), mode);
    }
    assert_eq!(world.requests("UpdateStreamMode"), 2);
    let nowhere = streams.set_mode("nowhere", StreamMode::OnDemand).await;
    refused(nowhere, ErrorKind::NotFound, "no stream 'nowhere'");
}
