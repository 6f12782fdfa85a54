//! Members of a group, and what librdkafka does with them.

use super::*;

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
        // Members that have not left keep their partitions for 45 s.
        let owning = async {
            let opened = hub.consumer(&topic, options).await;
            let mut third = opened.expect("the third");
            while third.assignment().len() < 4 {
                third.receive(10).await.expect("changes");
            }
            third.close().await.expect("closed");
        };
        let owned = timeout(Duration::from_secs(25), owning).await;
        assert!(owned.is_ok(), "round {round}: the group was not left");
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
