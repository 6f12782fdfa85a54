//! Members of a group, and what librdkafka does with them.

use super::*;
use futures_util::future::join_all;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_group_may_use_an_eager_strategy() {
    let Some(config) = config().await else { return };
    let config = config.property("partition.assignment.strategy", "range");
    let hub = KafkaHub::new(config).expect("a hub");
    let topic = topic(&hub, 4).await;
    let options = ConsumerOptions::new().group(format!("{topic}-g"));
    let mut members = Vec::new();
    for _ in 0..2 {
        // With an eager strategy a member joins only while the others are polled.
        let opening = hub.consumer(&topic, options.clone());
        tokio::pin!(opening);
        let opened = loop {
            let Some(other) = members.first_mut() else {
                break opening.as_mut().await;
            };
            let other: &mut Box<dyn Consumer> = other;
            tokio::select! {
                opened = &mut opening => break opened,
                batch = other.receive(10) => drop(batch.expect("a change")),
            }
        };
        members.push(opened.expect("a member"));
    }
    let due: HashSet<String> = (0..200).map(|nth| nth.to_string()).collect();
    let events = due
        .iter()
        .map(|nth| Event::new(nth.clone()).with_key(nth.clone()));
    publish(&hub, &topic, events).await;
    let mut came = HashSet::new();
    let mut owners = HashSet::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    while came.len() < due.len() && Instant::now() < deadline {
        for (nth, member) in members.iter_mut().enumerate() {
            if let Ok(batch) = timeout(Duration::from_millis(200), member.receive(50)).await {
                let batch = batch.expect("a batch");
                member.acks().ack(&batch.tokens());
                for delivery in batch.deliveries {
                    owners.insert(nth);
                    came.insert(String::from_utf8(delivery.event.payload.to_vec()).expect("text"));
                }
            }
        }
    }
    assert_eq!(came, due);
    assert_eq!(owners.len(), 2, "both members had partitions");
    for mut member in members {
        member.close().await.expect("closed");
    }
}

/// The group is not to miss them only after their session: one that is asked for something just then,
/// and one that owns nothing yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn members_that_go_amid_a_rebalance_leave_at_once() {
    let Some(hub) = hub().await else { return };
    let topic = topic(&hub, 4).await;
    for round in 0..12 {
        let options = ConsumerOptions::new().group(format!("{topic}-{round}"));
        let opened = hub.consumer(&topic, options.clone()).await;
        let mut first = opened.expect("the first");
        let joining = hub.consumer(&topic, options.clone());
        // A little of the rebalance that the second one brings, each time a little more of it.
        let polling = async {
            let some = Duration::from_millis(120 * round);
            let receiving = async { while first.receive(10).await.is_ok() {} };
            timeout(some, receiving).await.ok();
            if round % 2 == 0 {
                first.close().await.expect("closed");
            }
            drop(first);
        };
        let (second, ()) = tokio::join!(joining, polling);
        drop(second.expect("the second"));
        let left = is_left(&hub, &topic, options).await;
        assert!(left, "round {round}: the group was not left");
    }
    hub.close().await.expect("closed");
}

/// Members that have not left keep their partitions, or the group waiting, for 45 s.
async fn is_left(hub: &KafkaHub, topic: &str, options: ConsumerOptions) -> bool {
    let owning = async {
        let opened = hub.consumer(topic, options).await;
        let mut last = opened.expect("the last");
        while last.assignment().len() < 4 {
            last.receive(10).await.expect("changes");
        }
        last.close().await.expect("closed");
    };
    timeout(Duration::from_secs(25), owning).await.is_ok()
}

/// Three at once, each of which goes while it joins, is asked for something or reads. `ANYHUB_SEED`
/// gives other moments.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn members_that_come_and_go_at_any_moment_leave_at_once() {
    let Some(hub) = hub().await else { return };
    let topic = topic(&hub, 4).await;
    let seed = std::env::var("ANYHUB_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    for round in 0..20 {
        let options = ConsumerOptions::new().group(format!("{topic}-{round}"));
        let lives: Vec<_> = (0..3)
            .map(|_| {
                let start = Duration::from_micros(random.random_range(0..200_000));
                let life = Duration::from_micros(random.random_range(0..1_000_000));
                let dropped: bool = random.random();
                let opening = hub.consumer(&topic, options.clone());
                async move {
                    sleep(start).await;
                    let end = sleep(life);
                    tokio::pin!(end);
                    let mut member = tokio::select! {
                        opened = opening => opened.expect("a member"),
                        () = &mut end => return,
                    };
                    tokio::select! {
                        () = async { while member.receive(10).await.is_ok() {} } => {}
                        () = end => {}
                    }
                    if !dropped {
                        member.close().await.expect("closed");
                    }
                }
            })
            .collect();
        join_all(lives).await;
        let left = is_left(&hub, &topic, options).await;
        assert!(left, "seed {seed}, round {round}: the group was not left");
    }
    hub.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_stalls_is_replaced() {
    let Some(hub) = hub().await else { return };
    let topic = topic(&hub, 2).await;
    let options = ConsumerOptions::new().group(format!("{topic}-g"));
    let mut consumer = hub.consumer(&topic, options).await.expect("a consumer");
    publish(
        &hub,
        &topic,
        (0..10).map(|nth| Event::new(nth.to_string()).with_key("k")),
    )
    .await;
    assert_eq!(take(&mut *consumer, 10).await.len(), 10);
    consumer.commit().await.expect("committed");
    // Behind anyhub's back: the client reads nothing more, and keeps its place in the group.
    let native = consumer
        .native()
        .downcast_ref::<NativeConsumer>()
        .expect("rdkafka's");
    native.with(|member| {
        let mut all = TopicPartitionList::new();
        all.add_partition_range(&topic, 0, 1);
        // SAFETY: client and list are alive.
        #[allow(unsafe_code)]
        let code = unsafe { bindings::rd_kafka_pause_partitions(member.native_ptr(), all.ptr()) };
        assert_eq!(
            code,
            bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        );
    });
    publish(
        &hub,
        &topic,
        (10..20).map(|nth| Event::new(nth.to_string()).with_key("k")),
    )
    .await;
    let (mut came, mut changes) = (Vec::new(), Vec::new());
    let acks = consumer.acks();
    while came.len() < 10 {
        let receiving = timeout(Duration::from_secs(90), consumer.receive(500));
        let batch = receiving
            .await
            .expect("the watchdog to bite")
            .expect("a batch");
        acks.ack(&batch.tokens());
        changes.extend(batch.changes);
        came.extend(
            batch
                .deliveries
                .iter()
                .map(|delivery| delivery.event.payload.to_vec()),
        );
    }
    let due: Vec<Vec<u8>> = (10..20).map(|nth| nth.to_string().into_bytes()).collect();
    assert_eq!(came, due);
    assert!(
        matches!(changes[..], [Change::Revoked(_), Change::Assigned(_)]),
        "{changes:?}"
    );
    consumer.close().await.expect("closed");
}
