//! Throughput units and retention.

use std::time::{Duration, Instant};

use anyhub_local::EventHubs;
use azure_messaging_eventhubs::ProducerClient;

use super::client::{From, producer, receive, send};
use super::raw::{BATCH, DISPOSITION, Raw, TRANSFER, batch, event};

fn thousand() -> Vec<u8> {
    batch(&vec![event(b"x"); 1_000])
}

#[test]
fn a_unit_takes_a_thousand_events_and_then_is_busy() {
    let hubs = EventHubs::builder()
        .hub("h", 2)
        .limits(true)
        .start()
        .unwrap();
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    raw.transfer(0, BATCH, &thousand());
    assert!(raw.expect(DISPOSITION).outcome(0x24));
    // Whatever the partition.
    raw.transfer(0, BATCH, &thousand());
    let refused = raw.expect(DISPOSITION);
    assert!(
        refused.outcome(0x25) && refused.says("com.microsoft:server-busy"),
        "{refused:?}"
    );
    assert_eq!(
        (hubs.counts().throttled, hubs.counts().events_in),
        (1, 1_000)
    );
    // It isn't busy for ever.
    loop {
        raw.transfer(0, 0, &event(b"y"));
        if raw.expect(DISPOSITION).outcome(0x24) {
            break;
        }
    }
    assert!(hubs.counts().throttled >= 1);

    let more = EventHubs::builder().hub("h", 1).throughput_units(Some(3));
    let hubs = more.start().unwrap();
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    for _ in 0..3 {
        raw.transfer(0, BATCH, &thousand());
        assert!(raw.expect(DISPOSITION).outcome(0x24));
    }
    let none = EventHubs::builder().throughput_units(Some(0)).start();
    assert!(none.unwrap_err().to_string().contains("begin with 1"));
}

#[test]
fn readers_are_slowed_down_in_silence() {
    let hubs = EventHubs::builder()
        .hub("h", 1)
        .limits(true)
        .start()
        .unwrap();
    let mut raw = Raw::open(&hubs);
    raw.publish_to(0, "h");
    raw.transfer(0, BATCH, &thousand());
    assert!(raw.expect(DISPOSITION).outcome(0x24));
    let (start, times) = (Instant::now(), 8);
    for n in 1..=times {
        let read = "h/ConsumerGroups/$Default/Partitions/0";
        raw.subscribe_to(n, read, "amqp.annotation.x-opt-offset > '-1'");
        raw.credit(n, 1_000, false);
        for _ in 0..1_000 {
            raw.expect(TRANSFER);
        }
        raw.send(
            0,
            &super::raw::list(0x16, &[super::raw::uint(n), vec![0x41]]),
        );
        raw.expect(super::raw::DETACH);
    }
    // A second's worth is there at the start, and the last reader may take too much.
    let least = f64::from(times * 1_000 - 4_096 - 1_000) / 4_096.0;
    assert!(
        start.elapsed().as_secs_f64() >= least,
        "{:?}",
        start.elapsed()
    );
    assert_eq!(hubs.counts().events_out, 8_000);
}

#[tokio::test]
async fn retention_by_size_bounds_what_is_stored() {
    let (kept, day) = (1024 * 1024, Duration::from_secs(86_400));
    let hubs = EventHubs::builder()
        .hub("tweets", 1)
        .retention(kept, day)
        .start()
        .unwrap();
    let producer = producer(&hubs, "tweets").await;
    let body = "x".repeat(100_000);
    for _ in 0..30 {
        send(&producer, "0", &body).await.unwrap();
        assert!(hubs.stored_bytes() <= kept);
    }
    let ends = producer.get_partition_properties("0").await.unwrap();
    assert_eq!(ends.last_enqueued_sequence_number, 29);
    assert!(
        (15..25).contains(&ends.beginning_sequence_number),
        "{ends:?}"
    );
    let open = From::partition("0").open(&hubs, "tweets").await;
    let first = receive(&open, 1).await.unwrap().remove(0);
    assert_eq!(
        first.sequence_number(),
        Some(ends.beginning_sequence_number)
    );
}

#[tokio::test]
async fn a_hub_s_retention_and_its_number_of_partitions_can_be_changed() {
    let hubs = EventHubs::builder()
        .hub("tweets", 1)
        .hub("other", 1)
        .start()
        .unwrap();
    let tweets = producer(&hubs, "tweets").await;
    let other = producer(&hubs, "other").await;
    for _ in 0..10 {
        send(&tweets, "0", "x").await.unwrap();
        send(&other, "0", "x").await.unwrap();
    }
    hubs.set_retention("tweets", Some(1), None).unwrap();
    hubs.set_partitions("tweets", 3).unwrap();
    let first = async |client: &ProducerClient| {
        let ends = client.get_partition_properties("0").await.unwrap();
        ends.beginning_sequence_number
    };
    assert_eq!((first(&tweets).await, first(&other).await), (9, 0));
    let described = tweets.get_eventhub_properties().await.unwrap();
    assert_eq!(described.partition_ids.join(","), "0,1,2");
    send(&tweets, "2", "y").await.unwrap();
    let open = From::partition("2").open(&hubs, "tweets").await;
    assert_eq!(receive(&open, 1).await.unwrap().len(), 1);

    let refused = |answer: Result<(), anyhub_local::Error>, says: &str| {
        let error = answer.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(hubs.set_partitions("tweets", 3), "can't be fewer");
    refused(hubs.set_partitions("tweets", 2), "can't be fewer");
    refused(hubs.set_partitions("tweets", 1_025), "1 to 1024");
    refused(hubs.set_partitions("nowhere", 2), "no hub");
    refused(hubs.set_retention("nowhere", None, None), "no hub");
}

#[tokio::test]
async fn retention_by_time_empties_a_partition_that_nobody_writes_to() {
    let time = Duration::from_millis(50);
    let hubs = EventHubs::builder()
        .hub("tweets", 1)
        .retention(usize::MAX, time)
        .start()
        .unwrap();
    let producer = producer(&hubs, "tweets").await;
    send(&producer, "0", "x").await.unwrap();
    while hubs.stored_bytes() > 0 {
        tokio::task::yield_now().await;
    }
    let ends = producer.get_partition_properties("0").await.unwrap();
    assert!(ends.is_empty);
    assert_eq!(
        (
            ends.beginning_sequence_number,
            ends.last_enqueued_sequence_number
        ),
        (1, 0)
    );
}
